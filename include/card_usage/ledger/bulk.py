"""Bulk: thousands of new rows of one table at once, several times faster than through one dict a row.

Preparing a dict for each row costs SQLAlchemy more than the row costs the database. Here rows are tuples, values are
converted for the driver column by column, and each database gets them in its fastest way. Both release the interpreter
lock while the database works, so that another thread can prepare what comes next.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import repeat
from typing import Any, Final, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, DateTime, Dialect, Table, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError

from card_usage.ledger.schema.columns import SealedBytes

T = TypeVar("T")

# SQLite takes at most 32,766 values in a statement.
_VALUES: Final = 30_000


def among(connection: Connection, column: Column[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """Whether a text column holds one of `values`, however many: bound as one value, where IN binds each."""
    if connection.dialect.name == "postgresql":
        return column == func.any(bindparam(None, list(values), type_=ARRAY(column.type)))
    listed = func.json_each(json.dumps(values)).table_valued("value")
    return column.in_(select(listed.c.value))


def few_sizes(connection: Connection, values: Sequence[T]) -> Sequence[T]:
    """The values for an IN. On SQLite the last one is repeated up to a power of two: the same rows, and few different
    statements, for its driver keeps what it has prepared, and with one for each number of values that ever comes it
    kept twenty megabytes. PostgreSQL's keeps nothing, and more values only cost it time.
    """
    if connection.dialect.name != "sqlite" or not values:
        return values
    rest = _power_of_two(2 * len(values) - 1) - len(values)
    return [*values, *repeat(values[-1], rest)]


def insert_many(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert `rows`, values in the order of `columns`. A key that is there already is an error."""
    if not rows:
        return
    ready = _ready(connection.dialect, [table.c[name] for name in columns], rows)
    if connection.dialect.name == "postgresql":
        _copy(connection, f"{table.name} ({', '.join(columns)})", zip(*ready, strict=True))
    else:
        _insert(connection, f"{table.name} ({', '.join(columns)})", ready)


def _ready(dialect: Dialect, columns: Iterable[Column[Any]], rows: Sequence[tuple[Any, ...]]) -> list[Sequence[Any]]:
    """The columns as the driver wants them; what stands in a column many times is converted once."""
    by_column: list[Sequence[Any]] = list(zip(*rows, strict=True))
    for position, column in enumerate(columns):
        converted: Callable[[Any], Any] | None = column.type.dialect_impl(dialect).bind_processor(dialect)
        if type(column.type) is DateTime and dialect.name == "sqlite":
            converted = _sqlite_moment
        if converted is not None and not isinstance(column.type, SealedBytes):  # drivers take bytes as they are
            known = {value: converted(value) for value in set(by_column[position])}
            by_column[position] = list(map(known.__getitem__, by_column[position]))
    return by_column


def _sqlite_moment(moment: datetime | None) -> str | None:
    """As SQLAlchemy writes it, at a fifth of the cost."""
    return None if moment is None else moment.isoformat(" ", "microseconds")


def _insert(connection: Connection, place: str, by_column: list[Sequence[Any]]) -> None:
    """SQLite: statements of many rows.

    Always of a power of two: the driver keeps what it has prepared, megabytes for a statement of that many values, and
    with one for each number of rows that ever comes it would keep a hundred of them.
    """
    width, rows = len(by_column), len(by_column[0])
    values: list[Any] = [None] * (width * rows)
    for position, column in enumerate(by_column):
        values[position::width] = column
    one = f"({', '.join('?' * width)})"
    first, at_once = 0, _power_of_two(_VALUES // width)
    while first < rows:
        at_once = min(at_once, _power_of_two(rows - first))
        statement = f"INSERT INTO {place} VALUES {', '.join([one] * at_once)}"  # noqa: S608
        connection.exec_driver_sql(statement, tuple(values[first * width : (first + at_once) * width]))
        first += at_once


def _power_of_two(number: int) -> int:
    """The greatest that is not above `number`, which is 1 or more."""
    return 1 << (number.bit_length() - 1)


def _copy(connection: Connection, place: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """PostgreSQL: COPY."""
    driver: Any = connection.connection.driver_connection
    error_of_driver = connection.dialect.loaded_dbapi.Error
    try:
        with driver.cursor() as cursor, cursor.copy(f"COPY {place} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    except error_of_driver as error:
        # What COPY says of its place quotes the value. The rest looks as if SQLAlchemy had run the statement.
        shown = type(error)(error.diag.message_primary or type(error).__name__)
        lost = bool(driver.broken)
        if lost:
            connection.invalidate()
        raise DBAPIError.instance(
            None, None, shown, error_of_driver, hide_parameters=True, connection_invalidated=lost
        ) from None
