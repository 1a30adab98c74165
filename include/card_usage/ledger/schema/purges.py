"""What was deleted after its time: a row for each kind and day, never deleted itself."""

from __future__ import annotations

from sqlalchemy import Column, Date, Index, Integer, String, Table

from card_usage.ledger.schema.columns import Id, Instant, metadata

# `hospital` is an id, or '*' for what belongs to no one hospital;
# `day`: of the events, or when a file was last changed.
purged = Table(
    "purged",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("day", Date, nullable=False),
    Column("count", Integer, nullable=False),
    Column("reason", String(200), nullable=False),
    Column("by", String(64), nullable=False),
    Column("at", Instant, nullable=False),
)
Index("ix_purged_hospital_day", purged.c.hospital, purged.c.day)
