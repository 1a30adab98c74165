"""Readings: what the ledger shows now, in figures by hospital: what is open, what waits for a person, how far it is.

Promises: each is one grouped query over an index of what is not settled, or over tables of a few rows a hospital, so
that a scrape costs the same however large the ledger grows. Only states, counts and times are selected: the rights of
`ledger allow-metrics` are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection, and_, case, func, or_, select, text

from card_usage.ledger.holds import BLOCKING
from card_usage.ledger.schema import (
    OPEN,
    UNDECIDED,
    deliverer,
    event,
    feed_window,
    hold,
    incident,
    quota_day,
    token,
    verdict,
    verified,
)
from card_usage.quality.verdicts import WITHHOLDING
from card_usage.windows import ZONE, local

_QUARANTINED: Final = text("status = 'quarantined'")
_LANES: Final = {0: "live", 1: "backfill"}
_REACH: Final = timedelta(days=92)
"""How far back verdicts are read; further ones are incidents by then."""


class Sample(NamedTuple):
    """One value and the values of its metric's labels, in their order."""

    labels: tuple[str, ...]
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Gauge:
    """A figure that goes up and down. `read` gives its samples at a time."""

    name: str
    help: str
    labels: tuple[str, ...]
    read: Callable[[Connection, datetime], Iterator[Sample]]


def _open_events(connection: Connection, now: datetime) -> Iterator[Sample]:
    query = select(event.c.hospital, event.c.lane, func.count()).where(OPEN).group_by(event.c.hospital, event.c.lane)
    for hospital, lane, events in connection.execute(query):
        yield Sample((hospital, _LANES.get(lane, "withheld")), events)


def _oldest_due(connection: Connection, now: datetime) -> Iterator[Sample]:
    due = or_(event.c.due_at.is_(None), event.c.due_at <= now)
    query = (
        select(event.c.hospital, event.c.lane, func.min(event.c.staged_at))
        .where(OPEN, due, event.c.lane.in_(_LANES))
        .group_by(event.c.hospital, event.c.lane)
    )
    for hospital, lane, since in connection.execute(query):
        yield Sample((hospital, _LANES[lane]), max(0.0, (now - since).total_seconds()))


def _quarantined(connection: Connection, now: datetime) -> Iterator[Sample]:
    query = select(event.c.hospital, func.count()).where(_QUARANTINED).group_by(event.c.hospital)
    for hospital, events in connection.execute(query):
        yield Sample((hospital,), events)


def _undecided(connection: Connection, now: datetime) -> Iterator[Sample]:
    columns = (event.c.hospital, event.c.status)
    for hospital, status, events in connection.execute(
        select(*columns, func.count()).where(UNDECIDED).group_by(*columns)
    ):
        yield Sample((hospital, status), events)


def _withheld(connection: Connection, now: datetime) -> Iterator[Sample]:
    """Windows by the newest verdict about them that no person has decided about."""
    recent = verdict.c.start >= local(now - _REACH)
    newest = (
        select(func.max(verdict.c.id)).where(recent).group_by(verdict.c.hospital, verdict.c.start, verdict.c.end)
    ).scalar_subquery()
    columns = (verdict.c.hospital, verdict.c.verdict)
    query = (
        select(*columns, func.count())
        .where(recent, verdict.c.id.in_(newest), verdict.c.decision.is_(None), verdict.c.verdict.in_(WITHHOLDING))
        .group_by(*columns)
    )
    for hospital, level, windows in connection.execute(query):
        yield Sample((hospital, level), windows)


def _holds(connection: Connection, now: datetime) -> Iterator[Sample]:
    query = select(hold.c.hospital, hold.c.kind).where(
        or_(hold.c.until.is_(None), hold.c.until > now), hold.c.kind.in_([kind.value for kind in BLOCKING])
    )
    for hospital, kind in connection.execute(query):
        yield Sample((hospital, kind), 1)


def _incidents(connection: Connection, now: datetime) -> Iterator[Sample]:
    columns = (incident.c.hospital, incident.c.cause, incident.c.severity)
    query = select(*columns, func.count()).where(incident.c.closed_at.is_(None)).group_by(*columns)
    for hospital, cause, severity, open_ones in connection.execute(query):
        yield Sample((hospital, cause, severity), open_ones)


def _verified_through(connection: Connection, now: datetime) -> Iterator[Sample]:
    for hospital, feed, through in connection.execute(select(verified.c.hospital, verified.c.feed, verified.c.through)):
        yield Sample((hospital, feed), _epoch(through))


def _staged_through(connection: Connection, now: datetime) -> Iterator[Sample]:
    """What was read beyond the verified part, by the index of windows: a ledger has years of them before it."""
    columns = (verified.c.hospital, verified.c.feed)
    windows = and_(
        feed_window.c.hospital == verified.c.hospital,
        feed_window.c.feed == verified.c.feed,
        feed_window.c.start >= verified.c.through,
        feed_window.c.status.in_(("provisional", "closed")),
    )
    query = select(*columns, func.max(feed_window.c.end)).join(feed_window, windows).group_by(*columns)
    for hospital, feed, end in connection.execute(query):
        yield Sample((hospital, feed), _epoch(end))


def _deliverers(connection: Connection, now: datetime) -> Iterator[Sample]:
    query = (
        select(deliverer.c.hospital, func.count())
        .where(deliverer.c.ended_at.is_(None), deliverer.c.started_at > now - timedelta(days=2))
        .group_by(deliverer.c.hospital)
    )
    for hospital, alive in connection.execute(query):
        yield Sample((hospital,), alive)


def _quota_used(connection: Connection, now: datetime) -> Iterator[Sample]:
    today = local(now).date()
    columns = (quota_day.c.hospital, quota_day.c.interface, quota_day.c.used)
    for hospital, interface, used in connection.execute(select(*columns).where(quota_day.c.day == today)):
        yield Sample((hospital, interface), used)


def _quota_used_up(connection: Connection, now: datetime) -> Iterator[Sample]:
    today = local(now).date()
    columns = (quota_day.c.hospital, quota_day.c.interface)
    used_up = case((quota_day.c.exhausted_at.is_(None), 0), else_=1)
    for hospital, interface, value in connection.execute(select(*columns, used_up).where(quota_day.c.day == today)):
        yield Sample((hospital, interface), value)


def token_refreshes(connection: Connection) -> Mapping[tuple[str, ...], float]:
    """Tokens obtained by appId since the ledger began: their serial number."""
    return {(app_id,): float(serial) for app_id, serial in connection.execute(select(token.c.app_id, token.c.serial))}


def _epoch(moment: datetime) -> float:
    """Seconds since 1970 of a naive local time."""
    return moment.replace(tzinfo=ZONE).timestamp()


GAUGES: Final = (
    Gauge(
        name="card_usage_open_events",
        help="Events that are not settled, by lane (live, backfill, withheld by the quality gate)",
        labels=("hospital", "lane"),
        read=_open_events,
    ),
    Gauge(
        name="card_usage_oldest_due_event_age_seconds",
        help="Time since the oldest due event that is not settled was staged",
        labels=("hospital", "lane"),
        read=_oldest_due,
    ),
    Gauge(
        name="card_usage_quarantined_events",
        help="Events that a rule holds back until mapping or data are mended",
        labels=("hospital",),
        read=_quarantined,
    ),
    Gauge(
        name="card_usage_undecided_events",
        help="Events that a person has to decide about (rejected, unconfirmed)",
        labels=("hospital", "status"),
        read=_undecided,
    ),
    Gauge(
        name="card_usage_undecided_windows",
        help="Windows that the quality gate withholds and nobody has decided about, of the last 92 days",
        labels=("hospital", "verdict"),
        read=_withheld,
    ),
    Gauge(
        name="card_usage_hold",
        help="1 while a hold stops deliveries; hospital '*' is every hospital",
        labels=("hospital", "kind"),
        read=_holds,
    ),
    Gauge(
        name="card_usage_open_incidents",
        help="Incidents that are open",
        labels=("hospital", "cause", "severity"),
        read=_incidents,
    ),
    Gauge(
        name="card_usage_verified_through_timestamp_seconds",
        help="Everything of the feed before this time is accounted for",
        labels=("hospital", "feed"),
        read=_verified_through,
    ),
    Gauge(
        name="card_usage_staged_through_timestamp_seconds",
        help="End of the newest window that was read from the replica, where one is beyond the verified part",
        labels=("hospital", "feed"),
        read=_staged_through,
    ),
    Gauge(
        name="card_usage_deliverers",
        help="Delivering processes that have signed on and not off",
        labels=("hospital",),
        read=_deliverers,
    ),
    Gauge(
        name="card_usage_quota_used_calls",
        help="Calls of today that count against a hospital's quota",
        labels=("hospital", "interface"),
        read=_quota_used,
    ),
    Gauge(
        name="card_usage_quota_used_up",
        help="1 once the platform said that today's quota is used up (10034)",
        labels=("hospital", "interface"),
        read=_quota_used_up,
    ),
)
