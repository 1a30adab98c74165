"""Keys of rows without a usable time: all of them up to a bound, where two were kept

Revision: 0041, after 0040

Those two are dropped, for they may be patient data themselves: the next count writes the keys as they may be shown.
"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("untimed", sa.Column("keys", sa.Text(), server_default="[]", nullable=False))
    op.drop_column("untimed", "first_key")
    op.drop_column("untimed", "last_key")


def downgrade() -> None:
    op.add_column("untimed", sa.Column("first_key", sa.String(length=128), server_default="", nullable=False))
    op.add_column("untimed", sa.Column("last_key", sa.String(length=128), server_default="", nullable=False))
    op.drop_column("untimed", "keys")
