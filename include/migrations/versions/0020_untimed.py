"""Untimed: rows of the HIS whose time puts them into no day, counted by feed

Revision: 0020, after 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "untimed",
        sa.Column("hospital", sa.String(length=64), nullable=False),
        sa.Column("feed", sa.String(length=64), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("first_key", sa.String(length=128), nullable=False),
        sa.Column("last_key", sa.String(length=128), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("hospital", "feed", name=op.f("pk_untimed")),
    )


def downgrade() -> None:
    op.drop_table("untimed")
