"""Holds: what stops or slows delivery: misconfiguration, a contested token, a quota that is used up."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, select

from card_usage.alerts.incidents import Condition
from card_usage.alerts.situation import DELIVERABLE, Situation
from card_usage.ledger.holds import HoldKind
from card_usage.ledger.schema import deliverer, token


def _misconfiguration(situation: Situation) -> Iterator[Condition]:
    for hold in situation.holds:
        if hold.kind is HoldKind.MISCONFIGURED:
            code = {} if hold.result_code is None else {"code": str(hold.result_code)}
            yield Condition(
                cause="misconfiguration",
                detail="platform",
                severity="critical",
                count=sum(part.events for part in situation.open_events),
                since=hold.set_at,
                facts={"reason": hold.reason} | code | _run_day(situation),
                sample=situation.sample(DELIVERABLE),
            )


def _token_contested(situation: Situation) -> Iterator[Condition]:
    for hold in situation.holds:
        if hold.kind is HoldKind.CONTESTED:
            losses = _token_losses(situation.connection, situation.hospital.id)
            yield Condition(
                cause="token_contested",
                severity="critical",
                count=max(1, losses),
                since=hold.set_at,
                facts=_run_day(situation),
            )


def _run_day(situation: Situation) -> dict[str, str | int]:
    """The newest day of which events wait: its run is the one that was stopped."""
    days = [part.day for part in situation.open_events]
    return {"run_day": str(max(days))} if days else {}


def _token_losses(connection: Connection, hospital: str) -> int:
    """Tokens that somebody else ended, of the appId that the hospital last delivered under."""
    app_id = (
        select(deliverer.c.app_id)
        .where(deliverer.c.hospital == hospital)
        .order_by(deliverer.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return connection.scalar(select(token.c.losses).where(token.c.app_id == app_id)) or 0


def _quota_exhausted(situation: Situation) -> Iterator[Condition]:
    for hold in situation.holds:
        if hold.kind is HoldKind.QUOTA:
            live = sum(part.events for part in situation.open_events if part.lane == 0)
            yield Condition(
                cause="quota_exhausted",
                severity="warning" if live else "info",
                count=sum(part.events for part in situation.open_events),
                since=hold.set_at,
                facts={"live": live, "quota": situation.hospital.platform.daily_quota} | _run_day(situation),
                sample=situation.sample(DELIVERABLE),
            )


DETECTORS = (_misconfiguration, _token_contested, _quota_exhausted)
