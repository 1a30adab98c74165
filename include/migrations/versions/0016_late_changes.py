"""Late changes: which fields of an event the HIS changed after it was sent, by name

Revision: 0016, after 0018

The mark `event.changed_at` says that a sent event is otherwise now, not in what. Names of fields only, never a value.
Events that were marked before get theirs when their day is staged again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "late_change",
        sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("fields", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["event.id"], name=op.f("fk_late_change_event_id_event"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_late_change")),
    )


def downgrade() -> None:
    op.drop_table("late_change")
