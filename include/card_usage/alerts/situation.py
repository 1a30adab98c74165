"""Situation: what the ledger shows of one hospital now, as the sweep for incidents reads it.

Promises: a handful of grouped queries, each over an index of what is not settled or over windows, whatever the size of
the ledger; nothing that says who a patient is is selected. A quarantined or refused event is seen for REACH, which is
also the longest range that can be delivered again by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select, text

from card_usage.ledger import holds
from card_usage.ledger.counts import CODE_RULES
from card_usage.ledger.holds import EVERYONE, Hold
from card_usage.ledger.schema import (
    OPEN,
    UNDECIDED,
    deliverer,
    event,
    failed_run,
    feed_window,
    finding,
    reconciliation,
    report_file,
    token,
    verdict,
)
from card_usage.quality.verdict_store import verdicts_in_force
from card_usage.quality.verdicts import WITHHOLDING, StoredVerdict
from card_usage.windows import DAY, Window, local

REACH: Final = timedelta(days=92)
_RECENT: Final = timedelta(days=31)
_QUARANTINED: Final = text("event.status = 'quarantined'")


class Unmapped(NamedTuple):
    """Quarantined events with one local code (None: blank) that no alias leads on."""

    table: str
    code: str | None
    local_name: str | None
    events: int
    since: datetime


class Aside(NamedTuple):
    """Quarantined events of one feed and day, by the rule that they break."""

    rule: str
    feed: str
    day: date
    events: int
    since: datetime


class Waiting(NamedTuple):
    """Open events of one day. `late`: due, live, and staged before the cut-off; `since`: when the oldest was staged."""

    day: date
    lane: int
    late: int
    events: int
    since: datetime


class Undecided(NamedTuple):
    """Refused or unconfirmed events by the platform's result code (None: it gave none)."""

    status: str
    result_code: int | None
    events: int
    since: datetime


class Volume(NamedTuple):
    """Rows of the HIS that one feed had on a day."""

    feed: str
    day: date
    rows: int


class Provisional(NamedTuple):
    """A window that has passed and was not counted again since."""

    feed: str
    end: datetime


class Remainder(NamedTuple):
    """Records that no class explains."""

    feed: str
    day: date
    events: int
    at: datetime


class FailedRun(NamedTuple):
    """A run of Airflow that failed and has not been made good."""

    dag_id: str
    run_id: str
    task_id: str
    reason: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """All of it. `reached`: by feed, where its newest closed window ends (local). `volumes`: those of the days
    that were asked for; `totals`: the days of `aside` with enough of them to speak of a share."""

    first_day: date | None
    reached: Mapping[str, datetime]
    unmapped: tuple[Unmapped, ...]
    aside: tuple[Aside, ...]
    waiting: tuple[Waiting, ...]
    undecided: tuple[Undecided, ...]
    volumes: tuple[Volume, ...]
    totals: tuple[Volume, ...]
    provisional: tuple[Provisional, ...]
    held: tuple[StoredVerdict, ...]
    holds: tuple[Hold, ...]
    token_losses: int
    reports: frozenset[date]
    remainders: tuple[Remainder, ...]
    failed_runs: tuple[FailedRun, ...]


def look(
    connection: Connection,
    hospital: str,
    feeds: Sequence[str],
    *,
    now: datetime,
    behind: timedelta,
    settled: timedelta,
    compared: Set[date],
    enough: int,
) -> Situation:
    """Read it. `behind`: how long a live event may wait; `settled`: how long a passed window may be provisional;
    `compared`: the days of which volumes are wanted;
    `enough`: events of a feed and day of which a share says something."""
    today = local(now).date()
    first, reached = _windows(connection, hospital, feeds, today)
    aside = _aside(connection, hospital, today)
    in_force = tuple(holds.active(connection, hospital, now))
    contested = any(hold.kind == "contested" for hold in in_force)
    return Situation(
        first_day=first,
        reached=reached,
        unmapped=_unmapped(connection, hospital, today),
        aside=aside,
        waiting=_waiting(connection, hospital, now, behind),
        undecided=_undecided(connection, hospital, today),
        volumes=_volumes(connection, hospital, feeds, compared),
        totals=_volumes(connection, hospital, feeds, {one.day for one in aside if one.events >= enough}),
        provisional=_provisional(connection, hospital, feeds, local(now) - settled),
        held=_held(connection, hospital, today),
        holds=in_force,
        token_losses=_losses(connection, hospital) if contested else 0,
        reports=_reports(connection, hospital, today),
        remainders=_remainders(connection, hospital, today),
        failed_runs=failed_runs(connection, hospital),
    )


def _windows(
    connection: Connection, hospital: str, feeds: Sequence[str], today: date
) -> tuple[date | None, dict[str, datetime]]:
    """The first day that was ever staged, and how far each feed's closed windows reach."""
    of = feed_window.c
    recent = datetime.combine(today - REACH, time())
    firsts, reached = [], {}
    for feed in feeds:  # by the index, which begins with both
        mine = and_(of.hospital == hospital, of.feed == feed)
        if (first := connection.scalar(select(func.min(of.start)).where(mine))) is not None:
            firsts.append(first.date())
        closed = select(func.max(of.end)).where(mine, of.status == "closed", of.start >= recent)
        if (end := connection.scalar(closed)) is not None:
            reached[feed] = end
    return min(firsts, default=None), reached


def _unmapped(connection: Connection, hospital: str, today: date) -> tuple[Unmapped, ...]:
    of_code = and_(finding.c.event_id == event.c.id, finding.c.rule == event.c.reason)
    name = case((finding.c.code_table == "department", event.c.department_name))
    groups: tuple[ColumnElement[str | None], ...] = (finding.c.code_table, finding.c.code, name)
    query = (
        select(*groups, func.count(), func.min(event.c.staged_at))
        .select_from(event.join(finding, of_code))
        .where(_set_aside(hospital, today), event.c.reason.in_(CODE_RULES))
        .group_by(*groups)
    )
    found = [Unmapped._make(row) for row in connection.execute(query)]
    return tuple(sorted(found, key=lambda one: (-one.events, one.table, one.code or "", one.local_name or "")))


def _aside(connection: Connection, hospital: str, today: date) -> tuple[Aside, ...]:
    groups = (event.c.reason, event.c.feed, event.c.day)
    query = (
        select(*groups, func.count(), func.min(event.c.staged_at))
        .where(_set_aside(hospital, today), event.c.reason.like("%.required"))
        .group_by(*groups)
        .order_by(*groups)
    )
    return tuple(Aside._make(row) for row in connection.execute(query))


def _set_aside(hospital: str, today: date) -> ColumnElement[bool]:
    return and_(event.c.hospital == hospital, event.c.day >= today - REACH, _QUARANTINED)


def _waiting(connection: Connection, hospital: str, now: datetime, behind: timedelta) -> tuple[Waiting, ...]:
    due = or_(event.c.due_at.is_(None), event.c.due_at <= now)
    late = and_(event.c.lane == 0, event.c.staged_at < now - behind, due)
    query = (
        select(
            event.c.day,
            event.c.lane,
            func.sum(case((late, 1), else_=0)),
            func.count(),
            func.min(event.c.staged_at),
        )
        .where(event.c.hospital == hospital, OPEN)
        .group_by(event.c.day, event.c.lane)
        .order_by(event.c.day, event.c.lane)
    )
    return tuple(Waiting(day, lane, int(late), n, at) for day, lane, late, n, at in connection.execute(query))


def _undecided(connection: Connection, hospital: str, today: date) -> tuple[Undecided, ...]:
    groups = (event.c.status, event.c.result_code)
    query = (
        select(*groups, func.count(), func.min(func.coalesce(event.c.settled_at, event.c.staged_at)))
        .where(event.c.hospital == hospital, event.c.day >= today - REACH, UNDECIDED)
        .group_by(*groups)
    )
    found = [Undecided._make(row) for row in connection.execute(query)]
    return tuple(sorted(found, key=lambda one: (-one.events, one.status, one.result_code or 0)))


def _spans(days: Set[date]) -> list[tuple[datetime, datetime]]:
    """Midnights around days that follow each other: holidays may be months apart, and what is between is not read."""
    spans: list[tuple[datetime, datetime]] = []
    for day in sorted(days):
        start = datetime.combine(day, time())
        if spans and spans[-1][1] == start:
            start = spans.pop()[0]
        spans.append((start, datetime.combine(day, time()) + DAY))
    return spans


def _volumes(connection: Connection, hospital: str, feeds: Sequence[str], days: Set[date]) -> tuple[Volume, ...]:
    """Rows by feed and day: a window of the whole day counts, and where there is none the sum of its parts."""
    if not days:
        return ()
    of = feed_window.c
    query = select(of.feed, of.start, of.end, of.source_rows).where(
        of.hospital == hospital,
        of.feed.in_(feeds),
        or_(*(and_(of.start >= start, of.start < end) for start, end in _spans(days))),
        of.source_rows.is_not(None),
        of.status == "closed",
    )
    whole: dict[tuple[str, date], int] = {}
    parts: dict[tuple[str, date], int] = {}
    for feed, start, end, rows in connection.execute(query):
        key = (feed, start.date())
        if end - start >= DAY:
            whole[key] = rows
        else:
            parts[key] = parts.get(key, 0) + rows
    return tuple(Volume(feed, of_day, rows) for (feed, of_day), rows in sorted((parts | whole).items()))


def _provisional(
    connection: Connection, hospital: str, feeds: Sequence[str], before: datetime
) -> tuple[Provisional, ...]:
    of = feed_window.c
    recent = before - _RECENT
    query = (
        select(of.feed, func.min(of.end))
        .where(
            of.hospital == hospital,
            of.feed.in_(feeds),
            of.start >= recent,
            of.status == "provisional",
            of.end <= before,
        )
        .group_by(of.feed)
        .order_by(of.feed)
    )
    return tuple(Provisional._make(row) for row in connection.execute(query))


def _held(connection: Connection, hospital: str, today: date) -> tuple[StoredVerdict, ...]:
    """Verdicts that wait for a person."""
    first = datetime.combine(today - REACH, time())
    query = select(func.min(verdict.c.start), func.max(verdict.c.end)).where(
        verdict.c.hospital == hospital,
        verdict.c.start >= first,
        verdict.c.verdict.in_(WITHHOLDING),
        verdict.c.decision.is_(None),
    )
    start, end = connection.execute(query).one()
    if start is None:
        return ()
    return tuple(
        stored for stored in verdicts_in_force(connection, hospital, Window(start, end)) if stored.awaits_decision
    )


def _losses(connection: Connection, hospital: str) -> int:
    """Tokens that somebody else ended, of the appId that the hospital last delivered under."""
    app_id = (
        select(deliverer.c.app_id)
        .where(deliverer.c.hospital == hospital)
        .order_by(deliverer.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return connection.scalar(select(token.c.losses).where(token.c.app_id == app_id)) or 0


def _reports(connection: Connection, hospital: str, today: date) -> frozenset[date]:
    query = select(report_file.c.day).where(
        report_file.c.hospital == hospital, report_file.c.kind == "html", report_file.c.day >= today - 8 * DAY
    )
    return frozenset(connection.scalars(query))


def _remainders(connection: Connection, hospital: str, today: date) -> tuple[Remainder, ...]:
    of = reconciliation.c
    query = (
        select(of.feed, of.day, of.remainder, of.at)
        .where(of.hospital == hospital, of.day >= today - _RECENT, of.remainder != 0, of.provisional.is_(False))
        .order_by(of.day, of.feed)
    )
    return tuple(Remainder._make(row) for row in connection.execute(query))


def failed_runs(connection: Connection, hospital: str = EVERYONE) -> tuple[FailedRun, ...]:
    """Runs that failed and were not made good: of a hospital, or of what concerns no one hospital."""
    columns = (failed_run.c[name] for name in FailedRun._fields)
    query = select(*columns).where(failed_run.c.hospital == hospital).order_by(failed_run.c.at, failed_run.c.run_id)
    return tuple(FailedRun._make(row) for row in connection.execute(query))


def sample(connection: Connection, hospital: str, trouble: str, detail: str, *, now: datetime, most: int) -> list[str]:
    """Keys of some events that a trouble is about, the newest first; none for a trouble that is not about events."""
    match trouble:
        case "unmapped_code":
            condition = and_(_QUARANTINED, event.c.reason == f"{detail}.code")
        case "missing_field":
            condition = and_(_QUARANTINED, event.c.reason == detail)
        case "platform_refuses" | "unconfirmed":
            code = event.c.result_code
            of_code = code == int(detail) if detail else code.is_(None)
            status = "rejected" if trouble == "platform_refuses" else "unconfirmed"
            condition = and_(UNDECIDED, event.c.status == status, of_code)
        case "delivery_behind" | "quota_exhausted" | "misconfiguration":
            condition = and_(OPEN, event.c.lane.in_((0, 1)))
        case _:
            return []
    first = local(now).date() - REACH
    query = select(event.c.key).where(event.c.hospital == hospital, condition)
    if trouble in ("unmapped_code", "missing_field", "platform_refuses", "unconfirmed"):
        query = query.where(event.c.day >= first).order_by(event.c.day.desc())
    return list(connection.scalars(query.limit(most)))
