"""What all tables share: the metadata with its naming rule, and the column types that differ between databases."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import BigInteger, ColumnElement, DateTime, Dialect, Integer, LargeBinary, MetaData, String, cast
from sqlalchemy.types import TypeDecorator

from card_usage.events import LONGEST_CODE

# Named constraints, so that migrations can drop them on every database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC; SQLite keeps no zone, so it is put back when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant carries its zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class SealedBytes(TypeDecorator[bytes]):
    """Ciphertext. SQLite keeps what it is given, of whatever type: what somebody wrote in its place is read as bytes,
    which do not open, where the driver would fail on text that is none."""

    impl = LargeBinary
    cache_ok = True

    def column_expression(self, column: ColumnElement[bytes]) -> ColumnElement[bytes]:
        return cast(column, LargeBinary)


# SQLite counts rows only in an INTEGER key; elsewhere a day of a large fleet outgrows 32 bits in years.
Id = BigInteger().with_variant(Integer, "sqlite")

Code = String(LONGEST_CODE)
"""A standard code."""
