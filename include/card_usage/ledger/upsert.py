"""Upsert: rows that may be there already, in the words of whichever database keeps the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_into(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that knows ON CONFLICT: SQLAlchemy's own does not, and each dialect brings one that does."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def upsert(
    connection: Connection,
    table: Table,
    key: Mapping[str, Any],
    values: Mapping[str, Any],
    *,
    first: Mapping[str, Any] | None = None,
) -> None:
    """Write the one row of this key; if it is there, bring its `values` up to date and leave what is in `first`."""
    statement = insert_into(connection, table).values(**key, **values, **(first or {}))
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=dict(values)))
