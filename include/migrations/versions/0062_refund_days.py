"""Days in which the HIS says that a sent event is refunded, where it has the key in several

Revision: 0062, after 0061
"""

import sqlalchemy as sa
from alembic import op

revision = "0062"
down_revision = "0061"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("event", sa.Column("refund_days", sa.String(length=128), nullable=True))


def downgrade() -> None:
    op.drop_column("event", "refund_days")
