"""Uses by day: kept sums say what the events say, however they are told apart, and a month is read from them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import planted
import pytest
from card_usage.ledger import counts
from card_usage.ledger.counts import DELAYS
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import day_use, event
from card_usage.report import day_uses, usage
from card_usage.report.day_uses import DIMENSIONS, Use
from card_usage.report.sections import uses_sections
from card_usage.standard import visits
from card_usage.standard.code_tables import load_tables
from card_usage.windows import instant
from card_usage.words.catalogue import TEXTS, Words
from planted import DAY, HOSPITAL
from sqlalchemy import func, select, update

NEXT = DAY + timedelta(days=1)
MIX = {"delivered": 200, "quarantined": 30, "ready": 10, "voided": 15}


@pytest.fixture
def ledger(ledger: Ledger) -> Ledger:
    with ledger.write() as connection:
        planted.plant(connection, MIX)
        planted.plant(connection, {"delivered": 50}, seed=2, day=NEXT)
        connection.execute(update(event).where(event.c.status == "delivered").values(settled_at=planted.NOW))
    return ledger


def rolled(ledger: Ledger, *days) -> None:  # type: ignore[no-untyped-def]
    for day in days:
        with ledger.read() as connection:
            found = day_uses.of_day(connection, HOSPITAL, day)
        with ledger.write() as connection:
            day_uses.save(connection, HOSPITAL, day, found)


def test_every_dimension_sums_to_the_valid_uses(ledger):
    rolled(ledger, DAY, NEXT)
    with ledger.read() as connection:
        kept = day_uses.load(connection, [HOSPITAL], DAY, NEXT)
        by_day = day_uses.by_day(connection, [HOSPITAL], DAY, NEXT)
        rows = connection.execute(select(event).where(event.c.voided_at.is_(None))).mappings().all()
    valid = len(rows)
    sums = Counter[str]()
    for one in kept:
        sums[one.dimension] += one.events
    assert set(sums) == set(DIMENSIONS)
    assert {sums[name] for name in DIMENSIONS if name != "delay"} == {valid}
    assert {one.code: one.health_card for one in kept if one.dimension == "card_type"}["11"] == sum(
        row["card_type"] == "11" for row in rows
    )
    for name in ("scene", "channel", "card_type", "department"):
        assert {one.code: one.events for one in kept if one.dimension == name} == Counter(row[name] for row in rows)
    assert sum(one.events for one in by_day.values()) == valid
    assert set(by_day) == {(HOSPITAL, DAY), (HOSPITAL, NEXT)}


def test_the_same_day_again_replaces_its_sums(ledger):
    rolled(ledger, DAY)
    with ledger.write() as connection:
        connection.execute(update(event).where(event.c.day == DAY, event.c.scene == "010103").values(scene="010106"))
    rolled(ledger, DAY)
    rolled(ledger, DAY)
    with ledger.read() as connection:
        scenes = connection.scalars(select(day_use.c.code).where(day_use.c.dimension == "scene")).all()
        rows = connection.scalar(select(func.count()).select_from(day_use))
    assert "010106" in scenes
    assert "010103" not in scenes
    assert len(scenes) == len(set(scenes))
    assert rows < 200


@pytest.mark.parametrize(("minutes", "bound"), [(-3, 5), (5, 5), (6, 15), (1440, 1440), (1441, 2880), (20000, None)])
def test_a_delay_stands_under_the_first_bound_that_holds_it(ledger, minutes, bound):
    at = datetime(2026, 3, 4, 8, 0)  # noqa: DTZ001 - local
    settled = instant(at) + timedelta(minutes=minutes)
    assert settled.tzinfo == UTC
    with ledger.write() as connection:
        connection.execute(
            update(event)
            .where(event.c.day == DAY, event.c.status == "delivered")
            .values(occurred_at=at, settled_at=settled)
        )
    with ledger.read() as connection:
        (found,) = counts.delays(connection, HOSPITAL, DAY, DAY)
    assert found == (bound, 200)
    listed = usage.delays([Use("delay", None if bound is None else str(bound), 200)])
    assert [one["minutes"] for one in listed] == [*DELAYS, None]
    assert {one["minutes"]: one["events"] for one in listed}[bound] == 200


def test_usage_figures_follow_their_formulas():
    found = [
        Use("hour", "8", 40, 10),
        Use("hour", "9", 50, 20),
        Use("hour", "14", 5, 0),
        Use("hour", "15", 3, 0),
        Use("hour", None, 2, 0),
        Use("scene", "0101012", 20, 8),
        Use("scene", "0101011", 5, 2),
        Use("scene", "0101051", 65, 20),
        Use("scene", "0101053", 6, 0),
        Use("scene", "00005", 2, 0),
        Use("scene", None, 2, 0),
        Use("card_type", "11", 30, 30),
        Use("card_type", "10", 40, 0),
        Use("card_type", "09", 20, 0),
        Use("card_type", None, 10, 0),
    ]
    figures = uses_sections("month", found, Words("zh"), issued_cards=60)["usage"]
    assert (figures["uses"], figures["health_card"]) == (100, 30)
    assert (figures["visits"], figures["health_card_visits"]) == (25, 10)
    assert figures["uses_per_visit"] == 4.0
    assert figures["uses_per_issued_card"] == 0.5
    assert figures["peak_hours"] == [8, 9, 14]
    assert {one["code"]: one["events"] for one in figures["card_groups"]} == {
        "health": 30,
        "treatment": 40,
        "insurance": 20,
        "resident_id": 0,
        "other": 10,
    }
    assert [one["events"] for one in figures["visit_kinds"]] == [90, 6, 2]
    assert {one["figure"] for one in figures["missing"]} == {"issued_use_rate", "people"}
    without = uses_sections("month", found, Words("en"), issued_cards=None)["usage"]
    assert without["uses_per_issued_card"] is None
    assert "uses_per_issued_card" in {one["figure"] for one in without["missing"]}
    assert usage.numbers([], issued_cards=None)["uses_per_visit"] is None


def test_every_figure_of_the_document_is_named_in_both_languages_or_said_to_be_missing():
    for one in usage.FIGURES:
        assert one.computed == "yes" or f"missing.{one.id}" in TEXTS
    scenes, cards = load_tables()["scene"], load_tables()["card_type"]
    assert {*visits.REGISTRATIONS, *visits.INPATIENT, *visits.CONVENIENCE} <= set(scenes.names)
    assert {code for codes in visits.CARD_GROUPS.values() for code in codes} <= set(cards.names)
