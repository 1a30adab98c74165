"""Outbox: the fields of a message for programs, and the mailboxes that still wait for it

Revision: 0011, after 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox", sa.Column("fields", sa.Text(), nullable=True))
    op.add_column("outbox", sa.Column("only_to", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("outbox", "only_to")
    op.drop_column("outbox", "fields")
