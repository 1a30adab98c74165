"""The verbs of the pipeline, as the command line and Airflow's tasks both call them.

A `Pipeline` is one hospital with its ledger, its code tables and a way to resolve connections. Each verb takes a window
and the present instant, may be repeated for the same window without harm, and returns counts only: nothing that comes
out of here says who a patient is.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time

from card_usage.context import Context
from card_usage.delivery.deliverer import deliver
from card_usage.delivery.progress import Progress
from card_usage.delivery.redelivery import Undecided, send_again, undecided
from card_usage.delivery.result import Delivered
from card_usage.events import SourceRow
from card_usage.evidence.seal import Link, seal_days
from card_usage.ledger.scope import Scope
from card_usage.preview import Preview, forecast, look
from card_usage.quality.approval import Question, question
from card_usage.quality.check import check
from card_usage.quality.data_docs import Pages
from card_usage.quality.data_docs import publish as publish_docs
from card_usage.quality.verdict_store import decide, mark_asked, verdicts_in_force, withheld
from card_usage.quality.verdicts import Decision, StoredVerdict, Verdict
from card_usage.reconciliation import watermark
from card_usage.reconciliation.balance import Reconciliation
from card_usage.reconciliation.comparison import record_checksums, recount_day
from card_usage.reconciliation.differences import Named, named
from card_usage.reconciliation.records import Normalize
from card_usage.reconciliation.watermark import Mark
from card_usage.report.publish import publish_days, publish_month_of
from card_usage.source import freshness
from card_usage.source.freshness import Reading
from card_usage.source.reader import Source
from card_usage.staging.coverage import Unstaged, open_window, open_windows, reopen_windows, unstaged
from card_usage.staging.drafts import Drafter
from card_usage.staging.stage import Staged, stage
from card_usage.windows import Window, day_window, local

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Pipeline(Context):
    """One hospital, ready to work. Errors of all verbs are of the tree in errors.py."""

    def stage(
        self,
        feed: str,
        window: Window,
        *,
        now: datetime,
        backfill: bool = False,
        on_rows: Callable[[int], None] | None = None,
    ) -> Staged:
        """Read one feed's window from the HIS into the ledger. `on_rows` hears of each batch's size.

        The window closes only if the replica had passed its end before the first row was read.
        """
        with self.ledger.write() as connection:
            open_window(connection, hospital=self.hospital.id, feed=feed, start=window.start, end=window.end)
        with self.source() as source:
            passed = self._passed(source, window, now=now)
            record_checksums(self.ledger, source, self.hospital.id, feed, window, now=now)
            return stage(
                _heard(source.rows(feed, window.start, window.end), on_rows),
                hospital=self.hospital,
                feed=feed,
                window=window,
                ledger=self.ledger,
                tables=self.tables,
                aliases=self.aliases,
                backfill=backfill,
                now=now,
                passed=passed,
            )

    def freshness(self, window: Window, *, now: datetime) -> tuple[Reading, bool]:
        """What the hospital's probe says of the replica, and whether it has provably passed the window's end."""
        with self.source() as source:
            reading = freshness.read(source, self.hospital, window, now=now)
        return reading, freshness.passed(reading, window, self.hospital.his.freshness, now=now)

    def _passed(self, source: Source, window: Window, *, now: datetime) -> bool:
        if not window.ended_by(now):
            return False
        reading = freshness.read(source, self.hospital, window, now=now)
        return freshness.passed(reading, window, self.hospital.his.freshness, now=now)

    def catch_up(self, window: Window, *, now: datetime) -> list[Staged]:
        """Stage again what was staged too early or not to the end, of the days of this window."""
        days = Window(day_window(window.days[0]).start, day_window(window.days[-1]).end)
        with self.ledger.read() as connection:
            left = open_windows(connection, self.hospital.id, days.start, days.end)
        known = [one for one in left if one.feed in self.hospital.his.feeds]
        return [self.stage(one.feed, Window(one.start, one.end), now=now) for one in known]

    def unstaged(self, window: Window, *, now: datetime) -> list[Unstaged]:
        """What has passed of the window since the hospital's first day, and was never read from the HIS."""
        first = self.hospital.start
        start = max(window.start, datetime.combine(first, time())) if first else window.start
        end = min(window.end, local(now))
        if start >= end:
            return []
        with self.ledger.read() as connection:
            return unstaged(connection, self.hospital.id, self.hospital.his.feeds, Window(start, end))

    def preview(self, window: Window, *, now: datetime, on_rows: Callable[[int], None] | None = None) -> Preview:
        """What reporting the window's days would send, and how long it would take. Writes nothing."""
        found: Counter[str] = Counter()
        with self.source() as source, self.ledger.read() as connection:
            for feed in self.hospital.his.feeds:
                drafter = Drafter(self.hospital, feed, self.tables, self.aliases, self.settings.keyring)
                for day in window.days:
                    part = day_window(day)
                    rows = _heard(source.rows(feed, part.start, part.end), on_rows)
                    found += look(connection, drafter, rows, part)
            expected = forecast(
                connection,
                self.hospital.id,
                self.hospital.platform,
                new=found["new"],
                due=found["due"],
                today=local(now).date(),
            )
        names = ("read", "new", "due", "delivered", "quarantined", "changed_since_delivery", "voided", "undecided")
        return Preview(window=str(window), forecast=expected, **{name: found[name] for name in names})

    def check(self, window: Window, *, now: datetime) -> Verdict:
        """Let the quality gate look at the window's events; its verdict is kept in the ledger, its page with reports.

        A page that cannot be written is a warning: the verdict stands without it.
        """
        pages = Pages()
        verdict = check(self.ledger, self.hospital, window, now=now, on_results=pages)
        try:
            publish_docs(self.ledger, self.hospital, window, verdict, pages, self.settings.store, now=now)
        except OSError as error:
            log.warning("%s: the page of the quality check was not written (%s)", window, type(error).__name__)
        return verdict

    def verdicts(self, window: Window) -> tuple[StoredVerdict, ...]:
        """Verdicts in force for the window, with what was decided about them."""
        with self.ledger.read() as connection:
            return verdicts_in_force(connection, self.hospital.id, window)

    def ask(self, stored: StoredVerdict, *, now: datetime) -> Question:
        """The question about a withheld window, for a person; that it was asked is noted."""
        with self.ledger.write() as connection:
            mark_asked(connection, [stored], now=now)
            return question(connection, self.hospital, stored, now=now)

    def decide(self, stored: StoredVerdict, decision: Decision, *, by: str, now: datetime, anew: bool = False) -> bool:
        """Write down what a person decided about a withheld window; returns whether it counts."""
        with self.ledger.write() as connection:
            return decide(connection, stored.id, decision, by=by, now=now, anew=anew)

    def scope(self, window: Window) -> Scope:
        """What a delivery for this window may claim: the window's days, without what the gate withholds."""
        first, last = window.days[0], window.days[-1]
        days = Window(day_window(first).start, day_window(last).end)
        with self.ledger.read() as connection:
            return Scope(self.hospital.id, first, last, withheld(connection, self.hospital.id, days))

    def deliver(
        self,
        window: Window,
        *,
        now: datetime,
        until: datetime | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> Delivered:
        """Send everything due of the window's days. `until`: leave by then, what is left stays due."""
        return deliver(
            self.ledger,
            self.hospital,
            self.scope(window),
            connection=self.connection_of(self.hospital.platform.connection),
            tables=self.tables,
            until=until,
            on_progress=progress,
        )

    def undecided(self, window: Window, states: tuple[Undecided, ...]) -> dict[str, int]:
        """Events that wait for a person, as 'state code' -> count."""
        scope = Scope(self.hospital.id, window.days[0], window.days[-1])
        with self.ledger.read() as connection:
            found = undecided(connection, scope, states)
        in_order = sorted(found.items(), key=str)
        return {f"{state} {'-' if code is None else code}": count for (state, code), count in in_order}

    def send_again(self, window: Window, states: tuple[Undecided, ...]) -> int:
        """Somebody decided: make these events due under a new request id; returns how many."""
        scope = Scope(self.hospital.id, window.days[0], window.days[-1])
        with self.ledger.write() as connection:
            return send_again(connection, scope, states)

    def reconcile(self, window: Window, *, now: datetime) -> Reconciliation:
        """Count the window's days at the HIS, in the ledger and at the platform; compare event by event where counts
        differ; name every difference. Moves verified_through as far as it may stand then.

        A day that the replica has not passed (any more: a backup was restored) is provisional, whatever it was before.
        """
        with self.source() as source:
            for day in map(day_window, window.days):
                if day.ended_by(now) and not self._passed(source, day, now=now):
                    with self.ledger.write() as connection:
                        reopen_windows(connection, self.hospital.id, day.start, day.end)
            found = Reconciliation.of(self._reconcile(source, day, now) for day in window.days)
        watermark.advance(self.ledger, self.hospital, now=now)
        return found

    def _reconcile(self, source: Source, day: date, now: datetime) -> Reconciliation:
        def normalize(feed: str) -> Normalize:
            return Drafter(self.hospital, feed, self.tables, self.aliases, self.settings.keyring).draft

        return recount_day(self.ledger, source, self.hospital, day, normalize, now=now)

    def verified(self) -> tuple[Mark, ...]:
        """How far each feed is verified, and why no further."""
        with self.ledger.read() as connection:
            return watermark.marks(connection, self.hospital)

    def differences(self, window: Window, *, now: datetime) -> Iterator[Named]:
        """The records behind the counts of the window's days, as of the last reconciliation."""
        with self.ledger.read() as connection:
            for day in window.days:
                yield from named(connection, self.hospital.id, day, now=now)

    def seal(self, *, now: datetime, most_days: int = 31) -> list[Link]:
        """Seal the days that are verified and not sealed yet, and again those that moved since, with their traces.

        At most `most_days` new ones at a time, the oldest first. Raises EvidenceBroken when all others are sealed, if
        something was changed without a trace.
        """
        return seal_days(self, now=now, most_days=most_days)

    def publish(self, window: Window, *, now: datetime) -> tuple[str, ...]:
        """Write each day's report; returns the files' names below the reports' folder, HTML first."""
        return publish_days(self, window, now=now)

    def publish_month(self, day: date, *, now: datetime) -> tuple[str, ...]:
        """The same for the month of a day."""
        return publish_month_of(self, day, now=now)


def _heard(batches: Iterator[list[SourceRow]], on_rows: Callable[[int], None] | None) -> Iterator[list[SourceRow]]:
    """The same batches, each reported by its size once it has been worked off."""
    for batch in batches:
        yield batch
        if on_rows is not None:
            on_rows(len(batch))
