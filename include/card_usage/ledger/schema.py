"""The ledger's tables. include/migrations builds them; a test holds both equal.

Local times (`occurred_at`, window edges) are naive Asia/Shanghai; instants are UTC. Patient fields are only ever in
`event.sealed`, encrypted, and only until the event is settled.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeDecorator

# Named constraints, so that migrations can drop them on every database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC; SQLite keeps no zone, so it is put back when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant carries its zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


# SQLite counts rows only in an INTEGER key; elsewhere a day of a large fleet outgrows 32 bits in years.
Id = BigInteger().with_variant(Integer, "sqlite")

STATES = (
    "quarantined",  # a rule says no: mend the mapping or the data
    "ready",  # due, never sent, or sent and certainly not accepted
    "held",  # not before `due_at`: quota
    "in_flight",  # claimed by a deliverer
    "unknown",  # sent, no answer: the same request id again
    "delivered",  # accepted by the platform
    "rejected",  # definitely refused: somebody decides
    "unconfirmed",  # told 'failed', then 'repeated': nobody can say; somebody decides
    "voided",  # refunded before it was sent
)
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
    Column("scene", String(8)),
    Column("department", String(8)),
    Column("department_name", String(128)),
    Column("card_type", String(8)),
    Column("channel", String(8)),
    Column("cost_type", String(8)),
    Column("status", String(12), nullable=False),
    Column("reason", String(32)),
    Column("digest", String(32), nullable=False),
    Column("request_id", String(32), nullable=False),
    Column("generation", SmallInteger, nullable=False, server_default=text("0")),
    Column("lane", SmallInteger, nullable=False, server_default=text("0")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due_at", Instant),
    Column("claimed_by", Id),
    Column("result_code", Integer),
    Column("key_id", String(16)),
    Column("sealed", LargeBinary),
    Column("staged_at", Instant, nullable=False),
    Column("settled_at", Instant),
    Column("voided_at", Instant),
    Column("changed_at", Instant),
    Column("vanished_at", Instant),
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
_CLAIMED = text("status = 'in_flight'")
Index("ix_event_in_flight", event.c.claimed_by, postgresql_where=_CLAIMED, sqlite_where=_CLAIMED)
_ASIDE = text("status = 'quarantined'")
Index("ix_event_quarantined", event.c.hospital, event.c.day, postgresql_where=_ASIDE, sqlite_where=_ASIDE)

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
)
Index("ix_attempt_event_id", attempt.c.event_id)

feed_window = Table(
    "feed_window",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("feed", String(64), nullable=False),
    Column("start", DateTime, nullable=False),
    Column("end", DateTime, nullable=False),
    Column("status", String(12), nullable=False),
    Column("source_rows", Integer),
    Column("staged_at", Instant),
    Column("closed_at", Instant),
    CheckConstraint("status in ('open','provisional','closed')", name="status"),
    UniqueConstraint("hospital", "feed", "start", "end"),
)

verdict = Table(
    "verdict",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("start", DateTime, nullable=False),
    Column("end", DateTime, nullable=False),
    Column("verdict", String(8), nullable=False),
    Column("reasons", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("decision", String(12)),
    Column("decided_by", String(64)),
    Column("decided_at", Instant),
)
Index("ix_verdict_hospital_start", verdict.c.hospital, verdict.c.start)

reconciliation = Table(
    "reconciliation",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("feed", String(64), nullable=False),
    Column("day", Date, nullable=False),
    Column("counts", Text, nullable=False),
    Column("remainder", Integer, nullable=False),
    Column("provisional", Boolean, nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("hospital", "feed", "day"),
)

deliverer = Table(
    "deliverer",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("app_id", String(64), nullable=False),
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
    Column("sealed", LargeBinary),
    Column("obtained_at", Instant),
    Column("expires_at", Instant),
    Column("refresher", Id),
    Column("losses", Integer, nullable=False, server_default=text("0")),
    Column("last_loss_at", Instant),
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

# Why a hospital's deliveries stand still: `hospital` is an id, or '*' for all.
hold = Table(
    "hold",
    metadata,
    Column("hospital", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("until", Instant),
    Column("reason", String(200), nullable=False),
    Column("set_by", String(64), nullable=False),
    Column("set_at", Instant, nullable=False),
    CheckConstraint("kind in ('pause','drain','quota','misconfigured','contested')", name="kind"),
)

report_file = Table(
    "report_file",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("day", Date, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("path", Text, nullable=False),
    Column("at", Instant, nullable=False),
    UniqueConstraint("hospital", "day", "kind"),
)

meta = Table(
    "meta",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("setting", String(200), nullable=False),
)
