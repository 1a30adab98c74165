"""Day uses: sums of a day's valid uses, stored when its report is written, so that a month costs what its days cost.

A row is (hospital, day, dimension, code) with its uses and how many of them were made with a health card. Dimensions
are `hour` (0 to 23), `scene`, `channel`, `card_type`, `department`, and `delay` (delivered events by upper bound in
minutes).
Promises: about 200 rows a hospital and day, however many events; the same day again replaces its rows; no patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, func, select

from card_usage.ledger import counts
from card_usage.ledger.macs import made
from card_usage.ledger.schema import day_use
from card_usage.ledger.upsert import insert_into
from card_usage.standard.id_numbers import HEALTH_CARD

CODED: Final = ("scene", "channel", "card_type", "department")
DIMENSIONS: Final = ("hour", *CODED, "delay")


class Use(NamedTuple):
    """Uses under one code of one dimension; code None: not known (for `delay`: longer than the last bound)."""

    dimension: str
    code: str | None
    events: int
    health_card: int = 0


def of_day(connection: Connection, hospital: str, day: date) -> list[Use]:
    """The day's sums as the ledger's events give them now: three grouped queries."""
    sums: dict[tuple[str, str | None], list[int]] = {}

    def add(dimension: str, code: str | None, events: int, health_card: int) -> None:
        totals = sums.setdefault((dimension, code), [0, 0])
        totals[0] += events
        totals[1] += health_card

    for hour in counts.hours(connection, hospital, day, day):
        add("hour", None if hour.hour is None else str(hour.hour), hour.events, hour.health_card)
    for use in counts.uses(connection, hospital, day, day):
        for dimension in CODED:
            add(dimension, getattr(use, dimension), use.events, use.events if use.card_type == HEALTH_CARD else 0)
    for delay in counts.delays(connection, hospital, day, day):
        add("delay", None if delay.minutes is None else str(delay.minutes), delay.events, 0)
    return [Use(dimension, code, *figures) for (dimension, code), figures in sums.items()]


def save(connection: Connection, hospital: str, day: date, uses: Iterable[Use]) -> None:
    """Put these in the place of what was stored of the day."""
    connection.execute(delete(day_use).where(day_use.c.hospital == hospital, day_use.c.day == day))
    rows = [
        {"hospital": hospital, "day": day, "dimension": use.dimension, "code": use.code or ""}
        | {"events": use.events, "health_card": use.health_card}
        | {"mac": made(connection, "use", hospital, day, use.dimension, use.code or "", use.events, use.health_card)}
        for use in uses
    ]
    if not rows:
        return
    statement = insert_into(connection, day_use)
    # Two reports of one day at the same time: the later one's figures stand.
    key = ["hospital", "day", "dimension", "code"]
    figures = {name: statement.excluded[name] for name in ("events", "health_card", "mac")}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=figures), rows)


def load(connection: Connection, hospitals: Iterable[str], first: date, last: date) -> list[Use]:
    """Sums over days and hospitals, by dimension and code."""
    groups = (day_use.c.dimension, day_use.c.code)
    query = (
        select(*groups, func.sum(day_use.c.events), func.sum(day_use.c.health_card))
        .where(day_use.c.hospital.in_(list(hospitals)), day_use.c.day.between(first, last))
        .group_by(*groups)
    )
    return [
        Use(dimension, code or None, int(events), int(health_card))
        for dimension, code, events, health_card in connection.execute(query)
    ]


class Sum(NamedTuple):
    """Valid uses of one hospital and day, and how many of them were made with a health card."""

    events: int
    health_card: int


def by_day(connection: Connection, hospitals: Iterable[str], first: date, last: date) -> Mapping[tuple[str, date], Sum]:
    """Each hospital's and day's uses, where a report of the day was written."""
    query = (
        select(day_use.c.hospital, day_use.c.day, func.sum(day_use.c.events), func.sum(day_use.c.health_card))
        .where(
            day_use.c.day.between(first, last),
            day_use.c.dimension == "hour",
            day_use.c.hospital.in_(list(hospitals)),
        )
        .group_by(day_use.c.hospital, day_use.c.day)
    )
    return {(hospital, day): Sum(int(uses), int(cards)) for hospital, day, uses, cards in connection.execute(query)}
