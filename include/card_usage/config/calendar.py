"""Calendar: which days a hospital works, and which earlier days a day may be compared with.

Clinics run reduced on public holidays (法定节假日, with the weekends that they adjoin) and in full on the weekends that
are worked in exchange (调休). The State Council announces both in November for the next year; the package `holidays`
has them soon after. For a year that was not announced yet it knows the days that the law fixes, but no exchanged ones:
these, and what a hospital does otherwise, stand in its file under `[calendar]`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from itertools import islice
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, model_validator

from card_usage.windows import DAY

Kind = Literal["workday", "weekend", "holiday"]

DAYS: Final = 4
"""How many earlier days a day is compared with."""

_WEEKS_BACK: Final = 2 * DAYS
"""Weeks in which they must lie, for those of the same weekday: two long holidays in a row leave enough."""

_YEAR: Final = 366


class Alike(NamedTuple):
    """Earlier days that a day is compared with, latest first.

    `days`: of its own kind. `ordinary`: for a holiday the same weekday when it was none; else empty.
    """

    days: tuple[date, ...]
    ordinary: tuple[date, ...] = ()


class Calendar(BaseModel):
    """A hospital's days, where they are not those of the country."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days_off: frozenset[date] = frozenset()
    workdays: frozenset[date] = frozenset()

    @model_validator(mode="after")
    def _no_day_is_both(self) -> Calendar:
        if both := sorted(self.days_off & self.workdays):
            raise ValueError(f"{both[0]} is listed as a day off and as a workday")
        return self

    def kind(self, day: date) -> Kind:
        """What a day is; a weekend that adjoins a public holiday is part of it."""
        return _kind(self, day)

    def is_holiday(self, day: date) -> bool:
        """Whether clinics run as on a public holiday."""
        return self.kind(day) == "holiday"

    def alike(self, day: date) -> Alike:
        """Earlier days like this one: of a holiday the holidays before it (a year back at most), of a weekend that is
        worked in exchange the workdays before it, of any other day the same weekday of the weeks before."""
        kind = self.kind(day)
        before = (day - DAY * back for back in range(1, _YEAR + 1))
        if kind == "holiday":
            return Alike(_first(one for one in before if self.is_holiday(one)), self._same_weekday(day))
        if kind == "workday" and _is_weekend(day):
            return Alike(_first(one for one in before if self.kind(one) == "workday" and not _is_weekend(one)))
        return Alike(self._same_weekday(day))

    def _same_weekday(self, day: date) -> tuple[date, ...]:
        """Earlier days of its weekday that were what this weekday commonly is."""
        common = "weekend" if _is_weekend(day) else "workday"
        weeks = (day - 7 * DAY * back for back in range(1, _WEEKS_BACK + 1))
        return _first(one for one in weeks if self.kind(one) == common)


def _first(days: Iterable[date]) -> tuple[date, ...]:
    return tuple(islice(days, DAYS))


def _is_weekend(day: date) -> bool:
    return day.isoweekday() >= 6


@lru_cache(maxsize=4096)
def _kind(calendar: Calendar, day: date) -> Kind:
    if _is_worked(calendar, day):
        return "workday"
    for step in (-DAY, DAY):
        near = day
        while not _is_worked(calendar, near):
            if _is_named(calendar, near):
                return "holiday"
            near += step
    return "weekend"


def _is_worked(calendar: Calendar, day: date) -> bool:
    if day in calendar.days_off:
        return False
    off, worked = _of_country(day.year)
    return day in calendar.workdays or day in worked or not (day in off or _is_weekend(day))


def _is_named(calendar: Calendar, day: date) -> bool:
    """Whether it is a holiday by itself and not by its neighbours."""
    return day in calendar.days_off or day in _of_country(day.year)[0]


@lru_cache
def _of_country(year: int) -> tuple[frozenset[date], frozenset[date]]:
    """Public holidays with days off in exchange, and weekends that are worked, of a year in China."""
    # Not at the top: it takes a moment, and whoever only reads a hospital's file does not need it.
    from holidays import country_holidays

    days = country_holidays("CN", years=year)
    return frozenset(days), frozenset(days.weekend_workdays)
