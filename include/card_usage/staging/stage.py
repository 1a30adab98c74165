"""Stage: rows of one feed and window from the HIS into the ledger, normalized, judged and sealed.

Memory: one batch, and some 14 bytes for each row of a day, to know a key that comes again (`key_set`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import chain
from time import perf_counter
from typing import Final, NamedTuple

from card_usage.config.hospital import Hospital
from card_usage.errors import DayKeyClosed
from card_usage.events import SourceRow
from card_usage.gc_tuning import collected_every, collection_paused
from card_usage.key_set import KeySet
from card_usage.ledger.database import Ledger
from card_usage.ledger.patient_cards import CardMap
from card_usage.ledger.scope import BACKFILL, LIVE
from card_usage.staging import unchanged_hours
from card_usage.staging.coverage import WindowStatus, record_window
from card_usage.staging.drafts import Draft, Drafter
from card_usage.staging.hour_chunks import HourChunk, fingerprint, hour_chunks, row_text
from card_usage.staging.intake import take_in
from card_usage.standard.aliases import Aliases
from card_usage.standard.characters import source_key
from card_usage.standard.code_tables import CodeTable
from card_usage.windows import HOUR, Window

_CHUNKS_PER_COLLECTION: Final = 20
_COUNTS: Final = ("read", "new", "unchanged", "changed", "voided", "marked", "duplicate", "quarantined")
_PUT_OFF: Final = 5_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Staged:
    """What staging one feed and window came to, in rows. `quarantined` counts among new and changed ones.

    `status`: closed, or provisional while the replica has not provably passed the window's end.
    """

    feed: str
    window: str
    status: str
    read: int
    new: int
    unchanged: int
    changed: int
    voided: int
    marked: int
    duplicate: int
    quarantined: int
    seconds: float

    @classmethod
    def total(cls, parts: Sequence[Staged], window: Window) -> Staged:
        """The parts of a feed's window as one; it is closed if all of them are."""
        return cls(
            feed=parts[0].feed,
            window=str(window),
            status="closed" if all(part.status == "closed" for part in parts) else "provisional",
            seconds=round(sum(part.seconds for part in parts), 3),
            **{name: sum(getattr(part, name) for part in parts) for name in _COUNTS},
        )

    def summary(self) -> dict[str, object]:
        """Counts only, fit for logs and XCom."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class _FeedWindow:
    """What is staged, and how the ledger records it. `status`: of the window, once all of it is in."""

    hospital: str
    feed: str
    window: Window
    lane: int
    status: WindowStatus
    now: datetime


class _DigestedChunk(NamedTuple):
    """A chunk to process; `digest` None: there is nothing to recognize it by the next time."""

    chunk: HourChunk
    digest: str | None


@dataclass(slots=True)
class _Drafts:
    """Drafts of a chunk: of rows whose key comes for the first time, and of refunds that repeat one. `repeats`: there
    was a row whose key had come before."""

    first: list[Draft]
    refunds: list[Draft]
    repeats: bool = False


class _Staging:
    """One feed's window on its way into the ledger; hours that are as they were when last staged are skipped."""

    def __init__(self, ledger: Ledger, target: _FeedWindow, drafter: Drafter, fingerprint: str) -> None:
        self._ledger, self._target, self._drafter, self._fingerprint = ledger, target, drafter, fingerprint
        self._counts: Counter[str] = Counter()
        with ledger.read() as connection:
            self._remembered = unchanged_hours.remembered(connection, target.hospital, target.feed, target.window)
        self._parts_read: set[unchanged_hours.Part] = set()
        self._skipped: dict[unchanged_hours.Part, str] = {}
        # A key that the HIS has twice is one use, wherever in the window its copies are: as the first one says, but
        # refunded if any of them is.
        self._seen = KeySet()
        self._refunded: set[str] = set()
        self._put_off: list[Draft] = []

    def run(self, chunks: Iterable[HourChunk], batch_size: int) -> Counter[str]:
        """Take everything in, `batch_size` rows a transaction, and record the window."""
        # Databases write without holding Python's lock: meanwhile the next rows are read and drafted.
        with collection_paused(), ThreadPoolExecutor(1, thread_name_prefix="intake") as thread:
            writing: Future[Counter[str]] | None = None
            for batch in self._batches(collected_every(chunks, every=_CHUNKS_PER_COLLECTION), batch_size):
                drafts = [self._drafts(chunk.rows) for chunk, _ in batch]
                if writing is not None:
                    self._counts += writing.result()
                writing = thread.submit(self._write_by_open_keys, batch, drafts)
                del batch, drafts  # else they would live on beside the next ones
            if writing is not None:
                self._counts += writing.result()
        self._take_refunds_back()
        self._record()
        return self._counts

    def _drafts(self, rows: list[SourceRow]) -> _Drafts:
        """Drafts of rows whose keys have not come before, and of refunds of those that have."""
        draft, window, comes_first = self._drafter.draft, self._target.window, self._seen.add
        drafts = _Drafts([], [])
        for row in rows:
            if comes_first(source_key(row.source_id)):
                drafts.first.append(draft(row, window))
                continue
            self._counts.update(read=1, duplicate=1)
            drafts.repeats = True
            if row.voided:
                drafts.refunds.append(refund := draft(row, window))
                self._refunded.add(refund.key)
        return drafts

    def _take_refunds_back(self) -> None:
        """What was put off until every row had come: the HIS says not refunded, and so do all copies, or not."""
        target = self._target
        stays = [draft for draft in self._put_off if draft.key in self._refunded]
        self._counts.update(read=len(stays), unchanged=len(stays))
        drafts = [draft for draft in self._put_off if draft.key not in self._refunded]
        for start in range(0, len(drafts), _PUT_OFF):
            with self._ledger.write() as connection:
                part = drafts[start : start + _PUT_OFF]
                taken = take_in(
                    connection,
                    target.hospital,
                    target.feed,
                    part,
                    lane=target.lane,
                    now=target.now,
                    drafter=self._drafter,
                )
            self._counts += taken.counts

    def _batches(self, chunks: Iterable[HourChunk], batch_size: int) -> Iterator[list[_DigestedChunk]]:
        """Chunks that have to be processed."""
        batch: list[_DigestedChunk] = []
        rows = 0
        for chunk in chunks:
            digest = self._digest(chunk)
            if self._is_unchanged(chunk, digest):
                continue
            batch.append(_DigestedChunk(chunk, digest))
            rows += len(chunk.rows)
            if rows >= batch_size:
                yield batch
                batch, rows = [], 0
        if batch:
            yield batch

    def _digest(self, chunk: HourChunk) -> str | None:
        if chunk.hour is None or not (text := row_text(chunk.rows)):
            return None
        return self._drafter.keys.current(chunk.hour.date()).digest(f"{self._fingerprint}{text}")

    def _is_unchanged(self, chunk: HourChunk, digest: str | None) -> bool:
        """Whether the chunk is as it was when it was last staged; it is counted then."""
        if chunk.hour is None:
            return False
        part = (chunk.hour, chunk.part)
        self._parts_read.add(part)
        if digest is None or self._remembered.get(part) != digest:
            return False
        self._skipped[part] = digest
        for row in chunk.rows:
            self._seen.add(source_key(row.source_id))
        self._counts.update(read=len(chunk.rows), unchanged=len(chunk.rows))
        return True

    def _write_by_open_keys(self, batch: list[_DigestedChunk], drafts: list[_Drafts]) -> Counter[str]:
        """Write; a batch by a key that was closed meanwhile is drafted again by the next one."""
        while True:
            try:
                return self._write(batch, drafts)
            except DayKeyClosed as closed:
                self._drafter.keys.leave(str(closed.details["key_id"]))
                batch = [_DigestedChunk(chunk, self._digest(chunk)) for chunk, _ in batch]
                drafts = [self._drafts_again(chunk.rows, of) for (chunk, _), of in zip(batch, drafts, strict=True)]

    def _drafts_again(self, rows: list[SourceRow], before: _Drafts) -> _Drafts:
        """The same drafts by other keys."""
        first, refunds = {draft.key for draft in before.first}, {draft.key for draft in before.refunds}
        again = _Drafts([], [], before.repeats)
        for row in rows:
            draft = self._drafter.draft(row, self._target.window)
            if draft.key in first:
                first.remove(draft.key)
                again.first.append(draft)
            elif row.voided and draft.key in refunds:
                again.refunds.append(draft)
        return again

    def _write(self, batch: list[_DigestedChunk], drafts: list[_Drafts]) -> Counter[str]:
        """One transaction: rows, and the digests of chunks that the ledger now holds row for row."""
        target = self._target
        hospital, feed = target.hospital, target.feed
        with self._ledger.write() as connection:
            every = list(chain.from_iterable(of_chunk.first for of_chunk in drafts))
            taken = take_in(
                connection,
                hospital,
                feed,
                every,
                lane=target.lane,
                now=target.now,
                put_off=True,
                drafter=self._drafter,
            )
            counts = taken.counts
            if refunds := list(chain.from_iterable(of_chunk.refunds for of_chunk in drafts)):
                late = take_in(connection, hospital, feed, refunds, lane=target.lane, now=target.now)
                counts.update(voided=late.counts["voided"], marked=late.counts["marked"])
                taken.differing.update(late.differing)
            self._put_off += taken.put_off
            digests = {
                (chunk.hour, chunk.part): digest
                for (chunk, digest), of_chunk in zip(batch, drafts, strict=True)
                if chunk.hour is not None
                and digest is not None
                and not of_chunk.repeats
                and _is_stored(of_chunk.first, chunk.hour, taken.differing)
            }
            others = {chunk.hour for chunk, _ in batch if chunk.hour and (chunk.hour, chunk.part) not in digests}
            unchanged_hours.forget(connection, hospital, feed, others)
            unchanged_hours.remember(connection, hospital, feed, digests)
        return counts

    def _record(self) -> None:
        """Record the window, and forget hours that the HIS no longer has or that another run changed meanwhile."""
        target = self._target
        hospital, feed, window = target.hospital, target.feed, target.window
        with self._ledger.write() as connection:
            unchanged_hours.lock(connection, hospital, feed)
            remembered = unchanged_hours.remembered(connection, hospital, feed, window)
            stale = {hour for (hour, part), digest in self._skipped.items() if remembered.get((hour, part)) != digest}
            gone = {hour for hour, _ in remembered.keys() - self._parts_read}
            unchanged_hours.forget(connection, hospital, feed, stale | gone)
            unchanged_hours.purge(connection, hospital, feed, window.start)
            record_window(
                connection,
                hospital=hospital,
                feed=feed,
                start=window.start,
                end=window.end,
                status=target.status,
                source_rows=self._counts["read"],
                repeated_rows=self._counts["duplicate"],
                now=target.now,
            )


def _is_stored(drafts: list[Draft], hour: datetime, differing: set[str]) -> bool:
    """Whether the ledger holds these rows as they are, under the hour that the HIS named."""
    end = hour + HOUR
    for draft in drafts:
        at = draft.card_use.occurred_at
        if at is None or not hour <= at < end or draft.key in differing:
            return False
    return True


def stage(
    batches: Iterable[list[SourceRow]],
    *,
    hospital: Hospital,
    feed: str,
    window: Window,
    ledger: Ledger,
    tables: Mapping[str, CodeTable],
    aliases: Aliases,
    backfill: bool,
    now: datetime,
    passed: bool = True,
) -> Staged:
    """Bring a feed's rows of one window into the ledger, a transaction a batch. Repeating it changes nothing.

    `passed`: whether the replica was known to be past the window's end before the first row was read.
    """
    began = perf_counter()
    target = _FeedWindow(
        hospital=hospital.id,
        feed=feed,
        window=window,
        lane=BACKFILL if backfill else LIVE,
        status="closed" if passed and window.ended_by(now) else "provisional",
        now=now,
    )
    drafter = Drafter(hospital, feed, tables, aliases, ledger.day_keys.of(hospital.id))
    drafter.cards = CardMap.of(ledger, hospital)
    staging = _Staging(ledger, target, drafter, fingerprint(hospital, tables, aliases))
    counts = staging.run(hour_chunks(batches), hospital.his.fetch_size)
    return Staged(
        feed=feed,
        window=str(window),
        status=target.status,
        seconds=round(perf_counter() - began, 3),
        **{name: counts[name] for name in _COUNTS},
    )
