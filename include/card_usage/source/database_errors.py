"""Database errors: what a driver's exception means, by the tables of its dialect, and never in the driver's own words.

A driver's text may quote a value. What is told of it is its code (SQLSTATE, error number, SQLite's name), or the name
of a column or table, which is a name of the schema.
"""

import re
from typing import Final

from sqlalchemy.exc import DBAPIError, ResourceClosedError

from card_usage.source.dialect import Dialect, ErrorCode

Failure = DBAPIError | ResourceClosedError
"""What a query raises. A ResourceClosedError is a line that dropped without a word: the driver took the missing answer
for one without rows."""
FAILURES: Final = (DBAPIError, ResourceClosedError)

_CODE_IN_TEXT: Final = re.compile(r"[A-Z]{3}-\d+")


def missing_object(error: Failure, dialect: Dialect) -> str | None:
    """The column or table that the HIS does not have (any more), if that is what the error says."""
    return _name(dialect.missing_object, error)


def denied_object(error: Failure, dialect: Dialect) -> str | None:
    """The table that the login may not read, if that is what the error says."""
    return _name(dialect.denied_object, error)


def unconvertible_column(error: Failure, dialect: Dialect) -> str | None:
    """The column whose type cannot be what the SQL was written for, if that is what the error says.

    Databases do not name it, but nothing is compared with a time in a feed but the column of its window.
    """
    code = _state(error) or _number(error)
    if code is None or code not in dialect.conversion_errors:
        return None
    return "occurred_at" if code in dialect.time_conversion_errors else "(one that the SQL converts)"


def is_transient(error: Failure, dialect: Dialect) -> bool:
    """Whether the same query may succeed a little later."""
    if (
        isinstance(error, ResourceClosedError)
        or error.connection_invalidated
        or _number(error) in dialect.transient_errors
    ):
        return True
    state = _state(error)
    if state is None:
        return type(error.orig).__name__ in dialect.lost_without_code
    return dialect.transient_states is not None and dialect.transient_states.fullmatch(state) is not None


def reason(error: Failure, dialect: Dialect) -> str:
    """What happened: the state or number of the error with its meaning, else the class of the exception."""
    if isinstance(error, ResourceClosedError):
        return "connection lost"
    if state := _state(error):
        return state
    kind, number = type(error.orig).__name__, _number(error)
    if number is None:
        return kind
    meaning = dialect.transient_errors.get(number) or dialect.meanings.get(number)
    return f"{kind} {number}, {meaning}" if meaning else f"{kind} {number}"


def _name(pattern: re.Pattern[str] | None, error: Failure) -> str | None:
    match = pattern.search(str(error.orig)) if pattern and isinstance(error, DBAPIError) else None
    return next(group for group in match.groups() if group) if match else None


def _state(error: Failure) -> str | None:
    cause = error.orig if isinstance(error, DBAPIError) else None
    state = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
    return str(state) if state else None


def _number(error: Failure) -> ErrorCode | None:
    arguments = error.orig.args if isinstance(error, DBAPIError) and error.orig is not None else ()
    first = arguments[0] if arguments else None
    if isinstance(first, tuple) and first:
        first = first[0]
    # oracledb hands an object over; its full code tells the database's numbers and its own apart.
    first = getattr(first, "full_code", first)
    return first if isinstance(first, int) or (isinstance(first, str) and _CODE_IN_TEXT.fullmatch(first)) else None
