"""Check: the warehouse against the ledger, day by day, and its sums in advance against its own rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import NamedTuple

from card_usage.files.store import Store
from card_usage.ledger.database import Ledger
from card_usage.warehouse import facts
from card_usage.warehouse.engine import READ, Engine
from card_usage.warehouse.facts import LedgerDay
from card_usage.warehouse.layout import HospitalDay, Listing, cube_file, day_file, fleet_file, month_file


class Difference(NamedTuple):
    """A hospital's day whose facts do not sum to the ledger's. `where`: uses, cube or fleet ('*' of all hospitals)."""

    where: str
    hospital: str
    day: date
    ledger: LedgerDay
    warehouse: LedgerDay


class Checked(NamedTuple):
    """What was compared: days, what the two sides sum to, and the days that differ."""

    days: int
    ledger: LedgerDay
    warehouse: LedgerDay
    differences: tuple[Difference, ...]


def check(
    ledger: Ledger,
    store: Store,
    *,
    hospital: str | None = None,
    first: date | None = None,
    last: date | None = None,
) -> Checked:
    """Facts' sum = ledger's sum, of every day of these. A day that only one of the two has is compared with zero."""
    with ledger.read() as connection:
        wanted = facts.ledger_days(connection, hospital=hospital, first=first, last=last)
    listing = Listing.of(store)

    def asked_for(of: HospitalDay) -> bool:
        return (
            (hospital is None or of.hospital == hospital)
            and (first is None or of.day >= first)
            and (last is None or of.day <= last)
        )

    with Engine.open(store) as engine:
        found = {of: sums for of, sums in _stored(engine, listing).items() if asked_for(of)}
        differences = list(_differing("uses", wanted, found))
        differences += _advance(engine, listing, found, asked_for_all=hospital is None and first is last is None)
    return Checked(len(wanted.keys() | found.keys()), _sum(wanted), _sum(found), tuple(differences))


def _stored(engine: Engine, listing: Listing) -> dict[HospitalDay, LedgerDay]:
    """What the rows of `uses` sum to, by hospital and day."""

    def sums(names: list[str]) -> dict[HospitalDay, LedgerDay]:
        query = f"select hospital, day, sum(records)::BIGINT, sum(uses)::BIGINT from {READ} group by all"  # noqa: S608
        rows = engine.run(query, [engine.addresses(names)]) if names else []
        return {HospitalDay(of, day): LedgerDay(records, uses) for of, day, records, uses in rows}

    months = sums([month_file(*of) for of in listing.months])
    # A day's own file counts, even if nothing is in it.
    return {of: day for of, day in months.items() if of not in listing.days} | sums([*map(day_file, listing.days)])


def _advance(
    engine: Engine, listing: Listing, stored: Mapping[HospitalDay, LedgerDay], *, asked_for_all: bool
) -> Iterable[Difference]:
    """Sums in advance that are not those of the rows; of a day that counts from its own file none is used."""
    total = f"from {READ} where level = 'day' and grain = 'total'"
    open_months = {of.month for of in listing.days}
    for month in sorted(listing.cubes):
        rows = engine.run(f"select hospital, day, records, uses {total}", [engine.addresses([cube_file(month)])])
        cube = {HospitalDay(of, day): LedgerDay(records, uses) for of, day, records, uses in rows}
        dirty = {of.hospital for of in listing.open_in(month)}
        own = {of: sums for of, sums in stored.items() if of.month == month and of.hospital not in dirty}
        yield from _differing("cube", own, {of: cube[of] for of in cube.keys() & own.keys()})
        if asked_for_all and month not in open_months:
            rows = engine.run(f"select day, records, uses {total}", [engine.addresses([fleet_file(month)])])
            fleet = {HospitalDay("*", day): LedgerDay(records, uses) for day, records, uses in rows}
            days = {of.day for of in own}
            summed = {
                HospitalDay("*", day): _sum({of: sums for of, sums in own.items() if of.day == day}) for day in days
            }
            yield from _differing("fleet", summed, fleet)


def _differing(
    where: str, wanted: Mapping[HospitalDay, LedgerDay], found: Mapping[HospitalDay, LedgerDay]
) -> Iterable[Difference]:
    none = LedgerDay(0, 0)
    for of in sorted(wanted.keys() | found.keys()):
        left, right = wanted.get(of, none), found.get(of, none)
        if left != right:
            yield Difference(where, of.hospital, of.day, left, right)


def _sum(days: Mapping[HospitalDay, LedgerDay]) -> LedgerDay:
    return LedgerDay(sum(day.records for day in days.values()), sum(day.uses for day in days.values()))
