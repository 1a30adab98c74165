"""Freshness: up to which moment a replica has provably followed its HIS. Before that, no window closes.

    none         nobody knows: a window counts as passed when our clock says that it has ended
    heartbeat    a table that the primary writes each minute; what a replica shows of it, it shows of all tables
    replication  what the database itself says: last commit of the availability group, last replay of PostgreSQL
    newest_row   a row at or after the moment: replicas follow in the order of commits

Promises: one pure decision (`has_passed`) over what one probe read (`read_probe`); a probe that reads nothing, or a
time ahead of our clock, proves nothing. Local times are naive Asia/Shanghai, as the HIS writes them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Executable, column, func, select, table

from card_usage.config.hospital import Freshness, Hospital
from card_usage.errors import SourceDrift
from card_usage.source.reader import Source
from card_usage.standard.normalize import occurred_at
from card_usage.windows import DAY, HOUR, Window, local

_CLOCKS_DIFFER: Final = timedelta(minutes=10)
_PURPOSE: Final = "freshness probe"


class Reading(NamedTuple):
    """What a probe read: everything committed before `upto` is in the replica; None: it proves nothing."""

    probe: str
    upto: datetime | None


def replica_passed(source: Source, hospital: Hospital, window: Window, *, now: datetime) -> bool:
    """Whether the replica has provably passed the window's end; a window that has not ended needs no probe."""
    return window.ended_by(now) and has_passed(
        read_probe(source, hospital, window, now=now), window, hospital.his.freshness, now=now
    )


def has_passed(reading: Reading, window: Window, freshness: Freshness, *, now: datetime) -> bool:
    """Whether the replica has provably passed the window's end and the grace after it."""
    if not window.ended_by(now):
        return False
    if reading.probe == "none":
        return True
    if reading.upto is None or reading.upto > local(now) + _CLOCKS_DIFFER:
        return False
    return reading.upto >= _due(window, freshness)


def deadline(window: Window, freshness: Freshness) -> datetime:
    """From then on (naive local) a run goes on without proof."""
    return window.end + timedelta(minutes=freshness.deadline_minutes)


def read_probe(source: Source, hospital: Hospital, window: Window, *, now: datetime) -> Reading:
    """Ask the hospital's probe. Raises SourceError: unreachable, busy, or without what the probe needs."""
    freshness = hospital.his.freshness
    match freshness.probe:
        case "heartbeat":
            ((newest_beat,),) = source.ask(_PURPOSE, _newest_heartbeat(freshness))
            return Reading("heartbeat", occurred_at(newest_beat))
        case "replication":
            return Reading("replication", _replication(source, hospital, now))
        case "newest_row":
            return Reading("newest_row", _moment_of_a_row(source, hospital, _due(window, freshness), local(now)))
    return Reading("none", None)


def _newest_heartbeat(freshness: Freshness) -> Executable:
    schema, _, name = freshness.table.rpartition(".")
    return select(func.max(column(freshness.column))).select_from(table(name, schema=schema or None))


def _replication(source: Source, hospital: Hospital, now: datetime) -> datetime | None:
    query = source.dialect.replication
    ((databases, upto, is_primary),) = source.ask(_PURPOSE, query) if query is not None else ((0, None, 0),)
    if not databases:
        problem = "this database says nothing about replication: choose another probe in [his.freshness]"
        raise SourceDrift(hospital=hospital.id, feed=_PURPOSE, column="(replication state)", problem=problem)
    return local(now) if is_primary else occurred_at(upto)


def _moment_of_a_row(source: Source, hospital: Hospital, due: datetime, until: datetime) -> datetime | None:
    """A moment at or after `due` at which some feed has a row: short slices first, for the first hour mostly tells."""
    start, length = due, HOUR
    while start < until:
        end = min(start + length, until)
        for feed in hospital.his.feeds:
            if (moment := occurred_at(source.newest(feed, start, end))) is not None:
                return moment
        start, length = end, min(length * 2, DAY)
    return None


def _due(window: Window, freshness: Freshness) -> datetime:
    return window.end + timedelta(minutes=freshness.grace_minutes)
