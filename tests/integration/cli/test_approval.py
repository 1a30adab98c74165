"""The decision about a withheld window by command line, and the question as people read it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ledgers
import planted
import pytest
from card_usage.config.hospital import Hospital, load_hospital
from card_usage.errors import BadHospitalFile
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import Ledger
from card_usage.ledger.decisions import Actor, recorded, system_user
from card_usage.ledger.schema import attempt, event, verdict
from card_usage.quality.approval import options, question, record_decision
from card_usage.quality.check import check
from card_usage.quality.verdict_store import verdicts_in_force
from card_usage.quality.verdicts import DECISIONS, First, StoredVerdict
from card_usage.windows import day_window
from forked_cli import CommandLine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planted import DAY, HOSPITAL, NOW, SECRETS
from sqlalchemy import insert, select, update

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


def two_people_above(tmp_path: Path, share: float) -> Hospital:
    """The hospital's file asks for a second person above this share; 167 events, 107 ready, 100 not concerned."""
    told = (SHIPPED / "hospitals" / f"{HOSPITAL}.toml").read_text(encoding="utf-8")
    (tmp_path / "hospitals").mkdir(exist_ok=True)
    of_gate = f"[gate]\nsecond_person_above = {share}\n\n[normalize]"
    (tmp_path / "hospitals" / f"{HOSPITAL}.toml").write_text(told.replace("[normalize]", of_gate), encoding="utf-8")
    return load_hospital(tmp_path / "hospitals", HOSPITAL)


def decide(command_line: CommandLine, tmp_path: Path, *args: str) -> tuple[int, dict[str, Any] | str]:
    environment = {
        **({"CARD_USAGE_HOSPITALS": f"{tmp_path}/hospitals"} if (tmp_path / "hospitals").exists() else {}),
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


def in_force(ledger: Ledger) -> StoredVerdict:
    with ledger.read() as connection:
        (stored,) = verdicts_in_force(connection, HOSPITAL, WINDOW)
    return stored


def test_above_the_share_of_the_file_a_second_user_has_to_decide_the_same(ledger, tmp_path, command_line):
    hospital = two_people_above(tmp_path, 0.05)
    code, told = decide(command_line, tmp_path, "--release", "--by", "王工")
    assert (code, told["decide"][0]["decision"], told["decide"][0]["first"]) == (1, "", f"全部放行: {ME}")
    assert "另一位用户" in told["second_person"]
    assert in_force(ledger).withholds
    code, told = decide(command_line, tmp_path, "--release", "--by", "李工")
    assert (code, told["decide"][0]["decision"]) == (1, ""), "a note makes nobody another person"
    by = Actor(ME.upper(), "form")
    assert record_decision(ledger, hospital, in_force(ledger), "released", by, now=NOW) == "first", "nor does a form"
    by = Actor("wang", "form")
    assert record_decision(ledger, hospital, in_force(ledger), "released", by, now=NOW) == "decided"
    stored = in_force(ledger)
    assert (stored.withholds, stored.decided_by, stored.first) == (False, f"{ME}, wang", None)
    with ledger.read() as connection:
        later, first = recorded(connection, HOSPITAL)
    assert (first.actor, first.channel, first.old, first.new) == (ME, "cli", None, "released (1/2)")
    assert (later.actor, later.channel, later.old, later.new) == ("wang", "form", "released (1/2)", "released")


def test_what_a_form_was_answered_first_the_command_line_confirms(ledger, tmp_path, command_line):
    hospital = two_people_above(tmp_path, 0)
    wang = Actor("wang", "form")
    assert record_decision(ledger, hospital, in_force(ledger), "clean", wang, now=NOW) == "first"
    with ledger.read() as connection:
        asked = question(connection, hospital, in_force(ledger), now=NOW).body
    assert "两位不同的登录用户" in asked
    assert "wang 已选“只放行不受影响的业务”" in asked
    code, told = decide(command_line, tmp_path, "--clean")
    assert (code, told["decide"][0]["by"], "second_person" in told) == (0, f"wang, {ME}", False)


def test_what_is_below_the_share_one_person_lets_go_and_anybody_keeps_back(ledger, tmp_path, command_line):
    two_people_above(tmp_path, 0.62)  # 107 of 167 are above it, 100 are not
    assert decide(command_line, tmp_path, "--clean")[0] == 0
    assert in_force(ledger).decision == "clean"
    assert decide(command_line, tmp_path, "--release", "--anew")[0] == 1
    assert in_force(ledger).decision == "clean", "until somebody else agrees"
    assert decide(command_line, tmp_path, "--reject", "--anew")[0] == 0
    assert (in_force(ledger).decision, in_force(ledger).first) == ("rejected", None)


def test_no_default_counts_as_a_person(ledger, tmp_path):
    hospital = two_people_above(tmp_path, 0.05)
    for name, channel in (("wang", "form"), ("deadline", "file")):
        record_decision(ledger, hospital, in_force(ledger), "released", Actor(name, channel), now=NOW)
    assert in_force(ledger).decision is None
    told = (tmp_path / "hospitals" / f"{HOSPITAL}.toml").read_text(encoding="utf-8")
    told = told.replace("second_person_above", 'undecided = "released"\nsecond_person_above')
    (tmp_path / "hospitals" / f"{HOSPITAL}.toml").write_text(told, encoding="utf-8")
    with pytest.raises(BadHospitalFile, match="second_person_above asks for two people"):
        load_hospital(tmp_path / "hospitals", HOSPITAL)


def test_a_check_that_finds_no_worse_keeps_the_first_answer_and_a_worse_one_forgets_it(ledger, tmp_path):
    hospital = two_people_above(tmp_path, 0.05)
    record_decision(ledger, hospital, in_force(ledger), "released", Actor("wang", "form"), now=NOW)
    with ledger.write() as connection:
        planted.plant(connection, {"ready": 1}, seed=3, feeds=("laboratory",))
    check(ledger, planted.hospital(), WINDOW, now=NOW + timedelta(hours=1))
    assert in_force(ledger).first == First(decision="released", by="wang")
    with ledger.write() as connection:
        planted.plant(connection, {"quarantined": 60}, seed=4, feeds=("laboratory",))
    check(ledger, planted.hospital(), WINDOW, now=NOW + timedelta(hours=2))
    assert in_force(ledger).first is None


ACTORS = [Actor(name, channel) for name in ("wang", "li") for channel in ("form", "cli")]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(ACTORS), st.sampled_from(DECISIONS)), max_size=8))
def test_whatever_order_answers_come_in_nothing_goes_that_two_people_have_not_let_go(ledger, tmp_path, answers):
    hospital = two_people_above(tmp_path, 0.05)
    with ledger.write() as connection:
        connection.execute(update(verdict).values(decision=None, first_decision=None, first_by=None))
    wanted: dict[str, set[str]] = {decision: set() for decision in DECISIONS}
    for actor, decision in answers:
        wanted[decision].add(actor.name)
        record_decision(ledger, hospital, in_force(ledger), decision, actor, now=NOW, anew=True)
        standing = in_force(ledger)
        if standing.decision in ("released", "clean"):
            assert len(wanted[standing.decision]) == 2
        if decision == "rejected":
            assert standing.decision == "rejected", "one is enough"


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
