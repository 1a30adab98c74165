"""Staged hours: what the HIS said of each hour, so that the same again needs no second look

Revision: 0008, after 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "staged_hour",
        sa.Column("hospital", sa.String(length=64), nullable=False),
        sa.Column("feed", sa.String(length=64), nullable=False),
        sa.Column("hour", sa.DateTime(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("hospital", "feed", "hour", "part", name=op.f("pk_staged_hour")),
    )


def downgrade() -> None:
    op.drop_table("staged_hour")
