"""Counting and reconciling a real ledger: planted mixes of every state come out under their names."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import ledgers
import planted
import pytest
from card_usage.ledger import counts
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import STATES, attempt, event, finding, reconciliation
from card_usage.reconciliation.balance import Difference, SourceCount
from card_usage.reconciliation.classes import CLASSES, STATE_CLASSES
from card_usage.reconciliation.reconcile import last_counts, reconcile_day, weigh_day
from card_usage.staging.coverage import record_window
from card_usage.windows import day_window
from planted import DAY, FEEDS, HOSPITAL, NOW
from sqlalchemy import delete, func, select, update

MIX = dict(zip(STATES, (60, 7, 5, 3, 4, 300, 6, 2, 12), strict=True))
HOME = planted.hospital()


def fill(ledger: Ledger, **options: object) -> planted.Planted:
    with ledger.write() as connection:
        made = planted.plant(connection, MIX, marks=0.3, **options)
        # Neighbours that must not be counted: the day before, and another hospital.
        planted.plant(connection, {"delivered": 9, "quarantined": 9}, day=DAY - timedelta(days=1))
        planted.plant(connection, {"delivered": 9, "quarantined": 9}, hospital="other_hospital")
    return made


def true_counts(made: planted.Planted) -> dict[str, SourceCount]:
    return {
        feed: SourceCount(made.staged(feed) - made.marks[feed, "vanished_at"], made.refunds[feed]) for feed in FEEDS
    }


def test_planted_mixes_are_counted_by_state_mark_and_cause(ledger):
    made = fill(ledger)
    with ledger.read() as connection:
        cells = counts.cells(connection, HOSPITAL, DAY, DAY)
        causes = counts.causes(connection, HOSPITAL, DAY, DAY)
        proved = counts.acknowledged(connection, HOSPITAL, DAY, DAY)
    states: Counter[tuple[str, str]] = Counter()
    marks: Counter[tuple[str, str]] = Counter()
    for one in cells:
        states[one.feed, one.cell.status] += one.events
        for kind in ("voided", "changed", "vanished"):
            marks[one.feed, f"{one.cell.status} {kind}_at"] += one.events * getattr(one.cell, kind)
    assert states == made.states
    assert +marks == Counter({key: n for key, n in made.marks.items() if n and " " in key[1]})
    by_rule: dict[tuple[str, str], int] = {}
    for cause in causes:
        by_rule[cause.feed, cause.rule] = by_rule.get((cause.feed, cause.rule), 0) + cause.events
    assert by_rule == made.causes
    assert {(DAY, feed): made.states[feed, "delivered"] for feed in FEEDS} == proved


def test_unmapped_codes_come_with_their_local_names_and_other_causes_without(ledger):
    fill(ledger)
    with ledger.read() as connection:
        causes = counts.causes(connection, HOSPITAL, DAY, DAY)
    local = dict(planted.LOCAL)
    assert {one.code for one in causes if one.rule == "department.code"} == set(local)
    for one in causes:
        if one.rule == "department.code":
            assert one.local_name == local[one.code]
        else:
            assert one.local_name is None
        assert (one.code is None) or one.rule in counts.CODE_RULES


def summed_by(uses: list[counts.UseCount], field: str) -> dict[str | None, int]:
    sums: dict[str | None, int] = {}
    for use in uses:
        code = getattr(use, field)
        sums[code] = sums.get(code, 0) + use.events
    return sums


def test_uses_add_up_alike_however_they_are_told_apart(ledger):
    made = fill(ledger)
    with ledger.read() as connection:
        uses = counts.uses(connection, HOSPITAL, DAY, DAY)
        hours = counts.hours(connection, HOSPITAL, DAY, DAY)
        valid = connection.scalar(
            select(func.count()).where(event.c.hospital == HOSPITAL, event.c.day == DAY, event.c.voided_at.is_(None))
        )
    assert valid == made.valid
    assert sum(one.events for one in hours) == valid
    assert {one.hour for one in hours} <= set(range(24))
    for field in ("scene", "channel", "card_type", "department"):
        assert sum(summed_by(uses, field).values()) == valid
    by_scene: dict[str | None, int] = {}
    for one in hours:
        by_scene[one.scene] = by_scene.get(one.scene, 0) + one.events
    assert summed_by(uses, "scene") == by_scene


def test_days_are_inclusive_and_told_apart(ledger):
    fill(ledger)
    with ledger.read() as connection:
        both = counts.cells(connection, HOSPITAL, DAY - timedelta(days=1), DAY)
    assert {one.day for one in both} == {DAY - timedelta(days=1), DAY}
    assert sum(one.events for one in both) == sum(MIX.values()) + 18


def test_answers_and_refusals_are_counted_by_their_codes(ledger):
    made = fill(ledger)
    with ledger.read() as connection:
        answers = counts.answers(connection, HOSPITAL, DAY, DAY)
        refusals = counts.refusals(connection, HOSPITAL, DAY, DAY)
    accepted = {one.feed: one.calls for one in answers if one.answer == "accepted"}
    assert accepted == {feed: made.states[feed, "delivered"] for feed in FEEDS}
    assert [(one.result_code, one.events) for one in refusals] == [(10016, MIX["rejected"])]


def test_warnings_leave_quarantined_events_out(ledger):
    with ledger.write() as connection:
        planted.plant(connection, {"delivered": 3, "quarantined": 2}, feeds=("payment",))
        warned = {"position": 9, "rule": "id_number.format", "field": "id_number", "severity": "warning"}
        rows = [{"event_id": of} | warned for of in connection.scalars(select(event.c.id))]
        connection.execute(finding.insert(), rows)
        assert counts.warnings(connection, HOSPITAL, DAY, DAY) == [("payment", "id_number.format", 3)]


@pytest.mark.parametrize("seed", range(8))
def test_any_legal_mix_reconciles_without_a_remainder(tmp_path, seed):
    states = {state: (seed * 13 + n * 7) % 31 for n, state in enumerate(STATES)}
    with ledgers.sqlite(tmp_path) as ledger:
        with ledger.write() as connection:
            made = planted.plant(connection, states, seed=seed, marks=0.4)
        result = reconcile_day(ledger, HOME, DAY, true_counts(made), now=NOW)
    assert result.remainder == 0
    assert result.classes == {
        name: sum(states[state] for state in STATES if STATE_CLASSES[state] == name) for name in CLASSES
    }
    assert result.differences["late_in_source"] == 0
    assert result.differences["vanished_from_source"] == sum(made.marks[feed, "vanished_at"] for feed in FEEDS)
    for part in result.parts:
        assert {rule: events for (feed, rule), events in made.causes.items() if feed == part.feed} == part.causes


def test_reconciling_again_replaces_and_changes_nothing_else(ledger):
    made = fill(ledger)
    first = reconcile_day(ledger, HOME, DAY, true_counts(made), now=NOW)
    again = reconcile_day(ledger, HOME, DAY, true_counts(made), now=NOW + timedelta(hours=1))
    assert again == first
    with ledger.read() as connection:
        assert connection.scalar(select(func.count()).select_from(reconciliation)) == len(FEEDS)
        kept = last_counts(connection, HOSPITAL, DAY)
        assert kept.source == true_counts(made)
        assert kept.at == NOW + timedelta(hours=1)
        assert weigh_day(connection, HOME, DAY, kept.source, now=NOW) == first


def test_late_vanished_and_refunds_not_staged_are_told_by_feed(ledger):
    made = fill(ledger)
    counted = true_counts(made)
    counted["payment"] = SourceCount(counted["payment"].events + 4, counted["payment"].voided + 6)
    counted["dispensing"] = SourceCount(counted["dispensing"].events - 3, counted["dispensing"].voided)
    result = reconcile_day(ledger, HOME, DAY, counted, now=NOW)
    by_feed = {part.feed: part.differences for part in result.parts}
    assert by_feed["payment"]["late_in_source"] == 4
    assert by_feed["payment"]["refunds_not_staged"] == 2
    marked = made.marks["dispensing", "vanished_at"]
    assert by_feed["dispensing"]["vanished_from_source"] == marked + 3
    assert by_feed["registration"]["late_in_source"] == 0
    assert (result.remainder, result.clean) == (0, False)


def test_a_comparison_event_by_event_may_find_late_and_vanished_at_once(ledger):
    with ledger.write() as connection:
        planted.plant(connection, {"delivered": 10}, feeds=("payment",))
    counted = {"payment": SourceCount(10, 0)}
    compared = {"payment": Difference(late=2, vanished=2)}
    result = reconcile_day(ledger, HOME, DAY, counted, now=NOW, compared=compared)
    assert result.differences["late_in_source"] == 2
    assert result.differences["vanished_from_source"] == 2
    assert result.remainder == 0


def test_delivery_without_an_answer_on_record_is_a_remainder(ledger):
    made = fill(ledger)
    with ledger.write() as connection:
        delivered = select(event.c.id).where(event.c.status == "delivered", event.c.day == DAY).limit(5)
        connection.execute(delete(attempt).where(attempt.c.event_id.in_(connection.scalars(delivered).all())))
    result = reconcile_day(ledger, HOME, DAY, true_counts(made), now=NOW)
    assert result.remainder == 5
    assert {name for part in result.parts for name in part.remainders} == {"acknowledged"}


def test_quarantine_without_a_cause_and_a_void_without_a_refund_are_remainders(ledger):
    made = fill(ledger)
    with ledger.write() as connection:
        of_day = (event.c.day == DAY, event.c.hospital == HOSPITAL)
        connection.execute(update(event).where(*of_day, event.c.status == "quarantined").values(reason=None))
        connection.execute(update(event).where(*of_day, event.c.status == "voided").values(voided_at=None))
    result = reconcile_day(ledger, HOME, DAY, true_counts(made), now=NOW)
    totals: dict[str, int] = {}
    for part in result.parts:
        for name, gap in part.remainders.items():
            totals[name] = totals.get(name, 0) + gap
    assert totals == {"causes": MIX["quarantined"], "voided": MIX["voided"]}


def test_a_feed_that_could_not_be_counted_is_kept_as_such(ledger):
    made = fill(ledger)
    counted = true_counts(made)
    del counted["laboratory"]
    result = reconcile_day(ledger, HOME, DAY, counted, now=NOW)
    assert (result.source, result.counted, result.clean) == (None, False, False)
    with ledger.read() as connection:
        assert "laboratory" not in last_counts(connection, HOSPITAL, DAY).source


def test_a_day_is_provisional_until_it_ends_and_its_windows_are_closed(ledger):
    fill(ledger)
    window = day_window(DAY)
    evening = datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC)
    assert reconcile_day(ledger, HOME, DAY, {}, now=evening).provisional
    assert not reconcile_day(ledger, HOME, DAY, {}, now=NOW).provisional
    common = {"hospital": HOSPITAL, "feed": "payment", "start": window.start, "end": window.end, "source_rows": 1}
    with ledger.write() as connection:
        record_window(connection, status="provisional", now=NOW, **common)
    result = reconcile_day(ledger, HOME, DAY, {}, now=NOW)
    assert [part.feed for part in result.parts if part.provisional] == ["payment"]
    with ledger.write() as connection:
        record_window(connection, status="closed", now=NOW, **common)
    assert not reconcile_day(ledger, HOME, DAY, {}, now=NOW).provisional


def test_one_read_sees_one_state_of_the_ledger(ledger):
    """A settlement between two queries of a reconciliation must not look like a difference."""
    with ledger.write() as connection:
        planted.plant(connection, {"delivered": 5}, feeds=("payment",))
    with ledger.read() as connection:
        before = sum(one.events for one in counts.cells(connection, HOSPITAL, DAY, DAY))
        with ledger.write() as other:
            planted.plant(other, {"delivered": 5}, feeds=("payment",), seed=2)
        assert counts.acknowledged(connection, HOSPITAL, DAY, DAY) == {(DAY, "payment"): before}


def test_an_empty_day_reconciles_to_nothing(ledger):
    result = reconcile_day(ledger, HOME, DAY, {feed: SourceCount(0, 0) for feed in FEEDS}, now=NOW)
    assert (result.source, result.staged, result.remainder, result.clean) == (0, 0, 0, True)
