"""Files that were written, and settings of the ledger itself."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Date,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from card_usage.ledger.schema.columns import Id, Instant, metadata

report_file = Table(
    "report_file",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("day", Date, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("path", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("digest", String(64)),  # SHA-256 of its content
    Column("mac", String(32)),
    UniqueConstraint("hospital", "day", "kind"),
)

meta = Table(
    "meta",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("setting", String(200), nullable=False),
)
