"""An event, what rules found about it, and every call made for it."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    text,
)

from card_usage.ledger.schema.columns import Code, Id, Instant, SealedBytes, metadata

STATES = (
    "quarantined",  # a rule says no: mend the mapping or the data
    "ready",  # due, never sent, or certainly not accepted under its request id
    "held",  # not before `due_at`: quota
    "in_flight",  # claimed by a deliverer
    "unknown",  # sent, outcome unknown: the same request id and content again
    "delivered",  # accepted by the platform
    "rejected",  # definitely refused: somebody decides
    "unconfirmed",  # told 'repeated' where that proves nothing: nobody can say; somebody decides
    "voided",  # refunded before it was sent
)
CONTENT_LOST = "rebuilt.unknown"
"""`reason` of an unconfirmed event that was `unknown` in a ledger that was lost: once staged again it is so again."""
SETTLED_STATES = ("delivered", "rejected", "unconfirmed", "voided")

event = Table(
    "event",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("key", String(32), nullable=False, unique=True),
    Column("hospital", String(64), nullable=False),
    Column("feed", String(64), nullable=False),
    Column("source_id", String(128), nullable=False),
    Column("day", Date, nullable=False),
    Column("occurred_at", DateTime),
    Column("scene", Code),
    Column("department", Code),
    Column("department_name", String(128)),
    Column("card_type", Code),
    Column("channel", Code),
    Column("cost_type", Code),
    Column("status", String(12), nullable=False),
    Column("reason", String(32)),
    Column("digest", String(32), nullable=False),
    Column("digest_key", String(16)),  # data key of `digest`; none: the founding key (up to version 0.2.0)
    Column("request_id", String(32), nullable=False),
    Column("generation", SmallInteger, nullable=False, server_default=text("0")),
    Column("lane", SmallInteger, nullable=False, server_default=text("0")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due_at", Instant),
    Column("claimed_by", Id),
    Column("result_code", Integer),
    Column("key_id", String(16)),
    Column("sealed", SealedBytes),
    Column("form", String(16)),  # the settings by which `sealed` holds the body of the call (standard/payload.py)
    Column("staged_at", Instant, nullable=False),
    Column("settled_at", Instant),
    Column("voided_at", Instant),
    # Of a sent event whose key the HIS has in several days: those in which it says refunded, ISO, with commas; null:
    # its own, if it is refunded. What says so in any of them counts (staging/changes.py).
    Column("refund_days", String(128)),
    Column("changed_at", Instant),
    Column("vanished_at", Instant),
    Column("mac", String(32)),  # keyed, over what staging wrote (ledger/macs.py); null: of a version that made none
    CheckConstraint(
        "status in ('quarantined','ready','held','in_flight','unknown','delivered','rejected','unconfirmed','voided')",
        name="status",
    ),
)
Index("ix_event_hospital_day_feed", event.c.hospital, event.c.day, event.c.feed)
# Only what is not settled: claiming costs the same however large the ledger grows.
# A query must use this very clause, not bound values, for either database to see that the index fits.
OPEN = text("status in ('ready', 'held', 'unknown')")
Index(
    "ix_event_due",
    event.c.hospital,
    event.c.lane,
    event.c.occurred_at,
    event.c.id,
    postgresql_where=OPEN,
    sqlite_where=OPEN,
)
IN_FLIGHT = text("status = 'in_flight'")
Index("ix_event_in_flight", event.c.claimed_by, postgresql_where=IN_FLIGHT, sqlite_where=IN_FLIGHT)
_ASIDE = text("status = 'quarantined'")
Index("ix_event_quarantined", event.c.hospital, event.c.day, postgresql_where=_ASIDE, sqlite_where=_ASIDE)
# What waits for a person, found without reading what was delivered around it.
UNDECIDED = text("status in ('rejected', 'unconfirmed')")
Index("ix_event_undecided", event.c.hospital, event.c.day, postgresql_where=UNDECIDED, sqlite_where=UNDECIDED)

finding = Table(
    "finding",
    metadata,
    Column("event_id", Id, ForeignKey("event.id", ondelete="CASCADE"), primary_key=True),
    Column("position", SmallInteger, primary_key=True),
    Column("rule", String(32), nullable=False),
    Column("field", String(32), nullable=False),
    Column("severity", String(8), nullable=False),
    Column("code_table", String(16)),
    Column("code", String(128)),
)
Index("ix_finding_code_table_code", finding.c.code_table, finding.c.code)

# Data keys that nothing is sealed with any more: `closed_at` first, `destroyed_at` once the file is gone. `events` had
# their digests by it; `moved` of them still waited for somebody and were sealed again, by `successor`.
shredded_key = Table(
    "shredded_key",
    metadata,
    Column("hospital", String(64), primary_key=True),
    Column("key_id", String(16), primary_key=True),
    Column("day", Date, nullable=False),
    Column("events", Integer, nullable=False),
    Column("moved", Integer, nullable=False),
    Column("successor", String(16)),
    Column("closed_at", Instant, nullable=False),
    Column("destroyed_at", Instant),
)

# What of a sent event is otherwise now at the HIS: names of fields, never a value.
late_change = Table(
    "late_change",
    metadata,
    Column("event_id", Id, ForeignKey("event.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("fields", String(64), nullable=False),
    Column("at", Instant, nullable=False),
)

attempt = Table(
    "attempt",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("event_id", Id, ForeignKey("event.id", ondelete="CASCADE"), nullable=False),
    Column("request_id", String(32), nullable=False),
    Column("deliverer", Id),
    Column("at", Instant, nullable=False),
    Column("answer", String(16), nullable=False),
    Column("http_status", SmallInteger),
    Column("result_code", Integer),
    Column("detail", String(64)),
    Column("status", String(12), nullable=False),
    Column("mac", String(32)),
)
Index("ix_attempt_event_id", attempt.c.event_id)
