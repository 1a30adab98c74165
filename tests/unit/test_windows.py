"""Windows are half-open, local and exact; nothing about them depends on where or when the program runs."""

from __future__ import annotations

import pickle
import time
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from card_usage.windows import (
    DAY,
    HOUR,
    Window,
    day_window,
    day_windows,
    gaps,
    instant,
    local,
    merged,
    recount_days,
    window_between,
)
from hypothesis import given
from hypothesis import strategies as st

MOMENTS = st.datetimes(datetime(1995, 1, 1), datetime(2099, 12, 31, 23, 59, 59))  # noqa: DTZ001 - local by design
LENGTHS = st.timedeltas(timedelta(microseconds=1), timedelta(days=40))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_day_has_its_first_moment_and_not_that_of_the_next():
    window = day_window(date(2026, 11, 23))
    assert at("2026-11-23T00:00:00") in window
    assert at("2026-11-23T23:59:59.999999") in window
    assert at("2026-11-24T00:00:00") not in window
    assert at("2026-11-22T23:59:59.999999") not in window


@given(moment=MOMENTS)
def test_every_moment_is_in_exactly_one_day(moment: datetime):
    days = list(day_windows(moment.date() - DAY, moment.date() + DAY))
    assert [moment in window for window in days] == [False, True, False]


@given(moment=MOMENTS)
def test_local_time_is_eight_hours_ahead_of_utc_the_whole_year(moment: datetime):
    assert instant(moment) == moment.replace(tzinfo=UTC) - timedelta(hours=8)
    assert local(instant(moment)) == moment


def test_an_instant_of_any_zone_becomes_the_same_local_time():
    eastern = datetime(2026, 11, 22, 11, 0, tzinfo=timezone(timedelta(hours=-5)))
    assert local(eastern) == local(eastern.astimezone(UTC)) == at("2026-11-23T00:00:00")


def test_local_time_does_not_depend_on_the_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert local(datetime(2026, 11, 22, 16, 0, tzinfo=UTC)) == at("2026-11-23T00:00:00")
        assert instant(at("2026-11-23T00:00:00")) == datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_data_interval_of_a_scheduler_in_utc_is_the_local_day():
    window = window_between(datetime(2026, 11, 22, 16, tzinfo=UTC), datetime(2026, 11, 23, 16, tzinfo=UTC))
    assert window == day_window(date(2026, 11, 23))


@given(start=MOMENTS, length=LENGTHS)
def test_the_days_of_a_window_are_those_in_which_it_has_a_moment(start: datetime, length: timedelta):
    window = Window(start, start + length)
    assert window.day == window.days[0] == start.date()
    assert window.days[-1] == (window.end - timedelta(microseconds=1)).date()
    assert list(window.days) == sorted(set(window.days))
    assert all(later - earlier == DAY for earlier, later in zip(window.days, window.days[1:], strict=False))


def test_a_window_that_ends_at_midnight_does_not_touch_the_next_day():
    assert day_window(date(2026, 2, 28)).days == (date(2026, 2, 28),)
    assert Window(at("2026-02-28T00:00"), at("2026-03-02T00:00")).days == (date(2026, 2, 28), date(2026, 3, 1))


def test_a_range_of_days_has_both_its_ends():
    assert [str(window) for window in day_windows(date(2026, 11, 29), date(2026, 12, 2))] == [
        "2026-11-29",
        "2026-11-30",
        "2026-12-01",
        "2026-12-02",
    ]
    assert list(day_windows(date(2026, 11, 29), date(2026, 11, 28))) == []


def test_a_window_says_its_day_or_both_its_edges():
    assert str(day_window(date(2026, 11, 23))) == "2026-11-23"
    assert str(Window(at("2026-11-23T08:00"), at("2026-11-23T08:00") + HOUR)) == "2026-11-23T08:00/2026-11-23T09:00"
    # As long as a day, but not a calendar day.
    assert str(Window(at("2026-11-23T08:00"), at("2026-11-23T08:00") + DAY)) == "2026-11-23T08:00/2026-11-24T08:00"


def test_a_window_has_ended_from_the_moment_of_its_end_on():
    window = day_window(date(2026, 11, 23))
    assert not window.ended_by(datetime(2026, 11, 23, 15, 59, 59, tzinfo=UTC))
    assert window.ended_by(datetime(2026, 11, 23, 16, 0, 0, tzinfo=UTC))


@pytest.mark.parametrize("end", ["2026-11-23T00:00:00", "2026-11-22T00:00:00"])
def test_a_window_ends_after_it_starts(end: str):
    with pytest.raises(ValueError, match="ends after it starts"):
        Window(at("2026-11-23T00:00:00"), at(end))


def test_edges_carry_no_zone():
    aware = datetime(2026, 11, 23, tzinfo=UTC)
    for start, end in ((aware, aware + DAY), (aware.replace(tzinfo=None), aware + DAY)):
        with pytest.raises(ValueError, match="naive local times"):
            Window(start, end)


def test_windows_sort_compare_and_travel():
    first, second = day_windows(date(2026, 11, 23), date(2026, 11, 24))
    assert sorted([second, first]) == [first, second]
    assert pickle.loads(pickle.dumps(first)) == first  # noqa: S301 - our own bytes
    assert len({first, day_window(first.day)}) == 1


def test_a_recount_goes_over_the_last_days_and_on_the_3rd_over_the_month_before():
    assert recount_days(date(2026, 3, 10), 7) == (date(2026, 3, 3), date(2026, 3, 9))
    assert recount_days(date(2026, 3, 3), 7) == (date(2026, 2, 1), date(2026, 3, 2))
    assert recount_days(date(2026, 3, 3), 60) == (date(2026, 1, 2), date(2026, 3, 2))
    assert recount_days(date(2026, 1, 3), 7) == (date(2025, 12, 1), date(2026, 1, 2))


STRETCHES = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=12)
BASE = datetime(2026, 11, 23)  # noqa: DTZ001 - local by design


def intervals(made: list[tuple[int, int]]) -> list[tuple[datetime, datetime]]:
    return sorted((BASE + HOUR * start, BASE + HOUR * (start + size)) for start, size in made)


@given(STRETCHES)
def test_merged_intervals_cover_what_the_single_ones_do(made: list[tuple[int, int]]) -> None:
    single = intervals(made)
    whole = merged(single)
    for hour in range(70):
        at = BASE + HOUR * hour
        assert any(a <= at < b for a, b in single) == any(a <= at < b for a, b in whole)
    assert all(before[1] < after[0] for before, after in pairwise(whole))


@given(STRETCHES, st.integers(0, 40), st.integers(1, 30))
def test_a_moment_of_a_window_lies_in_a_gap_or_in_a_stretch(made: list[tuple[int, int]], start: int, size: int) -> None:
    covered = intervals(made)
    window = Window(BASE + HOUR * start, BASE + HOUR * (start + size))
    uncovered = gaps(window, covered)
    for hour in range(start, start + size):
        at = BASE + HOUR * hour
        assert any(a <= at < b for a, b in uncovered) != any(a <= at < b for a, b in covered)
    assert all(window.start <= a < b <= window.end for a, b in uncovered)
