"""Platform binding: which platform a hospital's windows and events stand for, and where each deliverer's calls go

Revision: 0018, after 0017

Nothing is bound here: the ledger does not know addresses. A hospital is bound when it is next staged or delivered.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deliverer", sa.Column("platform_host", sa.String(length=255), nullable=True))
    op.create_table(
        "binding",
        sa.Column("hospital", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("platform_hospital", sa.String(length=64), nullable=False),
        sa.Column("origin", sa.String(length=8), nullable=False),
        sa.Column("bound_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("origin in ('first','assumed','moved')", name=op.f("ck_binding_origin")),
        sa.PrimaryKeyConstraint("hospital", name=op.f("pk_binding")),
    )
    op.create_table(
        "platform_move",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("hospital", sa.String(length=64), nullable=False),
        sa.Column("from_host", sa.String(length=255), nullable=True),
        sa.Column("from_app_id", sa.String(length=64), nullable=False),
        sa.Column("from_hospital", sa.String(length=64), nullable=True),
        sa.Column("to_host", sa.String(length=255), nullable=False),
        sa.Column("to_app_id", sa.String(length=64), nullable=False),
        sa.Column("to_hospital", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("moved_by", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind in ('moved','forgotten')", name=op.f("ck_platform_move_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_platform_move")),
    )
    op.create_index("ix_platform_move_hospital", "platform_move", ["hospital"])


def downgrade() -> None:
    op.drop_table("platform_move")
    op.drop_table("binding")
    op.drop_column("deliverer", "platform_host")
