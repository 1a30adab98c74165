"""Shredding: the data keys of days that are over are destroyed, so that what was erased cannot be read again, nor
guessed from a digest, wherever copies of it lie: in pages of the database, its logs, its backups.

A key is closed once its day is past the look-back and nothing of that day is on its way. What still waits for somebody
(quarantined, refused, unconfirmed) is sealed anew by another key first; its digest stays without a key. Closing is one
transaction, behind the lock of staging; then the file is destroyed. A kill in between is made good by the next call.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    and_,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from card_usage.config.day_keys import HospitalKeys
from card_usage.config.hospital import Hospital
from card_usage.config.keyring import Sealed
from card_usage.errors import WrongKey
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event, shredded_key, source_mark, staged_hour
from card_usage.staging import unchanged_hours
from card_usage.windows import local

ON_ITS_WAY: Final = ("ready", "held", "in_flight", "unknown")
_BATCH: Final = 2_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Shredded:
    """What came of it: keys destroyed; events whose digests they keyed; events that were sealed anew."""

    keys: int = 0
    events: int = 0
    moved: int = 0


def last_day(hospital: Hospital, now: datetime) -> date:
    """The last day that no scheduled run stages any more: these work on yesterday and the look-back before it."""
    return local(now).date() - timedelta(days=2 + hospital.his.look_back_days)


def shred(ledger: Ledger, hospital: Hospital, *, now: datetime) -> Shredded:
    """Destroy every key of the hospital that has served; again, it changes nothing. Raises WrongKey, FileUnusable."""
    keys = ledger.day_keys.of(hospital.id)
    _destroy_closed(ledger, keys, hospital.id, now)
    total = Shredded()
    for file in list(ledger.day_keys.files(hospital.id)):
        if file.wrapped is None or file.day > last_day(hospital, now):
            continue
        with ledger.write() as connection:
            closed = _close(connection, keys, hospital.id, file.id, file.day, now)
        if closed is not None:
            _destroy_closed(ledger, keys, hospital.id, now)
            total = Shredded(keys=total.keys + 1, events=total.events + closed.events, moved=total.moved + closed.moved)
    return total


def _destroy_closed(ledger: Ledger, keys: HospitalKeys, hospital: str, now: datetime) -> None:
    # A file that came back, say with a backup of its folder, is destroyed again.
    there = sorted(file.id for file in ledger.day_keys.files(hospital))
    due = or_(shredded_key.c.destroyed_at.is_(None), shredded_key.c.key_id.in_(there))
    of_hospital = and_(shredded_key.c.hospital == hospital, due)
    with ledger.read() as connection:
        closed = list(connection.scalars(select(shredded_key.c.key_id).where(of_hospital)))
    for key_id in closed:
        keys.destroy(key_id)
        with ledger.write() as connection:
            this = and_(shredded_key.c.hospital == hospital, shredded_key.c.key_id == key_id)
            connection.execute(update(shredded_key).where(this).values(destroyed_at=now))


def _close(
    connection: Connection, keys: HospitalKeys, hospital: str, key_id: str, day: date, now: datetime
) -> Shredded | None:
    """Close one key, or None: it has not served yet."""
    of_day = and_(event.c.hospital == hospital, event.c.day == day)
    for feed in connection.scalars(select(event.c.feed).distinct().where(of_day).order_by(event.c.feed)).all():
        unchanged_hours.lock(connection, hospital, feed)
    digested = event.c.digest_key == key_id
    sealed = and_(event.c.key_id == key_id, event.c.sealed.is_not(None))
    query = select(_count(event.c.status.in_(ON_ITS_WAY)), _count(digested), _count(sealed)).where(of_day)
    on_its_way, events, kept = connection.execute(query).one()
    moved_in = select(func.coalesce(func.sum(shredded_key.c.moved), 0)).where(
        shredded_key.c.hospital == hospital, shredded_key.c.successor == key_id
    )
    # A key that seals nothing but what waits for somebody opens nothing that was erased: it goes on.
    if on_its_way or (kept and events + (connection.scalar(moved_in) or 0) <= kept):
        return None
    keys.leave(key_id)
    moved, successor = 0, None
    while rows := connection.execute(
        select(event.c.id, event.c.key, event.c.status, event.c.sealed).where(of_day, sealed).limit(_BATCH)
    ).all():
        successor = keys.current(day)
        moved += _move(connection, keys, key_id, rows, day)
    values = {"hospital": hospital, "key_id": key_id, "day": day, "events": events, "moved": moved, "closed_at": now}
    connection.execute(insert(shredded_key).values(values | {"successor": successor and successor.id}))
    hours = and_(staged_hour.c.hour >= datetime.combine(day, datetime.min.time()), staged_hour.c.hospital == hospital)
    until = staged_hour.c.hour < datetime.combine(day + timedelta(days=1), datetime.min.time())
    connection.execute(delete(staged_hour).where(hours, until))
    connection.execute(delete(source_mark).where(source_mark.c.hospital == hospital, source_mark.c.day == day))
    return Shredded(keys=1, events=events, moved=moved)


def _count(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(case((condition, 1), else_=0), type_=Integer), 0)


def _move(connection: Connection, keys: HospitalKeys, key_id: str, rows: Iterable[Any], day: date) -> int:
    """Seal what still waits for somebody by the day's next key; what does not open is erased. Returns how many."""
    moved = 0
    for row in rows:
        bound_to = row.key.encode()
        values: dict[str, Any] = {"key_id": None, "sealed": None}
        try:
            plain = keys.open(Sealed(key_id, row.sealed), bound_to=bound_to)
        except WrongKey:
            pass
        else:
            sealed = keys.current(day).seal(plain, bound_to=bound_to)
            values = {"key_id": sealed.key_id, "sealed": sealed.blob}
            moved += 1
        connection.execute(update(event).where(event.c.id == row.id, event.c.key_id == key_id).values(values))
    return moved
