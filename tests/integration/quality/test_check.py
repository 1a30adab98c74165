"""The quality gate over a real ledger: judged by SQL, and the verdict says why, how many, what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import ledgers
import planted
import pytest
from card_usage.errors import CheckBroken
from card_usage.events import PATIENT_FIELDS
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event, verdict
from card_usage.ledger.scope import Withheld
from card_usage.quality.baseline import FEW
from card_usage.quality.check import check
from card_usage.quality.expectations import event_query, rule_expectations
from card_usage.quality.verdict_store import verdicts_in_force, withheld
from card_usage.quality.verdict_texts import reason_text, summary
from card_usage.quality.verdicts import RELEASED
from card_usage.standard import rules
from card_usage.standard.code_tables import load_tables
from card_usage.windows import Window, day_window
from planted import DAY, FEEDS, HOSPITAL, NOW, SECRETS
from sqlalchemy import func, select, update

WINDOW = day_window(DAY)
CODES = {name: table.codes for name, table in load_tables().items()}


def plant(ledger: Ledger, states: dict[str, int], **options: object) -> None:
    with ledger.write() as connection:
        planted.plant(connection, states, **options)


def kept_back(ledger: Ledger) -> list[Withheld]:
    with ledger.read() as connection:
        return list(withheld(connection, HOSPITAL, WINDOW))


def codes_of(found: object) -> list[str]:
    return [reason.code for reason in found.reasons]


@pytest.mark.parametrize("profile", rules.PROFILES)
def test_every_critical_rule_that_needs_no_patient_field_is_in_the_suite(profile):
    home = planted.hospital(platform={"profile": profile})
    wanted = {
        rule.id
        for rule in rules.RULES
        if rule.severity == "critical"
        and rule.field not in PATIENT_FIELDS
        and profile in rule.profiles
        and rule.kind in ("required", "code", "window")
    }
    assert len(wanted) > 8
    assert {expectation.rule for expectation in rule_expectations(home, CODES) if expectation.rule} == wanted


def test_a_demand_asks_where_its_rule_does():
    found = {expectation.rule: expectation for expectation in rule_expectations(planted.hospital(), CODES)}
    field, values = found["department.required"].when
    assert (field, set(values)) == ("scene", rules.REGISTRATION_SCENES)
    assert set(found["channel.code"].values) == set(CODES["channel"])
    by_name = planted.hospital(platform={"department_format": "his_name"})
    found = {expectation.rule: expectation for expectation in rule_expectations(by_name, CODES)}
    assert found["department.required"].column == "department_name"


def test_what_is_looked_at_holds_no_patient_and_no_source_id():
    columns = {column.name for column in event_query(HOSPITAL, WINDOW).selected_columns}
    assert not columns & {"sealed", "source_id", "key", "digest", "request_id", *PATIENT_FIELDS}


def test_a_good_day_passes(ledger):
    plant(ledger, {"ready": 200, "quarantined": 1, "voided": 9})
    found = check(ledger, planted.hospital(gate={"warn_unmapped_share": 0.1}), WINDOW, now=NOW)
    assert (found.level, found.reasons, found.events) == ("pass", (), 201)


def test_an_empty_window_without_history_is_no_alarm(ledger):
    assert check(ledger, planted.hospital(), WINDOW, now=NOW).level == "pass"


@pytest.mark.parametrize(
    ("quarantined", "level"),
    [(2, "pass"), (3, "warn"), (30, "warn"), (31, "hold")],
)
def test_the_quarantined_share_is_held_against_the_hospitals_limits(tmp_path, quarantined, level):
    with ledgers.sqlite(tmp_path) as ledger:
        plant(ledger, {"ready": 100 - quarantined, "quarantined": quarantined, "voided": 50}, feeds=("payment",))
        found = check(ledger, planted.hospital(gate={"warn_unmapped_share": 1.0}), WINDOW, now=NOW)
        assert found.level == level
        assert [(reason.code, reason.count, reason.of) for reason in found.reasons] == (
            [] if level == "pass" else [("quarantined_share", quarantined, 100)]
        )


def test_a_handful_of_events_holds_nothing(tmp_path):
    with ledgers.sqlite(tmp_path) as ledger:
        plant(ledger, {"ready": 1, "quarantined": FEW - 2})
        assert check(ledger, planted.hospital(), WINDOW, now=NOW).level == "warn"
        plant(ledger, {"quarantined": 1}, seed=2)
        assert check(ledger, planted.hospital(), WINDOW, now=NOW).level == "hold"


def test_unmapped_codes_warn_by_themselves_with_count_and_remedy(ledger):
    plant(ledger, {"ready": 196, "quarantined": 4}, seed=3)
    with ledger.write() as connection:
        connection.execute(update(event).where(event.c.status == "quarantined").values(reason="channel.code"))
    found = check(ledger, planted.hospital(), WINDOW, now=NOW)
    assert codes_of(found) == ["unmapped_share"]
    (reason,) = found.reasons
    assert (reason.count, reason.of, reason.level) == (4, 200, "warn")
    assert "4 / 200" in reason_text(reason, "zh")
    assert "0.5%" in reason_text(reason, "zh")
    assert "aliases" in reason_text(reason, "en")


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("scene", None, "scene.required"),
        ("scene", "999999", "scene.code"),
        ("channel", "7777", "channel.code"),
        ("card_type", None, "card_type.required"),
        ("occurred_at", None, "time.required"),
        ("occurred_at", WINDOW.end, "time.window"),
    ],
)
def test_an_event_that_is_due_and_breaks_a_rule_stops_the_window(tmp_path, column, value, rule):
    with ledgers.sqlite(tmp_path) as ledger:
        plant(ledger, {"ready": 50, "delivered": 50})
        with ledger.write() as connection:
            some = connection.scalars(select(event.c.id).where(event.c.status == "ready").limit(3)).all()
            connection.execute(update(event).where(event.c.id.in_(some)).values({column: value}))
        found = check(ledger, planted.hospital(), WINDOW, now=NOW)
    assert found.level == "stop"
    assert (found.reasons[0].rule, found.reasons[0].count) == (rule, 3)
    assert rules.BY_ID[rule].zh in reason_text(found.reasons[0], "zh")


def test_a_registration_that_is_due_without_a_department_stops_and_a_payment_does_not(ledger):
    plant(ledger, {"ready": 30}, feeds=("payment",), department=None)
    assert check(ledger, planted.hospital(), WINDOW, now=NOW).level == "pass"
    plant(ledger, {"ready": 1}, feeds=("registration",), scene="010101", department=None)
    found = check(ledger, planted.hospital(), WINDOW, now=NOW)
    assert [(reason.rule, reason.count) for reason in found.reasons] == [("department.required", 1)]


def test_what_was_sent_long_ago_stops_nothing(ledger):
    plant(ledger, {"delivered": 30, "rejected": 3}, channel="old code")
    assert check(ledger, planted.hospital(), WINDOW, now=NOW).level == "pass"


def test_a_feed_that_falls_silent_on_its_weekday_is_a_warning(ledger):
    for week in range(1, 5):
        plant(ledger, {"delivered": 100}, day=DAY - timedelta(weeks=week))
    plant(ledger, {"ready": 100}, feeds=tuple(feed for feed in FEEDS if feed != "laboratory"))
    found = check(ledger, planted.hospital(), WINDOW, now=NOW)
    assert [(reason.code, reason.feed, reason.count) for reason in found.reasons] == [("no_rows", "laboratory", 0)]
    assert 10 < found.reasons[0].of < 30
    assert "检验报告" in reason_text(found.reasons[0], "zh")


def test_a_feed_that_was_silent_before_on_this_weekday_is_none(tmp_path):
    with ledgers.sqlite(tmp_path) as ledger:
        plant(ledger, {"delivered": 100}, day=DAY - timedelta(weeks=1))
        plant(ledger, {"delivered": 100}, day=DAY - timedelta(weeks=3), feeds=("payment",))
        plant(ledger, {"delivered": 100}, day=DAY - timedelta(days=1))
        assert codes_of(check(ledger, planted.hospital(), WINDOW, now=NOW)) == ["no_rows"]
        plant(ledger, {"ready": 60}, feeds=("payment",))
        assert codes_of(check(ledger, planted.hospital(), WINDOW, now=NOW)) == []


def test_an_hour_is_judged_by_its_own_events(ledger):
    eight = WINDOW.start + timedelta(hours=8)
    plant(ledger, {"ready": 30}, occurred_at=eight + timedelta(minutes=5))
    plant(ledger, {"quarantined": 30}, occurred_at=eight + timedelta(minutes=65))
    good, bad = (Window(eight + timedelta(hours=n), eight + timedelta(hours=n + 1)) for n in (0, 1))
    assert check(ledger, planted.hospital(), good, now=NOW).level == "pass"
    assert check(ledger, planted.hospital(), bad, now=NOW).level == "hold"


def test_the_same_verdict_again_keeps_its_decision_and_a_new_one_asks_anew(ledger):
    plant(ledger, {"ready": 50, "quarantined": 50})
    home = planted.hospital()
    assert check(ledger, home, WINDOW, now=NOW).level == "hold"
    assert kept_back(ledger) == [Withheld(WINDOW.start, WINDOW.end)]
    with ledger.write() as connection:
        connection.execute(update(verdict).values(decision=RELEASED, decided_by="somebody", decided_at=NOW))
    check(ledger, home, WINDOW, now=NOW + timedelta(hours=1))
    with ledger.read() as connection:
        assert connection.scalar(select(func.count()).select_from(verdict)) == 1
    assert kept_back(ledger) == []
    plant(ledger, {"quarantined": 50}, seed=2)
    check(ledger, home, WINDOW, now=NOW + timedelta(hours=2))
    assert kept_back(ledger) == [Withheld(WINDOW.start, WINDOW.end)]


def test_a_later_look_at_the_whole_day_replaces_those_at_its_hours(tmp_path):
    with ledgers.sqlite(tmp_path) as ledger:
        start = WINDOW.start
        plant(ledger, {"quarantined": 30}, occurred_at=start)
        hour = Window(start, start + timedelta(hours=1))
        assert check(ledger, planted.hospital(), hour, now=NOW).level == "hold"
        plant(ledger, {"ready": 1000}, seed=2)
        check(ledger, planted.hospital(), WINDOW, now=NOW + timedelta(minutes=1))
        with ledger.read() as connection:
            given = verdicts_in_force(connection, HOSPITAL, hour)
        assert [one.window for one in given] == [WINDOW]
        assert kept_back(ledger) == []


def test_nothing_about_a_patient_is_in_verdict_or_ledger_row(ledger):
    plant(ledger, {"ready": 50, "quarantined": 50})
    found = check(ledger, planted.hospital(), WINDOW, now=NOW)
    with ledger.read() as connection:
        kept = repr(connection.execute(select(verdict)).all())
    text = json.dumps(summary([found]), ensure_ascii=False) + repr(found) + kept
    assert not [secret for secret in SECRETS if secret in text]
    assert "quarantined_share" in text


def test_a_check_that_cannot_be_made_concludes_nothing(tmp_path):
    with ledgers.sqlite(tmp_path) as ledger:
        plant(ledger, {"ready": 50})
        with ledger.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE event RENAME COLUMN cost_type TO somewhere_else")
        with pytest.raises(CheckBroken):
            check(ledger, planted.hospital(), WINDOW, now=NOW)
        with ledger.read() as connection:
            assert connection.scalar(select(func.count()).select_from(verdict)) == 0


_OUTSIDE = """
import logging, socket, sys
logging.basicConfig(level=logging.DEBUG)
import planted
from card_usage.ledger.database import Ledger, create_ledger_engine
from card_usage.quality.check import check
from card_usage.windows import day_window
assert "great_expectations" not in sys.modules

def refuse(*_):
    raise SystemExit("the check opened a network connection")

socket.socket.connect = refuse
ledger = Ledger(create_ledger_engine(sys.argv[1]), None)
print(check(ledger, planted.hospital(), day_window(planted.DAY), now=planted.NOW).level)
"""


def test_the_check_is_silent_leaves_no_file_and_loads_great_expectations_late(tmp_path):
    with ledgers.sqlite(tmp_path) as ledger:
        plant(ledger, {"ready": 50, "quarantined": 50})
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _OUTSIDE, f"sqlite:///{tmp_path}/ledger.db"],
        cwd=home,
        env={
            "HOME": str(home),
            "TMPDIR": str(home),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PATH": "/usr/bin:/bin",
        },
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "hold"), done.stderr
    assert not [line for line in done.stderr.splitlines() if "great_expectations" in line or "Calculating" in line]
    assert not [secret for secret in SECRETS if secret in done.stderr]
    assert list(home.rglob("*")) == []
