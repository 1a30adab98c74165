"""The chain that makes a later change of a settled day visible."""

from __future__ import annotations

from sqlalchemy import Column, Date, Index, Integer, String, Table, UniqueConstraint

from card_usage.ledger.schema.columns import Id, Instant, metadata

# A chain a hospital: each link covers one day as it was then, and the link before it.
evidence = Table(
    "evidence",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("serial", Integer, nullable=False),
    Column("day", Date, nullable=False),
    Column("supersedes", Integer),
    Column("events", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("reason", String(200), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("previous", String(64), nullable=False),
    Column("link", String(64), nullable=False),
    Column("seal", String(32), nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("hospital", "serial"),
)
Index("ix_evidence_hospital_day", evidence.c.hospital, evidence.c.day)
