"""What stands in the warehouse: each hospital's day, and each hospital that ever was, with its name and region."""

from __future__ import annotations

from sqlalchemy import Column, Date, Integer, String, Table

from card_usage.ledger.schema.columns import Instant, metadata

# A day is being written while `built_at` is null; `reason`: the class of the error by which its last try failed.
warehouse_day = Table(
    "warehouse_day",
    metadata,
    Column("hospital", String(64), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("digest", String(64)),
    Column("records", Integer),
    Column("uses", Integer),
    Column("built_at", Instant),
    Column("failed_at", Instant),
    Column("reason", String(64)),
)

# Of months: how often its files were written together. Whoever read an older state must not write over a newer one.
warehouse_month = Table(
    "warehouse_month",
    metadata,
    Column("month", Date, primary_key=True),
    Column("version", Integer, nullable=False),
)

# Stays when the hospital's file goes.
warehouse_hospital = Table(
    "warehouse_hospital",
    metadata,
    Column("hospital", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("name_en", String(200), nullable=False),
    Column("region", String(6), nullable=False),
)
