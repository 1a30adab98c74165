"""MACs: what the product writes of events, calls, sums, reconciliations and reports carries a keyed digest

Revision: 0026, after 0025

Rows that are there have none; from the first start on, new ones must have one (meta: macs_since).
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

TABLES = ("event", "attempt", "day_use", "reconciliation", "report_file")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("mac", sa.String(length=32), nullable=True))
    op.add_column("report_file", sa.Column("digest", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("report_file", "digest")
    for table in reversed(TABLES):
        op.drop_column(table, "mac")
    op.execute("delete from meta where name = 'macs_since'")
