"""Coverage: which windows of a feed were staged, which of them are closed, and which time was never read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time
from typing import Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, insert, select, update

from card_usage.config.hospital import Hospital
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import feed_window
from card_usage.ledger.upsert import insert_into
from card_usage.windows import DAY, Window, day_window, gaps, local, merged

WindowStatus = Literal["provisional", "closed"]
"""Provisional while the HIS can still add to the window."""


def open_window(connection: Connection, *, hospital: str, feed: str, start: datetime, end: datetime) -> None:
    """Note that a feed's window is being staged: it stays open, seen by everybody, if that fails."""
    window = {"hospital": hospital, "feed": feed, "start": start, "end": end, "status": "open"}
    connection.execute(insert_into(connection, feed_window).values(window).on_conflict_do_nothing())


def record_window(
    connection: Connection,
    *,
    hospital: str,
    feed: str,
    start: datetime,
    end: datetime,
    status: WindowStatus,
    source_rows: int,
    now: datetime,
    repeated_rows: int = 0,
) -> None:
    """Note that a feed's window was staged, and whether the HIS can still add to it.

    A closed window closes the parts of it that were open (the hours of a day), and a window of several days, as earlier
    versions recorded them, once all of its days are closed.
    """
    of_feed = and_(feed_window.c.hospital == hospital, feed_window.c.feed == feed)
    same = and_(of_feed, feed_window.c.start == start, feed_window.c.end == end)
    closed_at = now if status == "closed" else None
    counts = {"source_rows": source_rows, "repeated_rows": repeated_rows}
    values = {"status": status, **counts, "staged_at": now, "closed_at": closed_at}
    if connection.execute(update(feed_window).where(same).values(values)).rowcount == 0:
        window = {"hospital": hospital, "feed": feed, "start": start, "end": end}
        connection.execute(insert(feed_window).values(**window, **values))
    if status == "closed":
        inside = and_(of_feed, feed_window.c.start >= start, feed_window.c.end <= end, feed_window.c.status != "closed")
        connection.execute(update(feed_window).where(inside).values(status="closed", closed_at=now))
        _close_ranges(connection, of_feed, Window(start, end), now)


def _close_ranges(connection: Connection, of_feed: ColumnElement[bool], closed: Window, now: datetime) -> None:
    of = feed_window.c
    around = and_(of_feed, of.status != "closed", of.start <= closed.start, of.end >= closed.end)
    for row in connection.execute(select(of.id, of.start, of.end).where(around)).all():
        if row.end - row.start <= DAY:
            continue
        parts = select(of.start, of.end).where(of_feed, of.status == "closed", of.start < row.end, of.end > row.start)
        stretches = merged((part.start, part.end) for part in connection.execute(parts.order_by(of.start)))
        if any(start <= row.start and row.end <= end for start, end in stretches):
            connection.execute(update(feed_window).where(of.id == row.id).values(status="closed", closed_at=now))


def reopen_windows(connection: Connection, hospital: str, start: datetime, end: datetime) -> int:
    """Make closed windows that touch this time provisional again: the replica has fallen behind what it once showed."""
    touching = and_(feed_window.c.start < end, feed_window.c.end > start, feed_window.c.status == "closed")
    query = update(feed_window).where(feed_window.c.hospital == hospital, touching)
    return connection.execute(query.values(status="provisional", closed_at=None)).rowcount


class OpenWindow(NamedTuple):
    """A feed's window that is not closed (local edges)."""

    feed: str
    start: datetime
    end: datetime
    status: str


def open_windows(connection: Connection, hospital: str, start: datetime, end: datetime) -> list[OpenWindow]:
    """Windows that touch this time and are not closed: staged too early, or not to the end. Oldest first."""
    columns = feed_window.c
    query = select(columns.feed, columns.start, columns.end, columns.status).where(
        columns.hospital == hospital, columns.start < end, columns.end > start, columns.status != "closed"
    )
    return [OpenWindow._make(row) for row in connection.execute(query.order_by(columns.start, columns.feed))]


class Unstaged(NamedTuple):
    """A part of local time (half-open) in which `feeds` were never staged."""

    start: datetime
    end: datetime
    feeds: tuple[str, ...]


def never_staged(ledger: Ledger, hospital: Hospital, window: Window, *, now: datetime) -> list[Unstaged]:
    """Parts of the window that have passed, are not before the hospital's first day or after its last, and were never
    staged."""
    start = max(window.start, datetime.combine(hospital.start, time())) if hospital.start else window.start
    end = min(window.end, local(now))
    if hospital.end is not None:
        end = min(end, day_window(hospital.end).end)
    if start >= end:
        return []
    with ledger.read() as connection:
        return unstaged(connection, hospital.id, hospital.his.feeds, Window(start, end))


def unstaged(connection: Connection, hospital: str, feeds: Sequence[str], window: Window) -> list[Unstaged]:
    """Oldest first; feeds that lack the same part stand together, in the order given."""
    columns = feed_window.c
    query = select(columns.feed, columns.start, columns.end).where(
        columns.hospital == hospital,
        columns.start < window.end,
        columns.end > window.start,
        columns.staged_at.is_not(None),
    )
    staged: dict[str, list[tuple[datetime, datetime]]] = {feed: [] for feed in feeds}
    for feed, start, end in connection.execute(query.order_by(columns.start)):
        if feed in staged:
            staged[feed].append((start, end))
    missing: dict[tuple[datetime, datetime], list[str]] = {}
    for feed, intervals in staged.items():
        for interval in gaps(window, intervals):
            missing.setdefault(interval, []).append(feed)
    return [Unstaged(start, end, tuple(feeds_of)) for (start, end), feeds_of in sorted(missing.items())]
