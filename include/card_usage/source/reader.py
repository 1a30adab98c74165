"""Source: reads a hospital's HIS replica, feed by feed, window by window, in constant memory.

Promises: the SQL of a feed is read from include/sql/<shape>/<feed>.sql and gets its window bound, never formatted in;
columns and their kinds are compared with `SourceRow` before the first row leaves; rows come in the order (occurred_at,
source_id); an error names hospital, feed and cause, and quotes neither parameters nor values. Nothing is ever written
to a HIS, and nothing is asked of it without a turn.
"""

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from datetime import time as clock_time
from functools import lru_cache
from pathlib import Path
from time import sleep
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, DateTime, Engine, Executable, TextClause, bindparam, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import CHAR, TypeEngine

from card_usage.config.hospital import Hospital
from card_usage.errors import SourceDrift, SourceError, SourceInterrupted, SourceUnreachable
from card_usage.events import SourceRow, maker
from card_usage.files.shipped import SHIPPED
from card_usage.source import drift
from card_usage.source.replica import connect, denied, gone, mistyped, passes, reason
from card_usage.windows import local

__all__ = ["SQL", "Feed", "MinuteTally", "Source", "SourceKey", "Tally", "connect", "feed_sql"]

log = logging.getLogger(__name__)

SQL: Final = SHIPPED / "sql"

_CHAR16: Final = "%Y%m%d%H:%M:%S"
_HEADER: Final = re.compile(r"^--\s*bounds:\s*(char16|datetime)\s*$")
_LONGEST_PAUSE: Final = 60.0
_STEP: Final = 250
"""Rows taken from the driver at once: so many at most come again after a break."""
# The local minute of a row (hhmm), by how the feed's column gives times and by the kind of database ("": any other).
_MINUTES: Final[Mapping[str, Mapping[str, str]]] = {
    "char16": {"": "SUBSTRING(counted.occurred_at, 9, 5)", "oracle": "SUBSTR(counted.occurred_at, 9, 5)"},
    "datetime": {
        "": "EXTRACT(HOUR FROM counted.occurred_at) * 100 + EXTRACT(MINUTE FROM counted.occurred_at)",
        "mssql": "DATEPART(HOUR, counted.occurred_at) * 100 + DATEPART(MINUTE, counted.occurred_at)",
        "sqlite": "STRFTIME('%H%M', counted.occurred_at)",
        "oracle": "TO_CHAR(counted.occurred_at, 'HH24MI')",
        # Half the cost of two EXTRACTs, which count in numeric.
        "postgresql": "DATE_TRUNC('minute', counted.occurred_at)",
    },
}


def _checksums() -> Mapping[str, str]:
    """A sum over all rows, whatever their order, by kind of database; sums, for equal rows must not cancel out."""
    columns = [f"counted.{name}" for name in SourceRow._fields]
    row = ", ".join(columns)
    marked = ", ".join(f"COALESCE(CAST({column} AS CHAR), '~')" for column in columns)
    return {
        "": "NULL",
        "sqlite": "NULL",
        "mssql": f"SUM(CAST(BINARY_CHECKSUM({row}) AS bigint))",
        "postgresql": f"SUM(hashtextextended(CAST(ROW({row}) AS text), 0))",
        "mysql": f"SUM(CRC32(CONCAT_WS('|', {marked})))",
        "mariadb": f"SUM(CRC32(CONCAT_WS('|', {marked})))",
    }


_CHECKSUMS: Final = _checksums()


@dataclass(frozen=True, kw_only=True, slots=True)
class Feed:
    """One SQL file of a shape. `bounds`: how its edges are bound, as char(16) `yyyymmddhh:mm:ss` or as datetime."""

    name: str
    bounds: str
    select: TextClause
    counted: TextClause
    keys: TextClause
    newest: TextClause
    by_minute: Mapping[str, TextClause]

    def edge(self, moment: datetime) -> str | datetime:
        """An edge of a window in the form of the feed's own column."""
        if moment.tzinfo is not None:
            raise ValueError("a window's edges are naive local times")
        return moment.strftime(_CHAR16) if self.bounds == "char16" else moment


class Tally(NamedTuple):
    """What the HIS has of a feed's window: all rows, and how many of them are voided."""

    rows: int
    voided: int


class MinuteTally(NamedTuple):
    """The same of one local minute, 0 to 1439 (None: rows whose time shows none). `checksum`: the database's own, over
    every column of all these rows in any order, so that sums are those of longer times; None where it has none."""

    minute: int | None
    rows: int
    voided: int
    checksum: int | None = None


class SourceKey(NamedTuple):
    """A record's own key in the HIS, trimmed, and whether it is refunded."""

    source_id: str
    voided: bool


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
    keys = f"SELECT keyed.source_id, keyed.voided FROM (\n{selected}) keyed"  # noqa: S608
    newest = f"SELECT MAX(newest.occurred_at) FROM (\n{selected}) newest"  # noqa: S608
    by_minute = {
        backend: text(
            f"SELECT {minute}, COUNT(*), COALESCE(SUM(counted.voided), 0), {checksum}"  # noqa: S608
            f" FROM (\n{selected}) counted GROUP BY {minute}"
        ).bindparams(*edges)
        for backend, checksum in _CHECKSUMS.items()
        for minute in [_MINUTES[bounds].get(backend, _MINUTES[bounds][""])]
    }
    return Feed(
        name=name,
        bounds=bounds,
        select=text(statement).bindparams(*edges),
        counted=text(counted).bindparams(*edges),
        keys=text(keys).bindparams(*edges),
        newest=text(newest).bindparams(*edges),
        by_minute=by_minute,
    )


def _minute(said: object) -> int | None:
    """A minute of the day as one of `_MINUTES` gives it: a time, a number hhmm, or a text hhmm or hh:mm."""
    if isinstance(said, datetime):
        return said.hour * 60 + said.minute
    if isinstance(said, str):
        said = said.strip().replace(":", "")
        if not re.fullmatch(r"\d{4}", said):
            return None
    elif said is None:
        return None
    hour, minute = divmod(int(said), 100)  # type: ignore[call-overload]
    return hour * 60 + minute if hour < 24 and minute < 60 else None


class _Place:
    """How far a feed's stream has come, and how to go on from there without a gap or a double.

    The same SQL is asked again from the last instant that came, and what came of that instant is passed over, key by
    key: rows of one instant need no order among themselves, and a row that comes twice in the HIS comes twice here.
    Keeps the keys of one instant only.
    """

    def __init__(self, sql: Feed, start: datetime) -> None:
        self._sql = sql
        self._start = start
        self._instant: Any = None
        self._seen: Counter[object] = Counter()
        self.last: SourceRow | None = None
        self.reached = False

    def __str__(self) -> str:
        if self.last is None:
            return f"the start of the window, {self._start}"
        return f"{self.last.occurred_at}, key {self.last.source_id}"

    def edge(self) -> str | datetime:
        """Where to ask from: the window's start, or the last instant (its whole second: drivers round the rest)."""
        if self.last is None:
            return self._sql.edge(self._start)
        if self._sql.bounds == "char16":
            return str(self.last.occurred_at)
        whole: datetime = self._instant.replace(microsecond=0)
        return max(self._start, whole)

    def advance(self, batch: list[SourceRow]) -> None:
        """These rows have come."""
        self.last = batch[-1]
        instant = self._instant_of(self.last)
        if instant != self._instant:
            self._instant, self._seen = instant, Counter()
        for row in reversed(batch):
            if row.occurred_at != self.last.occurred_at and self._instant_of(row) != instant:
                break
            self._seen[row.source_id] += 1

    def unseen(self, batches: Iterator[list[SourceRow]]) -> Iterator[list[SourceRow]]:
        """What of a stream asked anew has not come before."""
        if self.last is not None:
            instant, seen = self._instant, self._seen.copy()
            for batch in batches:
                left = [row for row in batch if not self._came(row, instant, seen)]
                if left:
                    yield left
                if self._instant_of(batch[-1]) != instant:
                    break
        yield from batches

    def _came(self, row: SourceRow, instant: Any, seen: Counter[object]) -> bool:
        of_row = self._instant_of(row)
        if of_row == instant and seen[row.source_id]:
            seen[row.source_id] -= 1
            return True
        return self._sql.bounds == "datetime" and bool(of_row < instant)

    def _instant_of(self, row: SourceRow) -> Any:
        """char16: the text without padding. datetime: a datetime, whatever the driver made of it."""
        moment: Any = row.occurred_at
        if self._sql.bounds == "char16":
            return str(moment).rstrip()
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        if not isinstance(moment, datetime):
            return datetime.combine(moment, clock_time())
        return local(moment).replace(tzinfo=None) if moment.tzinfo else moment


class _Start:
    """The place of a query that is about no window."""

    last: None = None
    reached = False

    def __str__(self) -> str:
        return "its start"


class Source:
    """The HIS replica of one hospital. Holds no connection between calls.

    `sql`: the folder of the shapes. `pause`: how to wait before a try (seconds). `turn`: held for as long as a query
    and its resumptions last (`Turns.take`).
    """

    def __init__(
        self,
        engine: Engine,
        hospital: Hospital,
        *,
        sql: Path = SQL,
        pause: Callable[[float], object] = sleep,
        turn: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> None:
        self.engine = engine
        self.turn = turn
        self._hospital = hospital
        self._folder = sql
        self._pause = pause

    def rows(self, feed: str, window_start: datetime, window_end: datetime) -> Iterator[list[SourceRow]]:
        """Rows of the half-open window, voided ones included, in lists of at most `fetch_size`.

        Edges are naive local times. A stream that breaks for a reason that passes goes on where it stopped. Raises
        SourceDrift before the first row if the SQL's columns are not exactly those of SourceRow or the HIS lacks one
        that the SQL names, SourceUnreachable if nothing could be read, and SourceInterrupted if the stream broke and
        the tries of the hospital's file are used up.
        """
        sql = self._sql(feed)
        with self.turn(f"feed {feed}"):
            yield from self._rows(feed, sql, _Place(sql, window_start), sql.edge(window_end))

    def _rows(self, feed: str, sql: Feed, place: _Place, end: str | datetime) -> Iterator[list[SourceRow]]:
        tries = 0
        while True:
            try:
                for batch in place.unseen(self._stream(feed, sql, place, end)):
                    place.advance(batch)
                    tries = 0
                    yield batch
                return
            except DBAPIError as error:
                # `from None`: a driver's text may quote a value.
                if refused := self._error(feed, error, place, tries):
                    raise refused from None
                tries += 1
                self._wait(feed, error, place, tries)

    def _stream(self, feed: str, sql: Feed, place: _Place, end: str | datetime) -> Iterator[list[SourceRow]]:
        new_row = maker(SourceRow)  # the number of columns is compared once
        size = self._hospital.his.fetch_size
        batch: list[SourceRow] = []
        with self._session() as connection:
            place.reached = True
            try:
                result = connection.execute(
                    sql.select,
                    {"start": place.edge(), "end": end},
                    execution_options={"stream_results": True, "max_row_buffer": min(size, _STEP)},
                )
                self._compare(feed, tuple(result.keys()))
                description = result.cursor.description if result.cursor is not None else None
                self._same_kinds(feed, drift.declared(description, self.engine.dialect.name, sql.bounds))
                result = result.columns(*SourceRow._fields)
                while part := result.fetchmany(min(_STEP, size - len(batch))):
                    rows = list(map(new_row, part))
                    if place.last is None:
                        self._same_kinds(feed, drift.carried(rows, self.engine.dialect.name, sql.bounds))
                    batch += rows
                    if len(batch) == size:
                        yield batch
                        batch = []
            except DBAPIError:
                # Whatever is left of this session, the next try has one of its own. What came is kept: a line that
                # breaks again and again still brings rows.
                connection.invalidate()
                if batch:
                    yield batch
                raise
        if batch:
            yield batch

    def count(self, feed: str, window_start: datetime, window_end: datetime) -> int:
        """Rows that `rows` would return now, counted by the database."""
        return self.tally(feed, window_start, window_end).rows

    def tally(self, feed: str, window_start: datetime, window_end: datetime) -> Tally:
        """Rows that `rows` would return now, and how many of them are voided, counted by the database in one query."""
        sql = self._sql(feed)
        ((rows, voided),) = self._asked(feed, sql, sql.counted, window_start, window_end)
        return Tally(int(rows), int(voided))

    def minutes(self, feed: str, window_start: datetime, window_end: datetime) -> list[MinuteTally]:
        """The tally by local minute, counted by the database in one grouped query; those without a row are left out."""
        sql = self._sql(feed)
        query = sql.by_minute.get(self.engine.dialect.name, sql.by_minute[""])
        found: dict[int | None, MinuteTally] = {}
        for said, rows, voided, checksum in self._asked(feed, sql, query, window_start, window_end):
            minute = _minute(said)
            before = found.get(minute, MinuteTally(minute, 0, 0, 0))
            total = None if checksum is None or before.checksum is None else before.checksum + int(checksum)
            found[minute] = MinuteTally(minute, before.rows + int(rows), before.voided + int(voided), total)
        return list(found.values())

    def keys(self, feed: str, window_start: datetime, window_end: datetime) -> list[SourceKey]:
        """Every record's own key of a window short enough for one list, in no order."""
        sql = self._sql(feed)
        rows = self._asked(feed, sql, sql.keys, window_start, window_end)
        return [SourceKey(str(source_id).strip(), bool(voided)) for source_id, voided in rows]

    def _asked(
        self, feed: str, sql: Feed, query: TextClause, window_start: datetime, window_end: datetime
    ) -> Sequence[Any]:
        """All rows of a query over a window."""
        edges = {"start": sql.edge(window_start), "end": sql.edge(window_end)}
        return self.ask(feed, query, edges, place=_Place(sql, window_start))

    def newest(self, feed: str, window_start: datetime, window_end: datetime) -> object:
        """The latest `occurred_at` of the window as the HIS writes it; None: it has no row."""
        sql = self._sql(feed)
        ((found,),) = self._asked(feed, sql, sql.newest, window_start, window_end)
        return found

    def ask(
        self,
        what: str,
        query: Executable,
        edges: Mapping[str, object] | None = None,
        *,
        place: _Place | _Start | None = None,
    ) -> Sequence[Any]:
        """All rows of a short query, tried again where that may help. Errors name `what`, a feed or a purpose."""
        place = place or _Start()
        tries = 0
        with self.turn(what):
            while True:
                try:
                    with self._session() as connection:
                        place.reached = True
                        return connection.execute(query, edges or {}).all()
                except DBAPIError as error:
                    if refused := self._error(what, error, place, tries):
                        raise refused from None
                    tries += 1
                    self._wait(what, error, place, tries)

    @contextmanager
    def _session(self) -> Iterator[Connection]:
        connection = self.engine.connect()
        try:
            yield connection
        finally:
            if not connection.invalidated:
                try:
                    connection.rollback()
                except Exception as error:
                    # A session that ended meanwhile cannot be told goodbye (pymssql says so outside of its own errors).
                    log.debug("a session was gone before it was closed: %s", type(error).__name__)
                    connection.invalidate()
            connection.close()

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

    def _same_kinds(self, feed: str, drifted: tuple[str, str] | None) -> None:
        if drifted is not None:
            problem = f"it comes as {drifted[1]}, which the feed's SQL was not written for"
            raise SourceDrift(hospital=self._hospital.id, feed=feed, column=drifted[0], problem=problem)

    def _error(self, feed: str, error: DBAPIError, place: _Place | _Start, tries: int) -> SourceError | None:
        """What the driver raised as an error of ours, or None if it is worth another try."""
        hospital, his, backend = self._hospital.id, self._hospital.his, self.engine.dialect.name
        if name := gone(error):
            problem = "the HIS has no such column or table, or the login may not see it"
            return SourceDrift(hospital=hospital, feed=feed, column=name, problem=problem)
        why = reason(error, backend)
        if column := mistyped(error, backend):
            problem = f"the HIS cannot compare or convert it ({why}), so its type has changed"
            return SourceDrift(hospital=hospital, feed=feed, column=column, problem=problem)
        if table := denied(error):
            why = f"no right to SELECT from {table}"
            return SourceUnreachable(hospital=hospital, connection=his.connection, reason=why)
        # Nobody answers at all, and has not before: that is a wrong address or a replica that is down, so say it now.
        if place.reached and passes(error, backend):
            if tries < his.tries:
                return None
            return SourceInterrupted(hospital=hospital, feed=feed, position=str(place), reason=why, tries=tries)
        if place.last is None:
            return SourceUnreachable(hospital=hospital, connection=his.connection, reason=why)
        return SourceInterrupted(hospital=hospital, feed=feed, position=str(place), reason=why, tries=tries)

    def _wait(self, feed: str, error: DBAPIError, place: _Place | _Start, tries: int) -> None:
        his = self._hospital.his
        seconds = min(_LONGEST_PAUSE, his.pause_seconds * 2 ** (tries - 1))
        why = reason(error, self.engine.dialect.name)
        told = (self._hospital.id, feed, place, why, tries, his.tries, seconds)
        log.warning("%s, feed %s: the stream broke after %s (%s); try %d of %d in %.1f s", *told)
        self._pause(seconds)
