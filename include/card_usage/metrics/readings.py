"""Readings: what the ledger shows now, in figures by hospital: what is open, what waits for a person, how far it is.

Promises: each is one grouped query over an index of what is not settled, or over tables of a few rows a hospital, so
that a scrape costs the same however large the ledger grows. Only states, counts and times are selected: the rights of
`ledger allow-metrics` are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, literal, or_, select, text

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
_LANE: Final[ColumnElement[str]] = case(_LANES, value=event.c.lane, else_="withheld")
_REACH: Final = timedelta(days=92)
"""How far back verdicts are read; further ones are incidents by then."""


class Sample(NamedTuple):
    """One value and the values of its metric's labels, in their order."""

    labels: tuple[str, ...]
    value: float


def _as_it_is(value: Any, now: datetime) -> float:
    return float(value)


def _age(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())


def _epoch(moment: datetime, now: datetime) -> float:
    """Seconds since 1970 of a naive local time."""
    return moment.replace(tzinfo=ZONE).timestamp()


@dataclass(frozen=True, kw_only=True, slots=True)
class Gauge:
    """A figure that goes up and down. `query`: at a time, a statement of its labels and then its value; `value`: what
    the figure is, of that value and the time."""

    name: str
    help: str
    labels: tuple[str, ...]
    query: Callable[[datetime], Select[Any]]
    value: Callable[[Any, datetime], float] = _as_it_is

    def read(self, connection: Connection, now: datetime) -> Iterator[Sample]:
        """Its samples."""
        for *labels, value in connection.execute(self.query(now)):
            yield Sample(tuple(labels), self.value(value, now))


def _counted(*by: ColumnElement[Any]) -> Select[Any]:
    return select(*by, func.count()).group_by(*by)


def _open_events(now: datetime) -> Select[Any]:
    return _counted(event.c.hospital, _LANE).where(OPEN)


def _oldest_due(now: datetime) -> Select[Any]:
    due = or_(event.c.due_at.is_(None), event.c.due_at <= now)
    query = select(event.c.hospital, _LANE, func.min(event.c.staged_at))
    return query.where(OPEN, due, event.c.lane.in_(_LANES)).group_by(event.c.hospital, _LANE)


def _withheld(now: datetime) -> Select[Any]:
    """Windows by the newest verdict about them that no person has decided about."""
    recent = verdict.c.start >= local(now - _REACH)
    newest = (
        select(func.max(verdict.c.id)).where(recent).group_by(verdict.c.hospital, verdict.c.start, verdict.c.end)
    ).scalar_subquery()
    return _counted(verdict.c.hospital, verdict.c.verdict).where(
        recent, verdict.c.id.in_(newest), verdict.c.decision.is_(None), verdict.c.verdict.in_(WITHHOLDING)
    )


def _holds(now: datetime) -> Select[Any]:
    in_force = or_(hold.c.until.is_(None), hold.c.until > now)
    blocking = hold.c.kind.in_([kind.value for kind in BLOCKING])
    return select(hold.c.hospital, hold.c.kind, literal(1)).where(in_force, blocking)


def _staged_through(now: datetime) -> Select[Any]:
    """What was read beyond the verified part, by the index of windows: a ledger has years of them before it."""
    columns = (verified.c.hospital, verified.c.feed)
    windows = and_(
        feed_window.c.hospital == verified.c.hospital,
        feed_window.c.feed == verified.c.feed,
        feed_window.c.start >= verified.c.through,
        feed_window.c.status.in_(("provisional", "closed")),
    )
    return select(*columns, func.max(feed_window.c.end)).join(feed_window, windows).group_by(*columns)


def _deliverers(now: datetime) -> Select[Any]:
    recent = deliverer.c.started_at > now - timedelta(days=2)
    return _counted(deliverer.c.hospital).where(deliverer.c.ended_at.is_(None), recent)


def _quota(now: datetime, value: ColumnElement[Any]) -> Select[Any]:
    """Of today."""
    today = quota_day.c.day == local(now).date()
    return select(quota_day.c.hospital, quota_day.c.interface, value).where(today)


def token_refreshes(connection: Connection) -> Mapping[tuple[str, ...], float]:
    """Tokens obtained by appId since the ledger began: their serial number."""
    return {(app_id,): float(serial) for app_id, serial in connection.execute(select(token.c.app_id, token.c.serial))}


GAUGES: Final = (
    Gauge(
        name="card_usage_open_events",
        help="Events that are not settled, by lane (live, backfill, withheld by the quality gate)",
        labels=("hospital", "lane"),
        query=_open_events,
    ),
    Gauge(
        name="card_usage_oldest_due_event_age_seconds",
        help="Time since the oldest due event that is not settled was staged",
        labels=("hospital", "lane"),
        query=_oldest_due,
        value=_age,
    ),
    Gauge(
        name="card_usage_quarantined_events",
        help="Events that a rule holds back until mapping or data are mended",
        labels=("hospital",),
        query=lambda now: _counted(event.c.hospital).where(_QUARANTINED),
    ),
    Gauge(
        name="card_usage_undecided_events",
        help="Events that a person has to decide about (rejected, unconfirmed)",
        labels=("hospital", "status"),
        query=lambda now: _counted(event.c.hospital, event.c.status).where(UNDECIDED),
    ),
    Gauge(
        name="card_usage_undecided_windows",
        help="Windows that the quality gate withholds and nobody has decided about, of the last 92 days",
        labels=("hospital", "verdict"),
        query=_withheld,
    ),
    Gauge(
        name="card_usage_hold",
        help="1 while a hold stops deliveries; hospital '*' is every hospital",
        labels=("hospital", "kind"),
        query=_holds,
    ),
    Gauge(
        name="card_usage_open_incidents",
        help="Incidents that are open",
        labels=("hospital", "cause", "severity"),
        query=lambda now: _counted(incident.c.hospital, incident.c.cause, incident.c.severity).where(
            incident.c.closed_at.is_(None)
        ),
    ),
    Gauge(
        name="card_usage_verified_through_timestamp_seconds",
        help="Everything of the feed before this time is accounted for",
        labels=("hospital", "feed"),
        query=lambda now: select(verified.c.hospital, verified.c.feed, verified.c.through),
        value=_epoch,
    ),
    Gauge(
        name="card_usage_staged_through_timestamp_seconds",
        help="End of the newest window that was read from the replica, where one is beyond the verified part",
        labels=("hospital", "feed"),
        query=_staged_through,
        value=_epoch,
    ),
    Gauge(
        name="card_usage_deliverers",
        help="Delivering processes that have signed on and not off",
        labels=("hospital",),
        query=_deliverers,
    ),
    Gauge(
        name="card_usage_quota_used_calls",
        help="Calls of today that count against a hospital's quota",
        labels=("hospital", "interface"),
        query=lambda now: _quota(now, quota_day.c.used),
    ),
    Gauge(
        name="card_usage_quota_used_up",
        help="1 once the platform said that today's quota is used up (10034)",
        labels=("hospital", "interface"),
        query=lambda now: _quota(now, case((quota_day.c.exhausted_at.is_(None), 0), else_=1)),
    ),
)
