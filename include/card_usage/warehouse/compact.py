"""Compact: the days of a month as one file a hospital, and sums in advance for questions (`cube`, `fleet`).

Files of the month are written first, the days' files are deleted after, each only if no build has begun since. Who was
killed in between leaves days that count from their own files, and the next compaction does it again. Two at once: the
one that began with an older state of the month notices before it writes, and gives way.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import select, update

from card_usage.files.store import Store
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import warehouse_day, warehouse_month
from card_usage.ledger.upsert import insert_into
from card_usage.warehouse.engine import READ, Engine
from card_usage.warehouse.layout import HospitalDay, Listing, cube_file, day_file, fleet_file, month_file
from card_usage.warehouse.schema import CUBE_COLUMNS, MEASURES, NAMES, Level, grain_name, grains

log = logging.getLogger(__name__)


class Compacted(NamedTuple):
    """Months written, and days' files that became part of them."""

    months: int = 0
    days: int = 0


def compact(ledger: Ledger, store: Store) -> Compacted:
    """Every month with days that have a file of their own."""
    listing = Listing.of(store)
    months = sorted({of.month for of in listing.days})
    done = Compacted()
    for month in months:
        merged = _compact_month(ledger, store, month)
        done = Compacted(done.months + bool(merged), done.days + merged)
    return done


def _compact_month(ledger: Ledger, store: Store, month: date) -> int:
    """Returns how many days' files were merged; 0: somebody else did it meanwhile."""
    with ledger.write() as connection:
        row = insert_into(connection, warehouse_month).values(month=month, version=0)
        connection.execute(row.on_conflict_do_nothing(index_elements=["month"]))
    with ledger.read() as connection:
        version = connection.scalar(select(warehouse_month.c.version).where(warehouse_month.c.month == month))
        query = select(warehouse_day.c.hospital, warehouse_day.c.day, warehouse_day.c.version).where(
            warehouse_day.c.built_at.is_not(None), warehouse_day.c.day >= month
        )
        versions = {HospitalDay(of, day): built for of, day, built in connection.execute(query)}
    # Listed after the versions were read: what is newer has a newer version.
    listing = Listing.of(store)
    days = sorted(of for of in listing.open_in(month) if of in versions)
    if not days:
        return 0
    with Engine.open(store) as engine:
        written = _files(engine, listing, month, days)
        with ledger.write() as connection:
            expected = (warehouse_month.c.month == month, warehouse_month.c.version == version)
            moved = connection.execute(update(warehouse_month).where(*expected).values(version=(version or 0) + 1))
            if moved.rowcount != 1:
                log.info("warehouse: %s was compacted by another process", month)
                return 0
            for name, file in written.items():
                store.write(name, file.read_bytes())
    for of in days:
        _delete_merged(ledger, store, of, versions[of])
    return len(days)


def _delete_merged(ledger: Ledger, store: Store, of: HospitalDay, version: int) -> None:
    """Delete the day's own file, unless a build has begun since it was read."""
    with ledger.write() as connection:
        same = (warehouse_day.c.hospital == of.hospital, warehouse_day.c.day == of.day)
        row = connection.execute(select(warehouse_day.c.version).where(*same).with_for_update()).first()
        if row is not None and row.version == version:
            store.delete(day_file(of))


def _files(engine: Engine, listing: Listing, month: date, days: list[HospitalDay]) -> Mapping[str, Path]:
    """Contents of the month's files, by name, in the order in which they are written."""
    hospitals = sorted({of.hospital for of in days})
    written: dict[str, Path] = {}
    engine.insert("cube", CUBE_COLUMNS, ())
    for hospital in hospitals:
        own = [of for of in days if of.hospital == hospital]
        load_uses(engine, listing, month, own)
        written[month_file(hospital, month)] = engine.spooled("select * from uses order by all")
        for level in LEVELS:
            engine.run(f"insert into cube {_summed('uses', level)}")
    columns = ", ".join(name for name, _ in CUBE_COLUMNS)
    if month in listing.cubes:
        engine.insert("merged", [("hospital", "VARCHAR")], [(hospital,) for hospital in hospitals])
        engine.run(
            f"insert into cube select {columns} from {READ} "  # noqa: S608 - names of the schema
            "where hospital not in (from merged)",
            [engine.addresses([cube_file(month)])],
        )
    order = ", ".join(("level", "grain", "day", *NAMES, "hospital"))
    written[cube_file(month)] = engine.spooled(f"select {columns} from cube order by {order}")  # noqa: S608
    sums = ", ".join(f"sum({one.name})::BIGINT as {one.name}" for one in MEASURES)
    groups = ", ".join(("level", "grain", "day", *NAMES))
    fleet = (
        f"select level, grain, null::VARCHAR as hospital, day, {', '.join(NAMES)}, {sums} "  # noqa: S608 - names of ours
        f"from cube group by {groups}"
    )
    written[fleet_file(month)] = engine.spooled(f"select {columns} from ({fleet}) order by {order}")  # noqa: S608
    return written


LEVELS: Final[tuple[Level, ...]] = ("day", "month")


def load_uses(engine: Engine, listing: Listing, month: date, days: list[HospitalDay]) -> None:
    """Table `uses`: one hospital's month, with these days as their own files have them."""
    (hospital,) = {of.hospital for of in days}
    engine.insert("own", [("day", "DATE")], [(of.day,) for of in days])
    engine.run(f"create or replace temp table uses as from {READ}", [engine.addresses(map(day_file, days))])
    if HospitalDay(hospital, month) in listing.months:
        engine.run(
            f"insert into uses by name select * from {READ} where day not in (from own)",  # noqa: S608 - names of ours
            [engine.addresses([month_file(hospital, month)])],
        )


def _summed(table: str, level: Level) -> str:
    """The query that sums rows of `uses` by every grain of a level, in the columns of the cube."""
    chosen = grains(level)
    sets = ", ".join(f"(hospital, _day{''.join(f', {name}' for name in grain.dimensions)})" for grain in chosen)
    # grouping(...) has a bit for each dimension that a set leaves out, the first one the highest.
    masks = {
        sum(1 << (len(NAMES) - 1 - at) for at, name in enumerate(NAMES) if name not in grain.dimensions): grain
        for grain in chosen
    }
    named = " ".join(f"when {mask} then '{grain_name(grain.dimensions)}'" for mask, grain in masks.items())
    sums = ", ".join(f"coalesce({one.of_uses}, 0)::BIGINT" for one in MEASURES)
    day = "day" if level == "day" else "date_trunc('month', day)::DATE"
    return (
        f"select '{level}', case grouping({', '.join(NAMES)}) {named} end, hospital, _day, {', '.join(NAMES)}, {sums} "  # noqa: S608 - names of the schema
        f"from (select *, {day} as _day from {table}) group by grouping sets ({sets})"
    )
