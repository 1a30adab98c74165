"""Rows of the HIS whose time puts them into no day."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table, Text

from card_usage.ledger.schema.columns import Instant, metadata

# As last counted. `keys`: the HIS's own keys, to look the rows up by, as a JSON list of at most KEYS_KEPT; one that may
# be patient data itself is masked.
KEYS_KEPT = 1_000
untimed = Table(
    "untimed",
    metadata,
    Column("hospital", String(64), primary_key=True),
    Column("feed", String(64), primary_key=True),
    Column("rows", Integer, nullable=False),
    Column("keys", Text, nullable=False, server_default="[]"),
    Column("since", Instant, nullable=False),
    Column("at", Instant, nullable=False),
)
