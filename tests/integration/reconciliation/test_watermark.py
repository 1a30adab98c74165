"""verified_through: over contiguous clean days only, back at a later difference, on again once it is gone."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta

import ledgers
import planted
import pytest
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import reconciliation, verified_move
from card_usage.reconciliation.reconcile import EVERY_FEED
from card_usage.reconciliation.watermark import advance, marks, moves, verified_days, verified_through
from card_usage.staging.coverage import record_window
from card_usage.windows import HOUR, day_window
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planted import DAY, HOSPITAL, NOW
from sqlalchemy import delete, insert, select

HOME = planted.hospital(his={"feeds": ("payment", "dispensing")})
D = [DAY + timedelta(days=n) for n in range(10)]


def staged(ledger: Ledger, feed: str, day: date, status: str = "closed") -> None:
    window = day_window(day)
    with ledger.write() as connection:
        record_window(
            connection,
            hospital=HOSPITAL,
            feed=feed,
            start=window.start,
            end=window.end,
            status=status,  # type: ignore[arg-type]
            source_rows=1,
            now=NOW,
        )


def reconciled(ledger: Ledger, feed: str, day: date, *, provisional: bool = False, **against: int) -> None:
    of_day = (reconciliation.c.hospital == HOSPITAL, reconciliation.c.feed == feed, reconciliation.c.day == day)
    row = {"hospital": HOSPITAL, "feed": feed, "day": day, "remainder": against.get("remainder", 0), "at": NOW}
    counts = json.dumps({"source": 1, **against})
    with ledger.write() as connection:
        connection.execute(delete(reconciliation).where(*of_day))
        connection.execute(
            insert(reconciliation).values(**row, counts=counts, provisional=provisional, clean=not against)
        )


def good(ledger: Ledger, *days: date) -> None:
    for day in days:
        for feed in HOME.his.feeds:
            staged(ledger, feed, day)
            reconciled(ledger, feed, day)


def through(ledger: Ledger) -> date | None:
    with ledger.read() as connection:
        return verified_through(connection, HOME)


def test_nothing_is_verified_before_anything_was_staged(ledger: Ledger) -> None:
    assert {mark.stands for mark in advance(ledger, HOME, now=NOW)} == {"nothing was staged yet"}
    assert through(ledger) is None


def test_the_mark_goes_over_clean_days_and_stops_at_the_first_that_is_not(ledger: Ledger) -> None:
    good(ledger, *D[:3], D[4])
    staged(ledger, "payment", D[3])
    staged(ledger, "dispensing", D[3])
    reconciled(ledger, "payment", D[3], late_in_source=2)
    found = {mark.feed: mark for mark in advance(ledger, HOME, now=NOW)}
    assert found["payment"].through == day_window(D[3]).start
    assert (found["payment"].stands, found["dispensing"].stands) == ("late_in_source 2", "not reconciled yet")
    assert through(ledger) == D[2]
    with ledger.read() as connection:
        assert verified_days(connection, HOME) == (D[0], D[2])
    reconciled(ledger, "payment", D[3])
    reconciled(ledger, "dispensing", D[3])
    assert [mark.moved for mark in advance(ledger, HOME, now=NOW)] == [2, 2]
    assert through(ledger) == D[4]


@pytest.mark.parametrize("gap", ["no window", "open window", "provisional"])
def test_a_gap_of_any_kind_is_not_jumped(ledger: Ledger, gap: str) -> None:
    good(ledger, D[0], D[2])
    for feed in HOME.his.feeds:
        reconciled(ledger, feed, D[1], provisional=gap == "provisional")
        if gap != "no window":
            staged(ledger, feed, D[1], "provisional" if gap == "open window" else "closed")
    advance(ledger, HOME, now=NOW)
    assert through(ledger) == D[0]


def test_hourly_windows_cover_a_day_only_together(ledger: Ledger) -> None:
    good(ledger, D[0])
    start = datetime.combine(D[1], time())
    for feed in HOME.his.feeds:
        reconciled(ledger, feed, D[1])
    common = {"hospital": HOSPITAL, "status": "closed", "source_rows": 1, "now": NOW}
    with ledger.write() as connection:
        for n in [n for n in range(24) if n != 13]:
            for feed in HOME.his.feeds:
                record_window(connection, feed=feed, start=start + HOUR * n, end=start + HOUR * (n + 1), **common)
    advance(ledger, HOME, now=NOW)
    assert through(ledger) == D[0]
    with ledger.write() as connection:
        for feed in HOME.his.feeds:
            record_window(connection, feed=feed, start=start + HOUR * 13, end=start + HOUR * 14, **common)
    advance(ledger, HOME, now=NOW)
    assert through(ledger) == D[1]


def test_a_later_difference_takes_the_mark_back_and_leaves_its_reason(ledger: Ledger) -> None:
    good(ledger, *D[:5])
    advance(ledger, HOME, now=NOW)
    assert through(ledger) == D[4]
    reconciled(ledger, "payment", D[1], late_in_source=3)
    found = {mark.feed: mark for mark in advance(ledger, HOME, now=NOW + timedelta(days=1))}
    assert (found["payment"].moved, found["dispensing"].moved) == (-4, 0)
    assert through(ledger) == D[0]
    with ledger.read() as connection:
        newest = moves(connection, HOSPITAL)[0]
    assert newest["feed"] == "payment"
    assert newest["reason"] == f"{D[1]}: late_in_source 3"
    reconciled(ledger, "payment", D[1])
    advance(ledger, HOME, now=NOW + timedelta(days=2))
    assert through(ledger) == D[4]
    with ledger.read() as connection:
        kept = connection.execute(select(verified_move).where(verified_move.c.feed == "payment")).all()
    assert len(kept) == 3


def test_a_verified_day_that_is_not_counted_again_stays_verified(ledger: Ledger) -> None:
    good(ledger, *D[:3])
    advance(ledger, HOME, now=NOW)
    with ledger.write() as connection:
        connection.execute(delete(reconciliation).where(reconciliation.c.day == D[0]))
    assert [mark.moved for mark in advance(ledger, HOME, now=NOW)] == [0, 0]
    assert through(ledger) == D[2]


def test_a_statement_that_shows_less_keeps_every_feed_back(ledger: Ledger) -> None:
    good(ledger, *D[:3])
    reconciled(ledger, EVERY_FEED, D[1], missing=4)
    found = advance(ledger, HOME, now=NOW)
    assert {mark.stands for mark in found} == {"platform: missing 4"}
    assert through(ledger) == D[0]


def test_looking_moves_nothing(ledger: Ledger) -> None:
    good(ledger, *D[:3])
    with ledger.read() as connection:
        seen = marks(connection, HOME)
    assert {mark.through for mark in seen} == {day_window(D[2]).end}
    assert through(ledger) is None


def test_days_before_the_hospitals_first_one_are_not_asked_about(ledger: Ledger) -> None:
    good(ledger, *D[2:4])
    for feed in HOME.his.feeds:
        staged(ledger, feed, D[0])
    late_starter = HOME.model_copy(update={"start": D[2]})
    advance(ledger, late_starter, now=NOW)
    assert through(ledger) == D[3]


def test_days_before_the_first_one_join_when_they_close_clean_and_without_a_gap(ledger: Ledger) -> None:
    good(ledger, *D[5:8])
    advance(ledger, HOME, now=NOW)
    good(ledger, D[1], D[2], D[4])
    (found, _) = advance(ledger, HOME, now=NOW)
    assert (found.since, found.earlier, found.moved) == (D[4], 1, 0)
    assert found.begins == f"{D[3]}: its windows are not all closed"
    with ledger.read() as connection:
        assert verified_days(connection, HOME) == (D[4], D[7])
    good(ledger, D[3])
    advance(ledger, HOME, now=NOW)
    with ledger.read() as connection:
        assert verified_days(connection, HOME) == (D[1], D[7])
        assert "begins 2026-03-05 now" in str(moves(connection, HOSPITAL)[0]["reason"])
    assert {mark.begins for mark in advance(ledger, HOME, now=NOW)} == {""}
    # What shows up in a day of history takes the mark back like in any other.
    reconciled(ledger, "payment", D[2], late_in_source=1)
    assert advance(ledger, HOME, now=NOW)[0].through == day_window(D[2]).start


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(1, 9)), days=st.integers(1, 8))
def test_in_whatever_order_days_close_the_mark_spans_those_around_the_first(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], days: int
) -> None:
    closed: set[int] = set()
    with ledgers.sqlite(tmp_path_factory.mktemp("order")) as ledger:
        for day in order[:days]:
            good(ledger, D[day])
            closed.add(day)
            advance(ledger, HOME, now=NOW)
        begin = end = order[0]
        while begin - 1 in closed:
            begin -= 1
        while end + 1 in closed:
            end += 1
        with ledger.read() as connection:
            assert verified_days(connection, HOME) == (D[begin], D[end])
