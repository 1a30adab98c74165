"""Delivery: events that wait for too long, are called again and again, are refused, or that nobody can confirm."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import and_, func, select

from card_usage.alerts.incidents import Condition
from card_usage.alerts.situation import DELIVERABLE, Situation
from card_usage.config.alert_causes import Severity
from card_usage.delivery.binding import memory_of
from card_usage.ledger.holds import HoldKind
from card_usage.ledger.schema import UNDECIDED, event
from card_usage.platform.outcome import REPEATED_CODE, meanings
from card_usage.windows import HOUR

MANY_REFUSED: Final = 20


def _delivery_behind(situation: Situation) -> Iterator[Condition]:
    if any(hold.kind in (HoldKind.PAUSE, HoldKind.DRAIN) for hold in situation.holds):
        return  # a person wants it so
    withheld = {day for stored in situation.undecided_verdicts for day in stored.window.days}
    late = [part for part in situation.open_events if part.late and part.day not in withheld]
    behind = sum(part.late for part in late)
    told = sum(unending.late for unending in situation.unending_answers)
    # Where most of them have an answer, it is told, and holds up the others too.
    if behind and 2 * told < behind:
        since = min(part.since for part in late)
        hours = int((situation.now - since) / HOUR)
        yield Condition(
            cause="delivery_behind",
            severity="critical" if hours >= 24 else "warning",
            count=behind,
            since=since,
            facts={
                "hours": hours,
                "limit": situation.hospital.alerts.behind_hours,
                "run_day": str(max(part.day for part in late)),
            },
            sample=situation.sample(DELIVERABLE),
        )


def _answers_without_end(situation: Situation) -> Iterator[Condition]:
    """Events that neither a state nor a hold speaks of: each has one answer again and again."""
    for unending in situation.unending_answers:
        code = unending.result_code
        said = unending.answer if code is None else str(code)
        meaning = "?" if code is None else meanings().get(code, "?")
        yield Condition(
            cause="answers_without_end",
            detail=said,
            severity="warning",
            count=unending.events,
            since=unending.since,
            facts={
                "calls": unending.calls,
                "reason": f"{said} ({meaning})",
                "reason_zh": f"{said}（{meaning}）",
                "run_day": str(unending.day),
            },
            sample=situation.sample(and_(DELIVERABLE, event.c.attempts > 0)),
        )


class _Undecided(NamedTuple):
    """Refused or unconfirmed events by the platform's result code (None: it gave none). `day`: the newest of theirs."""

    result_code: int | None
    events: int
    since: datetime
    day: date


def _undecided(cause: str, status: str, situation: Situation) -> Iterator[Condition]:
    """A condition for each result code of the events with this status, the most frequent first."""
    since = func.min(func.coalesce(event.c.settled_at, event.c.staged_at))
    of_status = and_(situation.seen(cause, mendable=status == "rejected"), UNDECIDED, event.c.status == status)
    query = (
        select(event.c.result_code, func.count(), since, func.max(event.c.day))
        .where(
            event.c.hospital == situation.hospital.id,
            of_status,
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
            facts={
                "code": "" if code is None else str(code),
                "run_day": str(undecided.day),
                **_memory(status, code, situation),
            },
            sample=situation.sample(and_(of_status, of_code), newest_first=True),
        )


def _memory(status: str, code: int | None, situation: Situation) -> dict[str, str]:
    """Why 10054 leaves events unconfirmed: what is known of the platform's memory for request ids."""
    if status != "unconfirmed" or code != REPEATED_CODE:
        return {}
    return {"memory": memory_of(situation.connection, situation.hospital.id).memory.value}


DETECTORS = (
    _answers_without_end,
    _delivery_behind,
    partial(_undecided, "platform_refuses", "rejected"),
    partial(_undecided, "unconfirmed", "unconfirmed"),
)
