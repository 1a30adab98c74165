"""When a window may close: one decision over what a probe read."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from card_usage.config.hospital import Freshness
from card_usage.source.freshness import Reading, deadline, has_passed
from card_usage.windows import day_window, instant
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

DAY = day_window(date(2026, 11, 23))
AFTER = instant(DAY.end + timedelta(hours=2))
BEAT = Freshness(probe="heartbeat", table="T", column="c", grace_minutes=5)

minutes = st.integers(min_value=-3000, max_value=3000).map(lambda n: timedelta(minutes=n))


def reading(upto: datetime | None, probe: str = "heartbeat") -> Reading:
    return Reading(probe, upto)


def test_without_a_probe_our_clock_decides() -> None:
    none = Freshness()
    assert has_passed(reading(None, "none"), DAY, none, now=instant(DAY.end))
    assert not has_passed(reading(None, "none"), DAY, none, now=instant(DAY.end - timedelta(seconds=1)))


@pytest.mark.parametrize(("minute", "closes"), [(-1, False), (0, False), (4, False), (5, True), (60, True)])
def test_a_probe_must_be_past_the_end_and_the_grace(minute: int, closes: bool) -> None:
    assert has_passed(reading(DAY.end + timedelta(minutes=minute)), DAY, BEAT, now=AFTER) is closes


def test_a_probe_that_reads_nothing_or_a_time_ahead_of_our_clock_proves_nothing() -> None:
    assert not has_passed(reading(None), DAY, BEAT, now=AFTER)
    assert has_passed(reading(DAY.end + timedelta(hours=2, minutes=10)), DAY, BEAT, now=AFTER)
    assert not has_passed(reading(DAY.end + timedelta(hours=2, minutes=11)), DAY, BEAT, now=AFTER)
    assert not has_passed(reading(datetime(2099, 1, 1)), DAY, BEAT, now=AFTER)  # noqa: DTZ001 - local


@given(upto=minutes, now=minutes, grace=st.integers(0, 120))
def test_no_window_closes_before_both_clocks_and_no_later_reading_takes_it_back(
    upto: timedelta, now: timedelta, grace: int
) -> None:
    freshness = BEAT.model_copy(update={"grace_minutes": grace})
    moment, present = DAY.end + upto, instant(DAY.end + now)
    if has_passed(reading(moment), DAY, freshness, now=present):
        assert now >= timedelta()
        assert moment >= DAY.end + timedelta(minutes=grace)
        later = instant(DAY.end + now + timedelta(hours=1))
        assert has_passed(reading(moment + timedelta(minutes=30)), DAY, freshness, now=later)


def test_the_deadline_counts_from_the_end_of_the_window() -> None:
    assert deadline(DAY, BEAT.model_copy(update={"deadline_minutes": 90})) == DAY.end + timedelta(minutes=90)


@pytest.mark.parametrize(
    "wrong",
    [
        {"probe": "heartbeat"},
        {"probe": "heartbeat", "table": "T"},
        {"probe": "none", "table": "T", "column": "c"},
        {"probe": "heartbeat", "table": "T; DROP TABLE x", "column": "c"},
        {"probe": "heartbeat", "table": "T", "column": "c) --"},
        {"probe": "clock"},
        {"grace_minutes": -1},
    ],
)
def test_a_probe_that_cannot_work_is_refused_with_the_file(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Freshness.model_validate(wrong)
