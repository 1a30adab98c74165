"""What people decided about local codes."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, String, Table, text

from card_usage.ledger.schema.columns import Code, Id, Instant, metadata

# Rows only come: one that no longer stands says how it ended, and who ended it. `before`: what the code meant until
# then, by an earlier decision or the alias files; NULL: nothing.
code_decision = Table(
    "code_decision",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("code_table", String(16), nullable=False),
    Column("local", String(256), nullable=False),
    Column("standard", Code, nullable=False),
    Column("before", Code),
    Column("note", String(200), nullable=False),
    Column("decided_by", String(64), nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("ended", String(8)),
    Column("ended_by", String(64)),
    Column("ended_at", Instant),
    CheckConstraint("ended in ('undone','replaced')", name="ended"),
)
_STANDS = text("ended is null")
Index(
    "ix_code_decision_stands",
    code_decision.c.hospital,
    code_decision.c.code_table,
    code_decision.c.local,
    unique=True,
    postgresql_where=_STANDS,
    sqlite_where=_STANDS,
)
