"""Drift: a column of a feed that is no longer of the kind that its SQL was written for, found before a row is staged.

Two sources, for drivers differ. What the driver says of the result's columns (DB-API `description`: pymssql gives a
class of types, psycopg a type's number, SQLite nothing), known before the first row and for an empty window too. And
the values of each batch, whatever the driver: one value of the wrong kind is enough, a column of NULLs says
nothing. Both name the column and the kind found, never a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from card_usage.events import SourceRow
from card_usage.source.dialect import BINARY, DATE, MOMENT, NUMBER, TEXT, Dialect
from card_usage.source.feeds import Bounds


def _expected(column: str, bounds: Bounds) -> frozenset[str]:
    if column == "occurred_at":
        return frozenset({MOMENT} if bounds == "datetime" else {TEXT})
    if column == "voided":
        return frozenset({NUMBER, BINARY})  # MySQL's bit comes as a byte
    if column == "source_id":
        return frozenset({TEXT, NUMBER, BINARY})
    # A driver that cannot decode a text hands over its bytes; a constant NULL has any kind.
    return frozenset({TEXT, BINARY})


def declared_drift(
    description: Iterable[Sequence[Any]] | None, dialect: Dialect, bounds: Bounds
) -> tuple[str, str] | None:
    """(column, kind) of the first column whose declared kind is wrong; None: none, or the driver does not say."""
    for name, code, *_ in description or ():
        kind = dialect.column_kinds.get(code) if isinstance(code, int) else None
        if name == "occurred_at" and kind is not None and kind not in _expected(name, bounds):
            return name, kind
        # Constant NULLs are declared as numbers by SQL Server and as text by PostgreSQL: only a moment is a sure sign.
        if name in SourceRow._fields and name != "occurred_at" and kind in (MOMENT, DATE):
            return name, kind
    return None


def _kind(value: object) -> str:
    if isinstance(value, (str, UUID)):
        return TEXT
    if isinstance(value, datetime):
        return MOMENT
    if isinstance(value, (int, float, Decimal)):
        return NUMBER
    if isinstance(value, (bytes, bytearray, memoryview)):
        return BINARY
    if isinstance(value, date):
        return DATE
    if isinstance(value, (time, timedelta)):
        return "a time of day without date"
    return type(value).__name__


def value_drift(rows: Sequence[SourceRow], dialect: Dialect, bounds: Bounds) -> tuple[str, str] | None:
    """(column, kind) of the first column with a value of a wrong kind among these rows; None: there is none."""
    for column, values in zip(SourceRow._fields, zip(*rows, strict=True), strict=True):
        expected = _expected(column, bounds)
        if column == "occurred_at" and dialect.times_as_text:
            expected |= {TEXT}
        for example in {type(value): value for value in values if value is not None}.values():
            if (kind := _kind(example)) not in expected:
                return column, kind
    return None
