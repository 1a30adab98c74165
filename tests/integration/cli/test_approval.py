"""The decision about a withheld window by command line, and the question as people read it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ledgers
import planted
import pytest
from card_usage.ledger.database import Ledger
from card_usage.ledger.decisions import recorded, system_user
from card_usage.ledger.schema import attempt, event
from card_usage.quality.approval import options, question
from card_usage.quality.check import check
from card_usage.quality.verdict_store import verdicts_in_force
from card_usage.quality.verdicts import DECISIONS
from card_usage.windows import day_window
from forked_cli import CommandLine
from planted import DAY, HOSPITAL, NOW, SECRETS
from sqlalchemy import insert, select

WINDOW = day_window(DAY)
ME = system_user().name


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A day that the gate holds for its laboratory."""
    with ledgers.sqlite(tmp_path) as opened:
        with opened.write() as connection:
            planted.plant(connection, {"ready": 100}, feeds=("registration", "payment"))
            planted.plant(connection, {"ready": 7, "quarantined": 60}, seed=2, feeds=("laboratory",))
        assert check(opened, planted.hospital(), WINDOW, now=NOW).level == "hold"
        yield opened


def decide(command_line: CommandLine, tmp_path: Path, *args: str) -> tuple[int, dict[str, Any] | str]:
    environment = {
        "PATH": "/usr/bin:/bin",
        "CARD_USAGE_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db",
        "CARD_USAGE_KEY": ledgers.KEY,
    }
    days = ["--hospital", HOSPITAL, "--from", str(DAY), "--to", str(DAY), "--json"]
    done = command_line.run(["decide", *args, *days], environment)
    assert "Traceback" not in done.stderr
    text = done.stdout.strip()
    return done.returncode, json.loads(text) if text.startswith("{") else text


def test_what_waits_is_shown_decided_once_and_changed_only_on_purpose(ledger, tmp_path, command_line):
    code, told = decide(command_line, tmp_path)
    assert (code, told["decide"][0]["window"], told["decide"][0]["decision"]) == (1, "2026-03-04", "")
    assert "的记录被隔离" in told["decide"][0]["why"]
    code, told = decide(command_line, tmp_path, "--clean", "--by", "王工")
    assert (code, told["decide"][0]["decision"], told["decide"][0]["by"]) == (0, "只放行不受影响的业务", f"{ME} (王工)")
    code, told = decide(command_line, tmp_path, "--clean", "--by", "李工")
    assert (code, told["decide"][0]["by"], "not_changed" in told) == (0, f"{ME} (王工)", False), (
        "it is decided so already"
    )
    code, told = decide(command_line, tmp_path, "--release", "--by", "李工")
    assert (code, told["decide"][0]["decision"], told["decide"][0]["by"]) == (1, "只放行不受影响的业务", f"{ME} (王工)")
    assert "--anew" in told["not_changed"]
    code, told = decide(command_line, tmp_path, "--reject", "--by", "李工", "--anew")
    assert (code, told["decide"][0]["decision"], told["decide"][0]["by"]) == (0, "不放行", f"{ME} (李工)")
    with ledger.read() as connection:
        (kept,) = verdicts_in_force(connection, HOSPITAL, WINDOW)
    assert (kept.decision, kept.decided_by) == ("rejected", f"{ME} (李工)")


def test_each_decision_is_kept_with_who_took_it_what_held_before_and_why(ledger, tmp_path, command_line):
    decide(command_line, tmp_path, "--clean", "--by", "王工", "--reason", "检验科的代码还没有对照")
    decide(command_line, tmp_path, "--clean", "--by", "李工")
    decide(command_line, tmp_path, "--release", "--by", "李工", "--anew")
    with ledger.read() as connection:
        later, first = recorded(connection, HOSPITAL)
    assert (first.actor, first.channel, first.note, first.reason) == (ME, "cli", "王工", "检验科的代码还没有对照")
    assert (first.subject, first.old, first.new) == (str(DAY), None, "clean")
    assert (later.old, later.new, later.note) == ("clean", "released", "李工")


def test_nothing_is_decided_anew_once_an_event_has_left_under_the_decision(ledger, tmp_path, command_line):
    decide(command_line, tmp_path, "--release")
    with ledger.write() as connection:
        one = connection.scalar(select(event.c.id).where(event.c.status == "ready").limit(1))
        call = {"request_id": "r", "at": datetime.now(UTC), "answer": "accepted", "status": "delivered"}
        connection.execute(insert(attempt).values(event_id=one, **call))
    code, told = decide(command_line, tmp_path, "--reject", "--anew")
    assert (code, told) == (2, "")
    with ledger.read() as connection:
        (kept,) = verdicts_in_force(connection, HOSPITAL, WINDOW)
        assert (kept.decision, len(recorded(connection))) == ("released", 1)


def test_nothing_that_waits_is_said_so(tmp_path, command_line):
    with ledgers.sqlite(tmp_path):
        pass
    assert decide(command_line, tmp_path) == (0, "没有等待人工确认的时间窗")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_question_says_what_each_answer_does_in_counts(ledger, language):
    home = planted.hospital(report={"language": language}, gate={"undecided": "clean", "decide_within_hours": 6.0})
    with ledger.read() as connection:
        (given,) = verdicts_in_force(connection, HOSPITAL, WINDOW)
        asked = question(connection, home, given, now=NOW)
    assert list(options(home).values()) == list(DECISIONS)
    assert all(option in asked.body for option in options(home))
    assert " 107 " in asked.body
    assert " 100 " in asked.body
    assert "2026-03-05 15:30" in asked.body, "six hours after 09:30"
    if language == "zh":
        assert "收费、挂号" in asked.body
        assert "逾期按“只放行不受影响的业务”处理" in asked.body
    assert not [secret for secret in SECRETS if secret in asked.body + asked.subject]


def test_what_a_his_calls_a_department_is_no_markup_in_the_form(ledger):
    with ledger.read() as connection:
        (given,) = verdicts_in_force(connection, HOSPITAL, WINDOW)
        body = question(connection, planted.hospital(), given, now=NOW).body
    assert "<b>" not in body
    assert "\\<b\\>" in body
