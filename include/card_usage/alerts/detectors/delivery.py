"""Delivery: events that wait for too long, that the platform refuses, or that nobody can confirm."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import and_, func, select

from card_usage.alerts.incidents import Condition
from card_usage.alerts.situation import DELIVERABLE, REACH, Situation
from card_usage.config.alert_causes import Severity
from card_usage.ledger.holds import HoldKind
from card_usage.ledger.schema import UNDECIDED, event
from card_usage.windows import HOUR

MANY_REFUSED: Final = 20


def _delivery_behind(situation: Situation) -> Iterator[Condition]:
    if any(hold.kind in (HoldKind.PAUSE, HoldKind.DRAIN) for hold in situation.holds):
        return  # a person wants it so
    withheld = {day for stored in situation.undecided_verdicts for day in stored.window.days}
    late = [part for part in situation.open_events if part.late and part.day not in withheld]
    if late:
        since = min(part.since for part in late)
        hours = int((situation.now - since) / HOUR)
        yield Condition(
            cause="delivery_behind",
            severity="critical" if hours >= 24 else "warning",
            count=sum(part.late for part in late),
            since=since,
            facts={"hours": hours, "limit": situation.hospital.alerts.behind_hours},
            sample=situation.sample(DELIVERABLE),
        )


class _Undecided(NamedTuple):
    """Refused or unconfirmed events by the platform's result code (None: it gave none)."""

    result_code: int | None
    events: int
    since: datetime


def _undecided(cause: str, status: str, situation: Situation) -> Iterator[Condition]:
    """A condition for each result code of the events with this status, the most frequent first."""
    query = (
        select(event.c.result_code, func.count(), func.min(func.coalesce(event.c.settled_at, event.c.staged_at)))
        .where(
            event.c.hospital == situation.hospital.id,
            event.c.day >= situation.today - REACH,
            UNDECIDED,
            event.c.status == status,
        )
        .group_by(event.c.result_code)
    )
    by_code = [_Undecided._make(row) for row in situation.connection.execute(query)]
    for undecided in sorted(by_code, key=lambda row: (-row.events, row.result_code or 0)):
        code = undecided.result_code
        of_code = event.c.result_code.is_(None) if code is None else event.c.result_code == code
        some = status == "rejected" and undecided.events < MANY_REFUSED
        severity: Severity = "info" if some else "warning"
        yield Condition(
            cause=cause,
            detail="" if code is None else str(code),
            severity=severity,
            count=undecided.events,
            since=undecided.since,
            facts={"code": "" if code is None else str(code)},
            sample=situation.sample(and_(UNDECIDED, event.c.status == status, of_code), newest_first=True),
        )


DETECTORS = (
    _delivery_behind,
    partial(_undecided, "platform_refuses", "rejected"),
    partial(_undecided, "unconfirmed", "unconfirmed"),
)
