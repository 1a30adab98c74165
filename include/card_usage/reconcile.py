"""Reconcile: count the HIS and the ledger again, set one against the other, keep what came of it.

What the figures mean and which equations they satisfy stands in `card_usage.balance`; here they are read and kept. The
same day again replaces what was kept of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from card_usage.balance import SENT, Difference, FeedDay, Reconciliation, SourceCount
from card_usage.hospitals import Hospital
from card_usage.ledger import counts
from card_usage.ledger.counts import StateCount
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import reconciliation
from card_usage.windows import day_window

__all__ = ["Difference", "FeedDay", "Reconciliation", "SourceCount", "last_counts", "reconcile_day", "weigh_day"]


def reconcile_day(
    ledger: Ledger,
    hospital: Hospital,
    day: date,
    source_counts: Mapping[str, SourceCount],
    *,
    now: datetime,
    compared: Mapping[str, Difference] | None = None,
) -> Reconciliation:
    """Count the ledger's day, set it against the HIS and keep the result; the same day again replaces it.

    `source_counts` by feed; a feed that is missing there could not be counted, and is not clean. `compared`: late and
    vanished records by feed where they are known one by one.
    """
    with ledger.read() as connection:
        result = weigh_day(connection, hospital, day, source_counts, now=now, compared=compared or {})
    with ledger.write() as connection:
        for part in result.parts:
            _keep(connection, part, now)
    return result


def weigh_day(
    connection: Connection,
    hospital: Hospital,
    day: date,
    source_counts: Mapping[str, SourceCount],
    *,
    now: datetime,
    compared: Mapping[str, Difference] = MappingProxyType({}),
) -> Reconciliation:
    """The reading half of `reconcile_day`: nothing is kept."""
    by_state = counts.states(connection, hospital.id, day, day)
    acknowledged = counts.acknowledged(connection, hospital.id, day, day)
    causes: dict[str, dict[str, int]] = {}
    for cause in counts.causes(connection, hospital.id, day, day):
        of_feed = causes.setdefault(cause.feed, {})
        of_feed[cause.rule] = of_feed.get(cause.rule, 0) + cause.events
    growing = counts.provisional_feeds(connection, hospital.id, day_window(day))
    ended = day_window(day).ended_by(now)
    known = (*hospital.his.feeds, *sorted({one.feed for one in by_state} | source_counts.keys()))
    return Reconciliation(
        hospital=hospital.id,
        parts=tuple(
            feed_day(
                hospital.id,
                feed,
                day,
                source_counts.get(feed),
                [one for one in by_state if one.feed == feed],
                causes=causes.get(feed, {}),
                acknowledged=acknowledged.get((day, feed), 0),
                provisional=not ended or feed in growing,
                compared=compared.get(feed),
            )
            for feed in dict.fromkeys(known)
        ),
    )


def feed_day(
    hospital: str,
    feed: str,
    day: date,
    source: SourceCount | None,
    by_state: Iterable[StateCount],
    *,
    causes: Mapping[str, int],
    acknowledged: int,
    provisional: bool,
    compared: Difference | None = None,
) -> FeedDay:
    """One feed's day out of grouped counts."""
    rows = tuple(by_state)
    return FeedDay(
        hospital=hospital,
        feed=feed,
        day=day,
        source=source,
        states={one.status: one.events for one in rows},
        causes=causes,
        acknowledged=acknowledged,
        refunded=sum(one.voided for one in rows if one.status == "voided"),
        voided_marks=sum(one.voided for one in rows),
        voided_after_delivery=sum(one.voided for one in rows if one.status in SENT),
        changed_after_delivery=sum(one.changed for one in rows if one.status in SENT),
        vanished_marks=sum(one.vanished for one in rows),
        provisional=provisional,
        compared=compared,
    )


class Kept(NamedTuple):
    """What was last counted at the source of one day: by feed, and when (the oldest count of the day)."""

    source: Mapping[str, SourceCount]
    at: datetime | None


def last_counts(connection: Connection, hospital: str, day: date) -> Kept:
    """The source's counts that the last reconciliation of this day stood on."""
    query = select(reconciliation.c.feed, reconciliation.c.counts, reconciliation.c.at).where(
        reconciliation.c.hospital == hospital, reconciliation.c.day == day
    )
    found: dict[str, SourceCount] = {}
    at: list[datetime] = []
    for feed, text, counted_at in connection.execute(query):
        figures: dict[str, Any] = json.loads(text)
        if figures["source"] is not None:
            found[feed] = SourceCount(figures["source"], figures["source_voided"])
            at.append(counted_at)
    return Kept(found, min(at, default=None))


def _keep(connection: Connection, part: FeedDay, now: datetime) -> None:
    figures = json.dumps({**part.summary(), "causes": dict(part.causes)}, ensure_ascii=False, sort_keys=True)
    kept = {"counts": figures, "remainder": part.remainder, "provisional": part.provisional, "at": now}
    key = {"hospital": part.hospital, "feed": part.feed, "day": part.day}
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(reconciliation).values(**key, **kept)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=kept))
