"""Reader: reads a hospital's HIS replica, feed by feed, window by window, in constant memory.

Promises: columns and their kinds are compared with `SourceRow` before the first row leaves; rows come in the order
(occurred_at, source_id); an error names hospital, feed and cause, and quotes neither parameters nor values. Nothing is
ever written to a HIS, and nothing is asked of it without a query slot.
"""

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from datetime import datetime, time
from pathlib import Path
from time import sleep
from typing import Any, Final

from sqlalchemy import Connection, Engine, Executable, TextClause, event

from card_usage.config.hospital import Hospital
from card_usage.errors import SourceDrift, SourceError, SourceInterrupted, SourceNotProtected, SourceUnreachable
from card_usage.events import SourceRow, maker
from card_usage.source.database_errors import (
    FAILURES,
    Failure,
    denied_object,
    is_transient,
    missing_object,
    reason,
    unconvertible_column,
)
from card_usage.source.dialect_registry import dialect_named
from card_usage.source.drift import declared_drift, value_drift
from card_usage.source.feeds import SQL, Feed, feed_sql
from card_usage.source.patients import PATIENTS, SourcePatient, patient_sql
from card_usage.source.position import StreamPosition
from card_usage.source.replica import transport_of
from card_usage.source.tallies import MinuteTally, SourceKey, Tally, Untimed, is_voided, minute_tallies
from card_usage.source.tls import tls_problem
from card_usage.standard.characters import source_key
from card_usage.windows import DAY

log = logging.getLogger(__name__)

_LONGEST_PAUSE: Final = 60.0
_FETCH: Final = 250
"""Rows taken from the driver at once: so many at most come again after a break."""


class _Attempts:
    """The attempts of one query. `position`: of the stream or window it is about, None for any other query."""

    def __init__(self, query: str, position: StreamPosition | None = None) -> None:
        self.query = query
        self.position = position
        self.connected = False
        self.logged_in = True
        self.failed = 0

    @property
    def rows_came(self) -> bool:
        return self.position is not None and self.position.last is not None

    @property
    def reached(self) -> str:
        return "its start" if self.position is None else str(self.position)


class Source:
    """The HIS replica of one hospital. Holds no connection between calls.

    `sql`: the folder of the shapes. `pause`: how to wait before a try (seconds). `query_slot`: held for as long as a
    query and its resumptions last (`QuerySlots.acquire`).
    """

    def __init__(
        self,
        engine: Engine,
        hospital: Hospital,
        *,
        sql: Path = SQL,
        pause: Callable[[float], object] = sleep,
        query_slot: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> None:
        self.engine = engine
        self.dialect = dialect_named(engine.dialect.name)
        self.query_slot = query_slot
        self._hospital = hospital
        self._folder = sql
        self._pause = pause
        self._logins = 0
        # Before the driver introduces itself: when a line drops meanwhile, the server has answered all the same.
        event.listen(engine, "connect", self._count_login, insert=True)

    def rows(
        self,
        feed: str,
        window_start: datetime,
        window_end: datetime,
        *,
        on_rows: Callable[[int], None] | None = None,
    ) -> Iterator[list[SourceRow]]:
        """Rows of the half-open window, voided ones included, in lists of at most `fetch_size`.

        `on_rows` is called with the size of each list once the caller has processed it.

        Edges are naive local times. A stream that breaks for a reason that passes goes on where it stopped. Raises
        SourceDrift before the first row if the SQL's columns are not exactly those of SourceRow or the HIS lacks one
        that the SQL names, SourceUnreachable if nothing could be read, and SourceInterrupted if the stream broke and
        the tries of the hospital's file are used up.
        """
        sql = self._feed(feed)
        position = StreamPosition(sql, window_start)
        stream = self._rows(sql, position, _Attempts(feed, position), sql.edge(window_end))
        with self.query_slot(f"feed {feed}"), closing(stream):
            for batch in stream:
                yield batch
                if on_rows is not None:
                    on_rows(len(batch))

    def _rows(
        self, sql: Feed, position: StreamPosition, attempts: _Attempts, end: str | datetime
    ) -> Generator[list[SourceRow]]:
        while True:
            try:
                for batch in position.unread(self._stream(sql, position, attempts, end)):
                    position.advance(batch)
                    attempts.failed = 0
                    yield batch
                return
            except FAILURES as error:
                # `from None`: a driver's text may quote a value.
                if refused := self._refusal(error, attempts):
                    raise refused from None
                self._wait(error, attempts)

    def _stream(
        self, sql: Feed, position: StreamPosition, attempts: _Attempts, end: str | datetime
    ) -> Iterator[list[SourceRow]]:
        new_row = maker(SourceRow)  # the number of columns is compared once
        size = self._hospital.his.fetch_size
        batch: list[SourceRow] = []
        with self._session(attempts) as connection:
            try:
                result = connection.execute(
                    sql.select,
                    {"start": position.edge(), "end": end},
                    execution_options={"stream_results": True, "max_row_buffer": min(size, _FETCH)},
                )
                self._compare_columns(sql.name, tuple(result.keys()))
                description = result.cursor.description if result.cursor is not None else None
                self._refuse_drift(sql.name, declared_drift(description, self.dialect, sql.bounds))
                result = result.columns(*SourceRow._fields)
                while part := result.fetchmany(min(_FETCH, size - len(batch))):
                    rows = list(map(new_row, part))
                    self._refuse_drift(sql.name, value_drift(rows, self.dialect, sql.bounds))
                    if not all(type(row.voided) is int for row in rows):
                        rows = [row._replace(voided=int(is_voided(row.voided))) for row in rows]
                    batch += rows
                    if len(batch) == size:
                        yield batch
                        batch = []
            except FAILURES:
                # Whatever is left of this session, the next try has one of its own. What came is kept: a line that
                # breaks again and again still brings rows.
                connection.invalidate()
                if batch:
                    yield batch
                raise
            except GeneratorExit:
                # Rows are under way that nobody will read: no other query can use this session.
                connection.invalidate()
                raise
        if batch:
            yield batch

    def tally(self, feed: str, window_start: datetime, window_end: datetime) -> Tally:
        """Rows that `rows` would return now, and how many of them are voided, counted by the database in one query."""
        sql = self._feed(feed)
        ((rows, voided),) = self._ask_window(sql, sql.counted, window_start, window_end)
        return Tally(int(rows), int(voided))

    def tally_successful(
        self, feed: str, declared: tuple[str, str, str, str], window_start: datetime, window_end: datetime
    ) -> tuple[int, int]:
        """Rows of a table that the feed reads, and the successful ones among them, as the head of its SQL declares it:
        table, column of time, which rows belong to the feed ("" for all), and the condition."""
        sql = self._feed(feed)
        ((rows, successful),) = self._ask_window(sql, sql.successful(*declared), window_start, window_end)
        return int(rows), int(successful)

    def minutes(self, feed: str, window_start: datetime, window_end: datetime) -> list[MinuteTally]:
        """The tally by local minute, counted by the database in one grouped query; those without a row are left out."""
        sql = self._feed(feed)
        return minute_tallies(self._ask_window(sql, sql.by_minute(self.dialect), window_start, window_end))

    def keys(self, feed: str, window_start: datetime, window_end: datetime) -> list[SourceKey]:
        """Every record's own key of a window short enough for one list, in no order."""
        sql = self._feed(feed)
        rows = self._ask_window(sql, sql.keys, window_start, window_end)
        return [SourceKey(source_key(source_id), is_voided(voided)) for source_id, voided in rows]

    def untimed(self, feed: str, now: datetime, *, keys: int) -> Untimed | None:
        """Rows whose time puts them into no day: none, one before 1970, or one after the end of tomorrow's year, as the
        HIS sorts it; `keys`: so many are named. `now`: local. None: the feed's SQL leaves no way to ask."""
        sql = self._feed(feed)
        count, named = sql.untimed(self.dialect), sql.untimed(self.dialect, keys=keys)
        if count is None or named is None:
            return None
        midnight = datetime.combine(now.date(), time())
        end = (midnight + DAY).replace(month=1, day=1)
        end = end.replace(year=end.year + 1)
        start = midnight.replace(1970, 1, 1)
        ((rows,),) = self._ask_window(sql, count, start, end)
        if not rows:
            return Untimed(0)
        found = (source_key(key) for (key,) in self._ask_window(sql, named, start, end))
        return Untimed(int(rows), tuple(dict.fromkeys(key for key in found if key)))

    def newest(self, feed: str, window_start: datetime, window_end: datetime) -> object:
        """The latest `occurred_at` of the window as the HIS writes it; None: it has no row."""
        sql = self._feed(feed)
        ((newest,),) = self._ask_window(sql, sql.newest, window_start, window_end)
        return newest

    def _ask_window(self, sql: Feed, query: TextClause, window_start: datetime, window_end: datetime) -> Sequence[Any]:
        """All rows of a query over a window."""
        edges = {"start": sql.edge(window_start), "end": sql.edge(window_end)}
        return self._ask(query, edges, _Attempts(sql.name, StreamPosition(sql, window_start)))

    def patients(self, rows: int) -> Iterator[list[SourcePatient]]:
        """Every patient of the HIS in pages of at most `rows`, each one short query, in the order of their own keys.

        Raises BadFeedFile if the shape has no SQL of patients, SourceDrift before the first row of a page if its
        columns are not those of SourcePatient, and whatever `rows` raises.
        """
        sql = patient_sql(self._hospital.patient_shape, self.dialect, rows, self._folder)
        after = sql.first
        while True:
            page = self._ask(sql.page, {"after": after}, _Attempts(PATIENTS))
            if page:
                self._compare_columns(PATIENTS, tuple(page[0]._fields), SourcePatient._fields)
                yield [SourcePatient(**row._mapping) for row in page]
            if len(page) < rows:
                return
            before, after = after, sql.after(page[-1].source_id)
            if after == before:
                problem = "two pages end with the same key: its SQL does not give the key that it is ordered by"
                raise SourceDrift(hospital=self._hospital.id, feed=PATIENTS, column="source_id", problem=problem)

    def count_patients(self) -> int:
        """How many rows all pages together have now."""
        sql = patient_sql(self._hospital.patient_shape, self.dialect, 1, self._folder)
        ((rows,),) = self._ask(sql.counted, {"after": sql.first}, _Attempts(PATIENTS))
        return int(rows)

    def ask(self, purpose: str, query: Executable) -> Sequence[Any]:
        """All rows of a short query, tried again where that may help. Errors name the purpose."""
        return self._ask(query, {}, _Attempts(purpose))

    def _ask(self, query: Executable, parameters: Mapping[str, object], attempts: _Attempts) -> Sequence[Any]:
        with self.query_slot(attempts.query):
            while True:
                try:
                    with self._session(attempts) as connection:
                        return connection.execute(query, parameters).all()
                except FAILURES as error:
                    if refused := self._refusal(error, attempts):
                        raise refused from None
                    self._wait(error, attempts)

    @contextmanager
    def _session(self, attempts: _Attempts) -> Iterator[Connection]:
        logins = self._logins
        try:
            attempts.logged_in = False
            connection = self.engine.connect()
        finally:
            attempts.connected |= self._logins > logins
        attempts.connected = attempts.logged_in = True
        try:
            yield connection
        finally:
            if not connection.invalidated:
                try:
                    connection.rollback()
                except Exception as error:
                    # A session that ended meanwhile cannot be closed (pymssql says so outside of its own errors).
                    log.debug("a session was gone before it was closed: %s", type(error).__name__)
                    connection.invalidate()
            connection.close()

    def _count_login(self, *_: object) -> None:
        self._logins += 1

    def _feed(self, feed: str) -> Feed:
        if feed not in self._hospital.his.feeds:
            raise ValueError(f"{self._hospital.id} has no feed '{feed}'")
        return feed_sql(self._hospital.his.shape, feed, self._folder, dialect=self.dialect)

    def _compare_columns(
        self, feed: str, columns: tuple[str, ...], wanted: tuple[str, ...] = SourceRow._fields
    ) -> None:
        missing = [name for name in wanted if name not in columns]
        unknown = [name for name in columns if name not in wanted]
        twice = [name for name in wanted if columns.count(name) > 1]
        for names, problem in (
            (missing, "the feed's SQL does not return it"),
            (unknown, "the feed's SQL returns it, and nobody knows it"),
            (twice, "the feed's SQL returns it twice"),
        ):
            if names:
                raise SourceDrift(hospital=self._hospital.id, feed=feed, column=", ".join(names), problem=problem)

    def _refuse_drift(self, feed: str, drift: tuple[str, str] | None) -> None:
        if drift is not None:
            column, kind = drift
            problem = f"it comes as {kind}, which the feed's SQL was not written for"
            raise SourceDrift(hospital=self._hospital.id, feed=feed, column=column, problem=problem)

    def _refusal(self, error: Failure, attempts: _Attempts) -> SourceError | None:
        """What the driver raised as an error of ours, or None if it is worth another try."""
        hospital, his, feed = self._hospital.id, self._hospital.his, attempts.query
        if name := missing_object(error, self.dialect):
            problem = "the HIS has no such column or table, or the login may not see it"
            return SourceDrift(hospital=hospital, feed=feed, column=name, problem=problem)
        why = reason(error, self.dialect)
        if column := unconvertible_column(error, self.dialect):
            problem = f"the HIS cannot compare or convert it ({why}), so its type has changed"
            return SourceDrift(hospital=hospital, feed=feed, column=column, problem=problem)
        if table := denied_object(error, self.dialect):
            why = f"no right to SELECT from {table}"
            return SourceUnreachable(hospital=hospital, connection=his.connection, reason=why)
        if not attempts.logged_in and (unprotected := tls_problem(transport_of(self.engine))):
            return SourceNotProtected(hospital=hospital, connection=his.connection, reason=unprotected)
        # Nobody answers at all, and has not before: that is a wrong address or a replica that is down, so say it now.
        passes = attempts.connected and is_transient(error, self.dialect)
        if passes and attempts.failed < his.tries:
            return None
        if passes or attempts.rows_came:
            return SourceInterrupted(
                hospital=hospital, feed=feed, position=attempts.reached, reason=why, tries=attempts.failed
            )
        return SourceUnreachable(hospital=hospital, connection=his.connection, reason=why)

    def _wait(self, error: Failure, attempts: _Attempts) -> None:
        attempts.failed += 1
        hospital, his = self._hospital.id, self._hospital.his
        seconds = min(_LONGEST_PAUSE, his.pause_seconds * 2 ** (attempts.failed - 1))
        broke = (hospital, attempts.query, attempts.reached, reason(error, self.dialect))
        log.warning(
            "%s, feed %s: the stream broke after %s (%s); try %d of %d in %.1f s",
            *broke,
            attempts.failed,
            his.tries,
            seconds,
        )
        self._pause(seconds)
