"""Dialect: all that the pipeline knows of one kind of HIS database, declared in one file of `dialects/` each.

To add a database, add `dialects/<database>.py` with a constant `DIALECT`; nothing else names it. What a dialect leaves
out has a default that is right for a database nobody has described: plain SQL, no retries, no privileges to ask for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import URL, TextClause

from card_usage.config.connections import Connection
from card_usage.config.hospital import His
from card_usage.errors import BadConnection
from card_usage.events import SourceRow
from card_usage.source.tls import Transport

APPLICATION: Final = "card_usage"
"""The name under which sessions are listed by the database."""
LOGIN_SECONDS: Final = 15
OFFSET: Final = "+08:00"
"""The hospitals' zone, for databases that take an offset (`windows.ZONE`: there is no daylight saving)."""

Kind = Literal["text", "a number", "a date and time", "a date without time of day", "binary"]
"""A kind of column values, as error messages call it."""
TEXT: Final[Kind] = "text"
NUMBER: Final[Kind] = "a number"
MOMENT: Final[Kind] = "a date and time"
DATE: Final[Kind] = "a date without time of day"
BINARY: Final[Kind] = "binary"

ErrorCode = int | str
"""SQLSTATE, or the database's own number or name of an error."""

COUNTED_COLUMNS: Final = tuple(f"counted.{name}" for name in SourceRow._fields)
"""The columns of a feed's rows in the subquery `counted`, which `minute_of_*` and `checksum` are written for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionSettings:
    """How sessions are opened: `connect_args` of the driver, and `statements` to execute on each new connection."""

    url: URL
    connect_args: Mapping[str, Any] = field(default_factory=dict)
    isolation: str | None = None
    statements: tuple[str, ...] = ()
    transport: Transport = field(default_factory=lambda: Transport(protection="optional"))


def _limited(sql: str, rows: int) -> str:
    return f"{sql}\nLIMIT {rows}"


def _no_settings(url: URL, _: His) -> SessionSettings:
    return SessionSettings(url=url)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """One kind of database. Expressions are SQL of that database."""

    names: tuple[str, ...]
    """What SQLAlchemy calls it (`engine.dialect.name`)."""
    conn_types: tuple[str, ...] = ()
    """Airflow's connection types that lead to it."""
    url: Callable[[Connection], URL] | None = None
    """The SQLAlchemy URL of such a connection. Raises BadConnection."""
    extras: frozenset[str] = frozenset()
    """Extras that such a connection may have. They stand in the query of its URL; any other is refused."""
    session: Callable[[URL, His], SessionSettings] = _no_settings
    """Read-only sessions within the time-outs of the hospital's file."""

    missing_object: re.Pattern[str] | None = None
    """Matches the text of an error that says a column or table does not exist; its one matching group is the name."""
    denied_object: re.Pattern[str] | None = None
    """Matches the text of an error that says the login may not read a table; its one matching group is the name."""
    conversion_errors: frozenset[ErrorCode] = frozenset()
    """A value cannot be compared or converted: a column has another type than the feed's SQL was written for."""
    time_conversion_errors: frozenset[ErrorCode] = frozenset()
    """Those of `conversion_errors` that are about times."""
    transient_errors: Mapping[ErrorCode, str] = field(default_factory=dict)
    """Errors after which the same query may succeed a little later, and what each means."""
    transient_states: re.Pattern[str] | None = None
    """The same for errors that carry an SQLSTATE or a name instead of a number."""
    meanings: Mapping[ErrorCode, str] = field(default_factory=dict)
    """What errors mean that do not pass by themselves, and what to do about them."""
    lost_without_code: frozenset[str] = frozenset()
    """Classes of driver errors that mean a lost connection when they carry no code at all."""

    column_kinds: Mapping[int, Kind] = field(default_factory=dict)
    """Type code of a result column (DB-API `description`) -> kind. Codes that are left out say nothing."""
    times_as_text: bool = False
    """Whether the driver may return values of a datetime column as text."""

    is_voided: str = "counted.voided <> 0"
    """Whether a row of `counted` is voided, where that column may be a number, a bit or a boolean."""
    minute_of_text: str = "SUBSTRING(counted.occurred_at, 9, 5)"
    """The local minute of a char(16) time: hh:mm."""
    minute_of_datetime: str = "EXTRACT(HOUR FROM counted.occurred_at) * 100 + EXTRACT(MINUTE FROM counted.occurred_at)"
    """The local minute of a datetime: a time, or hhmm as number or text."""
    checksum: str = "NULL"
    """A sum over all values of all rows of `counted`, in any order; a sum, for equal rows must not cancel out."""

    adapted: Callable[[str], str] = str
    """The SQL of a feed as this database takes it, where portable SQL cannot say it."""
    page: Callable[[str, int], str] = _limited
    """A statement that begins with SELECT and ends with its order, for its first rows alone."""
    query_suffix: str = ""
    """Stands at the end of every query about a feed: a hint."""
    clock: str | None = None
    """The local time of the server as this session sees it, one row of one naive datetime."""
    replication: TextClause | None = None
    """How far a replica has followed: one row of (databases, upto, is_primary); databases 0: nothing is known."""
    can_write: Callable[[str], str] | None = None
    """The query that returns more than 0 if the login may change a table."""


def server_url(driver: str, connection: Connection) -> URL:
    """The URL of a database server, read with a SQLAlchemy driver, extras included. Raises BadConnection."""
    if not connection.host:
        raise BadConnection(conn_id=connection.conn_id, variable=connection.conn_id.upper(), problem="names no host")
    return URL.create(
        driver,
        username=connection.login or None,
        password=connection.password or None,
        host=connection.host,
        port=connection.port,
        database=connection.schema or None,
        query={name: str(value) for name, value in connection.extra.items()},
    )
