"""Build: a hospital's day from the ledger into the warehouse, whole or not at all, and only where it has changed.

The day's row in the ledger is marked as being written first; then its file takes the place of the old one; then what it
sums to is noted. A process that dies in between leaves the old file or the new one, and the next build goes on. The row
is also the lock: a compaction deletes a day's file only while nobody has begun a newer one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import date, datetime
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select, update

from card_usage.config.hospital import Hospital
from card_usage.files.store import Store
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event, reconciliation, warehouse_day, warehouse_hospital
from card_usage.ledger.upsert import upsert
from card_usage.warehouse import facts
from card_usage.warehouse.engine import Engine
from card_usage.warehouse.layout import HospitalDay, day_file
from card_usage.warehouse.schema import USES_COLUMNS

log = logging.getLogger(__name__)

_LONGEST_REASON: Final = 64


class Built(NamedTuple):
    """Hospital-days written, found unchanged, and failed."""

    written: int = 0
    unchanged: int = 0
    failed: int = 0

    def plus(self, other: Built) -> Built:
        """Both together."""
        return Built(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


def build(ledger: Ledger, store: Store, days: Iterable[HospitalDay], *, now: datetime, again: bool = False) -> Built:
    """Write each of the days. `again`: unchanged ones too. One that fails is noted, and does not keep the others."""
    built = Built()
    with Engine.open(store) as engine:
        for of in days:
            try:
                written = _build_day(ledger, engine, of, now=now, again=again)
                built = built.plus(Built(written=int(written), unchanged=int(not written)))
            except Exception as error:  # whatever an object storage raises: nothing else may fail by it
                log.warning("warehouse: %s of %s was not written (%s)", of.day, of.hospital, type(error).__name__)
                note_failure(ledger, of, error, now=now)
                built = built.plus(Built(failed=1))
    return built


def _build_day(ledger: Ledger, engine: Engine, of: HospitalDay, *, now: datetime, again: bool) -> bool:
    """Whether there was something to write."""
    with ledger.read() as connection:
        known = connection.execute(select(warehouse_day).where(*_is(of))).first()
        stands = known is not None and known.built_at is not None and known.failed_at is None and not again
        if stands and known is not None and known.digest == facts.read(connection, of).digest:
            return False
    with ledger.write() as connection:
        # Seen by a compaction before the file is: it must not take the new file for the one that it has read.
        key = {"hospital": of.hospital, "day": of.day}
        upsert(connection, warehouse_day, key, {"built_at": None}, first={"version": 0})
        connection.execute(update(warehouse_day).where(*_is(of)).values(version=warehouse_day.c.version + 1))
    with ledger.write() as connection:
        # Of two builds of one day the second waits here, and reads what the ledger has by then.
        connection.execute(select(warehouse_day.c.version).where(*_is(of)).with_for_update())
        found = facts.read(connection, of)
        engine.insert("day_uses", USES_COLUMNS, ((of.hospital, of.day, *row) for row in found.rows))
        engine.export("select * from day_uses order by all", day_file(of))
        done = {"digest": found.digest, "records": found.records, "uses": found.uses, "built_at": now}
        connection.execute(update(warehouse_day).where(*_is(of)).values(**done, failed_at=None, reason=None))
    return True


def note_failure(ledger: Ledger, of: HospitalDay, error: BaseException, *, now: datetime) -> None:
    """Keep in the ledger that the day could not be written, for the incident of it; only the error's class is kept."""
    reason = type(error).__name__[:_LONGEST_REASON]
    key = {"hospital": of.hospital, "day": of.day}
    with ledger.write() as connection:
        upsert(connection, warehouse_day, key, {"failed_at": now, "reason": reason}, first={"version": 0})


def _is(of: HospitalDay) -> tuple[ColumnElement[bool], ...]:
    return (warehouse_day.c.hospital == of.hospital, warehouse_day.c.day == of.day)


MOST_LEFT: Final = 31


def left_over(connection: Connection, hospital: str) -> list[date]:
    """Days of a hospital that could not be written, were counted again since, or went from the ledger; the newest
    MOST_LEFT of each."""
    counted = select(reconciliation.c.day, func.max(reconciliation.c.at).label("at"))
    counted_days = counted.where(reconciliation.c.hospital == hospital).group_by(reconciliation.c.day).subquery()
    of = warehouse_day.c
    same = and_(of.hospital == hospital, of.day == counted_days.c.day)
    stale = or_(of.built_at.is_(None), of.built_at < counted_days.c.at, of.failed_at.is_not(None))
    query = select(counted_days.c.day).outerjoin(warehouse_day, same).where(stale)
    found = list(connection.scalars(query.order_by(counted_days.c.day.desc()).limit(MOST_LEFT)))
    still = exists().where(event.c.hospital == hospital, event.c.day == of.day)
    gone = select(of.day).where(of.hospital == hospital, of.records > 0, ~still)
    return [*found, *connection.scalars(gone.order_by(of.day.desc()).limit(MOST_LEFT))]


class StoredSums(NamedTuple):
    """What a day's facts in the warehouse sum to, and when they were written."""

    records: int
    uses: int
    at: datetime


def stored_sums(connection: Connection, hospital: str, day: date) -> StoredSums | None:
    """Of a hospital's day; None: it is not there, or is being written."""
    of = warehouse_day.c
    query = select(of.records, of.uses, of.built_at).where(*_is(HospitalDay(hospital, day)), of.built_at.is_not(None))
    row = connection.execute(query).first()
    return None if row is None else StoredSums(*row)


def remember(ledger: Ledger, hospitals: Iterable[Hospital]) -> None:
    """Keep names and regions of hospitals, so that they stay in the warehouse when their files go."""
    with ledger.write() as connection:
        for hospital in hospitals:
            values = {"name": hospital.name[:200], "name_en": hospital.name_en[:200], "region": hospital.region}
            upsert(connection, warehouse_hospital, {"hospital": hospital.id}, values)
