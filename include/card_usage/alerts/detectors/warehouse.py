"""Warehouse: days whose sums could not be written, and no later build has written since."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from card_usage.alerts.incidents import Condition, listed_days
from card_usage.alerts.situation import Situation
from card_usage.ledger.schema import warehouse_day


def _warehouse_failed(situation: Situation) -> Iterator[Condition]:
    of = warehouse_day.c
    query = (
        select(of.day, of.failed_at, of.reason)
        .where(of.hospital == situation.hospital.id, of.failed_at.is_not(None))
        .order_by(of.failed_at)
    )
    failed = situation.connection.execute(query).all()
    if failed:
        days = sorted({row.day for row in failed}, reverse=True)
        yield Condition(
            cause="warehouse_failed",
            severity="warning",
            count=len(days),
            since=failed[0].failed_at,
            parts=tuple(map(str, days)),
            facts={"days": listed_days(days), "reason": failed[-1].reason},
        )


DETECTORS = (_warehouse_failed,)
