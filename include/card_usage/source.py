"""Source: reads a hospital's HIS replica, feed by feed, window by window, in constant memory.

Promises: the SQL of a feed is read from include/sql/<shape>/<feed>.sql and gets its window bound, never formatted in;
columns are compared with `SourceRow` before the first row leaves; rows come in the order (occurred_at, source_id); an
error names hospital, feed and cause, and quotes neither parameters nor values. Nothing is ever written to a HIS.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from sqlalchemy import URL, DateTime, Engine, TextClause, bindparam, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import CHAR, TypeEngine

from card_usage.connections import Connection
from card_usage.errors import SourceDrift, SourceError, SourceInterrupted, SourceUnreachable
from card_usage.events import SourceRow
from card_usage.hospitals import Hospital

SQL: Final = Path(__file__).resolve().parents[1] / "sql"

_CHAR16: Final = "%Y%m%d%H:%M:%S"
_HEADER: Final = re.compile(r"^--\s*bounds:\s*(char16|datetime)\s*$")
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
_DENIED: Final = re.compile(r"permission was denied on the (?:object|column) '([^']+)'|permission denied for (\S+ \S+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Feed:
    """One SQL file of a shape. `bounds`: how its edges are bound, as char(16) `yyyymmddhh:mm:ss` or as datetime."""

    name: str
    bounds: str
    select: TextClause
    counted: TextClause

    def edge(self, moment: datetime) -> str | datetime:
        """An edge of a window in the form of the feed's own column."""
        if moment.tzinfo is not None:
            raise ValueError("a window's edges are naive local times")
        return moment.strftime(_CHAR16) if self.bounds == "char16" else moment


class Tally(NamedTuple):
    """What the HIS has of a feed's window: all rows, and how many of them are voided."""

    rows: int
    voided: int


@lru_cache(maxsize=256)
def feed_sql(shape: str, name: str, folder: Path = SQL) -> Feed:
    """Read include/sql/<shape>/<name>.sql. Raises ValueError if it breaks the conventions of these files.

    Conventions: the first line says `-- bounds: char16` or `-- bounds: datetime`, comments are whole lines, and the one
    statement ends with `ORDER BY occurred_at, source_id`.
    """
    path = folder / shape / f"{name}.sql"
    lines = path.read_text(encoding="utf-8").splitlines()
    header = _HEADER.match(lines[0]) if lines else None
    if header is None:
        raise ValueError(f"{path.name}: the first line says neither '-- bounds: char16' nor '-- bounds: datetime'")
    # Comments stay behind: a bound parameter named in one would count as a parameter.
    statement = "\n".join(line for line in lines if not line.lstrip().startswith("--")).strip()
    selected, order, _ = statement.rpartition("ORDER BY occurred_at, source_id")
    if not order or not statement.endswith(order):
        raise ValueError(f"{path.name}: the statement does not end with 'ORDER BY occurred_at, source_id'")
    bounds = header[1]
    kind: TypeEngine[Any] = CHAR(16) if bounds == "char16" else DateTime()
    edges = [bindparam("start", type_=kind), bindparam("end", type_=kind)]
    counted = f"SELECT COUNT(*), COALESCE(SUM(counted.voided), 0) FROM (\n{selected}) counted"  # noqa: S608
    return Feed(
        name=name,
        bounds=bounds,
        select=text(statement).bindparams(*edges),
        counted=text(counted).bindparams(*edges),
    )


def connect(target: str | URL | Connection) -> Engine:
    """An engine for a HIS replica. No error of it shows parameters, and nothing is connected yet.

    SQLite files are opened read-only: a path that is wrong is an error, not a new empty database.
    """
    url = target.database_url() if isinstance(target, Connection) else make_url(target)
    arguments: dict[str, Any] = {}
    match url.get_backend_name():
        case "mssql":
            url = url if "charset" in url.query else url.update_query_dict({"charset": "utf8"})
            if url.get_driver_name() == "pymssql":
                arguments = {"appname": _APPLICATION, "login_timeout": _LOGIN_SECONDS}
        case "postgresql":
            arguments = {
                "application_name": _APPLICATION,
                "connect_timeout": _LOGIN_SECONDS,
                "options": "-c default_transaction_read_only=on",
            }
        case "sqlite" if url.database and url.database != ":memory:" and not url.database.startswith("file:"):
            path = quote(str(Path(url.database).resolve()))
            url = url.set(database=f"file:{path}").update_query_dict({"mode": "ro", "uri": "true"})
    return create_engine(url, pool_pre_ping=True, hide_parameters=True, connect_args=arguments)


class Source:
    """The HIS replica of one hospital. Holds no connection between calls. `sql`: the folder of the shapes."""

    def __init__(self, engine: Engine, hospital: Hospital, *, sql: Path = SQL) -> None:
        self._engine = engine
        self._hospital = hospital
        self._folder = sql

    def rows(self, feed: str, window_start: datetime, window_end: datetime) -> Iterator[list[SourceRow]]:
        """Rows of the half-open window, voided ones included, in lists of at most `fetch_size`.

        Edges are naive local times. Raises SourceDrift before the first row if the SQL's columns are not exactly those
        of SourceRow or the HIS lacks one that the SQL names, SourceUnreachable if nothing could be read, and
        SourceInterrupted if the stream broke later.
        """
        sql = self._sql(feed)
        edges = {"start": sql.edge(window_start), "end": sql.edge(window_end)}
        # What SourceRow._make does, without a Python frame a row: the number of columns was compared once.
        new_row = partial(tuple.__new__, SourceRow)
        last: SourceRow | None = None
        size = self._hospital.his.fetch_size
        with self._explained(feed, lambda: last), self._engine.connect() as connection:
            result = connection.execute(
                sql.select, edges, execution_options={"stream_results": True, "max_row_buffer": size}
            )
            self._compare(feed, tuple(result.keys()))
            for part in result.columns(*SourceRow._fields).partitions(size):
                batch: list[SourceRow] = list(map(new_row, part))
                last = batch[-1]
                yield batch

    def count(self, feed: str, window_start: datetime, window_end: datetime) -> int:
        """Rows that `rows` would return now, counted by the database."""
        return self.tally(feed, window_start, window_end).rows

    def tally(self, feed: str, window_start: datetime, window_end: datetime) -> Tally:
        """Rows that `rows` would return now, and how many of them are voided, counted by the database in one query."""
        sql = self._sql(feed)
        edges = {"start": sql.edge(window_start), "end": sql.edge(window_end)}
        with self._explained(feed, lambda: None), self._engine.connect() as connection:
            rows, voided = connection.execute(sql.counted, edges).one()
            return Tally(int(rows), int(voided))

    def _sql(self, feed: str) -> Feed:
        if feed not in self._hospital.his.feeds:
            raise ValueError(f"{self._hospital.id} has no feed '{feed}'")
        return feed_sql(self._hospital.his.shape, feed, self._folder)

    def _compare(self, feed: str, columns: tuple[str, ...]) -> None:
        missing = [name for name in SourceRow._fields if name not in columns]
        strange = [name for name in columns if name not in SourceRow._fields]
        twice = [name for name in SourceRow._fields if columns.count(name) > 1]
        for names, problem in (
            (missing, "the feed's SQL does not return it"),
            (strange, "the feed's SQL returns it, and nobody knows it"),
            (twice, "the feed's SQL returns it twice"),
        ):
            if names:
                raise SourceDrift(hospital=self._hospital.id, feed=feed, column=", ".join(names), problem=problem)

    @contextmanager
    def _explained(self, feed: str, last: Callable[[], SourceRow | None]) -> Iterator[None]:
        """Turns what the driver raises into our own errors. `from None`: a driver's text may quote a value."""
        try:
            yield
        except DBAPIError as error:
            raise self._error(feed, error, last()) from None

    def _error(self, feed: str, error: DBAPIError, last: SourceRow | None) -> SourceError:
        said = str(error.orig)
        if gone := _GONE.search(said):
            name = next(group for group in gone.groups() if group)
            problem = "the HIS has no such column or table, or the login may not see it"
            return SourceDrift(hospital=self._hospital.id, feed=feed, column=name, problem=problem)
        reason = _reason(error)
        if last is not None:
            position = f"{last.occurred_at}, key {last.source_id}"
            return SourceInterrupted(hospital=self._hospital.id, feed=feed, position=position, reason=reason, tries=0)
        if denied := _DENIED.search(said):
            reason = f"no right to SELECT from {next(group for group in denied.groups() if group)}"
        return SourceUnreachable(hospital=self._hospital.id, connection=self._hospital.his.connection, reason=reason)


def _reason(error: DBAPIError) -> str:
    """The driver's own code for what happened (SQLSTATE, error number, SQLite's name), else the class of the error."""
    cause = error.orig
    for code in (getattr(cause, "sqlstate", None), getattr(cause, "sqlite_errorname", None)):
        if code:
            return str(code)
    arguments = cause.args if cause is not None else ()
    first = arguments[0] if arguments else None
    if isinstance(first, tuple) and first:
        first = first[0]
    return f"{type(cause).__name__} {first}" if isinstance(first, int) else type(cause).__name__
