"""Record comparison: a feed's day at the HIS against the ledger, record by record, one window after the other.

Promises: the ledger is read as it was before the HIS is asked, so that a record that comes and is staged meanwhile does
not look vanished; memory holds one window of keys on each side, the keys that only one side has, and some 14 bytes for
each record compared, to know a key that comes again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime

from sqlalchemy import Connection, or_, select

from card_usage.events import event_key
from card_usage.ledger import counts
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event
from card_usage.reconciliation.event_marks import mark_contents
from card_usage.reconciliation.minute_ranges import MINUTES, Part
from card_usage.reconciliation.records import (
    BATCH,
    CONTENT_CHANGES,
    SOURCE_ID,
    ContentChange,
    FeedOfDay,
    Found,
    LedgerRow,
)
from card_usage.staging.changes import compare, stored_events
from card_usage.staging.drafts import Draft
from card_usage.standard.characters import source_key
from card_usage.standard.misplaced import MASK, masked_key


def compare_records(of_day: FeedOfDay, windows: Sequence[Part], minutes: frozenset[int]) -> Found:
    """Compare the records of these windows, which cover `minutes` of the day. Changes of content are marked at once."""
    found = Found()
    with of_day.ledger.read() as connection:
        rows = _RowsByTime(_ledger_rows(connection, of_day, minutes))
        found.only_ledger += rows.without_time()
        for part in windows:
            _compare_window(of_day, part, rows.until(part.window.end), found)
    _match_across_windows(of_day, found)
    _place_unknown(of_day, found)
    _refund_repeated(of_day, found)
    return found


class _RowsByTime:
    """A stream of ledger rows in the order of their time, those without one first, taken window by window."""

    def __init__(self, rows: Iterator[LedgerRow]) -> None:
        self._rows = rows
        self._ahead = next(rows, None)

    def without_time(self) -> Iterator[LedgerRow]:
        """Those at the start of the stream that have no readable time."""
        while self._ahead is not None and self._ahead.at is None:
            yield self._take(self._ahead)

    def until(self, end: datetime) -> dict[str, LedgerRow]:
        """The next ones before `end`, by their key at the HIS."""
        taken: dict[str, LedgerRow] = {}
        while self._ahead is not None and self._ahead.at is not None and self._ahead.at < end:
            row = self._take(self._ahead)
            taken[row.source_id] = row
        return taken

    def _take(self, row: LedgerRow) -> LedgerRow:
        self._ahead = next(self._rows, None)
        return row


def _ledger_rows(connection: Connection, of_day: FeedOfDay, minutes: frozenset[int]) -> Iterator[LedgerRow]:
    """Events of these minutes in the order of their time, those without one first."""
    columns = (event.c.id, event.c.source_id, event.c.status)
    marked = (event.c[name].is_not(None) for name in ("voided_at", "vanished_at", "changed_at"))
    query = (
        select(*columns, *marked, event.c.digest, event.c.occurred_at, event.c.digest_key)
        .where(event.c.hospital == of_day.hospital, event.c.day == of_day.day, event.c.feed == of_day.feed)
        .order_by(event.c.occurred_at.asc().nulls_first())
    )
    if len(minutes) < len(MINUTES):
        inside = counts.minute_of(event.c.occurred_at).in_(sorted(minutes))
        query = query.where(or_(event.c.occurred_at.is_(None), inside))
    options = {"stream_results": True, "max_row_buffer": BATCH}
    for batch in connection.execute(query, execution_options=options).partitions(BATCH):
        yield from map(LedgerRow._make, batch)


def _compare_window(of_day: FeedOfDay, part: Part, rows: dict[str, LedgerRow], found: Found) -> None:
    """The HIS's records of one window against the ledger's rows of it."""
    changes: list[ContentChange] = []
    unmatched: list[Draft] = []
    for source_id, is_voided, draft in _source_records(of_day, part):
        comes_first = found.seen.add(source_id)
        refunded_first = is_voided and found.refunded_keys.add(source_id)
        if not comes_first:  # the HIS says it twice: staging takes the first, and a refund in any copy
            if refunded_first:
                found.voided += 1
                found.refunded_again.add(source_id)
            continue
        found.records += 1
        found.voided += is_voided
        row = rows.pop(source_id[:SOURCE_ID], None)
        if row is None and rows:
            row = rows.pop(_masked(of_day, source_id), None)
        if row is None:
            found.only_his[source_id] = is_voided
            if draft is not None:
                unmatched.append(draft)
            continue
        found.matched(row, source_id, is_voided)
        if draft is not None and (change := row.against(draft)) in CONTENT_CHANGES:
            changes.append(ContentChange(change, row.id, row.at))
    found.only_ledger += rows.values()
    mark_contents(of_day, changes + _changes_at_other_times(of_day.ledger, unmatched))


def _masked(of_day: FeedOfDay, source_id: str) -> str:
    """The key as the ledger has it if it is patient data."""
    return masked_key(event_key(of_day.hospital, of_day.feed, source_id))


def _source_records(of_day: FeedOfDay, part: Part) -> Iterator[tuple[str, bool, Draft | None]]:
    """Key and refund of each record of a window; with what staging would make of it where that may have changed."""
    start, end = part.window.start, part.window.end
    if not part.changed:
        for source_id, voided in of_day.his.keys(of_day.feed, start, end):
            yield source_id, voided, None
        return
    for batch in of_day.his.rows(of_day.feed, start, end):
        for row in batch:
            yield source_key(row.source_id), bool(row.voided), of_day.draft(row, of_day.window)


def _changes_at_other_times(ledger: Ledger, drafts: Sequence[Draft]) -> list[ContentChange]:
    """Changes of records that the ledger may have at another time than the HIS."""
    changes = []
    for start in range(0, len(drafts), BATCH):
        by_key = {draft.key: draft for draft in drafts[start : start + BATCH]}
        with ledger.read() as connection:
            known_events = stored_events(connection, list(by_key))
        for key, known_event in known_events.items():
            if known_event.stands_elsewhere(by_key[key]):
                continue
            if (change := compare(known_event, by_key[key])) in CONTENT_CHANGES:
                changes.append(ContentChange(change, known_event.id, known_event.occurred_at))
    return changes


def _match_across_windows(of_day: FeedOfDay, found: Found) -> None:
    """Match what one side had in one window and the other side in another."""
    shortened = {source_id[:SOURCE_ID]: source_id for source_id in found.only_his}
    if any(row.source_id.startswith(MASK) for row in found.only_ledger):
        shortened |= {_masked(of_day, source_id): source_id for source_id in found.only_his}
    still_alone: list[LedgerRow] = []
    for row in found.only_ledger:
        source_id = shortened.pop(row.source_id, None)
        if source_id is None:
            still_alone.append(row)
        else:
            found.matched(row, source_id, found.only_his.pop(source_id))
    found.only_ledger = still_alone


def _refund_repeated(of_day: FeedOfDay, found: Found) -> None:
    """Records of which a later copy alone is refunded: they are refunded, whatever their first copy says."""
    source_ids = list(found.refunded_again)
    marked = (event.c[name].is_not(None) for name in ("voided_at", "vanished_at", "changed_at"))
    columns = (event.c.id, event.c.source_id, event.c.status)
    query = select(*columns, *marked, event.c.digest, event.c.occurred_at, event.c.digest_key)
    for start in range(0, len(source_ids), BATCH):
        keys = [event_key(of_day.hospital, of_day.feed, each) for each in source_ids[start : start + BATCH]]
        with of_day.ledger.read() as connection:
            rows = [LedgerRow._make(row) for row in connection.execute(query.where(event.c.key.in_(keys)))]
        refunded = {row.id for row in rows}
        found.unrefunded = [event_id for event_id in found.unrefunded if event_id not in refunded]
        found.refunded += [row for row in rows if not row.voided]
    found.taken_back = [source_id for source_id in found.taken_back if source_id not in found.refunded_again]


def _place_unknown(of_day: FeedOfDay, found: Found) -> None:
    """Where in the ledger the records are that only the HIS had in these windows: nowhere, another day, elsewhere."""
    source_ids = list(found.only_his)
    for start in range(0, len(source_ids), BATCH):
        keys = {event_key(of_day.hospital, of_day.feed, each): each for each in source_ids[start : start + BATCH]}
        query = select(event.c.key, event.c.day).where(event.c.key.in_(keys))
        with of_day.ledger.read() as connection:
            days: dict[str, date] = {row.key: row.day for row in connection.execute(query)}
        for key, source_id in keys.items():
            if key not in days:
                found.late.append(source_id)
            elif days[key] != of_day.day:
                found.moved.append(source_id)
            else:
                found.elsewhere = True
                found.records -= 1
                found.voided -= found.only_his[source_id]
