"""Which platform a hospital's windows and events stand for, and every change of its address."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table

from card_usage.ledger.schema.columns import Id, Instant, metadata

# One row a hospital: `host` is the base URL without the scheme, `platform_hospital` the hospital's id at the platform.
# `origin`: 'assumed' where deliveries came before addresses were recorded.
binding = Table(
    "binding",
    metadata,
    Column("hospital", String(64), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("app_id", String(64), nullable=False),
    Column("platform_hospital", String(64), nullable=False),
    Column("origin", String(8), nullable=False),
    Column("bound_at", Instant, nullable=False),
    CheckConstraint("origin in ('first','assumed','moved')", name="origin"),
)

# Kept for good. 'moved': the same platform has another address; 'forgotten': the events had gone to a rehearsal and
# were taken out of the ledger. `from_host` is null where no address was recorded. `events`: those delivered until then.
platform_move = Table(
    "platform_move",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("from_host", String(255)),
    Column("from_app_id", String(64), nullable=False),
    Column("from_hospital", String(64)),
    Column("to_host", String(255), nullable=False),
    Column("to_app_id", String(64), nullable=False),
    Column("to_hospital", String(64), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("events", Integer, nullable=False),
    Column("reason", String(200), nullable=False),
    Column("moved_by", String(64), nullable=False),
    Column("at", Instant, nullable=False),
    CheckConstraint("kind in ('moved','forgotten')", name="kind"),
)
Index("ix_platform_move_hospital", platform_move.c.hospital)
