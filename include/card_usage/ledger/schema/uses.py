"""Valid uses of a day, summed in every way that usage figures tell them apart: months are read from here."""

from __future__ import annotations

from sqlalchemy import Column, Date, Index, Integer, String, Table

from card_usage.ledger.schema.columns import Code, metadata

day_use = Table(
    "day_use",
    metadata,
    Column("hospital", String(64), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("dimension", String(16), primary_key=True),
    Column("code", Code, primary_key=True),
    Column("events", Integer, nullable=False),
    Column("health_card", Integer, nullable=False),
    Column("mac", String(32)),
)
Index("ix_day_use_day", day_use.c.day, day_use.c.dimension)
