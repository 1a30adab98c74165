"""Patient upgrade: patients who get cards in batches, the batches with their request ids, and who is sending them

Revision: 0019, after 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0016"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "upgrade_batch",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("hospital", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("result_code", sa.Integer(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state in ('open','done','split')", name=op.f("ck_upgrade_batch_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upgrade_batch")),
        sa.UniqueConstraint("request_id", name=op.f("uq_upgrade_batch_request_id")),
    )
    op.create_index("ix_upgrade_batch_open", "upgrade_batch", ["hospital", "state"])
    op.create_table(
        "upgrade_patient",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("hospital", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("batch", _ID, nullable=True),
        sa.Column("result_code", sa.Integer(), nullable=True),
        sa.Column("key_id", sa.String(length=16), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("card_key_id", sa.String(length=16), nullable=True),
        sa.Column("card_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state in ('ready','batched','registered','refused')", name=op.f("ck_upgrade_patient_state")
        ),
        sa.ForeignKeyConstraint(["batch"], ["upgrade_batch.id"], name=op.f("fk_upgrade_patient_batch_upgrade_batch")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upgrade_patient")),
        sa.UniqueConstraint("hospital", "key", name=op.f("uq_upgrade_patient_hospital_key")),
    )
    op.create_index("ix_upgrade_patient_state", "upgrade_patient", ["hospital", "state"])
    op.create_index("ix_upgrade_patient_batch", "upgrade_patient", ["batch"])
    op.create_table(
        "upgrade_run",
        sa.Column("hospital", sa.String(length=64), nullable=False),
        sa.Column("worker", _ID, nullable=True),
        sa.PrimaryKeyConstraint("hospital", name=op.f("pk_upgrade_run")),
    )


def downgrade() -> None:
    op.drop_table("upgrade_run")
    op.drop_table("upgrade_patient")
    op.drop_table("upgrade_batch")
