"""The command line as an engineer meets it: real processes, settings from the environment, a HIS file, a platform."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from desk import DAY, SPAN, Desk, one_line, opened
from forked_cli import CommandLine


@pytest.fixture
def desk(tmp_path: Path, command_line: CommandLine) -> Iterator[Desk]:
    with opened(tmp_path, command_line) as made:
        yield made


def test_run_does_everything_and_again_sends_nothing(desk: Desk) -> None:
    first = desk.json("run", *SPAN)
    assert first["settled"] is True
    assert first["deliver"]["calls"] == first["deliver"]["states"]["delivered"] > 600
    assert len(first["stage"]) == 5
    assert first["reconcile"]["clean"] is True
    assert all(Path(path).is_file() for path in first["report"])
    again = desk.json("run", *SPAN)
    assert again["deliver"]["calls"] == 0
    assert all(staged["new"] == staged["changed"] == 0 for staged in again["stage"])
    counts = desk.sandbox.counts()
    assert counts["accepted"] == first["deliver"]["states"]["delivered"]
    assert counts["doubled"] == 0


def test_each_verb_works_alone_and_in_order(desk: Desk) -> None:
    desk.command_line = None
    assert desk.json("preview", *SPAN)["preview"]["new"] > 600
    desk.json("stage", *SPAN)
    assert desk.json("check", *SPAN)["check"]["verdict"] in {"pass", "warn"}
    assert desk.json("deliver", *SPAN)["deliver"]["settled"] is True
    assert desk.json("reconcile", *SPAN)["reconcile"]["remainder"] == 0
    written = desk.json("report", *SPAN)["report"]
    assert sorted(Path(name).name.partition(".")[2] for name in written) == sorted(
        ["html", "json", "mail.html", "xlsx"] * 2
    )


def test_nothing_but_the_result_is_said_when_nobody_watches(desk: Desk) -> None:
    desk.command_line = None
    done = desk.run("stage", *SPAN)
    assert done.stderr == ""
    assert "registration" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("args", "changes", "says"),
    [
        (["run", "--hospital", "nowhere", *SPAN[2:]], {}, r"no hospital 'nowhere' .*demo_hospital"),
        (["run", *SPAN], {"CARD_USAGE_KEY": ""}, r"CARD_USAGE_KEY is not set"),
        (["run", *SPAN], {"CARD_USAGE_KEY": "a:b"}, r"CARD_USAGE_KEY, entry 1"),
        (["run", *SPAN], {"CARD_USAGE_LEDGER_URL": "sqlite:////nowhere-at-all/x/l.db"}, r"ledger"),
        (["run", *SPAN], {"AIRFLOW_CONN_DEMO_HIS": ""}, r"AIRFLOW_CONN_DEMO_HIS is not set"),
        (["run", *SPAN], {"AIRFLOW_CONN_DEMO_HIS": "sqlite:////tmp/no-such-his.db"}, r"demo_his.*cannot be reached"),
        (["run", *SPAN], {"AIRFLOW_CONN_DEMO_HIS": "ftp://x/y"}, r"connection 'demo_his'"),
    ],
)
def test_what_is_missing_or_wrong_is_one_line_that_says_what_to_do(
    desk: Desk, args: list[str], changes: dict[str, str], says: str
) -> None:
    if changes.get("CARD_USAGE_LEDGER_URL"):
        changes = {"CARD_USAGE_LEDGER_URL": "postgresql://u:topsecret@127.0.0.1:1/x"}
    done = desk.run(*args, **changes)
    assert done.returncode == 2
    line = one_line(done)
    assert re.search(says, line), line
    assert "topsecret" not in line


def test_a_ledger_that_was_never_migrated_says_the_command(desk: Desk) -> None:
    done = desk.run("stage", *SPAN, CARD_USAGE_LEDGER_URL=f"sqlite:///{desk.home}/new.db")
    assert done.returncode == 2
    assert "ledger migrate" in one_line(done)
    assert desk.run("ledger", "migrate", CARD_USAGE_LEDGER_URL=f"sqlite:///{desk.home}/new.db").returncode == 0
    assert desk.run("stage", *SPAN, CARD_USAGE_LEDGER_URL=f"sqlite:///{desk.home}/new.db").returncode == 0


def test_dates_that_are_none_are_refused_by_name(desk: Desk) -> None:
    done = desk.run("stage", "--hospital", "demo_hospital", "--from", "2026-02-30", "--to", "2026-03-01")
    assert done.returncode == 2
    assert "2026-02-30" in done.stderr


def test_a_wrong_secret_stops_at_the_first_answer_and_says_which_code(desk: Desk) -> None:
    desk.json("stage", *SPAN)
    wrong = json.dumps(
        {"conn_type": "http", "host": desk.sandbox.url, "login": "demo-app-id", "password": "not-the-secret"}
    )
    done = desk.run("deliver", *SPAN, AIRFLOW_CONN_DEMO_PLATFORM=wrong)
    assert done.returncode == 1
    assert "21006" in one_line(done)
    assert "not-the-secret" not in done.stdout + done.stderr
    assert desk.sandbox.counts()["accepted"] == 0
    # It stands still until somebody says that it is mended.
    assert desk.run("deliver", *SPAN).returncode == 1
    assert desk.run("resume", "--hospital", "demo_hospital").returncode == 0
    assert desk.json("deliver", *SPAN)["settled"] is True


def accepted(desk: Desk) -> int:
    return int(desk.sandbox.counts()["accepted"])


def started(desk: Desk) -> subprocess.Popen[str]:
    """A delivery that has begun, against a slow platform."""
    desk.json("stage", *SPAN)
    desk.sandbox.faults(latency_ms=250)
    delivery = subprocess.Popen(
        desk.command("deliver", *SPAN), env=desk.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while accepted(desk) < 10 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert delivery.poll() is None
    return delivery


def test_a_pause_from_another_process_holds_within_five_seconds_and_resume_goes_on(desk: Desk) -> None:
    delivery = started(desk)
    assert desk.run("pause", "--all", "--reason", "maintenance").returncode == 0
    time.sleep(5)
    held = accepted(desk)
    time.sleep(2)
    assert accepted(desk) == held
    assert delivery.poll() is None, "it waits"
    desk.sandbox.calm()
    assert desk.run("resume", "--all").returncode == 0
    assert delivery.wait(60) == 0
    assert desk.sandbox.counts()["doubled"] == 0


def test_a_drain_ends_a_running_delivery_and_leaves_the_rest_due(desk: Desk) -> None:
    delivery = started(desk)
    desk.run("drain", "--hospital", "demo_hospital")
    assert delivery.wait(30) == 1
    done = accepted(desk)
    desk.sandbox.calm()
    desk.run("resume", "--hospital", "demo_hospital")
    rest = desk.json("deliver", *SPAN)["deliver"]["states"]["delivered"]
    assert rest > 0
    assert accepted(desk) == done + rest
    assert desk.sandbox.counts()["doubled"] == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_delivery_loses_and_doubles_nothing(desk: Desk, how: signal.Signals) -> None:
    desk.json("platform", "calibrate", *SPAN[:2])  # else nobody could tell what came of the calls under way
    delivery = started(desk)
    delivery.send_signal(how)
    _, said = delivery.communicate(timeout=30)
    assert "Traceback" not in said
    if how is signal.SIGTERM:
        assert delivery.returncode == 143
        left = re.search(r"interrupted by SIGTERM; every call .* is finished and written, (\d+) events stay due", said)
        assert left
        assert int(left[1]) > 0
        with sqlite3.connect(desk.home / "ledger.db") as ledger:
            (open_calls,) = ledger.execute(
                "select count(*) from event where status in ('in_flight', 'unknown')"
            ).fetchone()
            assert open_calls == 0, "what was under way is finished"
            assert ledger.execute("select count(*) from deliverer where ended_at is null").fetchone() == (0,)
    desk.sandbox.calm()
    assert desk.json("deliver", *SPAN)["settled"] is True
    with sqlite3.connect(desk.home / "ledger.db") as ledger:
        states = dict(ledger.execute("select status, count(*) from event group by status").fetchall())
    assert set(states) == {"delivered", "voided", "quarantined"}
    assert accepted(desk) == states["delivered"]
    assert desk.sandbox.counts()["doubled"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("what", ["removed", "replaced by another"])
def test_a_ledger_that_is_removed_under_a_delivery_is_one_error_and_not_settled(desk: Desk, what: str) -> None:
    delivery = started(desk)
    ledger = desk.home / "ledger.db"
    ledger.rename(desk.home / "kept.db")
    if what != "removed":
        ledger.write_bytes(b"")
    desk.sandbox.calm()
    out, said = delivery.communicate(timeout=30)
    assert delivery.returncode == 2
    assert "settled" not in out
    (line,) = [line for line in said.splitlines() if line.startswith("card_usage:")]
    assert f"ledger.db was {what} while it was in use" in line
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_platform_that_is_away_is_one_line_and_nothing_is_lost(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.json("stage", *SPAN)
    away = json.dumps({"conn_type": "http", "host": "http://127.0.0.1:9", "login": "a", "password": "b"})
    began = time.monotonic()
    done = desk.run("deliver", *SPAN, AIRFLOW_CONN_DEMO_PLATFORM=away)
    assert done.returncode == 1
    assert "does not answer" in one_line(done)
    first, stop = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    assert re.search(r"no good answer from the platform for [5-9] s; trying on", first)
    assert re.search(r"stop sending: no good answer from the platform for (3|4|5)\d s", stop)
    assert time.monotonic() - began < 75
    assert desk.json("deliver", *SPAN)["settled"] is True


def test_three_legs_from_a_delivery_to_the_chain_that_shows_a_change(desk: Desk) -> None:
    assert desk.run("run", *SPAN).returncode == 0
    hospital = SPAN[:2]
    statement = desk.home / "statement.csv"
    address = f"{desk.sandbox.url}/sandbox/statement?hospital_id=10086&day={DAY}"
    with urllib.request.urlopen(address) as answer:  # noqa: S310 - our own sandbox
        statement.write_bytes(answer.read())
    (imported,) = desk.json("statement", "import", str(statement))["statement"]
    assert (imported["day"], imported["missing"], imported["surplus"]) == (f"{DAY}", 0, 0)
    assert imported["uses"] == imported["proved"] > 100
    told = desk.json("reconcile", *SPAN)["reconcile"]
    assert {one["equation"] for one in told["equations"]} >= {"source", "states", "named", "acknowledged", "platform"}
    assert [one for one in told["equations"] if one["gap"]] == []
    shown = desk.run("reconcile", *SPAN).stdout
    assert re.search(r"equation +left +right", shown)
    verified = desk.json("verified", *hospital)["verified"]
    assert {one["verified_through"] for one in verified} == {f"{DAY + timedelta(days=2)} 00:00"}
    assert len(desk.json("evidence", "make", *hospital)["evidence"]) == 2
    sound = desk.json("evidence", "verify", *hospital)["evidence"]
    assert (sound["sound"], sound["links"], sound["rows"]) == (True, 2, [])
    with sqlite3.connect(desk.home / "ledger.db") as ledger:
        (key,) = ledger.execute("select key from event where status = 'delivered' and day = ?", [f"{DAY}"]).fetchone()
        ledger.execute("update event set channel = '0299' where key = ?", [key])
    done = desk.run("evidence", "verify", *hospital)
    assert done.returncode == 1
    assert key in done.stdout
    assert f"{DAY}" in done.stdout
    refused = desk.run("evidence", "make", *hospital, "--from", f"{DAY}")
    assert (refused.returncode, key in one_line(refused)) == (2, True)


def test_what_lies_in_the_drop_folder_is_imported_and_what_is_wrong_is_said_with_its_line(desk: Desk) -> None:
    folder = desk.home / "statements"
    folder.mkdir()
    head = "医院ID,日期,小时,用卡环节代码,渠道代码,证件类型,用卡次数\n"
    (folder / "good.csv").write_text(f"{head}10086,{DAY},9,0101012,0100,01,3\n")
    (folder / "bad.csv").write_text(f"{head}10086,{DAY},9,0101012,0100,01,three\n")
    for path in folder.iterdir():
        os.utime(path, (time.time() - 60,) * 2)
    done = desk.run("statement", "take")
    assert done.returncode == 1
    assert "bad.csv, line 2, field 'uses': 'three' is no count" in one_line(done)
    assert "good.csv" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["imported", "refused"]
    # By hand too: one bad file among several is named, the others are imported.
    several = desk.run("statement", "import", f"{folder}/refused/bad.csv", f"{folder}/imported/good.csv")
    assert several.returncode == 1
    assert "bad.csv, line 2, field 'uses': 'three' is no count" in one_line(several)
    assert "good.csv" in several.stdout
    # Nothing was delivered, so the platform shows three more than it was told of.
    assert desk.run("statement", "import", str(folder / "imported" / "good.csv")).returncode == 1


def test_differences_are_listed_one_by_one_with_what_they_go_by(desk: Desk) -> None:
    assert desk.run("stage", *SPAN).returncode == 0
    with sqlite3.connect(desk.home / "his.db") as his:
        his.execute("delete from SF_MZCFK where xh in (select xh from SF_MZCFK where fybz = 1 limit 3)")
    assert desk.run("reconcile", *SPAN).returncode == 1
    assert desk.run("pause", "--hospital", "demo_hospital").returncode == 0
    done = desk.run("differences", *SPAN, "--json", "--most", "100000")
    found = json.loads(done.stdout)["differences"]
    kinds = {(one["kind"], one["by"]) for one in found}
    assert ("held", "pause") in kinds
    assert ("vanished_from_source", "") in kinds
    assert {by for kind, by in kinds if kind == "quarantined"} >= {"department.code"}
    only = json.loads(desk.run("differences", *SPAN, "--json", "--class", "vanished_from_source").stdout)["differences"]
    assert {one["kind"] for one in only} == {"vanished_from_source"}


def test_differences_list_what_stands_in_no_day_and_say_how_many_more_there_are(desk: Desk) -> None:
    asked = ("differences", *SPAN, "--json", "--class", "no_usable_time")
    assert desk.run("stage", *SPAN).returncode == 0
    assert json.loads(desk.run(*asked).stdout)["differences"] == "none"
    with sqlite3.connect(desk.home / "his.db") as his:
        his.execute("update SF_MZCFK set fyrq = '' where xh in (select xh from SF_MZCFK where fybz = 1 limit 3)")
    assert desk.run("reconcile", *SPAN).returncode == 1
    done = desk.run(*asked)
    assert done.returncode == 1
    found = json.loads(done.stdout)["differences"]
    assert [(one["kind"], one["feed"], one["day"]) for one in found] == [("no_usable_time", "dispensing", None)] * 3
    assert len({one["source_id"] for one in found}) == 3
    assert json.loads(desk.run(*asked, "--most", "2").stdout)["not shown"] == {"no_usable_time": 1}
