"""Alembic environment of the ledger: run by `python -m card_usage ledger migrate`, over an open connection."""

from typing import Any, Literal

from alembic import context
from card_usage.ledger.schema import Instant, metadata


def _render(kind: str, drawn: Any, _context: Any) -> str | Literal[False]:
    # Migrations stand alone: they must not change when the code's own types do.
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(drawn, Instant) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_item=_render,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
