"""Request ids: what a platform remembers of them, and events whose outcome a mere HTTP status left unknown

Revision: 0012, after 0011

An HTTP 3xx, 4xx or 429 used to count as a refusal, and its event as certainly not accepted. It proves nothing, so such
an event keeps its request id and content until it is answered. Request ids that are stored stay as they are.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "platform_memory",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("app_id", sa.String(length=64), nullable=False),
        sa.Column("memory", sa.String(length=16), nullable=False),
        sa.Column("learned_by", sa.String(length=16), nullable=False),
        sa.Column("learned_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("memory in ('unknown','on_acceptance','on_sight')", name=op.f("ck_platform_memory_memory")),
        sa.CheckConstraint("learned_by in ('calibration','observation')", name=op.f("ck_platform_memory_learned_by")),
        sa.PrimaryKeyConstraint("host", "app_id", name=op.f("pk_platform_memory")),
    )
    op.add_column("event", sa.Column("form", sa.String(length=16), nullable=True))
    # Only what is open: what is settled is decided, and an index leads to the rest.
    op.execute(
        "update attempt set answer = 'limited' where answer = 'throttled' and result_code is null and event_id in "
        "(select id from event where status in ('ready', 'held', 'unknown') and attempts > 0)"
    )
    op.execute(
        "update event set status = 'unknown' where status in ('ready', 'held') and attempts > 0 and exists "
        "(select 1 from attempt where attempt.event_id = event.id and attempt.request_id = event.request_id "
        "and attempt.answer in ('barred', 'limited'))"
    )


def downgrade() -> None:
    op.execute("update attempt set answer = 'throttled' where answer = 'limited'")
    op.drop_column("event", "form")
    op.drop_table("platform_memory")
