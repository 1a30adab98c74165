"""Messages on their way to people, and how the channels do that take them there."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    Integer,
    String,
    Table,
    Text,
    text,
)

from card_usage.ledger.schema.columns import Id, Instant, metadata

# `channel` is the id of an Airflow connection; `hospital` an id, or '*' for what concerns no one hospital.
# `fields`: JSON for programs. `only_to`: JSON list of the mailboxes that still wait for it, if others have it.
outbox = Table(
    "outbox",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("channel", String(64), nullable=False),
    Column("topic", String(64), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("text", Text, nullable=False),
    Column("html", Text),
    Column("attachments", Text, nullable=False, server_default=text("'[]'")),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("status", String(8), nullable=False, server_default=text("'waiting'")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_try_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("fields", Text),
    Column("only_to", Text),
    CheckConstraint("status in ('waiting','sent','expired')", name="status"),
)
WAITING = text("status = 'waiting'")
Index("ix_outbox_waiting", outbox.c.channel, outbox.c.id, postgresql_where=WAITING, sqlite_where=WAITING)
Index("ix_outbox_created_at", outbox.c.created_at)

# `busy_until`: somebody is sending on it. `down_since`: no message got through since then.
channel = Table(
    "channel",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("problem", String(200)),
    Column("down_since", Instant),
    Column("next_try_at", Instant),
    Column("last_sent_at", Instant),
    Column("busy_until", Instant),
)
