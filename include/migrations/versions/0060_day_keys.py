"""Data keys for each hospital and day: which one keys an event's digest, and which ones are destroyed

Revision: 0060, after 0051

Events that are there keep no key by name: their digests are keyed by the founding key, and what is sealed of them by a
master key, until they are settled or replaced.
"""

import sqlalchemy as sa
from alembic import op

revision = "0060"
down_revision = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("event", sa.Column("digest_key", sa.String(length=16), nullable=True))
    op.create_table(
        "shredded_key",
        sa.Column("hospital", sa.String(length=64), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("moved", sa.Integer(), nullable=False),
        sa.Column("successor", sa.String(length=16), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("destroyed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("hospital", "key_id", name=op.f("pk_shredded_key")),
    )


def downgrade() -> None:
    op.drop_table("shredded_key")
    op.drop_column("event", "digest_key")
