"""Incidents, what was told of them on which channel, and runs of Airflow that failed."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    text,
)

from card_usage.ledger.schema.columns import Id, Instant, metadata

# `version` counts what is worth telling: opened, worse, closed, opened again. `stated` and `parts` are what the last
# of these said; `count` and `facts` are of now.
incident = Table(
    "incident",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hospital", String(64), nullable=False),
    Column("cause", String(24), nullable=False),
    Column("detail", String(128), nullable=False),
    Column("severity", String(8), nullable=False),
    Column("count", Integer, nullable=False),
    Column("stated", Integer, nullable=False),
    Column("parts", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("sample", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("absent_since", Instant),
    Column("closed_at", Instant),
    Column("returns", Integer, nullable=False, server_default=text("0")),
    Column("version", Integer, nullable=False, server_default=text("1")),
    CheckConstraint("severity in ('info','warning','critical')", name="severity"),
)
# One that is open for each cause, hospital and detail, whoever sweeps beside whom.
_OPEN = text("closed_at is null")
Index(
    "uq_incident_open",
    incident.c.hospital,
    incident.c.cause,
    incident.c.detail,
    unique=True,
    postgresql_where=_OPEN,
    sqlite_where=_OPEN,
)
Index("ix_incident_hospital_closed_at", incident.c.hospital, incident.c.closed_at)

telling = Table(
    "telling",
    metadata,
    Column("incident_id", Id, ForeignKey("incident.id", ondelete="CASCADE"), primary_key=True),
    Column("channel", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("closed", Integer, nullable=False, server_default=text("0")),
    Column("at", Instant, nullable=False),
)

# Written by Airflow's callbacks; gone once this run, or a later one of the same DAG, has succeeded.
failed_run = Table(
    "failed_run",
    metadata,
    Column("dag_id", String(250), primary_key=True),
    Column("run_id", String(250), primary_key=True),
    Column("hospital", String(64), nullable=False),
    Column("task_id", String(250), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("at", Instant, nullable=False),
)
Index("ix_failed_run_hospital", failed_run.c.hospital)
