"""Longer codes: columns of standard codes take 16 characters, since a hospital may have a code table of its own

Revision: 0017, after 0012

PostgreSQL widens a varchar without touching its rows; SQLite does not look at the length. Going back leaves the columns
wide, which harms no earlier version.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0012"
branch_labels = None
depends_on = None

_COLUMNS = {
    "event": ("scene", "department", "card_type", "channel", "cost_type"),
    "statement_count": ("scene", "department", "card_type", "channel"),
    "day_use": ("code",),
}


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        return
    for table, columns in _COLUMNS.items():
        for column in columns:
            op.alter_column(table, column, type_=sa.String(length=16))


def downgrade() -> None:
    pass
