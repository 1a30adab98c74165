"""Alembic environment of the ledger: run by `python -m card_usage ledger migrate`, over an open connection."""

from alembic import context
from card_usage.ledger.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
