"""How far everything of a feed is accounted for, and every move of that mark."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Index, String, Table

from card_usage.ledger.schema.columns import Id, Instant, metadata

# Everything of the feed before `through` (local, outside) is accounted for, without a gap since `since`.
verified = Table(
    "verified",
    metadata,
    Column("hospital", String(64), primary_key=True),
    Column("feed", String(64), primary_key=True),
    Column("since", DateTime, nullable=False),
    Column("through", DateTime, nullable=False),
    Column("at", Instant, nullable=False),
)

# Every move of `through`, forwards and back, is kept: nothing that was once proved is taken back without a trace.
verified_move = Table(
    "verified_move",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("feed", String(64), nullable=False),
    Column("before", DateTime),
    Column("after", DateTime, nullable=False),
    Column("reason", String(200), nullable=False),
    Column("at", Instant, nullable=False),
)
Index("ix_verified_move_hospital_feed", verified_move.c.hospital, verified_move.c.feed)
