"""Rows of the HIS whose time puts them into no day."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table

from card_usage.ledger.schema.columns import Instant, metadata

# As last counted. `first_key`, `last_key`: two of the HIS's own keys, to look the rows up by; nothing about a patient.
untimed = Table(
    "untimed",
    metadata,
    Column("hospital", String(64), primary_key=True),
    Column("feed", String(64), primary_key=True),
    Column("rows", Integer, nullable=False),
    Column("first_key", String(128), nullable=False),
    Column("last_key", String(128), nullable=False),
    Column("since", Instant, nullable=False),
    Column("at", Instant, nullable=False),
)
