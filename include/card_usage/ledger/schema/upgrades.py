"""Patients who get cards in batches (document 2.5), the batches, who is sending them, and the HIS's own records.

A record is one patient of the HIS, by keyed digest of his own key there; a person may have several, one of which
`stands` for him. `sealed` of a record: that key, for those who are quarantined, so that somebody can look them up.

`sealed`: what is sent of a patient, encrypted, until that is settled. `card_sealed`: card, patid, openId of one who was
registered. `key`: keyed digest of document type and number.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    false,
)

from card_usage.ledger.schema.columns import Id, Instant, SealedBytes, metadata

upgrade_batch = Table(
    "upgrade_batch",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("request_id", String(32), nullable=False, unique=True),
    Column("state", String(8), nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("result_code", Integer),
    Column("made_at", Instant, nullable=False),
    Column("settled_at", Instant),
    CheckConstraint("state in ('open','done','split')", name="state"),
)
Index("ix_upgrade_batch_open", upgrade_batch.c.hospital, upgrade_batch.c.state)

upgrade_patient = Table(
    "upgrade_patient",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("key", String(32), nullable=False),
    Column("digest", String(32), nullable=False),
    Column("state", String(12), nullable=False),
    Column("batch", Id, ForeignKey("upgrade_batch.id")),
    Column("result_code", Integer),
    Column("key_id", String(16)),
    Column("sealed", SealedBytes),
    Column("card_key_id", String(16)),
    Column("card_sealed", SealedBytes),
    Column("changed_at", Instant, nullable=False),
    Column("settled_on", Date),
    Column("existed", Boolean, nullable=False, server_default=false()),
    CheckConstraint("state in ('ready','batched','registered','refused')", name="state"),
    UniqueConstraint("hospital", "key"),
)
Index("ix_upgrade_patient_state", upgrade_patient.c.hospital, upgrade_patient.c.state)
Index("ix_upgrade_patient_batch", upgrade_patient.c.batch)

upgrade_run = Table(
    "upgrade_run",
    metadata,
    Column("hospital", String(64), primary_key=True),
    Column("worker", Id),
    Column("read_at", Instant),
    Column("source_rows", Integer),
)

upgrade_record = Table(
    "upgrade_record",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("key", String(32), nullable=False),
    Column("person", String(32)),
    Column("stands", Boolean, nullable=False),
    Column("digest", String(32), nullable=False),
    Column("causes", String(200), nullable=False),
    Column("key_id", String(16)),
    Column("sealed", SealedBytes),
    Column("seen_at", Instant, nullable=False),
    UniqueConstraint("hospital", "key"),
)
Index("ix_upgrade_record_person", upgrade_record.c.hospital, upgrade_record.c.person)
