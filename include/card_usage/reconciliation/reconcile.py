"""Reconcile: count the HIS, the ledger and the platform again, set one against the other, save what came of it.

What the figures mean and which equations they satisfy stands in `card_usage.reconciliation.balance`; here they
are read and saved. The same day again replaces what was saved of it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select

from card_usage.config.hospital import Hospital
from card_usage.events import CardUse
from card_usage.ledger import counts, holds
from card_usage.ledger.counts import Cell
from card_usage.ledger.database import Ledger
from card_usage.ledger.macs import made
from card_usage.ledger.schema import reconciliation
from card_usage.ledger.upsert import upsert
from card_usage.quality.verdict_store import withheld
from card_usage.reconciliation import statement_match, statement_store
from card_usage.reconciliation.balance import Difference, FeedDay, Reconciliation, SourceCount
from card_usage.reconciliation.statement_match import Bucket, Ours, PlatformDay
from card_usage.standard.rule_check import sent_fields
from card_usage.windows import day_window

__all__ = ["Difference", "FeedDay", "Reconciliation", "SourceCount", "last_counts", "reconcile_day", "weigh_day"]

EVERY_FEED: Final = "*"
"""The feed under which a day is stored as a whole, against the platform's statement."""

_HOLDERS: Final = {"pause": "pause", "drain": "pause", "quota": "quota", "misconfigured": "misconfigured"}


def reconcile_day(
    ledger: Ledger,
    hospital: Hospital,
    day: date,
    source_counts: Mapping[str, SourceCount],
    *,
    now: datetime,
    compared: Mapping[str, Difference] | None = None,
) -> Reconciliation:
    """Count the ledger's day, set it against HIS and platform and save the result; the same day again replaces it.

    `source_counts` by feed; a feed that is missing there could not be counted, and is not clean. `compared`: late and
    vanished records by feed where they are known one by one.
    """
    with ledger.read() as connection:
        result = weigh_day(connection, hospital, day, source_counts, now=now, compared=compared or {})
    with ledger.write() as connection:
        save(connection, result, now)
    return result


def weigh_day(
    connection: Connection,
    hospital: Hospital,
    day: date,
    source_counts: Mapping[str, SourceCount],
    *,
    now: datetime,
    compared: Mapping[str, Difference] = MappingProxyType({}),
    moved_here: Mapping[str, int] = MappingProxyType({}),
) -> Reconciliation:
    """The reading half of `reconcile_day`: nothing is saved. `moved_here`: found by an earlier comparison, by feed."""
    read = read_day(connection, hospital, day, now=now)
    return weigh(hospital, day, read, source_counts, now=now, compared=compared, moved_here=moved_here)


class LedgerDay(NamedTuple):
    """All that the ledger counts of one day, in one view of it."""

    cells: list[counts.CellCount]
    acknowledged: Mapping[tuple[date, str], int]
    causes: list[counts.CauseCount]
    refused: list[counts.RefusedCount]
    growing: set[str]
    holders: Holders
    platform: PlatformDay | None

    def staged(self, feed: str) -> int:
        """Events of a feed."""
        return sum(cell.events for cell in self.cells if cell.feed == feed)


def read_day(connection: Connection, hospital: Hospital, day: date, *, now: datetime) -> LedgerDay:
    """Count the ledger's day, a grouped query each."""
    return LedgerDay(
        cells=counts.cells(connection, hospital.id, day, day),
        acknowledged=counts.acknowledged(connection, hospital.id, day, day),
        causes=counts.causes(connection, hospital.id, day, day),
        refused=counts.refused(connection, hospital.id, day, day),
        growing=counts.provisional_feeds(connection, hospital.id, day_window(day)),
        holders=held_back(connection, hospital.id, day, now),
        platform=against_statement(connection, hospital, day),
    )


def weigh(
    hospital: Hospital,
    day: date,
    read: LedgerDay,
    source_counts: Mapping[str, SourceCount],
    *,
    now: datetime,
    compared: Mapping[str, Difference] = MappingProxyType({}),
    moved_here: Mapping[str, int] = MappingProxyType({}),
) -> Reconciliation:
    """Set what was read of the ledger against the HIS."""
    cells: dict[str, Counter[Cell]] = {}
    for counted in read.cells:
        cells.setdefault(counted.feed, Counter())[counted.cell] += counted.events
    causes: dict[str, Counter[str]] = {}
    for cause in read.causes:
        causes.setdefault(cause.feed, Counter())[cause.rule] += cause.events
    refusals: dict[str, dict[int | None, int]] = {}
    for refusal in read.refused:
        refusals.setdefault(refusal.feed, {})[refusal.result_code] = refusal.events
    ended = day_window(day).ended_by(now)
    known = (*hospital.his.feeds, *sorted(cells.keys() | source_counts.keys()))
    return Reconciliation(
        hospital=hospital.id,
        parts=tuple(
            FeedDay(
                hospital=hospital.id,
                feed=feed,
                day=day,
                source=source_counts.get(feed),
                cells=cells.get(feed, {}),
                causes=causes.get(feed, {}),
                refusals=refusals.get(feed, {}),
                acknowledged=read.acknowledged.get((day, feed), 0),
                held_by=read.holders.of(feed),
                moved_here=moved_here.get(feed, 0),
                provisional=not ended or feed in read.growing,
                compared=compared.get(feed),
            )
            for feed in dict.fromkeys(known)
        ),
        platform=() if read.platform is None else (read.platform,),
    )


class Holders(NamedTuple):
    """What keeps a day's ready events from being sent: a hold of the hospital, or the gate, for all feeds or some."""

    hold: str | None
    withheld: tuple[frozenset[str], ...]

    def of(self, feed: str) -> str | None:
        """One of HOLDERS; None: nothing does. A gate that withholds a part of the feed's day counts for all of it."""
        if self.hold is not None:
            return self.hold
        return "approval" if any(not feeds or feed in feeds for feeds in self.withheld) else None


def held_back(connection: Connection, hospital: str, day: date, now: datetime) -> Holders:
    """What holds a day back at the moment."""
    hold = holds.blocking(holds.active(connection, hospital, now))
    parts = withheld(connection, hospital, day_window(day))
    return Holders(_HOLDERS[hold.kind] if hold else None, tuple(frozenset(part.feeds) for part in parts))


def against_statement(connection: Connection, hospital: Hospital, day: date) -> PlatformDay | None:
    """The day against the platform's own statement; None: nobody imported one."""
    statement = statement_store.load(connection, hospital.id, day)
    if statement is None:
        return None
    ours: dict[Bucket, Ours] = {}
    for answered in counts.told(connection, hospital.id, day, statement.as_of):
        of = Bucket(answered.hour, answered.scene, answered.channel, answered.card_type, answered.department)
        bucket = _as_sent(hospital, of, by_form=answered.by_form)
        before = ours.get(bucket, Ours(0, 0))
        ours[bucket] = Ours(before.proved + answered.proved, before.open + answered.open)
    return statement_match.compare(
        hospital.id,
        day,
        as_of=statement.as_of,
        uses=statement.uses,
        dimensions=statement.dimensions,
        stated=statement.counts,
        ours=ours,
    )


def weigh_statement(ledger: Ledger, hospital: Hospital, day: date, *, now: datetime) -> PlatformDay:
    """Set an imported statement against the ledger and save what comes of it; the HIS is not asked."""
    with ledger.read() as connection:
        weighed = against_statement(connection, hospital, day)
    if weighed is None:
        raise ValueError(f"{hospital.id} has no statement of {day}")
    with ledger.write() as connection:
        _save_platform(connection, weighed, now)
    return weighed


def _as_sent(hospital: Hospital, bucket: Bucket, *, by_form: bool) -> Bucket:
    """A department that was not sent is none for the platform."""
    if bucket.department is None:
        return bucket
    use = CardUse(
        occurred_at=None,
        scene=bucket.scene,
        department=bucket.department,
        card_type=bucket.card_type,
        channel=bucket.channel,
        cost_type=None,
        id_number=None,
        name=None,
        qr_code_text=None,
    )
    also_sent = hospital.platform.sent_where_known if by_form else frozenset[str]()
    sent = sent_fields(use, hospital.platform.profile, also_sent)
    return bucket if "department" in sent else bucket._replace(department=None)


class StoredCounts(NamedTuple):
    """What was last counted at the source of one day: by feed, and when (the oldest count of the day)."""

    source: Mapping[str, SourceCount]
    moved_here: Mapping[str, int]
    at: datetime | None


def last_counts(connection: Connection, hospital: str, day: date) -> StoredCounts:
    """The source's counts that the last reconciliation of this day stood on."""
    query = select(reconciliation.c.feed, reconciliation.c.counts, reconciliation.c.at).where(
        reconciliation.c.hospital == hospital, reconciliation.c.day == day, reconciliation.c.feed != EVERY_FEED
    )
    source: dict[str, SourceCount] = {}
    moved_here: dict[str, int] = {}
    at: list[datetime] = []
    for feed, text, counted_at in connection.execute(query):
        figures: dict[str, Any] = json.loads(text)
        moved_here[feed] = figures.get("moved_here", 0)
        if figures["source"] is not None:
            source[feed] = SourceCount(figures["source"], figures["source_voided"])
            at.append(counted_at)
    return StoredCounts(source, moved_here, min(at, default=None))


def save(connection: Connection, result: Reconciliation, now: datetime) -> None:
    """Write down what a reconciliation came to, a row for each feed and day, and one for each statement's day."""
    for part in result.parts:
        figures = {**part.summary(), "causes": dict(part.causes), "named": dict(part.named)}
        marks = {"remainder": part.remainder, "provisional": part.provisional, "clean": part.clean}
        _save(connection, (part.hospital, part.feed, part.day), figures, marks, now)
    for day in result.platform:
        _save_platform(connection, day, now)


def _save_platform(connection: Connection, day: PlatformDay, now: datetime) -> None:
    marks = {"remainder": abs(day.remainder), "provisional": False, "clean": day.clean}
    # `source` null: a statement is not the HIS.
    _save(connection, (day.hospital, EVERY_FEED, day.day), {"source": None, **day.summary()}, marks, now)


def _save(
    connection: Connection,
    of: tuple[str, str, date],
    figures: Mapping[str, object],
    marks: Mapping[str, object],
    now: datetime,
) -> None:
    key = dict(zip(("hospital", "feed", "day"), of, strict=True))
    values = {"counts": json.dumps(figures, ensure_ascii=False, sort_keys=True), **marks, "at": now}
    sealed = made(connection, "reconciliation", *of, *values.values())
    upsert(connection, reconciliation, key, {**values, "mac": sealed})
