"""Delivering: deliverers, the token that they share, quotas, and the holds that stop them."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    String,
    Table,
    text,
)

from card_usage.ledger.schema.columns import Id, Instant, SealedBytes, metadata

deliverer = Table(
    "deliverer",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("app_id", String(64), nullable=False),
    Column("platform_host", String(255)),  # where its calls go; null: a version that did not record it
    Column("host", String(128), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("process_start", String(32), nullable=False),
    Column("beat", Integer, nullable=False, server_default=text("0")),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("done", Integer, nullable=False, server_default=text("0")),
    sqlite_autoincrement=True,  # an id is never given twice: a dead worker's claims stay its own
)
_ALIVE = text("ended_at is null")
Index("ix_deliverer_alive", deliverer.c.hospital, postgresql_where=_ALIVE, sqlite_where=_ALIVE)

token = Table(
    "token",
    metadata,
    Column("app_id", String(64), primary_key=True),
    Column("serial", Integer, nullable=False),
    Column("key_id", String(16)),
    Column("sealed", SealedBytes),
    Column("obtained_at", Instant),
    Column("expires_at", Instant),
    Column("refresher", Id),
    Column("losses", Integer, nullable=False, server_default=text("0")),
    Column("last_loss_at", Instant),
)

# What is known of a platform's memory for request ids. No row: nothing. `host`: its base URL without the scheme.
platform_memory = Table(
    "platform_memory",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("app_id", String(64), primary_key=True),
    Column("memory", String(16), nullable=False),
    Column("learned_by", String(16), nullable=False),
    Column("learned_at", Instant, nullable=False),
    CheckConstraint("memory in ('unknown','on_acceptance','on_sight')", name="memory"),
    CheckConstraint("learned_by in ('calibration','observation')", name="learned_by"),
)

quota_day = Table(
    "quota_day",
    metadata,
    Column("hospital", String(64), primary_key=True),
    Column("interface", String(32), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("used", Integer, nullable=False, server_default=text("0")),
    Column("used_live", Integer, nullable=False, server_default=text("0")),
    Column("exhausted_at", Instant),
)

# Why a hospital's deliveries stand still: `hospital` is an id, or '*' for all; `result_code` the platform's, if it
# was its answer that placed the hold.
hold = Table(
    "hold",
    metadata,
    Column("hospital", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("until", Instant),
    Column("reason", String(200), nullable=False),
    Column("set_by", String(64), nullable=False),
    Column("set_at", Instant, nullable=False),
    Column("result_code", Integer),
    CheckConstraint("kind in ('pause','drain','quota','misconfigured','contested')", name="kind"),
)
