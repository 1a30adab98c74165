"""Holidays and weekends worked in exchange: what a day is, what it is compared with, and whom that spares a call."""

from __future__ import annotations

from datetime import date, timedelta

import planted
import pytest
from card_usage.config.calendar import DAYS, Calendar
from card_usage.quality.baseline import limits
from card_usage.quality.expectations import Expectation
from card_usage.quality.profiles import Profile
from card_usage.windows import DAY
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

CHINA = Calendar()
YEAR = [date(2026, 1, 1) + DAY * n for n in range(365)]


def days(first: str, last: str) -> set[date]:
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return {start + DAY * n for n in range((end - start).days + 1)}


# 国务院办公厅关于2026年部分节假日安排的通知
HOLIDAYS = {
    "元旦": days("2026-01-01", "2026-01-03"),
    "春节": days("2026-02-15", "2026-02-23"),
    "清明节": days("2026-04-04", "2026-04-06"),
    "劳动节": days("2026-05-01", "2026-05-05"),
    "端午节": days("2026-06-19", "2026-06-21"),
    "中秋节": days("2026-09-25", "2026-09-27"),
    "国庆节": days("2026-10-01", "2026-10-07"),
}
WORKED = {date(2026, *at) for at in ((1, 4), (2, 14), (2, 28), (5, 9), (9, 20), (10, 10))}


def test_the_year_is_as_the_state_council_announced_it() -> None:
    assert {day for day in YEAR if CHINA.is_holiday(day)} == set().union(*HOLIDAYS.values())
    assert {day for day in YEAR if CHINA.kind(day) == "workday" and day.isoweekday() >= 6} == WORKED


def test_a_year_that_nobody_announced_yet_has_the_days_that_the_law_fixes_and_no_others() -> None:
    year = [date(2040, 1, 1) + DAY * n for n in range(366)]
    assert CHINA.is_holiday(date(2040, 1, 1))
    assert CHINA.is_holiday(date(2040, 2, 12))  # the first of the first lunar month
    assert {date(2040, 10, day) for day in (1, 2, 3)} <= {day for day in year if CHINA.is_holiday(day)}
    assert not [day for day in year if CHINA.kind(day) == "workday" and day.isoweekday() >= 6]


def test_a_day_of_the_national_holiday_is_compared_with_the_holidays_before_it_and_its_weekday_without_them() -> None:
    alike = CHINA.comparable(date(2026, 10, 1))
    assert alike.days == (date(2026, 9, 27), date(2026, 9, 26), date(2026, 9, 25), date(2026, 6, 21))
    assert alike.ordinary == tuple(date(2026, 10, 1) - timedelta(weeks=n) for n in (1, 2, 3, 4))
    sunday = CHINA.comparable(date(2026, 10, 4))
    # Neither the Sunday that was worked nor that of the Mid-Autumn Festival.
    assert sunday.ordinary == tuple(date(2026, 10, 4) - timedelta(weeks=n) for n in (3, 4, 5, 6))


def test_a_sunday_worked_in_exchange_is_compared_with_workdays_and_later_sundays_not_with_it() -> None:
    assert CHINA.comparable(date(2026, 9, 20)).days == tuple(date(2026, 9, day) for day in (18, 17, 16, 15))
    assert date(2026, 9, 20) not in CHINA.comparable(date(2026, 10, 18)).days


def test_the_weeks_after_the_spring_festival_are_compared_with_those_before_it() -> None:
    assert CHINA.comparable(date(2026, 3, 2)).days == tuple(date(2026, 3, 2) - timedelta(weeks=n) for n in (3, 4, 5, 6))


def test_a_hospital_has_days_of_its_own_and_they_count_before_those_of_the_country() -> None:
    own = Calendar.model_validate({"days_off": [date(2026, 7, 8)], "workdays": [date(2026, 10, 6), date(2026, 7, 11)]})
    assert [own.kind(date(2026, 7, day)) for day in (7, 8, 9, 11, 12)] == [
        "workday",
        "holiday",
        "workday",
        "workday",
        "weekend",
    ]
    assert own.kind(date(2026, 10, 6)) == "workday"


@pytest.mark.parametrize(
    "wrong", [{"days_off": ["2026-07-08"], "workdays": ["2026-07-08"]}, {"holidays": []}, {"days_off": ["2026-02-30"]}]
)
def test_a_calendar_that_contradicts_itself_is_no_calendar(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Calendar.model_validate(wrong)


_days = st.dates(date(2015, 1, 1), date(2045, 12, 31))
_near = st.frozensets(st.dates(date(2026, 1, 1), date(2026, 12, 31)), max_size=5)


@given(day=_days, off=_near, worked=_near)
def test_whatever_the_day_it_is_compared_with_few_earlier_days_of_its_own_kind(
    day: date, off: frozenset[date], worked: frozenset[date]
) -> None:
    calendar = Calendar(days_off=off - worked, workdays=worked - off)
    alike = calendar.comparable(day)
    for found in alike:
        assert len(found) <= DAYS
        assert list(found) == sorted(set(found), reverse=True)
        assert all(one < day for one in found)
    assert {calendar.kind(one) for one in alike.days} <= {calendar.kind(day)}
    assert len(alike.days) == DAYS
    assert not [one for one in alike.ordinary if calendar.is_holiday(one)]
    assert bool(alike.ordinary) == calendar.is_holiday(day)
    if not calendar.is_holiday(day):
        # A weekend beside a holiday would be one.
        assert day.isoweekday() < 6 or not {day - DAY, day + DAY} & {one for one in off | worked if one in off}


def volume(events: float) -> Profile:
    """A day of which only its volume matters: two feeds, one with three quarters of it."""
    most = round(events * 0.75)
    return {
        ("volume", ""): round(events),
        ("volume", "payment"): most,
        ("volume", "registration"): round(events) - most,
    }


def broken(day: date, found: Profile, year: dict[date, Profile]) -> list[Expectation]:
    """What the gate demands of the day's volume and does not get."""
    alike = CHINA.comparable(day)
    before = ([year[one] for one in of if one in year] for of in alike)
    demands = limits(planted.hospital().gate, found, *before, holiday=CHINA.is_holiday(day))
    return [
        one
        for one in demands
        if one.usual is not None
        and not (one.low or 0) <= found.get(one.measure, 0) <= (float("inf") if one.high is None else one.high)
    ]


@settings(max_examples=25)
@given(
    workday=st.integers(200, 20_000),
    weekend=st.floats(0.25, 1.0),
    holiday=st.floats(0.2, 1.0),
    festival=st.floats(0.35, 1.0),
    exchanged=st.floats(0.75, 1.1),
)
def test_a_year_of_reduced_clinics_calls_nobody(
    workday: int, weekend: float, holiday: float, festival: float, exchanged: float
) -> None:
    """Shares of a workday's volume; `festival`: the first days of the Spring Festival as a share of other holidays."""
    year: dict[date, Profile] = {}
    for day in YEAR:
        share = {"workday": 1.0 if day.isoweekday() < 6 else exchanged, "weekend": weekend, "holiday": holiday}
        events = workday * share[CHINA.kind(day)]
        if date(2026, 2, 16) <= day <= date(2026, 2, 19):
            events *= festival
        elif day.isoweekday() == 1 and not CHINA.is_holiday(day):
            events *= 1.2
        assert broken(day, volume(events), year) == [], day
        year[day] = volume(events)


def test_what_is_lost_on_a_holiday_or_doubled_is_told_all_the_same() -> None:
    share = {"workday": 1000, "weekend": 400, "holiday": 300}
    year = {day: volume(share[CHINA.kind(day)]) for day in YEAR}
    national = date(2026, 10, 3)

    def told(day: date, events: int) -> set[tuple[str, str, str]]:
        return {(one.reason, one.level, one.measure[1]) for one in broken(day, volume(events), year)}

    assert told(national, 130) == set()
    assert ("volume_drop", "warn", "") in told(national, 2)
    assert ("volume_rise", "hold", "") in told(national, 1400)
    assert ("volume_drop", "warn", "") in told(date(2026, 9, 20), 400), "a worked Sunday like any other Sunday"
    assert told(date(2026, 10, 9), 980) == set()
    assert ("volume_drop", "warn", "") in told(date(2026, 10, 9), 300)
    first = {day: found for day, found in year.items() if day >= date(2026, 8, 1) and not CHINA.is_holiday(day)}
    assert broken(national, volume(130), first) == [], "a first holiday, against the least of its weekday"
    assert [one.level for one in broken(national, volume(2), first) if not one.measure[1]] == ["warn"]


def test_no_history_is_no_alarm_on_a_holiday_either() -> None:
    assert broken(date(2026, 10, 1), volume(3), {}) == []
    assert broken(date(2026, 10, 1), volume(3), {date(2026, 9, 27): volume(500)}) == []
