"""Calendar: workdays, weekends and holidays of a hospital, and the earlier days that a day is compared with.

Clinics run reduced on public holidays (法定节假日, with the adjoining weekends) and in full on working weekends (调休).
The State Council announces both in November for the next year; the package `holidays` has them soon after. For a year
that is not announced yet the package has the holidays fixed by law, but no working weekends: a hospital's file adds
them under `[calendar]`, and whatever the hospital does differently.
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
"""How many weeks back days of the same weekday are looked for: enough even after two long holidays in a row."""

_YEAR: Final = 366


class ComparableDays(NamedTuple):
    """Earlier days that a day is compared with, latest first.

    `days`: days of the same kind. `ordinary`: for a holiday, ordinary days of the same weekday; otherwise empty.
    """

    days: tuple[date, ...]
    ordinary: tuple[date, ...] = ()


class Calendar(BaseModel):
    """The hospital's own days off and workdays, where they differ from the public calendar."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days_off: frozenset[date] = frozenset()
    workdays: frozenset[date] = frozenset()

    @model_validator(mode="after")
    def _no_day_is_both(self) -> Calendar:
        if both := sorted(self.days_off & self.workdays):
            raise ValueError(f"{both[0]} is listed as a day off and as a workday")
        return self

    def kind(self, day: date) -> Kind:
        """The kind of a day; a weekend that adjoins a public holiday belongs to the holiday."""
        return _kind(self, day)

    def is_holiday(self, day: date) -> bool:
        """Whether the day is a public holiday, a weekend adjoining one, or the hospital's own day off."""
        return self.kind(day) == "holiday"

    def comparable(self, day: date) -> ComparableDays:
        """Earlier days to compare this one with, at most `DAYS` of each.

        For a holiday the holidays before it (within a year), for a working weekend the workdays before it, for any
        other day the same weekday of the weeks before.
        """
        kind = self.kind(day)
        earlier_days = (day - DAY * back for back in range(1, _YEAR + 1))
        if kind == "holiday":
            return ComparableDays(_first(filter(self.is_holiday, earlier_days)), self._same_weekday(day))
        if kind == "workday" and _is_weekend(day):
            return ComparableDays(_first(filter(self._is_ordinary_workday, earlier_days)))
        return ComparableDays(self._same_weekday(day))

    def _is_ordinary_workday(self, day: date) -> bool:
        return self.kind(day) == "workday" and not _is_weekend(day)

    def _same_weekday(self, day: date) -> tuple[date, ...]:
        """Earlier days of the same weekday, without holidays and exchanged days."""
        usual = "weekend" if _is_weekend(day) else "workday"
        weeks = (day - 7 * DAY * back for back in range(1, _WEEKS_BACK + 1))
        return _first(earlier for earlier in weeks if self.kind(earlier) == usual)


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
            if _is_day_off(calendar, near):
                return "holiday"
            near += step
    return "weekend"


def _is_worked(calendar: Calendar, day: date) -> bool:
    if day in calendar.days_off:
        return False
    off, worked = _public_calendar(day.year)
    return day in calendar.workdays or day in worked or not (day in off or _is_weekend(day))


def _is_day_off(calendar: Calendar, day: date) -> bool:
    """Whether the day itself is a holiday, not only a weekend beside one."""
    return day in calendar.days_off or day in _public_calendar(day.year)[0]


@lru_cache
def _public_calendar(year: int) -> tuple[frozenset[date], frozenset[date]]:
    """Public holidays with exchanged days off, and working weekends, of a year in China."""
    # Imported here: the import is slow, and reading a hospital's file does not need it.
    from holidays import country_holidays

    days = country_holidays("CN", years=year)
    return frozenset(days), frozenset(days.weekend_workdays)
