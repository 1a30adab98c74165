"""Incidents, what was told of them, failed runs

Revision: 0007, after 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "failed_run",
        sa.Column("dag_id", sa.String(length=250), nullable=False),
        sa.Column("run_id", sa.String(length=250), nullable=False),
        sa.Column("hospital", sa.String(length=64), nullable=False),
        sa.Column("task_id", sa.String(length=250), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("dag_id", "run_id", name=op.f("pk_failed_run")),
    )
    op.create_index("ix_failed_run_hospital", "failed_run", ["hospital"], unique=False)
    op.create_table(
        "incident",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("hospital", sa.String(length=64), nullable=False),
        sa.Column("cause", sa.String(length=24), nullable=False),
        sa.Column("detail", sa.String(length=128), nullable=False),
        sa.Column("severity", sa.String(length=8), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("stated", sa.Integer(), nullable=False),
        sa.Column("parts", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("sample", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("absent_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("returns", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("severity in ('info','warning','critical')", name=op.f("ck_incident_severity")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident")),
    )
    op.create_index("ix_incident_hospital_closed_at", "incident", ["hospital", "closed_at"], unique=False)
    op.create_index(
        "uq_incident_open",
        "incident",
        ["hospital", "cause", "detail"],
        unique=True,
        postgresql_where=sa.text("closed_at is null"),
        sqlite_where=sa.text("closed_at is null"),
    )
    op.create_table(
        "telling",
        sa.Column("incident_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("closed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incident.id"], name=op.f("fk_telling_incident_id_incident"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("incident_id", "channel", name=op.f("pk_telling")),
    )
    op.create_index(
        "ix_event_undecided",
        "event",
        ["hospital", "day"],
        unique=False,
        postgresql_where=sa.text("status in ('rejected', 'unconfirmed')"),
        sqlite_where=sa.text("status in ('rejected', 'unconfirmed')"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_event_undecided",
        table_name="event",
        postgresql_where=sa.text("status in ('rejected', 'unconfirmed')"),
        sqlite_where=sa.text("status in ('rejected', 'unconfirmed')"),
    )
    op.drop_table("telling")
    op.drop_index(
        "uq_incident_open",
        table_name="incident",
        postgresql_where=sa.text("closed_at is null"),
        sqlite_where=sa.text("closed_at is null"),
    )
    op.drop_index("ix_incident_hospital_closed_at", table_name="incident")
    op.drop_table("incident")
    op.drop_index("ix_failed_run_hospital", table_name="failed_run")
    op.drop_table("failed_run")
