"""Holds: the platform's result code in a column of its own

Revision: 0010, after 0009

Until now the code stood only in the text of the reason; it is taken from there once.
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# The sentences that a deliverer wrote; "the platform answers http 403" has no result code.
_REASON = re.compile(
    r"(?:the platform answers|getAppToken is answered|refusals in a row, the last with"
    r"|every new appToken is refused with) (-?[0-9]+)$"
)


def upgrade() -> None:
    op.add_column("hold", sa.Column("result_code", sa.Integer(), nullable=True))
    hold = sa.table(
        "hold", sa.column("hospital"), sa.column("kind"), sa.column("reason"), sa.column("result_code", sa.Integer)
    )
    connection = op.get_bind()
    query = sa.select(hold.c.hospital, hold.c.kind, hold.c.reason).where(hold.c.kind == "misconfigured")
    for hospital, kind, reason in connection.execute(query).all():
        code = _REASON.search(reason)
        if code:
            row = sa.and_(hold.c.hospital == hospital, hold.c.kind == kind)
            connection.execute(hold.update().where(row).values(result_code=int(code[1])))


def downgrade() -> None:
    op.drop_column("hold", "result_code")
