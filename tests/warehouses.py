"""Warehouses for tests: a ledger with planted days of several hospitals, and a folder for what is made of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import planted
from card_usage.config.hospital import Hospital
from card_usage.files.store import Store
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event
from card_usage.warehouse import run
from card_usage.warehouse.layout import HospitalDay
from planted import NOW
from sqlalchemy import select, update

FIRST = date(2026, 2, 27)
"""Days on both sides of a month's end."""
STATES = {"delivered": 60, "quarantined": 8, "ready": 4, "rejected": 3, "unconfirmed": 1, "voided": 5}
REGIONS = {"demo_hospital": "440305", "second": "440106", "third": "110101", "fourth": ""}


def hospital(hospital_id: str) -> Hospital:
    """The demo hospital under another id, in a region of its own."""
    changes = {"id": hospital_id, "name": f"医院{hospital_id}", "region": REGIONS[hospital_id]}
    return planted.hospital().model_copy(update=changes)


def days(count: int = 4) -> list[date]:
    """So many days from FIRST on."""
    return [FIRST + timedelta(days=n) for n in range(count)]


def plant(ledger: Ledger, *, seed: int = 1, hospitals: Sequence[str] = ("demo_hospital",), count: int = 4) -> None:
    """Days of these hospitals, with hours, departments, channels and delays of all kinds, some of them unknown."""
    draw = random.Random(seed)
    with ledger.write() as connection:
        for name in hospitals:
            for day in days(count):
                states = {state: draw.randrange(most + 1) for state, most in STATES.items()}
                planted.plant(connection, states, seed=draw.randrange(10**6), day=day, marks=0.2, hospital=name)
        for event_id, occurred_at in connection.execute(select(event.c.id, event.c.occurred_at)).all():
            changes: dict[str, Any] = {
                "settled_at": NOW + timedelta(minutes=draw.randrange(20_000)) if draw.random() < 0.8 else None,
                "occurred_at": occurred_at if draw.random() < 0.97 else None,
                "cost_type": draw.choice(("0100", "0200", None)),
            }
            if draw.random() < 0.3:
                changes["department"] = None
            connection.execute(update(event).where(event.c.id == event_id).values(changes))


@dataclass
class Built:
    """A ledger and the warehouse that is made of it."""

    ledger: Ledger
    store: Store
    folder: Path

    def build(self, *hospitals: str, count: int = 4) -> None:
        """Their days, into files of their own."""
        for name in hospitals:
            built = run.build_days(self.ledger, self.store, hospital(name), days(count), now=NOW)
            assert not built.failed

    def compact(self) -> None:
        run.compact_and_publish(self.ledger, self.store)

    def day(self, of: HospitalDay) -> Path:
        """The file of a hospital's day."""
        return self.folder / f"warehouse/v1/uses/days/day={of.day}/{of.hospital}.parquet"


def make(ledger: Ledger, folder: Path) -> Built:
    """An empty warehouse in a folder."""
    return Built(ledger, Store(folder), folder)
