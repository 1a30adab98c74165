"""Narrowing a day to what has to be compared: nothing that may differ is left out, and the HIS is asked seldom."""

from __future__ import annotations

import random
from datetime import date, timedelta
from itertools import pairwise

from card_usage.config.keyring import Keyring
from card_usage.ledger.counts import MinuteCount
from card_usage.reconciliation import source_checksums
from card_usage.reconciliation.minute_ranges import (
    FEW,
    MINUTES,
    MOST_ASKED,
    SLICE,
    Differing,
    differing,
    expected,
    parts,
)
from card_usage.reconciliation.source_checksums import Mark, Marker
from card_usage.source.tallies import MinuteTally
from card_usage.windows import day_window
from cases import every_case

DAY = day_window(date(2026, 3, 4))
KEYS = Keyring.parse("n:" + "A" * 43 + "=")
BUSY = source_checksums.BUSY


def marker(tallies: list[MinuteTally]) -> Marker:
    return Marker(KEYS, "h", "f", DAY.day, tallies)


def minute(moment: timedelta) -> float:
    return moment / timedelta(minutes=1)


def test_every_odd_minute_lies_in_a_window_of_few_enough_records() -> None:
    with every_case() as case:
        for seed in range(200):
            with case(seed):
                draw = random.Random(seed)
                most = draw.choice((1, 3, 60, 900, 40_000, 120_000))
                rows = [draw.randrange(most) if draw.random() < 0.9 else 0 for _ in MINUTES]
                odd = frozenset(draw.sample(MINUTES, draw.choice((1, 2, 30, 59, 61, 700, 1440))))
                changed = frozenset(one for one in odd if draw.random() < 0.5)
                windows, covered = parts(DAY, Differing(odd, changed), rows)
                assert odd <= covered
                for part in windows:
                    first, last = minute(part.window.start - DAY.start), minute(part.window.end - DAY.start)
                    within = range(int(first), max(int(last), int(first) + 1))
                    assert part.changed == bool(changed.intersection(within))
                    assert set(within) <= covered
                    seconds = (part.window.end - part.window.start) // timedelta(seconds=1)
                    share = seconds / 60 if seconds < 60 else 1
                    assert sum(rows[one] for one in within) * share <= SLICE * 1.05 or seconds == 1
                    assert part.window.start.microsecond == part.window.end.microsecond == 0
                for one, other in pairwise(windows):
                    assert one.window.end <= other.window.start
                assert sum((part.window.end - part.window.start for part in windows), timedelta()) == timedelta(
                    minutes=len(covered)
                )
                if sum(rows) <= SLICE:
                    assert len(windows) <= MOST_ASKED


def test_minutes_with_few_records_between_are_compared_along() -> None:
    rows = [0] * 1440
    rows[550] = FEW
    windows, covered = parts(DAY, Differing(frozenset({545, 560}), frozenset()), rows)
    assert (len(windows), len(covered)) == (1, 16)
    rows[550] += 1
    windows, covered = parts(DAY, Differing(frozenset({545, 560}), frozenset()), rows)
    assert (len(windows), len(covered)) == (2, 2)


def test_an_hour_is_marked_as_a_whole_and_a_busy_one_by_the_minute() -> None:
    quiet = [MinuteTally(9 * 60 + n, 2, 0, n) for n in range(60)]
    busy = [MinuteTally(10 * 60 + n, BUSY, 0, n) for n in range(60)]
    marks = marker(quiet + busy).marks()
    assert [(hour, type(mark)) for hour, mark in marks.items()] == [(9, str), (10, list)]
    assert marker(quiet + busy).changed(9, marks[9]) == ()
    other = [one._replace(checksum=7000) if one.minute in {9 * 60 + 5, 10 * 60 + 5} else one for one in quiet + busy]
    assert list(marker(other).changed(9, marks[9])) == list(range(60))
    assert list(marker(other).changed(10, marks[10])) == [5]
    gone = [one for one in busy if one.minute != 10 * 60 + 5]
    assert list(marker(gone).changed(10, marks[10])) == [5]


def test_a_mark_holds_however_the_hour_has_filled_since() -> None:
    """An hour may be marked by the minute and hold few records by now, or the other way round."""
    few = [MinuteTally(540 + n, 2, 0, n) for n in range(60)]
    whole = marker(few).mark(9)
    more = [*few[:-1], MinuteTally(599, BUSY, 0, 1)]
    by_minute = marker(more).mark(9)
    assert isinstance(whole, str)
    assert isinstance(by_minute, list)
    assert list(marker(more).changed(9, whole)) == list(range(60))
    assert list(marker(few).changed(9, by_minute)) == [59]


def test_without_a_checksum_every_hour_with_a_row_may_have_changed() -> None:
    tallies = [MinuteTally(545, 2, 0), MinuteTally(700, 1, 1)]
    assert marker(tallies).marks() == {}
    held = [MinuteCount(545, 2, 0, 0), MinuteCount(700, 1, 1, 0)]
    found = differing(tallies, held, {}, marker(tallies))
    assert found.changed == {one for one in MINUTES if one // 60 in (9, 11)}


def test_nothing_is_odd_where_counts_and_marks_agree() -> None:
    tallies = [MinuteTally(545, 2, 0, 11), MinuteTally(700, 1, 1, 12)]
    marks: dict[int, Mark] = marker(tallies).marks()
    held = [MinuteCount(545, 2, 0, 3), MinuteCount(700, 1, 1, 0), MinuteCount(800, 0, 0, 2)]
    assert differing(tallies, held, marks, marker(tallies)) == (frozenset(), frozenset())
    assert sum(expected(tallies, held)) == 5 + 1 + 2
    refunded = [held[0]._replace(voided=1), *held[1:]]
    assert differing(tallies, refunded, marks, marker(tallies)).odd == {545}


def test_a_record_whose_time_says_no_minute_may_be_any() -> None:
    tallies = [MinuteTally(None, 1, 0, 5)]
    assert len(differing(tallies, [], {}, marker(tallies)).odd) == len(MINUTES)
    held = [MinuteCount(None, 1, 0, 0)]
    assert not differing(tallies, held, {}, marker(tallies)).odd
