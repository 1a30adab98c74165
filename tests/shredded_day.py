"""A day of a hospital that is staged, delivered as a delivery leaves it, and whose data key is then destroyed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from card_usage.config.hospital import Hospital, load_hospital
from card_usage.events import SourceRow
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event
from card_usage.staging.stage import Staged, stage
from card_usage.standard.aliases import load_aliases
from card_usage.standard.code_tables import load_tables
from card_usage.windows import day_window
from sqlalchemy import select, update

HOSPITAL: Hospital = load_hospital(SHIPPED / "hospitals", "demo_hospital")
TABLES = load_tables(SHIPPED / "code_tables")
ALIASES = load_aliases(SHIPPED / "code_aliases", HOSPITAL.id, TABLES)
DAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 3, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=HOSPITAL.his.look_back_days + 3)
FEED = HOSPITAL.his.feeds[0]


def row(number: int, **changes: Any) -> SourceRow:
    base = SourceRow(
        source_id=f"S{number}",
        occurred_at=f"2026030208:{number:02}:00",
        scene="010101",
        department="0300",
        department_name="内科",
        card_type="11",
        channel="0100",
        cost_type=None,
        id_number=None,
        name=f"病人{number}",
        qr_code_text=f"{number:032X}:1",
        voided=0,
    )
    return base._replace(**changes)


def take(ledger: Ledger, rows: list[SourceRow], *, now: datetime = NOW) -> Staged:
    return stage(
        iter([rows]),
        hospital=HOSPITAL,
        feed=FEED,
        window=day_window(DAY),
        ledger=ledger,
        tables=TABLES,
        aliases=ALIASES,
        backfill=False,
        now=now,
    )


def deliver(ledger: Ledger, *, refused: int = 0) -> None:
    """As a delivery leaves them: what is sealed of a delivered event is erased."""
    with ledger.write() as connection:
        ids = connection.scalars(select(event.c.id).where(event.c.status == "ready").order_by(event.c.id)).all()
        gone = event.c.id.in_(ids[refused:])
        values = {"status": "delivered", "settled_at": NOW, "sealed": None, "key_id": None}
        connection.execute(update(event).where(gone).values(values))
        kept = event.c.id.in_(ids[:refused])
        connection.execute(update(event).where(kept).values(status="rejected", settled_at=NOW))


def sealed_parts(ledger: Ledger) -> list[tuple[str, str, bytes]]:
    """Event key, key id and blob of all that is sealed now."""
    columns = (event.c.key, event.c.key_id, event.c.sealed)
    with ledger.read() as connection:
        return [tuple(row) for row in connection.execute(select(*columns).where(event.c.sealed.is_not(None)))]
