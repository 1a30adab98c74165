"""Warehouse: what of each hospital's day stands in it, and hospitals that stay in it when their files go

Revision: 0050, after 0041
"""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "warehouse_day",
        sa.Column("hospital", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("records", sa.Integer(), nullable=True),
        sa.Column("uses", sa.Integer(), nullable=True),
        sa.Column("built_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("hospital", "day", name=op.f("pk_warehouse_day")),
    )
    op.create_table(
        "warehouse_month",
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("month", name=op.f("pk_warehouse_month")),
    )
    op.create_table(
        "warehouse_hospital",
        sa.Column("hospital", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("name_en", sa.String(length=200), nullable=False),
        sa.Column("region", sa.String(length=6), nullable=False),
        sa.PrimaryKeyConstraint("hospital", name=op.f("pk_warehouse_hospital")),
    )


def downgrade() -> None:
    op.drop_table("warehouse_hospital")
    op.drop_table("warehouse_month")
    op.drop_table("warehouse_day")
