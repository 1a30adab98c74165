"""Replica: how we behave on a hospital's database, and what its errors mean.

Promises: a session says who it is, reads only, and never waits or runs longer than the hospital's file allows; no error
shows parameters. SQL Server gets ApplicationIntent=ReadOnly (an availability group sends us to a readable secondary),
the isolation of the hospital's file, LOCK_TIMEOUT and a query time-out; PostgreSQL and MySQL get what they call the
same. Which failures pass by themselves (a deadlock, a restart, a cut cable) is decided here, by number, in one table.
"""

import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError

from card_usage.config.connections import Connection
from card_usage.config.hospital import His

_APPLICATION: Final = "card_usage"
_LOGIN_SECONDS: Final = 15

# How databases say that a column or table is not there. What they quote is a name of the schema, never a value.
_GONE: Final = re.compile(
    r"no such (?:column|table): ([\w.]+)"  # SQLite
    r"|Invalid (?:column|object) name '([^']+)'"  # SQL Server
    r"|(?:column|relation) \"?([\w.]+)\"? does not exist"  # PostgreSQL
    r"|Unknown column '([^']+)'|Table '([^']+)' doesn't exist"  # MySQL
    r"|ORA-00904: ([\w\".]+): invalid identifier",  # Oracle
    re.IGNORECASE,
)
_DENIED: Final = re.compile(
    r"permission was denied on the (?:object|column) '([^']+)'"  # SQL Server
    r"|permission denied for (\S+ \S+)"  # PostgreSQL
    r"|SELECT command denied to user \S+ for (table \S+)"  # MySQL
)

# How databases say that they cannot compare or convert a value: a column has another type than the SQL was written for.
_MISTYPED: Final = {
    "mssql": {206, 241, 242, 245, 295, 402, 529, 8114},
    "mysql": {1292, 1525},
}
_MISTYPED_STATES: Final = frozenset({"42883", "42804", "22007", "22008", "22P02"})
_OF_TIMES: Final = frozenset({241, 242, 295, 1292, 1525, "42883", "22007", "22008"})

_PASSING: Final[dict[str, dict[int | str, str]]] = {
    "mssql": {
        1205: "chosen as deadlock victim",
        1222: "lock time-out",
        596: "session killed",
        601: "data moved during the scan",
        922: "database is being recovered",
        976: "secondary of the availability group not accessible",
        983: "availability group changes roles",
        3960: "snapshot conflict",
        3961: "snapshot and schema change",
        6005: "server shuts down",
        10053: "connection lost",
        10054: "connection lost",
        20003: "query time-out",
        20004: "connection lost",
        20006: "connection lost",
        20009: "server does not answer",
        20017: "connection lost",
        20047: "connection lost",
    },
    "mysql": {
        1053: "server shuts down",
        1205: "lock time-out",
        1213: "chosen as deadlock victim",
        1317: "query interrupted",
        1927: "session killed",
        1969: "query time-out",
        2003: "server does not answer",
        2006: "connection lost",
        2013: "connection lost",
        3024: "query time-out",
    },
    # Untested: from Oracle's own documents (docs/adr/0012). DPY are the driver's.
    "oracle": {
        "ORA-00028": "session killed",
        "ORA-00054": "lock time-out",
        "ORA-00060": "chosen as deadlock victim",
        "ORA-01012": "session ended",
        "ORA-01013": "query time-out",
        "ORA-01033": "server starts or shuts down",
        "ORA-01034": "server is down",
        "ORA-01089": "server shuts down",
        "ORA-01092": "server shuts down",
        "ORA-01555": "snapshot too old",
        "ORA-02396": "session ended, idle too long",
        "ORA-03113": "connection lost",
        "ORA-03114": "connection lost",
        "ORA-03135": "connection lost",
        "ORA-03136": "server does not answer",
        "ORA-04021": "lock time-out",
        "ORA-12170": "server does not answer",
        "ORA-12514": "server is not ready",
        "ORA-12528": "server is not ready",
        "ORA-12537": "connection lost",
        "ORA-12541": "server does not answer",
        "ORA-12547": "connection lost",
        "ORA-12570": "connection lost",
        "ORA-12571": "connection lost",
        "ORA-30006": "lock time-out",
        "DPY-4011": "connection lost",
        "DPY-4024": "query time-out",
        "DPY-6005": "server does not answer",
    },
}
_ORACLE: Final = re.compile(r"(?:ORA|DPY|DPI)-\d+")
_PASSING_STATES: Final = re.compile(r"08...|57P0[123]|57014|40001|40P01|55P03|SQLITE_BUSY|SQLITE_LOCKED")


def connect(target: str | URL | Connection, his: His | None = None) -> Engine:
    """An engine for a HIS replica with the manners of `his`. No error of it shows parameters; nothing is connected yet.

    SQLite files are opened read-only: a path that is wrong is an error, not a new empty database.
    """
    url = target.database_url() if isinstance(target, Connection) else make_url(target)
    manners = his or His.model_construct(connection="", shape="", feeds=())
    locks, queries = manners.lock_timeout_seconds, manners.query_timeout_seconds
    isolation: str | None = manners.isolation.upper()
    arguments: dict[str, Any] = {}
    settings: tuple[str, ...] = ()
    match url.get_backend_name():
        case "mssql":
            url = url if "charset" in url.query else url.update_query_dict({"charset": "utf8"})
            settings = (f"SET LOCK_TIMEOUT {round(locks * 1000)}",)
            if url.get_driver_name() == "pymssql":
                arguments = {
                    "appname": _APPLICATION,
                    "login_timeout": _LOGIN_SECONDS,
                    "timeout": queries,
                    "read_only": True,
                }
        case "postgresql":
            milliseconds = f"-c lock_timeout={round(locks * 1000)} -c statement_timeout={queries * 1000}"
            arguments = {
                "application_name": _APPLICATION,
                "connect_timeout": _LOGIN_SECONDS,
                "options": f"-c default_transaction_read_only=on {milliseconds}",
            }
            isolation = "REPEATABLE READ" if isolation == "SNAPSHOT" else isolation
        case "mysql":
            isolation = "REPEATABLE READ" if isolation == "SNAPSHOT" else isolation
            arguments = {
                "program_name": _APPLICATION,
                "connect_timeout": _LOGIN_SECONDS,
                "read_timeout": queries,
                "charset": "utf8mb4",
            }
            settings = (
                "SET SESSION TRANSACTION READ ONLY",
                f"SET SESSION lock_wait_timeout = {max(1, round(locks))}",
                f"SET SESSION innodb_lock_wait_timeout = {max(1, round(locks))}",
                # While a batch goes into the ledger we do not read; the server may not give us up meanwhile.
                f"SET SESSION net_write_timeout = {queries}",
            )
        case "sqlite":
            isolation = None
            if url.database and url.database != ":memory:" and not url.database.startswith("file:"):
                path = quote(str(Path(url.database).resolve()))
                url = url.set(database=f"file:{path}").update_query_dict({"mode": "ro", "uri": "true"})
        case _:
            isolation = None
    options: dict[str, Any] = {"isolation_level": isolation} if isolation else {}
    engine = create_engine(url, pool_pre_ping=True, hide_parameters=True, connect_args=arguments, **options)
    if settings:

        @event.listens_for(engine, "connect")
        def introduce(raw: Any, _record: object) -> None:
            cursor = raw.cursor()
            for statement in settings:
                cursor.execute(statement)
            cursor.close()

    return engine


def gone(error: DBAPIError) -> str | None:
    """The column or table that the HIS does not have (any more), if that is what the error says."""
    return _named(_GONE, error)


def denied(error: DBAPIError) -> str | None:
    """The table that the login may not read, if that is what the error says."""
    return _named(_DENIED, error)


def mistyped(error: DBAPIError, backend: str) -> str | None:
    """The column whose type cannot be what the SQL was written for, if that is what the error says.

    Databases do not name it, but nothing is compared with a time in a feed but the column of its window.
    """
    code = _state(error) or _number(error)
    if code not in _MISTYPED_STATES and code not in _MISTYPED.get(backend, set()):
        return None
    return "occurred_at" if code in _OF_TIMES else "(one that the SQL converts)"


def passes(error: DBAPIError, backend: str) -> bool:
    """Whether the same query may succeed a little later. `backend`: SQLAlchemy's name of the kind of database."""
    if error.connection_invalidated or _number(error) in _PASSING.get(backend, {}):
        return True
    state = _state(error)
    if state is None:
        # psycopg has no state for a connection that just ended.
        return backend == "postgresql" and type(error.orig).__name__ == "OperationalError"
    return _PASSING_STATES.fullmatch(state) is not None


def reason(error: DBAPIError, backend: str) -> str:
    """What happened in the driver's own code (SQLSTATE, error number, SQLite's name), else the class of the error.

    Never the driver's text: it may quote a value.
    """
    if state := _state(error):
        return state
    kind, number = type(error.orig).__name__, _number(error)
    if number is None:
        return kind
    meaning = _PASSING.get(backend, {}).get(number)
    return f"{kind} {number}, {meaning}" if meaning else f"{kind} {number}"


def _named(pattern: re.Pattern[str], error: DBAPIError) -> str | None:
    found = pattern.search(str(error.orig))
    return next(group for group in found.groups() if group) if found else None


def _state(error: DBAPIError) -> str | None:
    cause = error.orig
    state = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
    return str(state) if state else None


def _number(error: DBAPIError) -> int | str | None:
    arguments = error.orig.args if error.orig is not None else ()
    first = arguments[0] if arguments else None
    if isinstance(first, tuple) and first:
        first = first[0]
    # oracledb hands an object over; its full code tells the database's numbers and its own apart.
    first = getattr(first, "full_code", first)
    return first if isinstance(first, int) or (isinstance(first, str) and _ORACLE.fullmatch(first)) else None
