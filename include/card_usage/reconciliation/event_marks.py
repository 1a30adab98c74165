"""Event marks: what a comparison writes down: marks on events (vanished, refunded, changed), a list of absent keys.

What only the ledger has is marked vanished; what only the HIS has is listed by its key (table `absent`); refunds, and
refunds taken back, and changes are marked as staging would. Marks that are no longer true are taken away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection, and_, delete, insert, select, update

from card_usage.ledger.schema import absent, event
from card_usage.reconciliation.records import BATCH, CONTENT_CHANGES, SOURCE_ID, ContentChange, FeedOfDay, Found
from card_usage.staging import unchanged_hours
from card_usage.staging.changes import VOIDABLE, days_of, days_text
from card_usage.staging.intake import void
from card_usage.standard.misplaced import shown_key
from card_usage.windows import HOUR

MOST_LISTED: Final = 10_000
"""Keys of one kind, feed and day that are listed; all are counted."""


def mark_contents(of_day: FeedOfDay, changes: Sequence[ContentChange]) -> None:
    """Mark sent events whose content is another now, as staging does within its look-back days."""
    if not changes:
        return
    with of_day.ledger.write() as connection:
        hours = {unchanged_hours.floor(changed.at) for changed in changes if changed.at}
        unchanged_hours.forget(connection, of_day.hospital, of_day.feed, hours)
        for change, is_marked in CONTENT_CHANGES.items():
            events = [changed.event_id for changed in changes if changed.change is change]
            _mark(connection, "changed_at", events, of_day.now if is_marked else None)


def mark_records(of_day: FeedOfDay, found: Found) -> None:
    """Mark what vanished and what was refunded, and take away what is no longer true."""
    now = of_day.now
    with of_day.ledger.write() as connection:
        if found.refunded or found.unrefunded:
            hours = [of_day.window.start + HOUR * hour for hour in range(24)]
            unchanged_hours.forget(connection, of_day.hospital, of_day.feed, hours)
        _mark(connection, "vanished_at", [row.id for row in found.only_ledger if not row.vanished], now)
        _mark(connection, "vanished_at", found.reappeared, None)
        _take_refund_back(connection, found.unrefunded, of_day.day)
        _mark(connection, "voided_at", [row.id for row in found.refunded if row.status not in VOIDABLE], now)
        unsent = [row.id for row in found.refunded if row.status in VOIDABLE]
        for start in range(0, len(unsent), BATCH):
            void(connection, unsent[start : start + BATCH], now=now)


def _take_refund_back(connection: Connection, events: Sequence[int], day: date) -> None:
    """This day says not refunded: so are the events, but for those that another day's copy says are."""
    for start in range(0, len(events), BATCH):
        of_batch = event.c.id.in_(events[start : start + BATCH])
        connection.execute(update(event).where(of_batch, event.c.refund_days.is_(None)).values(voided_at=None))
        several = select(event.c.id, event.c.refund_days).where(of_batch, event.c.refund_days.is_not(None))
        for event_id, text in connection.execute(several).all():
            left = days_of(text) - {day}
            values = {"refund_days": days_text(left, day)} | ({} if left else {"voided_at": None})
            connection.execute(update(event).where(event.c.id == event_id).values(values))


def _mark(connection: Connection, column: str, events: Sequence[int], value: datetime | None) -> None:
    for start in range(0, len(events), BATCH):
        of_batch = event.c.id.in_(events[start : start + BATCH])
        connection.execute(update(event).where(of_batch).values({column: value}))


def save_absent(
    of_day: FeedOfDay, keys: Mapping[str, Sequence[str]], masked: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Replace what is listed of the day: keys of the HIS by the class that they count in.

    A key that may be patient data is listed masked; `masked`: those that the ledger masks.
    """
    hospital, feed, day = of_day.hospital, of_day.feed, of_day.day
    common = {"hospital": hospital, "feed": feed, "day": day, "found_at": of_day.now}
    rows = [
        common
        | {"kind": kind, "source_id": (masked.get(source_id) or shown_key(hospital, feed, source_id))[:SOURCE_ID]}
        for kind, source_ids in keys.items()
        for source_id in sorted(source_ids)[:MOST_LISTED]
    ]
    with of_day.ledger.write() as connection:
        of_feed = and_(absent.c.hospital == hospital, absent.c.day == day, absent.c.feed == feed)
        connection.execute(delete(absent).where(of_feed))
        if rows:
            connection.execute(insert(absent), rows)
