"""Records of the HIS that the ledger lacks, one by one."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Date, Index, String, Table

from card_usage.ledger.schema.columns import Id, Instant, metadata

# Records that the HIS has and the ledger has not, or has under another day: the HIS's own keys, nothing else.
absent = Table(
    "absent",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("feed", String(64), nullable=False),
    Column("day", Date, nullable=False),
    Column("kind", String(24), nullable=False),
    Column("source_id", String(128), nullable=False),
    Column("found_at", Instant, nullable=False),
    CheckConstraint("kind in ('late_in_source','moved_here','refunds_not_staged')", name="kind"),
)
Index("ix_absent_hospital_day_feed", absent.c.hospital, absent.c.day, absent.c.feed)
