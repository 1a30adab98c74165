"""Layout: how the warehouse's files are named in the report store, and what of them counts.

    warehouse/v1/uses/days/day=2026-11-27/<hospital>.parquet       one hospital's day, as last written
    warehouse/v1/uses/months/month=2026-11/<hospital>.parquet      its days of a month together
    warehouse/v1/cube/month=2026-11/cube.parquet                   sums of the month, by hospital
    warehouse/v1/fleet/month=2026-11/fleet.parquet                 the same of all hospitals together
    warehouse/v1/dimensions/<name>.parquet                         names behind codes
    warehouse/v1/schema.json                                       the columns, for programs

One rule makes any moment right: a hospital's day that has a file below `days` counts from there, whatever a month's
file says of it. A month is compacted by writing its files first and deleting the days' files after.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import PurePosixPath
from typing import Final, NamedTuple, Self

from card_usage.files.store import Store
from card_usage.warehouse.schema import VERSION

ROOT: Final = f"warehouse/v{VERSION}"
SCHEMA: Final = f"{ROOT}/schema.json"
_DAYS: Final = f"{ROOT}/uses/days"
_MONTHS: Final = f"{ROOT}/uses/months"
_SUFFIX: Final = ".parquet"


class HospitalDay(NamedTuple):
    """A hospital's local day."""

    hospital: str
    day: date

    @property
    def month(self) -> date:
        """First day of its month."""
        return self.day.replace(day=1)


def day_file(of: HospitalDay) -> str:
    """A hospital's day."""
    return f"{_DAYS}/day={of.day.isoformat()}/{of.hospital}{_SUFFIX}"


def month_file(hospital: str, month: date) -> str:
    """A hospital's month."""
    return f"{_MONTHS}/month={month:%Y-%m}/{hospital}{_SUFFIX}"


def cube_file(month: date) -> str:
    """Sums of a month, by hospital."""
    return f"{ROOT}/cube/month={month:%Y-%m}/cube{_SUFFIX}"


def fleet_file(month: date) -> str:
    """Sums of a month, of all hospitals together."""
    return f"{ROOT}/fleet/month={month:%Y-%m}/fleet{_SUFFIX}"


def dimension_file(name: str) -> str:
    """Names behind a dimension's codes."""
    return f"{ROOT}/dimensions/{name}{_SUFFIX}"


class Listing(NamedTuple):
    """What is there: days with a file of their own, hospitals' months, and months with sums in advance."""

    days: frozenset[HospitalDay]
    months: frozenset[HospitalDay]
    cubes: frozenset[date]

    @classmethod
    def of(cls, store: Store) -> Self:
        """Read from the store's folders: no index can be older than the files."""
        days = (HospitalDay(*named) for named in _named(store.names(_DAYS)))
        months = (HospitalDay(*named) for named in _named(store.names(_MONTHS)))
        cubes = (month for _, month in _named(store.names(f"{ROOT}/cube")))
        # Written after the cube: without it, neither is used.
        fleets = {month for _, month in _named(store.names(f"{ROOT}/fleet"))}
        return cls(frozenset(days), frozenset(months), frozenset(cubes) & fleets)

    def open_in(self, month: date) -> frozenset[HospitalDay]:
        """Days of a month that have a file of their own."""
        return frozenset(of for of in self.days if of.month == month)


def _named(names: Iterable[str]) -> Iterable[tuple[str, date]]:
    """(hospital, day or first of month) of files; what was left behind half-written has another suffix."""
    for name in names:
        path = PurePosixPath(name)
        _, _, written = path.parent.name.partition("=")
        if path.suffix == _SUFFIX and not path.name.startswith("."):
            yield path.stem, date.fromisoformat(written if len(written) > len("2026-11") else f"{written}-01")
