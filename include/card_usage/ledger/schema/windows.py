"""Windows of feeds, and what was judged and counted of them."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from card_usage.ledger.schema.columns import Id, Instant, metadata

feed_window = Table(
    "feed_window",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("feed", String(64), nullable=False),
    Column("start", DateTime, nullable=False),
    Column("end", DateTime, nullable=False),
    Column("status", String(12), nullable=False),
    Column("source_rows", Integer),
    Column("repeated_rows", Integer, nullable=False, server_default=text("0")),
    Column("staged_at", Instant),
    Column("closed_at", Instant),
    CheckConstraint("status in ('open','provisional','closed')", name="status"),
    UniqueConstraint("hospital", "feed", "start", "end"),
)

verdict = Table(
    "verdict",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("start", DateTime, nullable=False),
    Column("end", DateTime, nullable=False),
    Column("verdict", String(8), nullable=False),
    Column("reasons", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("asked_at", Instant),
    Column("decision", String(12)),
    Column("decided_by", String(64)),
    Column("decided_at", Instant),
    # What one person has decided where two are asked for, until another one decides the same.
    Column("first_decision", String(12)),
    Column("first_by", String(64)),
)
Index("ix_verdict_hospital_start", verdict.c.hospital, verdict.c.start)

# The feed '*' stands for the day as a whole against the platform's statement.
reconciliation = Table(
    "reconciliation",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("feed", String(64), nullable=False),
    Column("day", Date, nullable=False),
    Column("counts", Text, nullable=False),
    Column("remainder", Integer, nullable=False),
    Column("provisional", Boolean, nullable=False),
    Column("clean", Boolean, nullable=False, server_default=false()),
    Column("at", Instant, nullable=False),
    Column("mac", String(32)),
    UniqueConstraint("hospital", "feed", "day"),
)
