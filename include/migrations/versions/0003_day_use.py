"""Uses summed by day, so that months need not read events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "day_use",
        sa.Column("hospital", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("dimension", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=8), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("health_card", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hospital", "day", "dimension", "code", name=op.f("pk_day_use")),
    )
    op.create_index("ix_day_use_day", "day_use", ["day", "dimension"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_day_use_day", table_name="day_use")
    op.drop_table("day_use")
