"""How the HIS looked when the ledger was last level with it."""

from __future__ import annotations

from sqlalchemy import Column, Date, String, Table, Text

from card_usage.ledger.schema.columns import Instant, metadata

# `hours`: hour -> keyed digest of its counts and of the HIS's own checksum over its rows, or one for each of its 60
# minutes, as JSON.
source_mark = Table(
    "source_mark",
    metadata,
    Column("hospital", String(64), primary_key=True),
    Column("feed", String(64), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("hours", Text, nullable=False),
    Column("at", Instant, nullable=False),
)
