"""Calls of a platform day, per hospital and interface, for hospitals that are not yet live (document 2.2, 10034).

Live events have the first claim on a day's calls: what they needed on recent days, and have not yet used today, is
kept free of backfill.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from math import ceil
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, func, insert, select, update

from card_usage.ledger.schema import event, quota_day

REPORT: Final = "reportHISData"
TOKEN: Final = "getAppToken"  # noqa: S105 - an interface
RECENT_DAYS: Final = 7


def _row(hospital: str, interface: str, day: date) -> ColumnElement[bool]:
    return and_(quota_day.c.hospital == hospital, quota_day.c.interface == interface, quota_day.c.day == day)


def used(connection: Connection, *, hospital: str, interface: str, day: date) -> int:
    """Calls reserved so far."""
    return connection.scalar(select(quota_day.c.used).where(_row(hospital, interface, day))) or 0


def live_need(connection: Connection, *, hospital: str, day: date) -> int:
    """Live events a day, on average over the days before `day` that had any (rounded up)."""
    recent = and_(event.c.day >= day - timedelta(days=RECENT_DAYS), event.c.day < day)
    live = and_(event.c.hospital == hospital, event.c.lane == 0, event.c.status != "voided", recent)
    total, days = connection.execute(
        select(func.count(), func.count(event.c.day.distinct())).select_from(event).where(live)
    ).one()
    return ceil(total / days) if days else 0


def reserve(
    connection: Connection, wanted: int, *, hospital: str, interface: str, day: date, limit: int, for_live: bool = True
) -> int:
    """Reserve up to `wanted` calls before they are made; returns how many were left for it."""
    query = select(quota_day.c.used, quota_day.c.used_live).where(_row(hospital, interface, day)).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        connection.execute(insert(quota_day).values(hospital=hospital, interface=interface, day=day))
    total, live = row or (0, 0)
    free = limit - total
    if not for_live and free > 0:
        free -= max(0, live_need(connection, hospital=hospital, day=day) - live)
    granted = max(0, min(wanted, free))
    if granted:
        _add(connection, granted, _row(hospital, interface, day), for_live=for_live)
    return granted


def give_back(
    connection: Connection, calls: int, *, hospital: str, interface: str, day: date, for_live: bool = True
) -> None:
    """Return reserved calls that were certainly not made; not once the platform has said that the day is used up."""
    open_day = and_(_row(hospital, interface, day), quota_day.c.exhausted_at.is_(None))
    _add(connection, -calls, open_day, for_live=for_live)


def _add(connection: Connection, calls: int, where: ColumnElement[bool], *, for_live: bool) -> None:
    values = {"used": quota_day.c.used + calls}
    if for_live:
        values["used_live"] = quota_day.c.used_live + calls
    connection.execute(update(quota_day).where(where).values(values))


def exhausted(connection: Connection, *, hospital: str, interface: str, day: date, limit: int, now: datetime) -> None:
    """The platform says that the day is used up: believe it, whatever was counted here."""
    values = {"used": limit, "exhausted_at": now}
    if connection.execute(update(quota_day).where(_row(hospital, interface, day)).values(values)).rowcount == 0:
        connection.execute(insert(quota_day).values(hospital=hospital, interface=interface, day=day, **values))
