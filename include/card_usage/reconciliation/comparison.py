"""Comparison: the HIS against the ledger, first by minute, then event by event in the minutes that need it.

    counts    one grouped query at the HIS, a feed and day: records, refunds and a checksum over all rows, by minute
    keys      minutes whose counts differ from the ledger's: the HIS's keys and refunds, window by window
    rows      minutes whose checksum is not the one they had when the ledger was last level with them: whole rows, their
              content normalized and digested as staging does it

What only the ledger has is marked vanished; what only the HIS has is listed by its key (table `absent`); refunds, and
refunds taken back, and changes are marked as staging would. Marks that are no longer true are taken away. Nothing is
staged and nothing is sent. A database without a checksum (SQLite) is compared whole each time. Memory: one window of
keys on each side (`card_usage.reconciliation.minute_ranges`), and the keys that only one side has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple, Protocol

from sqlalchemy import Connection, and_, delete, insert, or_, select, update

from card_usage.config.hospital import Hospital
from card_usage.events import SourceRow, event_key
from card_usage.ledger import counts
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import absent, event
from card_usage.reconciliation import source_checksums
from card_usage.reconciliation.balance import Difference, Reconciliation, SourceCount
from card_usage.reconciliation.minute_ranges import MINUTES, SLICE, Differing, Part, differing, expected, parts
from card_usage.reconciliation.reconcile import keep, read_day, weigh
from card_usage.reconciliation.source_checksums import Marker
from card_usage.source.tallies import MinuteTally, SourceKey
from card_usage.staging import unchanged_hours as staged_hours
from card_usage.staging.intake import VOIDABLE, Change, Draft, Known, compare, known, void
from card_usage.windows import HOUR, Window, day_window

BATCH: Final = 5_000
MOST_UNKNOWN: Final = 10 * SLICE
"""Of a day that the ledger knows nothing of, more than this are late by count alone."""

MOST_LISTED: Final = 10_000
"""Keys of one kind, feed and day that are listed; all are counted."""

_SOURCE_ID: Final = 128


class His(Protocol):
    """What a comparison asks of a `card_usage.source.reader.Source`."""

    def minutes(self, feed: str, window_start: datetime, window_end: datetime) -> list[MinuteTally]:
        """Records, refunds and checksum by minute."""
        ...

    def keys(self, feed: str, window_start: datetime, window_end: datetime) -> list[SourceKey]:
        """Every record's own key, and whether it is refunded."""
        ...

    def rows(self, feed: str, window_start: datetime, window_end: datetime) -> Iterator[list[SourceRow]]:
        """Whole rows."""
        ...


class Held(NamedTuple):
    """One event of the ledger, as far as it is compared. `at`: None where the HIS says no readable time."""

    id: int
    source_id: str
    status: str
    voided: bool
    vanished: bool
    changed: bool
    digest: str
    at: datetime | None

    def against(self, draft: Draft) -> Change:
        """What the HIS's row means for it, by the table of intake."""
        return compare(Known(self.id, "", self.status, self.digest, self.at, self.voided, self.changed, ()), draft)


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """What came of one feed's day. `minutes`: how many of the 1440 had to be compared event by event."""

    source: SourceCount
    minutes: int
    difference: Difference


@dataclass(slots=True)
class _Found:
    """Of the slices compared so far."""

    distinct: int = 0
    voided: int = 0
    only_his: dict[str, bool] = field(default_factory=dict)
    only_ledger: list[Held] = field(default_factory=list)
    back: list[int] = field(default_factory=list)
    refunded: list[Held] = field(default_factory=list)
    unrefunded: list[int] = field(default_factory=list)
    taken_back: list[str] = field(default_factory=list)


Normalize = Callable[[SourceRow, Window], Draft]
"""How staging normalizes a row of a window (`stage.Drafter.draft`)."""


RECOUNTS: Final = 3
"""How often a feed is compared if events of it are staged meanwhile."""


def recount_day(
    ledger: Ledger, his: His, hospital: Hospital, day: date, normalize: Callable[[str], Normalize], *, now: datetime
) -> Reconciliation:
    """Reconcile a day from the HIS on: every feed compared, weighed and kept. `normalize` by feed."""
    compared: dict[str, Compared] = {}
    left: tuple[str, ...] = hospital.his.feeds
    for _ in range(RECOUNTS):
        for feed in left:
            compared[feed] = compare_feed(ledger, his, hospital.id, feed, day, now=now, draft=normalize(feed))
        with ledger.read() as connection:
            read = read_day(connection, hospital, day, now=now)
        # Staged while it was compared: what is late or vanished is no longer what it was.
        left = tuple(feed for feed in left if compared[feed].difference.staged != read.staged(feed))
        if not left:
            break
    result = weigh(
        hospital,
        day,
        read,
        {feed: one.source for feed, one in compared.items()},
        now=now,
        compared={feed: one.difference for feed, one in compared.items()},
    )
    with ledger.write() as connection:
        keep(connection, result, now)
    return result


def compare_feed(
    ledger: Ledger, his: His, hospital: str, feed: str, day: date, *, now: datetime, draft: Normalize
) -> Compared:
    """Compare one feed's day and mark what differs. The ledger is read before the HIS is asked."""
    window = day_window(day)
    with ledger.read() as connection:
        marks = source_checksums.find(connection, hospital, feed, day)
        held = counts.minutes(connection, hospital, feed, day)
    tallies = his.minutes(feed, window.start, window.end)
    marker = Marker(ledger.keyring, hospital, feed, day, tallies)
    odd = differing(tallies, held, marks, marker)
    vanished = sum(one.vanished for one in held)
    staged = vanished + sum(one.present for one in held)
    records = sum(one.rows for one in tallies)
    if not odd.odd or (not staged and records > MOST_UNKNOWN):
        _list(ledger, hospital, feed, day, {}, now)
        return Compared(
            source=SourceCount(records, sum(one.voided for one in tallies)),
            minutes=0,
            difference=Difference(late=0 if staged else records, vanished=vanished, refunds=0, staged=staged),
        )
    rows = expected(tallies, held)
    look = _Look(ledger, his, hospital, feed, window, draft, now)
    while True:
        windows, minutes = parts(window, odd, rows)
        found = look.over(windows, minutes)
        moved, late, astray = _match_rest(ledger, hospital, feed, day, found)
        if not astray or len(minutes) == len(MINUTES):
            break
        # The ledger has some of these under another minute, or only now: look for keys in the whole day.
        odd = Differing.all()
    listed = {"late_in_source": late, "moved_here": moved, "refunds_not_staged": found.taken_back}
    _mark_all(ledger, hospital, feed, day, found, now)
    with ledger.write() as connection:
        source_checksums.keep(connection, hospital, feed, day, marker.marks(), now=now)
    _list(ledger, hospital, feed, day, listed, now)
    even = [one for one in tallies if one.minute is not None and one.minute not in minutes]
    newly = sum(not one.vanished for one in found.only_ledger)
    return Compared(
        source=SourceCount(
            sum(one.rows for one in even) + found.distinct, sum(one.voided for one in even) + found.voided
        ),
        minutes=len(minutes),
        difference=Difference(
            late=len(late),
            vanished=vanished + newly - len(found.back),
            moved_here=len(moved),
            refunds=len(found.taken_back),
            staged=staged,
        ),
    )


class _Look(NamedTuple):
    """A feed's day, looked at record by record."""

    ledger: Ledger
    his: His
    hospital: str
    feed: str
    day: Window
    draft: Normalize
    now: datetime

    def over(self, windows: Sequence[Part], minutes: frozenset[int]) -> _Found:
        """Compare the records of these windows, one after the other. The ledger is read as it was before the HIS is
        asked: a record that comes and is staged meanwhile must not look vanished."""
        found = _Found()
        with self.ledger.read() as connection:
            held = _held(connection, self.hospital, self.feed, self.day.day, minutes)
            ahead = next(held, None)
            while ahead is not None and ahead.at is None:
                found.only_ledger.append(ahead)
                ahead = next(held, None)
            for part in windows:
                ours: dict[str, Held] = {}
                while ahead is not None and ahead.at is not None and ahead.at < part.window.end:
                    ours[ahead.source_id] = ahead
                    ahead = next(held, None)
                seen: set[str] = set()
                changes: list[tuple[Change, int, datetime | None]] = []
                strangers: list[Draft] = []
                for source_id, is_voided, draft in self._records(part):
                    if source_id in seen or source_id in found.only_his:
                        continue  # the HIS says it twice: staging takes the first
                    seen.add(source_id)
                    found.distinct += 1
                    found.voided += is_voided
                    one = ours.pop(source_id[:_SOURCE_ID], None)
                    if one is None:
                        found.only_his[source_id] = is_voided
                        if draft is not None:
                            strangers.append(draft)
                        continue
                    _match(found, one, source_id, is_voided)
                    if draft is not None and (change := one.against(draft)) in _CONTENT:
                        changes.append((change, one.id, one.at))
                found.only_ledger += ours.values()
                self._mark_contents(changes + self._elsewhere(strangers))
        return found

    def _records(self, part: Part) -> Iterator[tuple[str, bool, Draft | None]]:
        """Key and refund of each record of a window; with what staging would make of it where that may have changed."""
        start, end = part.window.start, part.window.end
        if not part.changed:
            for source_id, voided in self.his.keys(self.feed, start, end):
                yield source_id, voided, None
            return
        for batch in self.his.rows(self.feed, start, end):
            for row in batch:
                yield str(row.source_id).strip(), bool(row.voided), self.draft(row, self.day)

    def _elsewhere(self, drafts: Sequence[Draft]) -> list[tuple[Change, int, datetime | None]]:
        """Changes of records that the ledger may have at another time than the HIS."""
        found = []
        for start in range(0, len(drafts), BATCH):
            some = {one.key: one for one in drafts[start : start + BATCH]}
            with self.ledger.read() as connection:
                have = known(connection, list(some))
            for key, one in have.items():
                if (change := compare(one, some[key])) in _CONTENT:
                    found.append((change, one.id, one.occurred_at))
        return found

    def _mark_contents(self, changes: Sequence[tuple[Change, int, datetime | None]]) -> None:
        """Mark sent events whose content is another now, as staging does within its look-back days."""
        if not changes:
            return
        with self.ledger.write() as connection:
            left = {staged_hours.floor(at) for _, _, at in changes if at}
            staged_hours.forget(connection, self.hospital, self.feed, left)
            for change, value in _CONTENT.items():
                _mark(
                    connection,
                    "changed_at",
                    [of_id for of, of_id, _ in changes if of is change],
                    self.now if value else None,
                )


_CONTENT: Final = {Change.CHANGED_LATE: True, Change.RESTORED: False}
"""Of what a row may mean, what is said about its content: whether it gets a mark."""


def _held(connection: Connection, hospital: str, feed: str, day: date, minutes: frozenset[int]) -> Iterator[Held]:
    """Events of these minutes in the order of their time, those without one first."""
    columns = (event.c.id, event.c.source_id, event.c.status)
    marks = (event.c[name].is_not(None) for name in ("voided_at", "vanished_at", "changed_at"))
    query = (
        select(*columns, *marks, event.c.digest, event.c.occurred_at)
        .where(event.c.hospital == hospital, event.c.day == day, event.c.feed == feed)
        .order_by(event.c.occurred_at.asc().nulls_first())
    )
    if len(minutes) < len(MINUTES):
        inside = counts.minute_of(event.c.occurred_at).in_(sorted(minutes))
        query = query.where(or_(event.c.occurred_at.is_(None), inside))
    options = {"stream_results": True, "max_row_buffer": BATCH}
    for part in connection.execute(query, execution_options=options).partitions(BATCH):
        yield from map(Held._make, part)


def _match(found: _Found, one: Held, source_id: str, is_voided: bool) -> None:
    if one.vanished:
        found.back.append(one.id)
    if is_voided and not one.voided:
        found.refunded.append(one)
    elif one.voided and not is_voided:
        if one.status == "voided":
            found.taken_back.append(source_id)
        else:
            found.unrefunded.append(one.id)


def _match_rest(
    ledger: Ledger, hospital: str, feed: str, day: date, found: _Found
) -> tuple[list[str], list[str], bool]:
    """Match across windows what only one side had. Returns the keys that moved here, the late ones, and whether the
    ledger has some under a minute that was not compared, or has only now."""
    gone: list[Held] = []
    cut = {source_id[:_SOURCE_ID]: source_id for source_id in found.only_his}
    for one in found.only_ledger:
        source_id = cut.pop(one.source_id, None)
        if source_id is None:
            gone.append(one)
        else:
            _match(found, one, source_id, found.only_his.pop(source_id))
    found.only_ledger = gone
    moved: list[str] = []
    late: list[str] = []
    astray = False
    ids = list(found.only_his)
    for start in range(0, len(ids), BATCH):
        keys = {event_key(hospital, feed, source_id): source_id for source_id in ids[start : start + BATCH]}
        query = select(event.c.key, event.c.day).where(event.c.key.in_(keys))
        with ledger.read() as connection:
            days: dict[str, date] = {row.key: row.day for row in connection.execute(query)}
        for key, source_id in keys.items():
            if key not in days:
                late.append(source_id)
            elif days[key] != day:
                moved.append(source_id)
            else:
                astray = True
                found.distinct -= 1
                found.voided -= found.only_his[source_id]
    return moved, late, astray


def _mark_all(ledger: Ledger, hospital: str, feed: str, day: date, found: _Found, now: datetime) -> None:
    with ledger.write() as connection:
        if found.refunded or found.unrefunded:
            staged_hours.forget(connection, hospital, feed, [day_window(day).start + HOUR * hour for hour in range(24)])
        _mark(connection, "vanished_at", [one.id for one in found.only_ledger if not one.vanished], now)
        _mark(connection, "vanished_at", found.back, None)
        _mark(connection, "voided_at", found.unrefunded, None)
        _mark(connection, "voided_at", [one.id for one in found.refunded if one.status not in VOIDABLE], now)
        unsent = [one.id for one in found.refunded if one.status in VOIDABLE]
        for start in range(0, len(unsent), BATCH):
            void(connection, unsent[start : start + BATCH], now=now)


def _mark(connection: Connection, column: str, ids: Sequence[int], value: datetime | None) -> None:
    for start in range(0, len(ids), BATCH):
        some = event.c.id.in_(ids[start : start + BATCH])
        connection.execute(update(event).where(some).values({column: value}))


def _list(ledger: Ledger, hospital: str, feed: str, day: date, listed: dict[str, list[str]], now: datetime) -> None:
    """Replace what is listed of the day."""
    of_day = and_(absent.c.hospital == hospital, absent.c.day == day, absent.c.feed == feed)
    common = {"hospital": hospital, "feed": feed, "day": day, "found_at": now}
    rows = [
        common | {"kind": kind, "source_id": source_id[:_SOURCE_ID]}
        for kind, ids in listed.items()
        for source_id in sorted(ids)[:MOST_LISTED]
    ]
    with ledger.write() as connection:
        connection.execute(delete(absent).where(of_day))
        if rows:
            connection.execute(insert(absent), rows)


def note(ledger: Ledger, his: His, hospital: str, feed: str, window: Window, *, now: datetime) -> None:
    """Before a window is staged: write down how the HIS looks. What is the same later was staged as it is."""
    for day in window.days:
        start, end = max(window.start, day_window(day).start), min(window.end, day_window(day).end)
        marker = Marker(ledger.keyring, hospital, feed, day, his.minutes(feed, start, end))
        hours = range(start.hour, (end - timedelta(microseconds=1)).hour + 1)
        with ledger.write() as connection:
            source_checksums.keep(connection, hospital, feed, day, marker.marks(hours), hours=hours, now=now)
