"""Patient records: those of the HIS, who stands for whom, what is wrong with the others; the day somebody was settled

Revision: 0040, after 0027
"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0027"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("upgrade_patient", sa.Column("settled_on", sa.Date(), nullable=True))
    op.add_column("upgrade_patient", sa.Column("existed", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("upgrade_run", sa.Column("read_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("upgrade_run", sa.Column("source_rows", sa.Integer(), nullable=True))
    op.create_table(
        "upgrade_record",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("hospital", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("person", sa.String(length=32), nullable=True),
        sa.Column("stands", sa.Boolean(), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("causes", sa.String(length=200), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upgrade_record")),
        sa.UniqueConstraint("hospital", "key", name=op.f("uq_upgrade_record_hospital_key")),
    )
    op.create_index("ix_upgrade_record_person", "upgrade_record", ["hospital", "person"])


def downgrade() -> None:
    op.drop_index("ix_upgrade_record_person", table_name="upgrade_record")
    op.drop_table("upgrade_record")
    op.drop_column("upgrade_run", "source_rows")
    op.drop_column("upgrade_run", "read_at")
    op.drop_column("upgrade_patient", "existed")
    op.drop_column("upgrade_patient", "settled_on")
