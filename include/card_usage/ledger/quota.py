"""Calls of a platform day, per hospital and interface, for hospitals that are not yet live (document 2.2, 10034)."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ColumnElement, Connection, and_, insert, select, update

from card_usage.ledger.schema import quota_day

REPORT = "reportHISData"
TOKEN = "getAppToken"  # noqa: S105 - an interface


def _row(hospital: str, interface: str, day: date) -> ColumnElement[bool]:
    return and_(quota_day.c.hospital == hospital, quota_day.c.interface == interface, quota_day.c.day == day)


def used(connection: Connection, *, hospital: str, interface: str, day: date) -> int:
    """Calls reserved so far."""
    return connection.scalar(select(quota_day.c.used).where(_row(hospital, interface, day))) or 0


def reserve(connection: Connection, wanted: int, *, hospital: str, interface: str, day: date, limit: int) -> int:
    """Reserve up to `wanted` calls before they are made; returns how many there are left for it."""
    query = select(quota_day.c.used).where(_row(hospital, interface, day)).with_for_update()
    before = connection.scalar(query)
    granted = max(0, min(wanted, limit - (before or 0)))
    if before is None:
        connection.execute(insert(quota_day).values(hospital=hospital, interface=interface, day=day, used=granted))
    elif granted:
        connection.execute(
            update(quota_day).where(_row(hospital, interface, day)).values(used=quota_day.c.used + granted)
        )
    return granted


def give_back(connection: Connection, calls: int, *, hospital: str, interface: str, day: date) -> None:
    """Return reserved calls that were certainly not made; not once the platform has said that the day is used up."""
    row = and_(_row(hospital, interface, day), quota_day.c.exhausted_at.is_(None))
    connection.execute(update(quota_day).where(row).values(used=quota_day.c.used - calls))


def exhausted(connection: Connection, *, hospital: str, interface: str, day: date, limit: int, now: datetime) -> None:
    """The platform says that the day is used up: believe it, whatever was counted here."""
    values = {"used": limit, "exhausted_at": now}
    if connection.execute(update(quota_day).where(_row(hospital, interface, day)).values(values)).rowcount == 0:
        connection.execute(insert(quota_day).values(hospital=hospital, interface=interface, day=day, **values))
