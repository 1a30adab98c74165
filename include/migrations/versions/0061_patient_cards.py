"""Patient cards: health cards of patients, for uses that the HIS has without a QR text

Revision: 0061, after 0060
"""

import sqlalchemy as sa
from alembic import op

revision = "0061"
down_revision = "0060"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "patient_card",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("hospital", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("origin", sa.String(length=8), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("origin in ('upgrade','binding','import')", name=op.f("ck_patient_card_origin")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patient_card")),
        sa.UniqueConstraint("hospital", "key", name=op.f("uq_patient_card_hospital_key")),
    )


def downgrade() -> None:
    op.drop_table("patient_card")
