"""Query slots of HIS replicas: a row for each query that runs now, in any process."""

from __future__ import annotations

from sqlalchemy import Column, Integer, SmallInteger, String, Table, text

from card_usage.ledger.schema.columns import Instant, metadata

# `connection` is the replica: hospitals that share one share its slots. The key keeps two from taking the same slot.
replica_turn = Table(
    "replica_turn",
    metadata,
    Column("connection", String(64), primary_key=True),
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("holder", String(32), nullable=False),
    Column("hospital", String(64), nullable=False),
    Column("doing", String(64), nullable=False),
    Column("host", String(128), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("process_start", String(32), nullable=False),
    Column("beat", Integer, nullable=False, server_default=text("0")),
    Column("taken_at", Instant, nullable=False),
)
