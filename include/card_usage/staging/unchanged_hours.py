"""Unchanged hours: a digest of what the HIS said of each staged hour, so that the same rows are not processed again.

Promises: a digest stands only while the ledger holds every row of it as staging would write it now. It is written in
the transaction that took these rows in. Whoever changes an event to something else than the HIS said forgets the hour
that the event was in (`forget`), in the transaction of the change. State transitions of a delivery need not: what
staging compares stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, func, select

from card_usage.ledger.schema import staged_hour
from card_usage.ledger.upsert import insert_into
from card_usage.windows import Window

Part = tuple[datetime, int]
"""A local hour, and which of its parts."""

RETENTION = timedelta(days=100)
"""How long before a staged window hours are remembered: longer than any look-back."""


def floor(moment: datetime) -> datetime:
    """The hour that a local time is in."""
    return moment.replace(minute=0, second=0, microsecond=0)


def lock(connection: Connection, hospital: str, feed: str) -> None:
    """Until the transaction ends nobody else stages this feed: what was compared is still so when it is written."""
    if connection.dialect.name == "postgresql":  # SQLite has one writer at a time
        name = func.hashtextextended(f"staging {hospital} {feed}", 0)
        connection.execute(select(func.pg_advisory_xact_lock(name)))


def remembered(connection: Connection, hospital: str, feed: str, window: Window) -> dict[Part, str]:
    """Digests of the window's hours."""
    within = and_(staged_hour.c.hour >= floor(window.start), staged_hour.c.hour < window.end)
    query = select(staged_hour.c.hour, staged_hour.c.part, staged_hour.c.digest).where(_of(hospital, feed), within)
    return {(hour, part): digest for hour, part, digest in connection.execute(query)}


def remember(connection: Connection, hospital: str, feed: str, digests: Mapping[Part, str]) -> None:
    """The ledger holds exactly what these digests were made of."""
    if not digests:
        return
    statement = insert_into(connection, staged_hour)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(staged_hour.primary_key), set_={"digest": statement.excluded.digest}
        ),
        [
            {"hospital": hospital, "feed": feed, "hour": hour, "part": part, "digest": digest}
            for (hour, part), digest in digests.items()
        ],
    )


def forget(connection: Connection, hospital: str, feed: str, hours: Collection[datetime]) -> None:
    """Let staging process every row of these hours again."""
    if hours:
        in_hour = staged_hour.c.hour == bindparam("in_hour")
        connection.execute(
            delete(staged_hour).where(_of(hospital, feed), in_hour), [{"in_hour": hour} for hour in sorted(set(hours))]
        )


def purge(connection: Connection, hospital: str, feed: str, before: datetime) -> None:
    """Delete what no look-back will ask for."""
    connection.execute(delete(staged_hour).where(_of(hospital, feed), staged_hour.c.hour < before - RETENTION))


def _of(hospital: str, feed: str) -> ColumnElement[bool]:
    return and_(staged_hour.c.hospital == hospital, staged_hour.c.feed == feed)
