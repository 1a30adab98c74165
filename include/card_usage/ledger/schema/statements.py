"""What the platform's website says it holds: one statement a hospital and day, and its counts."""

from __future__ import annotations

from sqlalchemy import Column, Date, ForeignKey, Index, Integer, SmallInteger, String, Table, UniqueConstraint

from card_usage.ledger.schema.columns import Code, Id, Instant, metadata

# `told_apart`: the fields that its rows are told apart by, comma-separated. `as_of`: what came later is not in it.
statement = Table(
    "statement",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("day", Date, nullable=False),
    Column("layout", String(64), nullable=False),
    Column("file", String(200), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("told_apart", String(64), nullable=False),
    Column("uses", Integer, nullable=False),
    Column("as_of", Instant, nullable=False),
    Column("imported_at", Instant, nullable=False),
    UniqueConstraint("hospital", "day"),
)

# A field that the statement does not tell apart is null in every row.
statement_count = Table(
    "statement_count",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("statement_id", Id, ForeignKey("statement.id", ondelete="CASCADE"), nullable=False),
    Column("hour", SmallInteger),
    Column("scene", Code),
    Column("channel", Code),
    Column("card_type", Code),
    Column("department", Code),
    Column("uses", Integer, nullable=False),
)
Index("ix_statement_count_statement_id", statement_count.c.statement_id)
