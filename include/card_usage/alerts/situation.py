"""Situation: what the ledger shows of one hospital now, as the detectors of incidents read it.

Here are the readings that several detectors share, each made once, when the first of them asks for it; what a single
detector needs it reads itself. Promises: a reading is one or a few grouped queries over an index of what is not settled
or over windows, whatever the size of the ledger; none selects a column that identifies a patient. A quarantined or
refused event is seen for REACH, which is also the longest range that can be delivered again by hand; what an open
incident speaks of is seen for as long as it is open, however old it grows (`first_seen`).
"""

from __future__ import annotations

from collections.abc import Set
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, func, not_, or_, select, text

from card_usage.alerts.incidents import SAMPLE
from card_usage.config.hospital import Hospital
from card_usage.ledger import holds
from card_usage.ledger.holds import EVERYONE, Hold
from card_usage.ledger.schema import OPEN, attempt, event, failed_run, feed_window, incident, verdict
from card_usage.platform.outcome import Answer
from card_usage.quality.verdict_store import verdicts_in_force
from card_usage.quality.verdicts import WITHHOLDING, StoredVerdict
from card_usage.windows import DAY, Window, day_window, local

REACH: Final = timedelta(days=92)
RECENT: Final = timedelta(days=31)
QUARANTINED_SHARE: Final = "quarantined_share"
"""The reason of the gate that is also the message about required fields that are missing and codes without aliases."""
MOST_NAMED: Final = 20
"""Codes that a message lists."""
QUARANTINED: Final = text("event.status = 'quarantined'")
MANY_CALLS: Final = 10
"""Calls of one event: no busy minute of the platform makes so many."""
SILENT: Final = (Answer.NO_ANSWER.value, Answer.NOT_SENT.value)
DELIVERABLE: Final = and_(OPEN, event.c.lane.in_((0, 1)))
"""Events that a delivery would send, whenever it does."""


class OpenEvents(NamedTuple):
    """Open events of one day. `late`: due, live, and staged before the cut-off; `since`: when the oldest was staged."""

    day: date
    lane: int
    late: int
    events: int
    since: datetime


class UnendingAnswer(NamedTuple):
    """Open events that get one answer again and again. `late`: how many of them; `calls`: the most of one event;
    `since`: when the oldest was staged; `day`: the newest of theirs."""

    answer: str
    result_code: int | None
    events: int
    late: int
    calls: int
    since: datetime
    day: date


class Volume(NamedTuple):
    """Rows of the HIS that one feed had on a day."""

    feed: str
    day: date
    rows: int


class FailedRun(NamedTuple):
    """A run of Airflow that failed, and no later one has succeeded since."""

    dag_id: str
    run_id: str
    task_id: str
    reason: str
    at: datetime


class Situation:
    """One hospital's part of the ledger at one time, within one transaction."""

    def __init__(self, connection: Connection, hospital: Hospital, *, now: datetime) -> None:
        self.connection = connection
        self.hospital = hospital
        self.now = now
        self.today = local(now).date()

    @cached_property
    def _told_since(self) -> dict[str, date]:
        """By cause, the local day on which the oldest of its open incidents was opened."""
        query = select(incident.c.cause, func.min(incident.c.opened_at)).where(
            incident.c.hospital == self.hospital.id, incident.c.closed_at.is_(None)
        )
        rows = self.connection.execute(query.group_by(incident.c.cause))
        return {cause: local(opened).date() for cause, opened in rows}

    def first_seen(self, reach: timedelta, *causes: str) -> date:
        """The first day that is looked at for these causes: so long before today, or before one of them was told.

        No causes: any, for what several detectors read. Without the second an incident would be closed, as if it were
        over, when its days leave the reach.
        """
        told = (self._told_since[cause] for cause in causes or self._told_since if cause in self._told_since)
        return min((self.today, *told)) - reach

    @cached_property
    def holds(self) -> tuple[Hold, ...]:
        """Holds in force, the hospital's own and everyone's."""
        return tuple(holds.active(self.connection, self.hospital.id, self.now))

    @cached_property
    def open_events(self) -> tuple[OpenEvents, ...]:
        """Open events by day and lane."""
        late = self.is_late
        query = (
            select(
                event.c.day,
                event.c.lane,
                func.sum(case((late, 1), else_=0)),
                func.count(),
                func.min(event.c.staged_at),
            )
            .where(event.c.hospital == self.hospital.id, OPEN)
            .group_by(event.c.day, event.c.lane)
            .order_by(event.c.day, event.c.lane)
        )
        rows = self.connection.execute(query)
        return tuple(OpenEvents(day, lane, int(late), events, since) for day, lane, late, events, since in rows)

    @property
    def is_late(self) -> ColumnElement[bool]:
        """Of open events: due, live, and staged before the cut-off."""
        cut_off = self.now - timedelta(hours=self.hospital.alerts.behind_hours)
        due = or_(event.c.due_at.is_(None), event.c.due_at <= self.now)
        return and_(event.c.lane == 0, event.c.staged_at < cut_off, due)

    @cached_property
    def unending_answers(self) -> tuple[UnendingAnswer, ...]:
        """Open events that were called many times, or are late and were called, by the answer to their last call.

        Without those whose answer is said elsewhere: a used-up quota has a hold, and a platform that does not answer at
        all is what lets a delivery be behind.
        """
        called = and_(event.c.attempts > 0, or_(event.c.attempts >= MANY_CALLS, self.is_late))
        newest = select(func.max(attempt.c.id)).where(attempt.c.event_id == event.c.id).scalar_subquery()
        columns = (event.c.staged_at, event.c.day, event.c.attempts, case((self.is_late, 1), else_=0).label("late"))
        of_hospital = and_(event.c.hospital == self.hospital.id, DELIVERABLE, called)
        events = select(*columns, newest.label("last")).where(of_hospital).subquery()
        silent = and_(attempt.c.answer.in_(SILENT), events.c.attempts < MANY_CALLS)
        query = (
            select(
                attempt.c.answer,
                attempt.c.result_code,
                func.count(),
                func.sum(events.c.late),
                func.max(events.c.attempts),
                func.min(events.c.staged_at),
                func.max(events.c.day),
            )
            .join(events, attempt.c.id == events.c.last)
            .where(attempt.c.answer != Answer.QUOTA.value, not_(silent))
            .group_by(attempt.c.answer, attempt.c.result_code)
            .order_by(func.count().desc(), attempt.c.answer, attempt.c.result_code)
        )
        return tuple(UnendingAnswer(*row) for row in self.connection.execute(query))

    @cached_property
    def undecided_verdicts(self) -> tuple[StoredVerdict, ...]:
        """Verdicts that withhold a window and that no person has decided about."""
        first = datetime.combine(self.first_seen(REACH), time())
        query = select(func.min(verdict.c.start), func.max(verdict.c.end)).where(
            verdict.c.hospital == self.hospital.id,
            verdict.c.start >= first,
            verdict.c.verdict.in_(WITHHOLDING),
            verdict.c.decision.is_(None),
        )
        start, end = self.connection.execute(query).one()
        if start is None:
            return ()
        in_force = verdicts_in_force(self.connection, self.hospital.id, Window(start, end))
        return tuple(stored for stored in in_force if stored.awaits_decision)

    def days_told_by_gate(self, days: Set[date]) -> frozenset[date]:
        """Those of the days that the gate withheld because of their quarantined events, decided since or not."""
        if not days:
            return frozenset()
        window = Window(day_window(min(days)).start, day_window(max(days)).end)
        return frozenset(
            day
            for stored in verdicts_in_force(self.connection, self.hospital.id, window)
            if stored.level in WITHHOLDING and speaks_of_quarantine(stored)
            for day in stored.window.days
        )

    @cached_property
    def first_day(self) -> date | None:
        """The first day that was ever staged; None: none was, so the hospital is still being set up."""
        first, of = func.min(feed_window.c.start), feed_window.c
        # One query a feed: by the index, which begins with hospital and feed.
        starts = [
            self.connection.scalar(select(first).where(of.hospital == self.hospital.id, of.feed == feed))
            for feed in self.hospital.his.feeds
        ]
        return min((start.date() for start in starts if start is not None), default=None)

    def volumes(self, days: Set[date]) -> tuple[Volume, ...]:
        """Rows by feed and day: a window of the whole day counts, and where there is none the sum of its parts.

        One of several days (none is staged so any more) says nothing of a single one.
        """
        if not days:
            return ()
        of = feed_window.c
        query = select(of.feed, of.start, of.end, of.source_rows).where(
            of.hospital == self.hospital.id,
            of.feed.in_(self.hospital.his.feeds),
            or_(*(and_(of.start >= start, of.start < end) for start, end in _spans(days))),
            of.source_rows.is_not(None),
            of.status == "closed",
        )
        whole: dict[tuple[str, date], int] = {}
        parts: dict[tuple[str, date], int] = {}
        for feed, start, end, rows in self.connection.execute(query):
            key = (feed, start.date())
            if end - start == DAY:
                whole[key] = rows
            elif end - start < DAY:
                parts[key] = parts.get(key, 0) + rows
        return tuple(Volume(feed, day, rows) for (feed, day), rows in sorted((parts | whole).items()))

    def quarantined(self, cause: str) -> ColumnElement[bool]:
        """The hospital's quarantined events that an incident of this cause speaks of."""
        return and_(event.c.hospital == self.hospital.id, self.seen(cause, mendable=True), QUARANTINED)

    def seen(self, cause: str, *, mendable: bool) -> ColumnElement[bool]:
        """Events within REACH, and older ones that an open incident speaks of.

        `mendable`: older ones only as long as retention has left what is needed to send them.
        """
        within = event.c.day >= self.today - REACH
        first = self.first_seen(REACH, cause)
        if first >= self.today - REACH:
            return within
        older = event.c.day >= first
        return or_(within, and_(older, event.c.sealed.is_not(None))) if mendable else older

    def sample(self, events: ColumnElement[bool], *, newest_first: bool = False) -> tuple[str, ...]:
        """Keys of some of the hospital's events; `newest_first`: the newest first."""
        query = select(event.c.key).where(event.c.hospital == self.hospital.id, events)
        if newest_first:
            query = query.order_by(event.c.day.desc())
        return tuple(self.connection.scalars(query.limit(SAMPLE)))


def speaks_of_quarantine(stored: StoredVerdict) -> bool:
    """Whether the window is withheld because of its quarantined events, so that its message says what is wrong."""
    return any(reason.code == QUARANTINED_SHARE for reason in stored.verdict.withholding)


def failed_runs(connection: Connection, hospital: str = EVERYONE) -> tuple[FailedRun, ...]:
    """Runs that failed, without a later success: of a hospital, or of what concerns no single hospital."""
    columns = (failed_run.c[name] for name in FailedRun._fields)
    query = select(*columns).where(failed_run.c.hospital == hospital).order_by(failed_run.c.at, failed_run.c.run_id)
    return tuple(FailedRun._make(row) for row in connection.execute(query))


def _spans(days: Set[date]) -> list[tuple[datetime, datetime]]:
    """Midnights around days that follow each other: holidays may be months apart, and what is between is not read."""
    spans: list[tuple[datetime, datetime]] = []
    for day in sorted(days):
        start = datetime.combine(day, time())
        if spans and spans[-1][1] == start:
            start = spans.pop()[0]
        spans.append((start, datetime.combine(day, time()) + DAY))
    return spans
