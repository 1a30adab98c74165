"""Gate: profiles of windows, rows that a feed repeated, and when a person was asked

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "window_profile",
        sa.Column("hospital", sa.String(length=64), nullable=False),
        sa.Column("start", sa.DateTime(), nullable=False),
        sa.Column("end", sa.DateTime(), nullable=False),
        sa.Column("measure", sa.String(length=16), nullable=False),
        sa.Column("of", sa.String(length=64), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hospital", "start", "end", "measure", "of", name=op.f("pk_window_profile")),
    )
    op.add_column("feed_window", sa.Column("repeated_rows", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("verdict", sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("verdict", "asked_at")
    op.drop_column("feed_window", "repeated_rows")
    op.drop_table("window_profile")
