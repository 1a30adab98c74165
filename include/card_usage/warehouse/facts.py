"""Facts: a hospital's day as the ledger's events give it now, in one grouped query. No patient field is selected."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, case, func, select

from card_usage.ledger.counts import DELAY, DELAY_KNOWN, HOUR, VALID
from card_usage.ledger.schema import event
from card_usage.warehouse.layout import HospitalDay
from card_usage.warehouse.schema import LONGER, VERSION

_OUTCOMES: Final = {
    "ready": "waiting",
    "held": "waiting",
    "in_flight": "waiting",
    "unknown": "waiting",
    "rejected": "refused",
}
"""State of the ledger -> outcome, where the two are called otherwise."""


class Facts(NamedTuple):
    """Rows of `uses` but for hospital and day, in a fixed order, and what they sum to."""

    rows: Sequence[tuple[Any, ...]]
    records: int
    uses: int

    @property
    def digest(self) -> str:
        """The same for the same rows under the same schema."""
        return hashlib.sha256(repr((VERSION, self.rows)).encode()).hexdigest()


def read(connection: Connection, of: HospitalDay) -> Facts:
    """The day's facts: (hour, scene, department, channel, card type, cost type, outcome, delay, records, uses)."""
    delay = case((DELAY_KNOWN, func.coalesce(DELAY, 0)), else_=-1)
    codes = (event.c.scene, event.c.department, event.c.channel, event.c.card_type, event.c.cost_type)
    groups = (HOUR, *codes, event.c.status, delay)
    query = (
        select(*groups, func.count(), func.sum(case((VALID, 1), else_=0)))
        .where(event.c.hospital == of.hospital, event.c.day == of.day)
        .group_by(*groups)
    )
    sums: dict[tuple[Any, ...], list[int]] = {}
    for *values, status, minutes, records, uses in connection.execute(query):
        key = (*values, _OUTCOMES.get(status, status), _DELAY_NAMES.get(minutes, str(minutes)))
        totals = sums.setdefault(key, [0, 0])
        totals[0] += records
        totals[1] += int(uses)
    rows = sorted(((*key, *totals) for key, totals in sums.items()), key=repr)
    return Facts(rows, sum(row[-2] for row in rows), sum(row[-1] for row in rows))


_DELAY_NAMES: Final = {-1: None, 0: LONGER}


class LedgerDay(NamedTuple):
    """What the ledger has of a hospital's day."""

    records: int
    uses: int


def ledger_days(
    connection: Connection, *, hospital: str | None = None, first: date | None = None, last: date | None = None
) -> dict[HospitalDay, LedgerDay]:
    """Records and valid uses of each day with any, of one hospital or of all."""
    query = select(event.c.hospital, event.c.day, func.count(), func.sum(case((VALID, 1), else_=0)))
    if hospital is not None:
        query = query.where(event.c.hospital == hospital)
    if first is not None:
        query = query.where(event.c.day >= first)
    if last is not None:
        query = query.where(event.c.day <= last)
    found = connection.execute(query.group_by(event.c.hospital, event.c.day))
    return {HospitalDay(of, day): LedgerDay(records, int(uses)) for of, day, records, uses in found}
