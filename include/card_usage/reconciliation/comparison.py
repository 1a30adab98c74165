"""Comparison: the HIS against the ledger, first by minute, then record by record in the minutes that need it.

    counts    one grouped query at the HIS, a feed and day: records, refunds and a checksum over all rows, by minute
    keys      minutes whose counts differ from the ledger's: the HIS's keys and refunds, window by window
    rows      minutes whose checksum is not the one they had when the ledger was last level with them: whole rows, their
              content normalized and digested as staging does it

Which windows those are is chosen in `card_usage.reconciliation.minute_ranges`, their records are compared in
`.record_comparison`, and what differs is written down in `.event_marks`. Nothing is staged and nothing is sent. A
database without a checksum (SQLite) is compared whole each time. Memory: one window of keys on each side, the keys that
only one side has, and some 14 bytes for each record compared (`key_set`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from card_usage.config.hospital import Hospital
from card_usage.ledger import counts
from card_usage.ledger.database import Ledger
from card_usage.reconciliation import event_marks, source_checksums
from card_usage.reconciliation.balance import Difference, Reconciliation, SourceCount
from card_usage.reconciliation.minute_ranges import MINUTES, SLICE, Differing, differing, expected, parts
from card_usage.reconciliation.reconcile import read_day, save, weigh
from card_usage.reconciliation.record_comparison import compare_records
from card_usage.reconciliation.records import FeedOfDay, His, Normalize
from card_usage.reconciliation.source_checksums import Marker
from card_usage.windows import Window, day_window

MOST_UNKNOWN: Final = 10 * SLICE
"""Of a day that the ledger knows nothing of, more than this are late by count alone."""

RECOUNTS: Final = 3
"""How often a feed is compared if events of it are staged meanwhile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """What came of one feed's day. `minutes`: how many of the 1440 had to be compared record by record."""

    source: SourceCount
    minutes: int
    difference: Difference


def recount_day(
    ledger: Ledger, his: His, hospital: Hospital, day: date, normalize: Callable[[str], Normalize], *, now: datetime
) -> Reconciliation:
    """Reconcile a day from the HIS on: every feed compared, weighed and saved. `normalize` by feed."""
    compared: dict[str, Compared] = {}
    left: tuple[str, ...] = hospital.his.feeds
    for _ in range(RECOUNTS):
        for feed in left:
            compared[feed] = compare_feed(ledger, his, hospital.id, feed, day, now=now, draft=normalize(feed))
        with ledger.read() as connection:
            ledger_day = read_day(connection, hospital, day, now=now)
        # Staged while it was compared: what is late or vanished is no longer what it was.
        left = tuple(feed for feed in left if compared[feed].difference.staged != ledger_day.staged(feed))
        if not left:
            break
    result = weigh(
        hospital,
        day,
        ledger_day,
        {feed: of_feed.source for feed, of_feed in compared.items()},
        now=now,
        compared={feed: of_feed.difference for feed, of_feed in compared.items()},
    )
    with ledger.write() as connection:
        save(connection, result, now)
    return result


def compare_feed(
    ledger: Ledger, his: His, hospital: str, feed: str, day: date, *, now: datetime, draft: Normalize
) -> Compared:
    """Compare one feed's day and mark what differs. The ledger is read before the HIS is asked."""
    window = day_window(day)
    with ledger.read() as connection:
        known = source_checksums.load(connection, hospital, feed, day)
        held = counts.minutes(connection, hospital, feed, day)
    tallies = his.minutes(feed, window.start, window.end)
    marker = Marker(ledger.day_keys.of(hospital).standing(day), hospital, feed, day, tallies)
    odd = differing(tallies, held, known, marker)
    vanished = sum(minute.vanished for minute in held)
    staged = vanished + sum(minute.present for minute in held)
    records = sum(tally.rows for tally in tallies)
    of_day = FeedOfDay(ledger, his, hospital, feed, window, draft, now)
    if not odd.odd or (not staged and records > MOST_UNKNOWN):
        event_marks.save_absent(of_day, {})
        return Compared(
            source=SourceCount(records, sum(tally.voided for tally in tallies)),
            minutes=0,
            difference=Difference(late=0 if staged else records, vanished=vanished, refunds=0, staged=staged),
        )
    rows = expected(tallies, held)
    while True:
        windows, minutes = parts(window, odd, rows)
        found = compare_records(of_day, windows, minutes)
        if not found.elsewhere or len(minutes) == len(MINUTES):
            break
        # The ledger has some of these under another minute, or only now: look for keys in the whole day.
        odd = Differing.all()
    event_marks.mark_records(of_day, found)
    with ledger.write() as connection:
        source_checksums.save(connection, hospital, feed, day, marker.marks(), now=now)
    absent = {"late_in_source": found.late, "moved_here": found.moved, "refunds_not_staged": found.taken_back}
    event_marks.save_absent(of_day, absent, found.masked)
    even = [tally for tally in tallies if tally.minute is not None and tally.minute not in minutes]
    newly_vanished = sum(not row.vanished for row in found.only_ledger)
    return Compared(
        source=SourceCount(
            sum(tally.rows for tally in even) + found.records, sum(tally.voided for tally in even) + found.voided
        ),
        minutes=len(minutes),
        difference=Difference(
            late=len(found.late),
            vanished=vanished + newly_vanished - len(found.reappeared),
            moved_here=len(found.moved),
            refunds=len(found.taken_back),
            staged=staged,
        ),
    )


def record_checksums(ledger: Ledger, his: His, hospital: str, feed: str, window: Window, *, now: datetime) -> None:
    """Before a window is staged: write down how the HIS looks. What is the same later was staged as it is."""
    keys = ledger.day_keys.of(hospital)
    for day in window.days:
        start, end = max(window.start, day_window(day).start), min(window.end, day_window(day).end)
        marker = Marker(keys.current(day), hospital, feed, day, his.minutes(feed, start, end))
        hours = range(start.hour, (end - timedelta(microseconds=1)).hour + 1)
        with ledger.write() as connection:
            source_checksums.save(connection, hospital, feed, day, marker.marks(hours), hours=hours, now=now)
