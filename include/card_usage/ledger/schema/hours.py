"""What the HIS said of each hour when it was last staged."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Integer, String, Table

from card_usage.ledger.schema.columns import metadata

# `part`: a busy hour is remembered in several parts. `digest` is keyed: nothing about a patient can be guessed from it.
staged_hour = Table(
    "staged_hour",
    metadata,
    Column("hospital", String(64), primary_key=True),
    Column("feed", String(64), primary_key=True),
    Column("hour", DateTime, primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("digest", String(32), nullable=False),
)
