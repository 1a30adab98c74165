"""Who looked at which report."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table

from card_usage.ledger.schema.columns import Id, Instant, metadata

# Written by the pages, whose role can add rows and change none. `status`: the answer, as HTTP has it.
viewing = Table(
    "viewing",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("viewer", String(64), nullable=False),
    Column("path", String(300), nullable=False),
    Column("status", Integer, nullable=False),
    Column("at", Instant, nullable=False),
)
Index("ix_viewing_at", viewing.c.at)
