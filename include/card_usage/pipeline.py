"""Pipeline: the steps of a run, as the command line and Airflow's tasks both call them.

    stage      read a feed's window from the HIS into the ledger, normalized and validated
    catch_up   stage again what was staged before the replica was complete, or not to the end
    check      the quality gate's verdict on a window
    deliver    send everything due of a window that the gate does not withhold
    reconcile  compare HIS, ledger and platform, and move the verification mark

A run ends with `evidence.seal.seal_days` and `report.publish.publish_days`. Each step works on one hospital's `Context`
and a window, takes the present instant as an argument, may be repeated for the same window without harm, and returns
counts only, never patient data. Days after the hospital's last one are left out; HospitalEnded: there are no others.
Errors are those of errors.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime

from card_usage.clock import SystemClock
from card_usage.config.hospital import load_valid_hospitals
from card_usage.context import Context
from card_usage.delivery import binding, deliverer
from card_usage.delivery.progress import Progress
from card_usage.delivery.result import Delivered
from card_usage.errors import BadConnection, MissingSetting
from card_usage.evidence.keep import kept_meanwhile
from card_usage.ledger.patient_cards import CardMap
from card_usage.ledger.scope import Scope
from card_usage.quality import check as gate
from card_usage.quality import data_docs
from card_usage.quality.verdict_store import withheld
from card_usage.quality.verdicts import Verdict
from card_usage.reconciliation import untimed, watermark
from card_usage.reconciliation.balance import Reconciliation
from card_usage.reconciliation.comparison import record_checksums, recount_day
from card_usage.reconciliation.records import Normalize
from card_usage.source.freshness import replica_passed
from card_usage.source.reader import Source
from card_usage.staging import stage as staging
from card_usage.staging.coverage import open_window, open_windows, reopen_windows
from card_usage.staging.drafts import Drafter
from card_usage.staging.shredding import shred
from card_usage.staging.stage import Staged
from card_usage.windows import Window, day_window

log = logging.getLogger(__name__)


def bind_platform(context: Context, *, now: datetime) -> None:
    """See that the hospital's connection names the platform that its windows and events stand for, and bind it if
    nothing was sent yet. Raises PlatformChanged. A connection that is missing or wrong is a matter of the delivery."""
    hospital, ledger = context.hospital, context.ledger
    try:
        target = binding.Target.of(context.connection_of(hospital.platform.connection), hospital)
    except (MissingSetting, BadConnection):
        return
    with ledger.read() as connection:
        before = binding.bound(connection, hospital.id, app_id=target.app_id)
    if before is None or before.target != target:
        with ledger.write() as connection:
            binding.bind(connection, hospital, target, now=now)


def stage(
    context: Context,
    feed: str,
    window: Window,
    *,
    now: datetime,
    backfill: bool = False,
    on_rows: Callable[[int], None] | None = None,
) -> Staged:
    """Read one feed's window from the HIS into the ledger, day by day. `on_rows` is called with the size of each batch.

    A day closes only if the replica had passed its end before its first row was read. If it fails, the days before
    are in the ledger, and the others are open or were never begun.
    """
    hospital, ledger = context.hospital, context.ledger
    window = hospital.until_end(window)
    bind_platform(context, now=now)
    staged = []
    with context.source() as source:
        for part in window.by_day:
            with ledger.write() as connection:
                open_window(connection, hospital=hospital.id, feed=feed, start=part.start, end=part.end)
            passed = replica_passed(source, hospital, part, now=now)
            record_checksums(ledger, source, hospital.id, feed, part, now=now)
            staged.append(
                staging.stage(
                    source.rows(feed, part.start, part.end, on_rows=on_rows),
                    hospital=hospital,
                    feed=feed,
                    window=part,
                    ledger=ledger,
                    tables=context.tables,
                    aliases=context.aliases,
                    backfill=backfill,
                    now=now,
                    passed=passed,
                )
            )
    return Staged.total(staged, window)


def catch_up(context: Context, window: Window, *, now: datetime) -> list[Staged]:
    """Stage again every open window of these days: staged before the replica was complete, or not to the end."""
    days = _whole_days(context.hospital.until_end(window))
    with context.ledger.read() as connection:
        unclosed = open_windows(connection, context.hospital.id, days.start, days.end)
    feeds = context.hospital.his.feeds
    return [stage(context, part.feed, Window(part.start, part.end), now=now) for part in unclosed if part.feed in feeds]


def check(context: Context, window: Window, *, now: datetime) -> tuple[Verdict, ...]:
    """Let the quality gate judge the window, each day by itself, oldest first. The verdicts are stored in the ledger,
    their pages beside the reports.

    A page that cannot be written is logged as a warning; the verdict is valid without it.
    """
    return tuple(_check_day(context, part, now) for part in context.hospital.until_end(window).by_day)


def _check_day(context: Context, window: Window, now: datetime) -> Verdict:
    pages = data_docs.Pages()
    verdict = gate.check(context.ledger, context.hospital, window, now=now, on_results=pages)
    try:
        data_docs.publish(context.ledger, context.hospital, window, verdict, pages, context.settings.store, now=now)
    except OSError as error:
        log.warning("%s: the page of the quality check was not written (%s)", window, type(error).__name__)
    return verdict


def deliver(
    context: Context,
    window: Window,
    *,
    until: datetime | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Delivered:
    """Send everything due of the window's days, except what the gate withholds, and keep packs of the days that moved.
    `until`: end by then, the rest stays due."""
    hospital = context.hospital
    window = hospital.until_end(window)
    days = _whole_days(window)
    with context.ledger.read() as connection:
        scope = Scope(hospital.id, window.days[0], window.days[-1], withheld(connection, hospital.id, days))
    folder, clock = context.settings.evidence, SystemClock().now
    with kept_meanwhile(context.ledger, hospital.id, scope.first, scope.last, folder, clock=clock):
        return deliverer.deliver(
            context.ledger,
            hospital,
            scope,
            connection=context.connection_of(hospital.platform.connection),
            tables=context.tables,
            siblings=_siblings(context),
            until=until,
            on_progress=on_progress,
        )


def _siblings(context: Context) -> dict[str, str]:
    """Other live hospitals that report over the same connection, each with its id on the platform."""
    own = context.hospital.platform
    return {
        other.id: other.platform.hospital_id
        for other in load_valid_hospitals(context.settings.hospitals).hospitals
        if other.platform.live
        and other.platform.connection == own.connection
        and other.platform.hospital_id != own.hospital_id
    }


def reconcile(context: Context, window: Window, *, now: datetime) -> Reconciliation:
    """Count the window's days at the HIS, in the ledger and at the platform; compare event by event where counts
    differ; name every difference; move the verification mark; destroy data keys that have served.

    A day that the replica has not passed is provisional, even if it was closed before: a backup may have been restored.
    """
    hospital, ledger = context.hospital, context.ledger
    window = hospital.until_end(window)
    with context.source() as source:
        for day in map(day_window, window.days):
            if day.ended_by(now) and not replica_passed(source, hospital, day, now=now):
                with ledger.write() as connection:
                    reopen_windows(connection, hospital.id, day.start, day.end)
        reconciliation = Reconciliation.of(_reconcile_day(context, source, day, now) for day in window.days)
        outside = untimed.count(ledger, source, hospital, now=now)
    watermark.advance(ledger, hospital, now=now)
    shred(ledger, hospital, now=now)
    return replace(reconciliation, untimed=outside)


def _reconcile_day(context: Context, source: Source, day: date, now: datetime) -> Reconciliation:
    def normalize(feed: str) -> Normalize:
        keys = context.ledger.day_keys.of(context.hospital.id, kept=False)
        drafter = Drafter(context.hospital, feed, context.tables, context.aliases, keys)
        drafter.cards = CardMap.of(context.ledger, context.hospital)
        return drafter.draft

    return recount_day(context.ledger, source, context.hospital, day, normalize, now=now)


def _whole_days(window: Window) -> Window:
    """The whole local days that the window touches."""
    return Window(day_window(window.days[0]).start, day_window(window.days[-1]).end)
