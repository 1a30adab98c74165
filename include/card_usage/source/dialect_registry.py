"""Dialect registry: finds every file of `dialects/` and looks a dialect up by SQLAlchemy's or Airflow's name."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from sqlalchemy import URL

from card_usage.config.connections import Connection
from card_usage.errors import BadConnection
from card_usage.source import dialects
from card_usage.source.dialect import Dialect


@cache
def all_dialects() -> tuple[Dialect, ...]:
    """The dialects of all modules in `dialects/`."""
    modules = [import_module(f"{dialects.__name__}.{module.name}") for module in iter_modules(dialects.__path__)]
    return tuple(module.DIALECT for module in modules)


@cache
def dialect_named(name: str) -> Dialect:
    """The dialect that SQLAlchemy calls `name`; for any other name one with nothing but defaults."""
    return next((dialect for dialect in all_dialects() if name in dialect.names), Dialect(names=(name,)))


def database_url(connection: Connection) -> URL:
    """The SQLAlchemy URL of a HIS replica.

    Raises BadConnection for a type that is no database, and for an extra that would be dropped.
    """
    for dialect in all_dialects():
        if dialect.url is not None and connection.conn_type in dialect.conn_types:
            _refuse_strange_extras(connection, dialect)
            return dialect.url(connection)
    problem = f"has type '{connection.conn_type}', which is no database known here"
    raise BadConnection(conn_id=connection.conn_id, variable=connection.conn_id.upper(), problem=problem)


def _refuse_strange_extras(connection: Connection, dialect: Dialect) -> None:
    strange = sorted(set(connection.extra) - dialect.extras)
    if strange:
        known = ", ".join(sorted(dialect.extras)) or "none"
        problem = f"has the extra '{strange[0][:40]}', which nobody here would heed (known for this type: {known})"
        raise BadConnection(conn_id=connection.conn_id, variable=connection.conn_id.upper(), problem=problem)
