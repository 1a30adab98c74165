"""Destroyed: of which days the patients' content is destroyed for good, and since when, as a report says it."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select

from card_usage.ledger.schema import event, shredded_key
from card_usage.report.totals import stamp
from card_usage.windows import ZONE


def days(connection: Connection, hospital: str, day: date) -> list[dict[str, Any]]:
    """This day, and those whose data keys were destroyed on it or on the day after, when its report is made.

    `kept`: events of that day that still wait for somebody, sealed by another key.
    """
    at = func.max(shredded_key.c.destroyed_at)
    since = datetime.combine(day, time(), ZONE)
    lately = and_(shredded_key.c.destroyed_at >= since, shredded_key.c.destroyed_at < since + timedelta(days=2))
    of_report = or_(shredded_key.c.day == day, lately)
    query = select(shredded_key.c.day, at).where(shredded_key.c.hospital == hospital, of_report)
    query = query.where(shredded_key.c.destroyed_at.is_not(None)).group_by(shredded_key.c.day)
    return [
        {"day": of.isoformat(), "at": stamp(destroyed_at), "kept": _kept(connection, hospital, of)}
        for of, destroyed_at in connection.execute(query.order_by(shredded_key.c.day))
    ]


def _kept(connection: Connection, hospital: str, day: date) -> int:
    of_day = and_(event.c.hospital == hospital, event.c.day == day, event.c.sealed.is_not(None))
    return connection.scalar(select(func.count()).select_from(event).where(of_day)) or 0
