"""Who did what: every act and decision of a person, and every look at a report."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, String, Table, Text

from card_usage.ledger.schema.columns import Id, Instant, metadata

# Rows only come. `hospital`: an id, or '*'. `subject`: window, days or code; `old`, `new`: what held before and after,
# NULL where there is no such thing. `note`: what the actor says of whom he acts for; never instead of the actor.
# `seal`: keyed, over the row and the seal of the row before it, whatever its hospital.
decision = Table(
    "decision",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("verb", String(32), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("old", Text),
    Column("new", Text),
    Column("actor", String(64), nullable=False),
    Column("channel", String(8), nullable=False),
    Column("note", String(64), nullable=False),
    Column("reason", String(200), nullable=False),
    Column("at", Instant, nullable=False),
    Column("seal", String(32), nullable=False),
    CheckConstraint("channel in ('cli','form','page','file')", name="channel"),
)
Index("ix_decision_hospital_at", decision.c.hospital, decision.c.at)
