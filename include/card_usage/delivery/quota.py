"""Quota: calls of a platform day by hospital and interface, for hospitals that are not yet live (document 2.2, 10034).

Live events have priority: the calls that they needed on recent days, and have not used yet today, are not given to
backfill.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from math import ceil
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, func, insert, select, update

from card_usage.ledger.schema import event, quota_day

REPORT: Final = "reportHISData"
TOKEN: Final = "getAppToken"  # noqa: S105 - an interface
RECENT_DAYS: Final = 7


# The statements are made once: a deliverer executes them with every claim.
_ROW: Final = and_(
    quota_day.c.hospital == bindparam("of_hospital"),
    quota_day.c.interface == bindparam("of_interface"),
    quota_day.c.day == bindparam("of_day"),
)
_USED: Final = select(quota_day.c.used, quota_day.c.used_live).where(_ROW)
_USED_FROM_NOW: Final = _USED.with_for_update()
_ADD: Final = {
    "used": quota_day.c.used + bindparam("calls", type_=quota_day.c.used.type),
    "used_live": quota_day.c.used_live + bindparam("live_calls", type_=quota_day.c.used_live.type),
}
_RESERVE: Final = update(quota_day).where(_ROW).values(_ADD)
_GIVE_BACK: Final = update(quota_day).where(_ROW, quota_day.c.exhausted_at.is_(None)).values(_ADD)
_RECENT_LIVE: Final = (
    select(func.count(), func.count(event.c.day.distinct()))
    .select_from(event)
    .where(
        event.c.hospital == bindparam("of_hospital"),
        event.c.lane == 0,
        event.c.status != "voided",
        event.c.day >= bindparam("from_day"),
        event.c.day < bindparam("to_day"),
    )
)


def _row(hospital: str, interface: str, day: date) -> dict[str, Any]:
    return {"of_hospital": hospital, "of_interface": interface, "of_day": day}


def used(connection: Connection, *, hospital: str, interface: str, day: date) -> int:
    """Calls reserved so far."""
    return connection.scalar(_USED, _row(hospital, interface, day)) or 0


def live_need(connection: Connection, *, hospital: str, day: date) -> int:
    """Live events a day, on average over the days before `day` that had any (rounded up)."""
    recent = {"of_hospital": hospital, "from_day": day - timedelta(days=RECENT_DAYS), "to_day": day}
    total, days = connection.execute(_RECENT_LIVE, recent).one()
    return ceil(total / days) if days else 0


def reserve(
    connection: Connection, wanted: int, *, hospital: str, interface: str, day: date, limit: int, for_live: bool = True
) -> int:
    """Reserve up to `wanted` calls before they are made; returns how many were left for it."""
    row = connection.execute(_USED_FROM_NOW, _row(hospital, interface, day)).one_or_none()
    if row is None:
        connection.execute(insert(quota_day).values(hospital=hospital, interface=interface, day=day))
    total, live = row or (0, 0)
    free = limit - total
    if not for_live and free > 0:
        free -= max(0, live_need(connection, hospital=hospital, day=day) - live)
    granted = max(0, min(wanted, free))
    if granted:
        calls = {"calls": granted, "live_calls": granted if for_live else 0}
        connection.execute(_RESERVE, _row(hospital, interface, day) | calls)
    return granted


def give_back(
    connection: Connection, calls: int, *, hospital: str, interface: str, day: date, for_live: bool = True
) -> None:
    """Return reserved calls that were certainly not made; not once the platform has said that the day is used up."""
    back = {"calls": -calls, "live_calls": -calls if for_live else 0}
    connection.execute(_GIVE_BACK, _row(hospital, interface, day) | back)


def exhausted(connection: Connection, *, hospital: str, interface: str, day: date, limit: int, now: datetime) -> None:
    """The platform says that the day is used up: that counts, whatever was counted here."""
    values = {"used": limit, "exhausted_at": now}
    if connection.execute(update(quota_day).where(_ROW).values(values), _row(hospital, interface, day)).rowcount == 0:
        connection.execute(insert(quota_day).values(hospital=hospital, interface=interface, day=day, **values))
