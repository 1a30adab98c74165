"""Second person: who decided first where a hospital's file asks for two people

Revision: 0051, after 0050
"""

import sqlalchemy as sa
from alembic import op

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("verdict", sa.Column("first_decision", sa.String(length=12), nullable=True))
    op.add_column("verdict", sa.Column("first_by", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("verdict", "first_by")
    op.drop_column("verdict", "first_decision")
