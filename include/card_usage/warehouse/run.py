"""Run: what commands and tasks do with the warehouse: days written, everything written anew, months compacted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import select

from card_usage.config.hospital import Hospital
from card_usage.files.store import Store
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import warehouse_hospital
from card_usage.ledger.upsert import insert_into
from card_usage.warehouse import dimensions, facts
from card_usage.warehouse.build import Built, build, left_over, remember
from card_usage.warehouse.compact import Compacted, compact
from card_usage.warehouse.layout import HospitalDay


class Rebuilt(NamedTuple):
    """Everything written anew."""

    built: Built
    compacted: Compacted


def build_days(ledger: Ledger, store: Store, hospital: Hospital, days: Iterable[date], *, now: datetime) -> Built:
    """A hospital's days, where they have changed, and what earlier builds have left."""
    remember(ledger, [hospital])
    with ledger.read() as connection:
        wanted = sorted({*days, *left_over(connection, hospital.id)})
    return build(ledger, store, [HospitalDay(hospital.id, day) for day in wanted], now=now)


def compact_and_publish(ledger: Ledger, store: Store) -> Compacted:
    """Months together, and the names behind the codes as they are now."""
    compacted = compact(ledger, store)
    dimensions.publish(ledger, store)
    return compacted


def rebuild(ledger: Ledger, store: Store, hospitals: Iterable[Hospital], *, now: datetime) -> Rebuilt:
    """Every day that the ledger has, of every hospital that it has, with a file or without."""
    remember(ledger, hospitals)
    with ledger.read() as connection:
        days = sorted(facts.ledger_days(connection))
    with ledger.write() as connection:
        # A hospital whose file went before the warehouse began is called by its id.
        known = set(connection.scalars(select(warehouse_hospital.c.hospital)))
        for strange in sorted({of.hospital for of in days} - known):
            row = insert_into(connection, warehouse_hospital).values(
                hospital=strange, name=strange, name_en="", region=""
            )
            connection.execute(row.on_conflict_do_nothing(index_elements=["hospital"]))
    built = build(ledger, store, days, now=now, again=True)
    return Rebuilt(built, compact_and_publish(ledger, store))
