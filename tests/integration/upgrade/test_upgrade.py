"""An upgrade loses nobody and gives nobody two cards, whatever the wire does and whenever the process is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import ledgers
import pytest
from card_usage.cli.main import main
from card_usage.context import Context
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import open_ledger
from card_usage.platform.outcome import Answer
from card_usage.upgrade import store
from card_usage.upgrade.run import STEPS
from region import Region, id_number, region

HEADS = "姓名,性别,民族,证件号码,联系电话,院内ID,openId\n"
BACK = "https://isv.example.org/list"


def line(at: int, **changes: str) -> str:
    row = {
        "name": "沙箱测试甲",
        "gender": "男",
        "nation": "汉",
        "id": id_number(at),
        "phone": "13800000001",
        "patid": f"P{at}",
        "open_id": f"open-{at}",
    } | changes
    return ",".join(row.values()) + "\n"


@dataclass
class Office:
    here: Region
    home: Path
    environment: dict[str, str]
    capsys: pytest.CaptureFixture[str]

    @property
    def arguments(self) -> list[str]:
        return ["upgrade", "--hospital", "demo_hospital", "--file", str(self.home / "patients.csv"), "--json"]

    def list(self, *lines: str, encoding: str = "utf-8") -> None:
        (self.home / "patients.csv").write_text(HEADS + "".join(lines), encoding=encoding)

    def run(self, *more: str) -> tuple[int, dict[str, Any]]:
        code = main([*self.arguments, *more], self.environment)
        told = self.capsys.readouterr()
        assert "沙箱测试" not in told.out + told.err
        return code, json.loads(told.out) if told.out else {"error": told.err}

    def states(self) -> dict[str, int]:
        ledger = open_ledger(self.environment["CARD_USAGE_LEDGER_URL"], ledgers.KEYRING)
        try:
            with ledger.read() as connection:
                return store.states(connection, "demo_hospital")
        finally:
            ledger.close()


@pytest.fixture
def here() -> Iterator[Region]:
    with region(clock_is_real=True) as opened:
        yield opened


def opened(here: Region, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Office:
    (tmp_path / "hospitals").mkdir()
    text = (SHIPPED / "hospitals" / "demo_hospital.toml").read_text(encoding="utf-8")
    text += f'\n[upgrade]\ncard_list_url = "{BACK}"\npatients_a_batch = 10\n'
    (tmp_path / "hospitals" / "demo_hospital.toml").write_text(text, encoding="utf-8")
    connection = {
        "conn_type": "http",
        "host": here.sandbox.url,
        "login": "demo-app-id",
        "password": "demo-app-secret",
        "extra": {"offline_wechat_code": here.offline_code()},
    }
    environment = {
        "CARD_USAGE_LEDGER_URL": ledgers.sqlite_url(tmp_path),
        "CARD_USAGE_KEY": ledgers.KEY,
        "CARD_USAGE_HOSPITALS": str(tmp_path / "hospitals"),
        "AIRFLOW_CONN_DEMO_PLATFORM": json.dumps(connection),
    }
    return Office(here, tmp_path, environment, capsys)


@pytest.fixture
def office(here: Region, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Office:
    return opened(here, tmp_path, capsys)


def test_a_list_is_shown_first_and_nothing_is_sent(office: Office):
    office.list(line(0), line(1, phone=""), line(2), line(2), line(3, id="12"))
    code, told = office.run("--out", str(office.home / "out"))
    assert code == 1
    assert told["list"] == {"rows": 5, "good": 2, "quarantined": 2, "twice": 1}
    assert {cause["parameter"] for cause in told["quarantined"]} == {"phone1", "idType", "birthday"}
    assert office.here.sandbox.counts()["calls"] == 0
    assert office.states() == {}
    written = (office.home / "out" / "quarantined.csv").read_text(encoding="utf-8-sig")
    assert "3,phone1,10043,手机号不得为空" in written
    assert "P1" not in written


def test_everybody_good_is_registered_and_the_message_goes_to_them(office: Office):
    office.list(*(line(at) for at in range(25)), line(30, phone=""), encoding="gb18030")
    code, told = office.run("--yes", "--out", str(office.home / "out"))
    assert code == 1  # one line is quarantined
    assert told["sent"] == {"calls": 3, "registered": 25}
    assert told["patients"] == {"registered": 25}
    openids = (office.home / "out" / "openids.txt").read_text(encoding="utf-8").split()
    assert openids == [f"open-{at}" for at in range(25)]
    invited = office.here.caller.http.get("/sandbox/invitations").json()
    assert {each["openId"] for each in invited} == set(openids)


def test_the_same_list_again_sends_nobody_again(office: Office):
    office.list(*(line(at) for at in range(5)))
    office.run("--yes")
    office.list(*(line(at) for at in range(7)))
    _, told = office.run("--yes")
    assert told["taken in"] == {"registered": 5, "new": 2}
    assert told["sent"] == {"calls": 1, "registered": 2}


def test_one_whom_the_platform_does_not_verify_is_refused_and_tried_again_when_he_changes(office: Office):
    office.list(line(0), line(1, name="A"), line(2))
    code, told = office.run("--yes")
    assert (code, told["patients"]) == (0, {"refused": 1, "registered": 2})
    _, told = office.run("--yes")
    assert told["taken in"] == {"registered": 2, "refused": 1}
    office.list(line(1))
    _, told = office.run("--yes")
    assert told["taken in"] == {"changed": 1}
    assert told["patients"] == {"registered": 3}


@pytest.mark.parametrize("repeat", ["accepted", "seen", "gate"])
def test_whatever_the_wire_does_nobody_is_lost_and_nobody_has_two_cards(
    repeat: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("card_usage.open_platform.session.backoff", lambda failures, random: 0.001)
    monkeypatch.setattr("card_usage.upgrade.run.FAILURES", 60)
    with region(clock_is_real=True, repeat=repeat, seed=3) as here:
        desk = opened(here, tmp_path, capsys)
        desk.list(*(line(at) for at in range(60)))
        here.sandbox.faults(
            on_cards=True, drop_after=0.2, drop_before=0.1, lost=0.1, gateway_503=0.1, truncated=0.1, busy=0.1
        )
        for _ in range(5):
            code, _ = desk.run("--yes")
            if code == 0:
                break
        assert desk.states() == {"registered": 60}
        assert here.sandbox.counts()["cards"] == 60


@pytest.mark.slow
def test_a_killed_process_loses_nobody(office: Office):
    office.list(*(line(at) for at in range(80)))
    office.here.sandbox.faults(latency_ms=60)
    environment = os.environ | office.environment
    command = [sys.executable, "-m", "card_usage", *office.arguments, "--yes"]
    for _ in range(3):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = office.here.sandbox.counts()["cards"]
        deadline = time.monotonic() + 60
        while office.here.sandbox.counts()["cards"] == before and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    office.here.sandbox.calm()
    code, told = office.run("--yes")
    assert (code, told["patients"]) == (0, {"registered": 80})
    assert office.here.sandbox.counts()["cards"] == 80


def test_a_batch_that_is_refused_as_a_whole_is_halved_until_the_reason_stands_alone(office: Office):
    """The platform refuses the batch, and says nothing about whom."""
    office.list(*(line(at) for at in range(8)))
    office.here.sandbox.faults(on_cards=True, refuse=1.0)
    code, told = office.run("--yes")
    assert (code, told["patients"]) == (0, {"refused": 8})
    assert told["sent"] == {"calls": 15, "refused": 8}
    office.here.sandbox.calm()


@pytest.mark.parametrize("fault", ["truncated", "drop_before", "html"])
def test_a_platform_whose_answers_cannot_be_had_ends_the_run_and_the_next_goes_on(
    office: Office, fault: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("card_usage.open_platform.session.backoff", lambda failures, random: 0.001)
    office.list(*(line(at) for at in range(12)))
    office.here.sandbox.faults(on_cards=True, **{fault: 1.0})
    code, told = office.run("--yes")
    assert (code, told["sent"]) == (1, {"calls": 8})
    assert "no answer" in told["stopped"]
    office.here.sandbox.calm()
    code, told = office.run("--yes")
    assert (code, told["patients"]) == (0, {"registered": 12})
    assert office.here.sandbox.counts()["cards"] == 12


def test_a_pause_holds_the_upgrade_too(office: Office):
    office.list(line(0))
    assert main(["pause", "--hospital", "demo_hospital", "--reason", "test"], office.environment) == 0
    office.capsys.readouterr()
    code, told = office.run("--yes")
    assert code == 1
    assert "pause" in told["stopped"]
    assert told["patients"] == {"ready": 1}
    assert main(["resume", "--hospital", "demo_hospital"], office.environment) == 0
    office.capsys.readouterr()
    assert office.run("--yes")[1]["patients"] == {"registered": 1}


def test_what_is_missing_in_connection_and_file_is_named(office: Office):
    office.list(line(0))
    office.environment["AIRFLOW_CONN_DEMO_PLATFORM"] = json.dumps({"conn_type": "http", "host": "http://127.0.0.1:9"})
    code, told = office.run()
    assert code == 2
    assert "offline_wechat_code" in told["error"]


def test_a_list_without_its_columns_is_refused_by_line_and_column(office: Office):
    (office.home / "patients.csv").write_text("姓名,证件号码\n张三,1\n", encoding="utf-8")
    code, told = office.run()
    assert code == 2
    assert "line 1: no column 联系电话, 院内ID, openId" in told["error"]
    (office.home / "patients.csv").unlink()
    assert office.run()[0] == 2


def test_patients_are_not_readable_in_the_ledger(office: Office):
    office.list(*(line(at) for at in range(3)))
    office.here.sandbox.faults(outage=True)
    task = [*office.arguments, "--yes"]
    # Stored, batched and not answered.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("card_usage.open_platform.session.backoff", lambda failures, random: 0.001)
        patched.setattr("card_usage.upgrade.run.FAILURES", 1)
        assert main(task, office.environment) == 1
    office.capsys.readouterr()
    content = b"".join(path.read_bytes() for path in office.home.glob("ledger.db*") if path.is_file())
    for secret in ("沙箱测试甲", id_number(0), "13800000001", "open-0"):
        assert secret.encode() not in content


def test_every_class_of_answer_has_its_step():
    assert STEPS.keys() == set(Answer)


def test_two_processes_do_not_send_for_one_hospital_at_once(office: Office):
    office.list(line(0))
    with (
        Context.open("demo_hospital", _settings(office), lambda _: None) as context,  # type: ignore[arg-type,return-value]
        context.ledger.write() as connection,
    ):
        worker = _living(connection)
        assert store.acquire(connection, "demo_hospital", worker)
        assert not store.acquire(connection, "demo_hospital", worker + 1)
    with _beating(office, worker):
        code, told = office.run("--yes")
    assert code == 2
    assert "another process is registering its patients" in told["error"]


def _settings(office: Office) -> Any:
    from card_usage.config.settings import Settings

    return Settings.from_environment(office.environment)


@contextmanager
def _beating(office: Office, worker: int) -> Iterator[None]:
    """Meanwhile the deliverer shows every second that it lives, as its process would."""
    from card_usage.delivery.membership import beat

    ended = Event()

    def live() -> None:
        with Context.open("demo_hospital", _settings(office), lambda _: None) as context:  # type: ignore[arg-type,return-value]
            while not ended.wait(1):
                with context.ledger.write() as connection:
                    beat(connection, worker, 0)

    other = Thread(target=live)
    other.start()
    try:
        yield
    finally:
        ended.set()
        other.join()


def _living(connection: Any) -> int:
    from datetime import UTC, datetime

    from card_usage.delivery.membership import register
    from card_usage.ledger.process import Identity

    here = Identity.of_this_process()
    return register(connection, hospital="demo_hospital", app_id="x", identity=here, now=datetime.now(UTC))


def test_a_ledger_on_postgresql_keeps_an_upgrade_too(office: Office, postgres_ledger_url: str):
    office.environment["CARD_USAGE_LEDGER_URL"] = postgres_ledger_url
    office.list(*(line(at) for at in range(12)), line(20, name="A"))
    office.here.sandbox.faults(on_cards=True, drop_after=0.3)
    for _ in range(3):
        office.run("--yes")
    assert office.states() == {"registered": 12, "refused": 1}
    assert office.here.sandbox.counts()["cards"] == 12


def test_what_went_to_a_rehearsal_can_be_forgotten(office: Office):
    office.list(line(0))
    assert office.run("--yes")[0] == 0
    elsewhere = json.loads(office.environment["AIRFLOW_CONN_DEMO_PLATFORM"]) | {"host": "https://platform.example.org"}
    office.environment["AIRFLOW_CONN_DEMO_PLATFORM"] = json.dumps(elsewhere)
    code, told = office.run("--yes")
    assert code == 2
    assert "platform.example.org" in told["error"]
    assert main(["platform", "forget", "--hospital", "demo_hospital", "--yes"], office.environment) == 0
    assert office.states() == {}
