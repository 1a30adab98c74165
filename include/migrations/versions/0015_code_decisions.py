"""Code decisions: what people decided about local codes, layered over the alias files

Revision: 0015, after 0019

Alias files stay where they are and as they are: they are the lower layer. Going back drops the decisions: export them
before (`aliases export`).
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "code_decision",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("hospital", sa.String(length=64), nullable=False),
        sa.Column("code_table", sa.String(length=16), nullable=False),
        sa.Column("local", sa.String(length=256), nullable=False),
        sa.Column("standard", sa.String(length=16), nullable=False),
        sa.Column("before", sa.String(length=16), nullable=True),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("decided_by", sa.String(length=64), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.String(length=8), nullable=True),
        sa.Column("ended_by", sa.String(length=64), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("ended in ('undone','replaced')", name=op.f("ck_code_decision_ended")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_code_decision")),
    )
    op.create_index(
        op.f("ix_code_decision_stands"),
        "code_decision",
        ["hospital", "code_table", "local"],
        unique=True,
        postgresql_where=sa.text("ended is null"),
        sqlite_where=sa.text("ended is null"),
    )


def downgrade() -> None:
    op.drop_table("code_decision")
