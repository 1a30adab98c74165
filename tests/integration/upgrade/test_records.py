"""The HIS's patients: each record is in one class, read again it is the same, and one person is registered once."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from card_usage.cli.main import main
from card_usage.interfaces.messages import BatchItem, PatientToRegister
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import upgrade_patient, upgrade_record
from card_usage.open_platform.client import new_request_id
from card_usage.open_platform.validation import item_problems
from card_usage.source.patients import SourcePatient
from card_usage.standard.code_tables import load_tables
from card_usage.upgrade import records, store
from card_usage.upgrade.patients import Batched, of_source
from card_usage.upgrade.records import Judged
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from region import Region, id_number, region
from sqlalchemy import delete, select
from upgrading import environment_of, good_patients, patients_in, put_patients

HOSPITAL = "demo_hospital"
TABLES = load_tables()
NOW = datetime(2026, 3, 2, 2, tzinfo=UTC)
BATCHED = Batched("0" * 32, "https://isv.example.org/list")


def of_his(patid: str, **changes: Any) -> PatientToRegister:
    row = SourcePatient(
        source_id=patid,
        name="张示范",
        gender="1",
        nation="01",
        birthday="19900307",
        id_type="SF",
        id_number=id_number(0),
        address="示范路1号",
        phone1="13800000001",
        phone2=None,
        open_id="o-1",
    )._replace(**changes)
    return of_source(row, BATCHED, TABLES["card_type"], {"SF": "01", "JK": "11", "HZ": "03"})


def judged(patid: str, **changes: Any) -> Judged:
    patient = of_his(patid, **changes)
    return Judged(patient=patient, problems=tuple(item_problems(patient, TABLES)))


@pytest.mark.parametrize(
    ("changes", "causes"),
    [
        ({}, ""),
        ({"name": " 张　示范 "}, ""),
        ({"id_number": id_number(0).lower()}, ""),
        ({"id_type": "JK"}, ""),
        ({"nation": None}, ""),
        ({"nation": "99"}, ""),
        ({"birthday": None, "gender": None}, ""),
        ({"name": "测试"}, "name:10013"),
        ({"name": None}, "name:10013"),
        ({"phone1": "无"}, "phone1:10043"),
        ({"open_id": None}, "openId:10042"),
        ({"id_number": "无"}, "idNumber:10014"),
        ({"id_number": id_number(0)[:-1] + "Z"}, "gender:-10025 idNumber:-10026"),
        ({"id_type": "HZ", "id_number": "E12345678", "birthday": datetime(1990, 3, 7, tzinfo=UTC), "gender": "2"}, ""),
        ({"id_type": "HZ", "id_number": "E12345678", "birthday": date(1990, 3, 7), "gender": "女性"}, ""),
        ({"id_type": "HZ", "id_number": "E12345678", "birthday": "?", "gender": "9"}, "gender:10042 birthday:10051"),
    ],
)
def test_what_a_his_has_is_normalized_and_what_is_wrong_is_named_by_parameter_and_code(
    changes: dict[str, Any], causes: str
):
    one = judged("P1", **changes)
    if "idNumber:-10026" in causes:
        assert "idNumber:" in one.causes
    else:
        assert set(one.causes.split()) == set(causes.split())
    if not causes:
        assert (one.patient.birthday, one.patient.patid) == ("1990-03-07", "P1")
        assert one.patient.nation == ("未知" if changes.get("nation", "01") != "01" else "汉族")


class AHis(RuleBasedStateMachine):
    """Records come, go, change and are mended between readings and sendings, in any order."""

    ledger: Ledger

    def __init__(self) -> None:
        super().__init__()
        with self.ledger.write() as connection:
            for table in (upgrade_record, upgrade_patient):
                connection.execute(delete(table).where(table.c.hospital == HOSPITAL))
        self.his: dict[str, tuple[int, bool]] = {}
        self.cards: Counter[int] = Counter()
        self.now = NOW
        self.read_since = False

    @rule(patid=st.sampled_from("ABCDEF"), person=st.integers(0, 3), good=st.booleans())
    def put(self, patid: str, person: int, good: bool) -> None:
        self.his[patid] = (person, good)
        self.read_since = False

    @rule(patid=st.sampled_from("ABCDEF"))
    def remove(self, patid: str) -> None:
        self.his.pop(patid, None)
        self.read_since = False

    @rule(size=st.integers(1, 4))
    def read(self, size: int) -> None:
        for _ in range(2):  # the second lets another record of a person stand for him
            self.now += timedelta(minutes=1)
            rows = [
                judged(patid, id_number=id_number(person), phone1="13800000001" if good else None)
                for patid, (person, good) in sorted(self.his.items())
            ]
            with self.ledger.write() as connection:
                for first in range(0, len(rows), size):
                    page = rows[first : first + size]
                    records.keep(connection, self.ledger.keyring, HOSPITAL, page, self.now)
                records.reading_done(connection, HOSPITAL, began=self.now, rows=len(rows))
        self.read_since = True

    @rule(size=st.integers(1, 3))
    def send(self, size: int) -> None:
        with self.ledger.write() as connection:
            keyring = self.ledger.keyring
            request_id = new_request_id()
            batch = store.next_batch(connection, keyring, HOSPITAL, size=size, request_id=request_id, now=self.now)
            self.now += timedelta(minutes=1)
            if batch is None:
                return
            numbers = [patient.id_number for patient in batch.patients.values()]
            self.cards.update(number for number in range(4) if id_number(number) in numbers)
            items = [BatchItem(id_number=number, qr_code_text="Q", health_card_id="") for number in numbers]
            store.settle(connection, keyring, batch, items, self.now)

    @invariant()
    def nobody_is_registered_twice(self) -> None:
        assert all(count == 1 for count in self.cards.values())

    @invariant()
    def every_record_is_in_one_class(self) -> None:
        if not self.read_since:
            return
        with self.ledger.read() as connection:
            rows = {
                row.key: row for row in connection.execute(select(upgrade_record)).all() if row.hospital == HOSPITAL
            }
            states = {row.key: row.state for row in connection.execute(select(upgrade_patient)).all()}
        keyring = self.ledger.keyring
        keys = {records.key_of(keyring, HOSPITAL, patid): patid for patid in self.his}
        assert keys.keys() <= rows.keys()
        standing = Counter(row.person for row in rows.values() if row.stands)
        assert not [person for person, times in standing.items() if times > 1]
        assert {person for person, state in states.items() if state == "ready"} <= standing.keys()
        for key, row in rows.items():
            if key not in keys:
                assert states[row.person] == "registered"
                continue
            person, good = self.his[keys[key]]
            of_his = store.key_of(keyring, HOSPITAL, judged("X", id_number=id_number(person)).patient)
            if good:
                assert row.causes == ""
                assert row.person == of_his
                assert row.stands or of_his in standing
            else:
                kept = row.stands and states[row.person] == "registered"
                assert kept or (row.causes == "phone1:10043" and row.person is None)


def test_whatever_happens_in_the_his_each_record_is_in_one_class_and_nobody_is_sent_twice(ledger: Ledger):
    AHis.ledger = ledger
    AHis.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
    AHis.TestCase("runTest").runTest()


# The command, over a HIS and a platform


@pytest.fixture
def here() -> Iterator[Region]:
    with region(clock_is_real=True) as opened:
        yield opened


@pytest.fixture
def environment(here: Region, tmp_path: Path) -> dict[str, str]:
    return environment_of(here, tmp_path)


def run(environment: dict[str, str], capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, Any]]:
    code = main(["upgrade", "--hospital", HOSPITAL, "--json", *more], environment)
    told = capsys.readouterr()
    assert told.out, told.err
    return code, json.loads(told.out)


def test_a_dry_run_judges_every_patient_of_the_his_and_changes_nothing(
    environment: dict[str, str], here: Region, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    code, told = run(environment, capsys, "--his")
    his = told["HIS"]
    assert code == 1
    assert his["rows"] == his["good"] + his["quarantined"] == patients_in(tmp_path)
    assert {cause["parameter"] for cause in told["quarantined"]} >= {"openId"}
    assert told["patients"] == {}
    assert here.sandbox.counts()["calls"] == 0


def test_everybody_good_is_registered_once_however_often_the_his_is_read(
    environment: dict[str, str], here: Region, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    _, first = run(environment, capsys, "--his", "--yes", "--out", str(tmp_path / "out"))
    his, rows = first["HIS"], patients_in(tmp_path)
    assert his["rows"] == rows
    assert his["good"] - his.get("same person", 0) == his["new"] == first["patients"]["registered"]
    assert here.sandbox.counts()["cards"] == his["new"]
    _, again = run(environment, capsys, "--his", "--yes")
    assert (again["HIS"].get("new"), again["sent"]["calls"]) == (None, 0)
    assert here.sandbox.counts()["cards"] == his["new"]
    held = (tmp_path / "out" / "quarantined-patients.csv").read_text(encoding="utf-8-sig").splitlines()[1:]
    assert len(held) == his["quarantined"]
    for file in (tmp_path / "out").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_patient_who_is_mended_in_the_his_is_released_and_a_second_record_is_no_second_patient(
    environment: dict[str, str], here: Region, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    put_patients(tmp_path, (1, id_number(1), None), (2, id_number(2), "13800000002"), (3, id_number(2), "1"))
    _, told = run(environment, capsys, "--his", "--yes")
    assert (told["HIS"]["quarantined"], told["patients"]) == (2, {"registered": 1})
    with closing(sqlite3.connect(tmp_path / "his.db")) as his, his:
        his.execute("UPDATE SF_BRXXK SET lxdh = '13800000009'")
    code, told = run(environment, capsys, "--his", "--yes")
    assert (code, told["patients"]) == (0, {"registered": 2})
    assert told["HIS"]["same person"] == 1
    assert here.sandbox.counts()["cards"] == 2


def test_a_ledger_holds_nothing_readable_of_the_his_patients(
    environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run(environment, capsys, "--his", "--yes")
    with closing(sqlite3.connect(tmp_path / "his.db")) as his:
        rows = his.execute(
            "SELECT hzxm, sfzh, lxdh, openId, CAST(patid AS text) FROM SF_BRXXK JOIN xt_brwx ON brid = patid"
        ).fetchall()
    content = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    texts = {text for row in rows for text in row[1:] if text and len(text) > 6}
    assert not [text for text in texts if text.encode() in content]


def report(environment: dict[str, str], capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, Any]]:
    code = main(["upgrade-report", "--hospital", HOSPITAL, "--json", *more], environment)
    told = capsys.readouterr()
    assert told.out, told.err
    return code, json.loads(told.out)


def test_the_report_has_each_record_in_one_class_and_says_why_and_when(
    environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    odd = [(50, id_number(2), "13800000050"), (51, id_number(51), None), (52, id_number(52)[:-1] + "Z", None)]
    put_patients(tmp_path, *good_patients(8), *odd)
    run(environment, capsys, "--his", "--yes")
    put_patients(tmp_path, *good_patients(9)[1:], *odd)  # one has left, one has come
    encrypted = tmp_path / "encrypted.csv"
    encrypted.write_text("openId,encryptData\no-1,abc+1\n", encoding="utf-8")
    out = tmp_path / "out"
    code, told = report(environment, capsys, "--his", "--out", str(out), "--encrypted", str(encrypted))
    assert code == 0
    assert told["equation"] == (
        "HIS 11 = registered 7 + existed 0 + refused 0 + under_way 0 + waiting 0 + quarantined 2 + same_person 1"
        " + repeated 0 + not read yet 1; difference 0"
    )
    figures = told["report"]
    assert figures["classes"] == {
        **{"registered": 8, "existed": 0, "refused": 0, "under_way": 0, "waiting": 0},
        **{"quarantined": 2, "same_person": 1},
    }
    assert figures["quarantined_by_cause"]["phone1:10043"] == 2
    ((_, counts),) = figures["by_day"].items()
    assert counts == {"registered": 8}
    page = (out / "upgrade.html").read_text(encoding="utf-8")
    ElementTree.fromstring(page.partition("<!DOCTYPE html>")[2])  # noqa: S314 - our own text
    assert "两边相等" in page
    assert "手机号不得为空" in page
    links = (out / "activation-links.csv").read_text(encoding="utf-8-sig").splitlines()
    assert len(links) == 2
    assert links[1].startswith("o-1,https://health.tengmed.com/open/batchActiveCard?open_id=abc%2B1&redirect_uri=")
    assert (out / "openids.txt").read_text(encoding="utf-8").split() == [f"o-{at}" for at in range(8)]
    for name in ("openids.txt", "activation-links.csv"):
        assert stat.S_IMODE((out / name).stat().st_mode) == 0o600
    shown = json.dumps(told) + page
    assert not [one for one in ("张示范", id_number(2), "13800000050", "o-1") if one in shown]


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_reads_or_sends_loses_nobody(
    environment: dict[str, str], here: Region, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    put_patients(tmp_path, *good_patients(90))
    path = Path(environment["CARD_USAGE_HOSPITALS"]) / "demo_hospital.toml"
    path.write_text(path.read_text(encoding="utf-8") + "patients_a_batch = 5\n", encoding="utf-8")
    here.sandbox.faults(latency_ms=80)
    command = [sys.executable, "-m", "card_usage", "upgrade", "--hospital", HOSPITAL, "--his", "--yes"]
    kept = (0.0, 0.05, 0.15)
    for at, seconds in enumerate(kept):
        process = subprocess.Popen(
            command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        # Once while it reads, then while batches are under way.
        deadline = time.monotonic() + 60
        before = here.sandbox.counts()["cards"]
        while time.monotonic() < deadline and process.poll() is None:
            if at == 0 and records_in(tmp_path) > 0:
                break
            if at > 0 and here.sandbox.counts()["cards"] > before:
                break
            time.sleep(0.005)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    here.sandbox.calm()
    code, told = run(environment, capsys, "--his", "--yes")
    assert (code, told["patients"]) == (0, {"registered": 90})
    assert here.sandbox.counts()["cards"] == records_in(tmp_path) == 90


def records_in(home: Path) -> int:
    with closing(sqlite3.connect(home / "ledger.db")) as ledger:
        return int(ledger.execute("SELECT COUNT(*) FROM upgrade_record").fetchone()[0])
