"""Health cards of patients, sealed. `key`: keyed digest of the document's number or of the hospital's own id."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, LargeBinary, String, Table, UniqueConstraint

from card_usage.ledger.schema.columns import Id, Instant, metadata

patient_card = Table(
    "patient_card",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("key", String(32), nullable=False),
    Column("origin", String(8), nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("added_at", Instant, nullable=False),
    CheckConstraint("origin in ('upgrade','binding','import')", name="origin"),
    UniqueConstraint("hospital", "key"),
)
