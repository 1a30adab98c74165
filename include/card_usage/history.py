"""History: days of the past, loaded by one command, a day after the other, behind everything that is live.

Each day goes through the steps of a run (stage, check, deliver, reconcile, report); after each month that the load has
worked on, the month's report is written and days that are verified are sealed. What is finished is read from the ledger
(`unfinished`), so a load that was killed, or that stopped for a hold or a used-up quota, goes on where it was.

Events of history wait in the lane BACKFILL: of a day's quota they take what live ones leave. A day is begun only when
nothing holds the hospital and no other delivery of it is at work. A day that the gate withholds is left for a decision
and tried again by the next load; the others do not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from time import sleep
from typing import Final, Literal

from sqlalchemy import Connection, select

from card_usage import pipeline
from card_usage.context import Context
from card_usage.delivery.membership import beats
from card_usage.delivery.redelivery import undecided
from card_usage.errors import SettingsError
from card_usage.evidence.seal import seal_days
from card_usage.ledger import holds
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import feed_window, reconciliation, report_file
from card_usage.ledger.scope import Scope
from card_usage.quality.verdict_store import withheld
from card_usage.reconciliation import watermark
from card_usage.report.publish import publish_days, publish_month_of
from card_usage.windows import DAY, Window, day_window, day_windows, local, merged

Order = Literal["newest", "oldest"]

_LOOK_SECONDS: Final = 5.0
"""A delivery that lives shows it more often than this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DayLoaded:
    """One day that was worked on. `finished`: nothing of it is left; `withheld`: the gate keeps some of it back."""

    day: date
    read: int
    delivered: int
    finished: bool
    withheld: bool
    stopped_by: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What a load came to, in days and events. `left`: days of the range that are not finished, newest first.

    `stopped_by`: what ended it before its last day: a hold, the quota, or a stop of the delivery. `verified`: first
    and last day that are verified for every feed now. `sealed`: links that were added to the chain of evidence.
    `undecided`: events of the range that a person decides about, refused or unconfirmed ones, of earlier loads too.
    """

    days: int
    finished_before: int
    worked_on: int
    read: int
    delivered: int
    withheld: tuple[date, ...]
    left: tuple[date, ...]
    stopped_by: str | None
    sealed: int
    verified: tuple[date, date] | None
    undecided: int

    @property
    def settled(self) -> bool:
        """Whether every day is finished and no event waits for a decision."""
        return not (self.left or self.undecided)

    def summary(self) -> dict[str, object]:
        """Counts and days, fit for logs and XCom."""
        return {
            "days": self.days,
            "finished_before": self.finished_before,
            "worked_on": self.worked_on,
            "read": self.read,
            "delivered": self.delivered,
            "withheld": [day.isoformat() for day in self.withheld],
            "left": len(self.left),
            "next": self.left[0].isoformat() if self.left else None,
            "stopped_by": self.stopped_by,
            "undecided": self.undecided,
            "sealed": self.sealed,
            "verified_from": self.verified[0].isoformat() if self.verified else None,
            "verified_to": self.verified[1].isoformat() if self.verified else None,
        }


def range_of(context: Context, first: date, last: date, *, now: datetime) -> Window:
    """The days that can be loaded: of those asked for, the ones that have ended and that the hospital reports.

    Raises SettingsError if there are none, HospitalEnded if all are after the hospital's last day.
    """
    hospital, today = context.hospital, local(now).date()
    if hospital.start is not None and last < hospital.start:
        problem = f"{hospital.id} reports from {hospital.start} on, nothing of {first} to {last} is loaded"
        raise SettingsError(problem=problem, remedy="an earlier 'start' in its file comes first")
    begin, end = max(first, hospital.start or first), min(last, today - DAY)
    if end < begin:
        raise SettingsError(problem=f"{first} to {last} has no day that has ended", remedy="ask for days of the past")
    return hospital.until_end(Window(day_window(begin).start, day_window(end).end))


def months_of(context: Context, first: date, last: date, *, order: Order | None, now: datetime) -> list[Window]:
    """The days of `range_of` cut at the ends of months, in the order in which `load` takes them."""
    days = range_of(context, first, last, now=now).days
    months = [tuple(of_month) for _, of_month in groupby(days, key=lambda day: (day.year, day.month))]
    parts = [Window(day_window(month[0]).start, day_window(month[-1]).end) for month in months]
    return parts[::-1] if _newest_first(context, order) else parts


def unfinished(connection: Connection, context: Context, window: Window) -> list[date]:
    """Days of the window of which something is missing or open, oldest first.

    A day is finished when every feed's windows cover it and are closed, every feed was reconciled clean, nothing of
    the platform's statement speaks against it, and its report was written.
    """
    hospital = context.hospital
    first, last = window.days[0], window.days[-1]
    of = feed_window.c
    query = select(of.feed, of.start, of.end).where(
        of.hospital == hospital.id, of.start < window.end, of.end > window.start, of.status == "closed"
    )
    closed: dict[str, list[tuple[datetime, datetime]]] = {}
    for feed, start, end in connection.execute(query.order_by(of.start)):
        closed.setdefault(feed, []).append((start, end))
    stretches = {feed: merged(parts) for feed, parts in closed.items()}
    rows = select(reconciliation.c.feed, reconciliation.c.day, reconciliation.c.clean, reconciliation.c.provisional)
    of_days = (reconciliation.c.hospital == hospital.id, reconciliation.c.day.between(first, last))
    clean: set[tuple[str, date]] = set()
    against: set[date] = set()
    for feed, day, is_clean, provisional in connection.execute(rows.where(*of_days)):
        if is_clean and not provisional:
            clean.add((feed, day))
        elif feed not in hospital.his.feeds and not is_clean:
            against.add(day)
    pages = select(report_file.c.day).where(
        report_file.c.hospital == hospital.id, report_file.c.kind == "html", report_file.c.day.between(first, last)
    )
    reported = set(connection.scalars(pages))

    def is_finished(day: Window) -> bool:
        return day.day in reported - against and all(
            (feed, day.day) in clean
            and any(start <= day.start and day.end <= end for start, end in stretches.get(feed, ()))
            for feed in hospital.his.feeds
        )

    return [day.day for day in day_windows(first, last) if not is_finished(day)]


def undecided_events(connection: Connection, context: Context, window: Window) -> int:
    """Events of the window's days that the platform refused, or of which nobody can say whether it has them."""
    scope = Scope(context.hospital.id, window.days[0], window.days[-1])
    return undecided(connection, scope, ("rejected", "unconfirmed")).total()


def load(
    context: Context,
    first: date,
    last: date,
    *,
    present: Callable[[], datetime],
    order: Order | None = None,
    most_days: int | None = None,
    on_day: Callable[[DayLoaded, int], None] | None = None,
) -> Loaded:
    """Load the days `first` to `last`, those that are not finished yet, in this order (by default the hospital's
    `backfill_order`), at most `most_days` of them.

    `on_day` is called after each day with the number of days left. Raises what the steps raise: the days before are
    finished then, and the same call goes on with the one that failed.
    """
    hospital, ledger = context.hospital, context.ledger
    window = range_of(context, first, last, now=present())
    with ledger.read() as connection:
        todo = unfinished(connection, context, window)
    newest_first = _newest_first(context, order)
    wanted = sorted(todo, reverse=newest_first)[:most_days]
    worked: list[DayLoaded] = []
    sealed = 0
    stopped_by: str | None = None
    for _, days in groupby(wanted, key=lambda day: (day.year, day.month)):
        month: list[DayLoaded] = []
        for day in days:
            if stopped_by := _wait_for_turn(ledger, hospital.id, present):
                break
            done = _load_day(context, day_window(day), present)
            month.append(done)
            worked.append(done)
            if on_day is not None:
                on_day(done, len(todo) - len(worked))
            if stopped_by := done.stopped_by:
                break
        if month:
            publish_month_of(context, month[0].day, now=present())
            sealed += _seal(context, present)
        if stopped_by:
            break
    sealed += _seal(context, present)
    with ledger.read() as connection:
        left = unfinished(connection, context, window)
        verified = watermark.verified_days(connection, hospital)
        waiting = undecided_events(connection, context, window)
    return Loaded(
        days=len(window.days),
        finished_before=len(window.days) - len(todo),
        worked_on=len(worked),
        read=sum(day.read for day in worked),
        delivered=sum(day.delivered for day in worked),
        withheld=tuple(day.day for day in worked if day.withheld),
        left=tuple(sorted(left, reverse=newest_first)),
        stopped_by=stopped_by,
        sealed=sealed,
        verified=verified,
        undecided=waiting,
    )


def _newest_first(context: Context, order: Order | None) -> bool:
    return (order or context.hospital.platform.backfill_order) == "newest"


def _load_day(context: Context, window: Window, present: Callable[[], datetime]) -> DayLoaded:
    """One day through all steps."""
    hospital = context.hospital
    staged = [pipeline.stage(context, feed, window, now=present(), backfill=True).read for feed in hospital.his.feeds]
    pipeline.check(context, window, now=present())
    delivered = pipeline.deliver(context, window)
    reconciled = pipeline.reconcile(context, window, now=present())
    publish_days(context, window, now=present())
    delivered.raise_for_stop()
    with context.ledger.read() as connection:
        kept_back = bool(withheld(connection, hospital.id, window))
    return DayLoaded(
        day=window.day,
        read=sum(staged),
        delivered=delivered.states.get("delivered", 0),
        finished=reconciled.clean and not reconciled.provisional,
        withheld=kept_back,
        stopped_by=None if delivered.stopped_by is None else str(delivered.stopped_by),
    )


def _seal(context: Context, present: Callable[[], datetime]) -> int:
    """Seal what is verified and not sealed yet; returns the number of links."""
    made = 0
    while links := seal_days(context, now=present()):
        made += len(links)
    return made


def _wait_for_turn(ledger: Ledger, hospital: str, present: Callable[[], datetime]) -> str | None:
    """Wait until no delivery of the hospital is at work; the kind of the hold that stands in the way, if one does."""
    before: dict[int, int] | None = None
    while True:
        with ledger.read() as connection:
            hold = holds.blocking(holds.active(connection, hospital, present()))
            now = beats(connection, hospital)
        if hold is not None:
            return str(hold.kind)
        if not now or (before is not None and not _alive(before, now)):
            return None
        before = now
        sleep(_LOOK_SECONDS)


def _alive(before: dict[int, int], now: dict[int, int]) -> bool:
    """Whether a delivery has shown itself between two looks; one that was killed does not."""
    return any(before.get(worker) != beat for worker, beat in now.items())
