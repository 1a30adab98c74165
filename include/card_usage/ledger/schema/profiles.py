"""A window in counts: what the gate measured of it, and what later windows are held against."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Integer, String, Table

from card_usage.ledger.schema.columns import metadata

# `measure` and `of`: see card_usage.quality.profiles. A few dozen rows a window: history costs no scan.
window_profile = Table(
    "window_profile",
    metadata,
    Column("hospital", String(64), primary_key=True),
    Column("start", DateTime, primary_key=True),
    Column("end", DateTime, primary_key=True),
    Column("measure", String(16), primary_key=True),
    Column("of", String(64), primary_key=True),
    Column("amount", Integer, nullable=False),
)
