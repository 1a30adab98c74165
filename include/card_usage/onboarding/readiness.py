"""Readiness: checks whether a hospital's HIS offers what its hospital file requires, before anything is reported.

It holds a query slot while it queries, runs short queries and reads the rows of a few days. Results contain counts,
local codes and names of tables and columns, never patient data. Each result is one sentence in the language of the
hospital's reports that says what to do. What a shape's SQL reads, and which indexes it should have, stands in the
header of its files (sql_requirements.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import inspect, text
from sqlalchemy.exc import SQLAlchemyError

from card_usage.context import Context
from card_usage.delivery.binding import Origin, Target, bound, delivered, moves
from card_usage.delivery.platform_memory import read
from card_usage.errors import BadConnection, MissingSetting, SourceDrift, SourceUnreachable
from card_usage.events import Finding
from card_usage.ledger import code_decisions
from card_usage.onboarding.sql_requirements import requirements_of
from card_usage.open_platform.check import check_platform
from card_usage.platform.outcome import Memory
from card_usage.preview import forecast
from card_usage.source import freshness
from card_usage.source.reader import Source
from card_usage.source.replica import transport_of
from card_usage.staging.drafts import Drafter
from card_usage.standard.characters import source_key
from card_usage.standard.misplaced import is_mobile, shown_key
from card_usage.standard.rules import MISPLACED
from card_usage.windows import DAY, Window, day_window, local
from card_usage.words.catalogue import Words

State = Literal["ok", "warn", "missing"]

_SLOW_SECONDS: Final = 10.0
_EXAMPLES: Final = 8
_KEYS_NAMED: Final = 6
_CLOCKS_DIFFER: Final = timedelta(minutes=10)
_ANOTHER_ZONE: Final = timedelta(minutes=50)
_QUARANTINED_SHARE: Final = 0.02
_FEW_KEYS: Final = 10
_MOSTLY: Final = 0.5
_SCATTERED: Final = 0.5
"""Of a feed's keys, how many have to look like mobile numbers, and of those, how many different segments they have."""


class CheckResult(NamedTuple):
    """The result of one check, of one feed where `feed` is given."""

    check: str
    state: State
    feed: str | None
    text: str

    def summary(self) -> dict[str, Any]:
        """As `hospital check --json` prints it."""
        return {"check": self.check, "state": self.state, "feed": self.feed, "says": self.text}


def check_readiness(
    context: Context, *, now: datetime, days: int = 3, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> list[CheckResult]:
    """Run every check, in order, continuing after a failed one. `days`: complete local days to read; `clock`: what
    the server's is compared with.

    Raises SourceUnreachable if the database does not answer at all, ReplicaBusy if no query is allowed now.
    """
    with context.source() as source:
        return list(_Checks(context, source, now, days, clock).run())


def check_reporting(context: Context) -> list[CheckResult]:
    """What `platform check` finds, or that there is no connection to check yet."""
    words, conn_id = Words(context.hospital.report.language), context.hospital.platform.connection
    try:
        looks = check_platform(context, context.connection_of(conn_id))
    except MissingSetting:
        return [CheckResult("platform", "warn", None, words("platform_check.connection.warn", connection=conn_id))]
    except BadConnection as error:
        fields = {"connection": conn_id, "problem": error.details["problem"]}
        return [CheckResult("platform", "missing", None, words("platform_check.connection.missing", **fields))]
    return [CheckResult(f"platform.{look.check}", look.state, None, look.text) for look in looks]


class _RowsRead(NamedTuple):
    """The result of counting a feed's rows: how many there are, and how many of them would be reported."""

    result: CheckResult
    rows: int
    reportable: int


@dataclass(slots=True)
class _Normalized:
    """What normalizing the rows found: unmapped codes by table, the first critical rule of other bad rows, and columns
    with patient data."""

    rows: int = 0
    of_feed: Counter[str] = field(default_factory=Counter)
    quarantined: int = 0
    unmapped: dict[str, Counter[str]] = field(default_factory=dict)
    rules: Counter[str] = field(default_factory=Counter)
    misplaced: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows by feed and column that holds patient data."""

    def add(self, feed: str, findings: Sequence[Finding]) -> None:
        """Count the findings of one row."""
        self.rows += 1
        self.of_feed[feed] += 1
        self.misplaced.update((feed, found.field) for found in findings if found in MISPLACED.values())
        for finding in findings:
            if finding.table and finding.code:
                self.unmapped.setdefault(finding.table, Counter())[finding.code] += 1
        critical = [finding.rule for finding in findings if finding.severity == "critical" and not finding.table]
        self.quarantined += bool(critical)
        self.rules.update(critical[:1])


class _Checks:
    def __init__(
        self, context: Context, source: Source, now: datetime, days: int, clock: Callable[[], datetime]
    ) -> None:
        self._context, self._source, self._now, self._days = context, source, now, days
        self._clock = clock
        self._hospital = context.hospital
        self._words = Words(self._hospital.report.language)
        today = local(now).date()
        self._ended = self._hospital.has_ended(today)
        until = day_window(min(today, self._hospital.end + DAY) if self._hospital.end else today).start
        self._window = Window(until - days * DAY, until)
        his = self._hospital.his
        self._requirements = {feed: requirements_of(his.shape, feed) for feed in his.feeds}

    def run(self) -> Iterator[CheckResult]:
        """All checks. A feed that lacks columns is not read; codes are checked only of feeds that have rows."""
        yield self._connection()
        yield from self._transport()
        yield from self._zone()
        if self._hospital.end is not None:
            state = "over" if self._ended else "set"
            yield self._result(f"end.{state}.ok", end=self._hospital.end.isoformat(), days=self._days)
        readable = []
        for feed in self._hospital.his.feeds:
            columns = self._columns(feed)
            yield columns
            if columns.state == "ok":
                readable.append(feed)
        yield from self._rights()
        counted = {feed: self._rows(feed) for feed in readable}
        yield from (feed_rows.result for feed_rows in counted.values())
        for feed in readable:
            yield from self._untimed(feed)
        yield from (self._success(feed, feed_rows.reportable) for feed, feed_rows in counted.items())
        yield from self._codes([feed for feed, feed_rows in counted.items() if feed_rows.rows])
        if not self._ended:
            yield from self._freshness()
        yield from self._indexes()
        if not self._ended:
            yield from self._volume(sum(feed_rows.reportable for feed_rows in counted.values()))
        yield from self._target()

    def _result(self, key: str, feed: str | None = None, /, **fields: object) -> CheckResult:
        """The result of a text's key: `<check>[...].<state>`."""
        if feed is not None:
            fields["feed"] = feed
        check, *_, state = key.split(".")
        return CheckResult(check, state, feed, self._words(f"survey.{key}", **fields))  # type: ignore[arg-type]

    def _drift(self, feed: str, drift: SourceDrift) -> CheckResult:
        column, problem = drift.details["column"], drift.details["problem"]
        return self._result("drift.missing", feed, column=column, problem=problem)

    def _connection(self) -> CheckResult:
        began = perf_counter()
        self._source.ask("connection", text("SELECT 1"))
        backend = self._source.engine.dialect.name
        return self._result("connection.ok", backend=backend, seconds=f"{perf_counter() - began:.2f}")

    def _transport(self) -> Iterator[CheckResult]:
        """How the sessions travel; nothing to say of a database on this machine that the file says nothing of."""
        protection = transport_of(self._source.engine).protection
        if protection != "optional":
            yield self._result(f"transport.{protection}.{'ok' if protection == 'verified' else 'warn'}")
        elif self._hospital.his.tls is not None:
            yield self._result("transport.optional.warn")

    def _zone(self) -> Iterator[CheckResult]:
        """Whether the server, as our sessions see it, has the hospital's time: a window's edge means that to it."""
        query = self._source.dialect.clock
        if query is None:
            return
        ((theirs,),) = self._source.ask("clock", text(query))
        ours = local(self._clock())
        fields = {"theirs": f"{theirs:%Y-%m-%d %H:%M}", "ours": f"{ours:%Y-%m-%d %H:%M}"}
        apart = abs(theirs - ours)
        # What the session's zone does not explain is the server's own: an hour off is another zone, less is a clock.
        state = "ok" if apart <= _CLOCKS_DIFFER else "zone.warn" if apart > _ANOTHER_ZONE else "warn"
        yield self._result(f"clock.{state}", minutes=round(apart.total_seconds() / 60), **fields)

    def _columns(self, feed: str) -> CheckResult:
        missing: list[str] = []
        reads = self._requirements[feed].reads
        for table, columns in reads.items():
            if self._lacks(table, columns):
                lacking = [column for column in columns if self._lacks(table, (column,))]
                missing += [table] if len(lacking) == len(columns) else [f"{table}.{column}" for column in lacking]
        if missing:
            shape = self._hospital.his.shape
            return self._result("columns.missing", feed, names=", ".join(missing), shape=shape)
        return self._result("columns.ok", feed, tables=len(reads), columns=sum(map(len, reads.values())))

    def _lacks(self, table: str, columns: tuple[str, ...]) -> bool:
        # The names come from this project's SQL files and match \w+.
        query = text(f"SELECT {', '.join(columns)} FROM {table} WHERE 1 = 0")  # noqa: S608
        try:
            self._source.ask("columns", query)
        except (SourceDrift, SourceUnreachable):
            return True
        return False

    def _rights(self) -> Iterator[CheckResult]:
        """The login should not be able to write to any table that is read."""
        can_write = self._source.dialect.can_write
        if can_write is None:
            yield self._result("rights.unknown.ok")
            return
        writable = []
        for table in sorted({table for required in self._requirements.values() for table in required.reads}):
            try:
                ((has_right,),) = self._source.ask("rights", text(can_write(table)))
            except (SourceDrift, SourceUnreachable):
                continue
            if has_right:
                writable.append(table)
        yield self._result("rights.warn", names=", ".join(writable)) if writable else self._result("rights.ok")

    def _rows(self, feed: str) -> _RowsRead:
        began = perf_counter()
        try:
            rows, voided = self._source.tally(feed, self._window.start, self._window.end)
        except SourceDrift as drift:
            return _RowsRead(self._drift(feed, drift), 0, 0)
        seconds = perf_counter() - began
        fields = {"rows": rows, "seconds": f"{seconds:.1f}"}
        if not rows:
            return _RowsRead(self._result("rows.none.warn", feed, days=self._days), 0, 0)
        if seconds > _SLOW_SECONDS:
            result = self._result("rows.slow.warn", feed, **fields)
        else:
            result = self._result("rows.ok", feed, days=self._days, voided=voided, **fields)
        return _RowsRead(result, rows, rows - voided)

    def _untimed(self, feed: str) -> Iterator[CheckResult]:
        """Rows whose time puts them into no day, if there are any or nobody can tell."""
        try:
            found = self._source.untimed(feed, local(self._now), keys=_KEYS_NAMED)
        except (SourceDrift, SourceUnreachable) as problem:
            yield self._result("untimed.unknown.warn", feed, problem=str(problem))
            return
        if found is None:
            yield self._result("untimed.unasked.warn", feed)
        elif found.rows:
            keys = ", ".join(shown_key(self._hospital.id, feed, key) for key in found.keys)
            yield self._result("untimed.warn", feed, rows=found.rows, keys=keys or "-")

    def _success(self, feed: str, reportable: int) -> CheckResult:
        """What the feed counts as a successful use (成功状态, document 3.3.1), and how many rows that leaves out.

        Rows of the tables themselves are counted, apart from the feed's own SQL: it must not report more than that.
        """
        declared = self._requirements[feed].success
        if not declared:
            return self._result("success.none.warn", feed, shape=self._hospital.his.shape)
        rows = successful = 0
        for success in declared:
            try:
                of_table, of_success = self._source.tally_successful(
                    feed, success, self._window.start, self._window.end
                )
            except (SourceDrift, SourceUnreachable) as problem:
                return self._result("success.unknown.warn", feed, table=success.table, problem=str(problem))
            rows, successful = rows + of_table, successful + of_success
        conditions = "; ".join(f"{success.table}: {success.condition}" for success in declared)
        fields = {"condition": conditions, "rows": rows, "excluded": rows - successful, "days": self._days}
        if reportable > successful:
            return self._result("success.more.warn", feed, reported=reportable, successful=successful, **fields)
        return self._result("success.ok" if rows > successful or not rows else "success.all.ok", feed, **fields)

    def _codes(self, feeds: list[str]) -> Iterator[CheckResult]:
        """Unmapped codes and other critical findings, by normalizing the rows as staging does."""
        normalized = _Normalized()
        for feed in feeds:
            try:
                yield from self._normalize(feed, normalized)
            except SourceDrift as drift:
                yield self._drift(feed, drift)
        with self._context.ledger.read() as connection:
            decisions = code_decisions.standing(connection, self._hospital.id)
        if differing := code_decisions.conflicts(self._context.alias_files, decisions):
            named = [
                f"{decision.table}:{decision.local} = {decision.standard} ({decision.by}), {decision.table}.csv: {file}"
                for decision, file in differing[:_EXAMPLES]
            ]
            more = " ..." if len(differing) > _EXAMPLES else ""
            yield self._result("codes.conflict.warn", count=len(differing), examples="; ".join(named) + more)
        for (feed, column), rows in sorted(normalized.misplaced.items()):
            column_name = self._words(f"column.{column}")
            yield self._result("misplaced.missing", feed, column=column_name, rows=rows, read=normalized.of_feed[feed])
        if normalized.rows and not normalized.misplaced:
            yield self._result("misplaced.ok")
        for table, rows_by_code in sorted(normalized.unmapped.items()):
            examples = ", ".join(f"{code} ({rows:,})" for code, rows in rows_by_code.most_common(_EXAMPLES))
            more = " ..." if len(rows_by_code) > _EXAMPLES else ""
            counts = {"count": len(rows_by_code), "rows": rows_by_code.total()}
            yield self._result("codes.missing", table=table, examples=examples + more, **counts)
        if not normalized.unmapped:
            yield self._result("codes.ok", days=self._days)
        if normalized.rows:
            yield self._rules(normalized)

    def _normalize(self, feed: str, into: _Normalized) -> Iterator[CheckResult]:
        """Normalize a feed's rows; a result if their keys look like mobile numbers, which no single key can tell."""
        rows, mobiles, segments = 0, 0, set[str]()
        context = self._context
        keys = context.ledger.day_keys.of(self._hospital.id, kept=False)
        drafter = Drafter(self._hospital, feed, context.tables, context.aliases, keys)
        for batch in self._source.rows(feed, self._window.start, self._window.end):
            for row in batch:
                rows += 1
                if is_mobile(key := source_key(row.source_id)):
                    mobiles += 1
                    segments.add(key[-11:-4])
                if not row.voided:
                    into.add(feed, drafter.draft(row, self._window).findings)
        # Serial numbers share their first digits, people's numbers do not.
        scattered = len(segments) >= mobiles * _SCATTERED
        if self._hospital.normalize.keys_by_shape and scattered and mobiles >= max(_FEW_KEYS, rows * _MOSTLY):
            yield self._result("misplaced.mobiles.warn", feed, rows=mobiles, read=rows)

    def _rules(self, normalized: _Normalized) -> CheckResult:
        read, quarantined = normalized.rows, normalized.quarantined
        fields = {"read": read, "held": quarantined, "share": self._words.share(quarantined, read)}
        if quarantined <= read * _QUARANTINED_SHARE:
            return self._result("rules.ok", **fields)
        causes = ", ".join(f"{rule} {rows:,}" for rule, rows in normalized.rules.most_common(_EXAMPLES))
        return self._result("rules.warn", causes=causes, **fields)

    def _freshness(self) -> Iterator[CheckResult]:
        settings = self._hospital.his.freshness
        if settings.probe == "none":
            yield self._result("freshness.none.warn")
            return
        # Up to the last full hour: shows how far the replica lags now, not how far it lagged at midnight.
        end = local(self._now).replace(minute=0, second=0, microsecond=0) - timedelta(minutes=settings.grace_minutes)
        window = Window(end - DAY, end)
        try:
            reading = freshness.read_probe(self._source, self._hospital, window, now=self._now)
        except (SourceDrift, SourceUnreachable) as problem:
            yield self._result("freshness.missing", problem=str(problem))
            return
        upto = f"{reading.upto:%Y-%m-%d %H:%M:%S}" if reading.upto else "-"
        if freshness.has_passed(reading, window, settings, now=self._now):
            yield self._result("freshness.ok", probe=settings.probe, upto=upto)
        else:
            yield self._result("freshness.warn", end=f"{end:%Y-%m-%d %H:%M}", probe=settings.probe, upto=upto)

    def _indexes(self) -> Iterator[CheckResult]:
        wanted = dict.fromkeys(index for required in self._requirements.values() for index in required.indexes)
        present: list[str] = []
        absent: list[str] = []
        invisible: list[str] = []
        # One query slot for all of them: the inspector runs many short queries on the catalogue.
        with self._source.query_slot("indexes"):
            for table, column in wanted:
                leading = self._leading_columns(table)
                group = invisible if leading is None else present if column.lower() in leading else absent
                group.append(f"{table}({column})")
        if absent:
            yield self._result("indexes.warn", names=", ".join(absent))
        if invisible:
            yield self._result("indexes.unknown.ok", names=", ".join(invisible))
        if present and not absent:
            yield self._result("indexes.ok", names=", ".join(present))

    def _leading_columns(self, table: str) -> set[str] | None:
        """The first column of each index of a table, in lower case; None if the catalogue does not show the table."""
        try:
            with self._source.engine.connect() as connection:
                catalogue = inspect(connection)
                names = {name.lower(): name for name in catalogue.get_table_names()}
                if table.lower() not in names:
                    return None
                name = names[table.lower()]
                leading = [column for index in catalogue.get_indexes(name) for column in index["column_names"][:1]]
                leading += catalogue.get_pk_constraint(name)["constrained_columns"][:1]
                return {str(column).lower() for column in leading}
        except SQLAlchemyError:
            return None

    def _target(self) -> Iterator[CheckResult]:
        """Where the events go and went, and what is known of that platform's memory for request ids."""
        hospital = self._hospital
        try:
            target = Target.of(self._context.connection_of(hospital.platform.connection), hospital)
        except (MissingSetting, BadConnection):
            return  # check_platform says so
        with self._context.ledger.read() as connection:
            before = bound(connection, hospital.id, app_id=target.app_id)
            events = delivered(connection, hospital.id)
            moved = moves(connection, hospital.id)
            known = read(connection, host=target.host or "", app_id=target.app_id)
        fields = {"id": hospital.id, "names": str(target), "events": events}
        if before is not None and before.target != target and (events or before.origin is None):
            yield self._result("target.changed.missing", was=str(before.target), **fields)
        elif before is not None and before.origin is Origin.ASSUMED:
            yield self._result("target.assumed.warn", **fields)
        else:
            yield self._result("target.ok", **fields)
        for move in moved:
            shown = {"at": f"{local(move.at):%Y-%m-%d %H:%M}", "was": str(move.before), "now": str(move.after)}
            yield self._result(f"target.{move.kind}.ok", by=move.by, reason=move.reason or "-", **shown)
        learned = "-" if known.at is None else f"{local(known.at):%Y-%m-%d %H:%M}"
        state = "ok" if known.memory is Memory.ON_ACCEPTANCE else "warn"
        yield self._result(f"memory.{known.memory.value}.{state}", id=hospital.id, at=learned)

    def _volume(self, rows: int) -> Iterator[CheckResult]:
        calls_per_day = -(-rows // self._days)
        platform = self._hospital.platform
        if not platform.live and calls_per_day > platform.daily_quota:
            yield self._result("volume.warn", calls=calls_per_day, quota=platform.daily_quota)
            return
        yield self._result("volume.ok", calls=calls_per_day)
        if platform.live:
            return
        today = local(self._now).date()
        with self._context.ledger.read() as connection:
            expected = forecast(connection, self._hospital.id, platform, new=rows, due=0, today=today)
        if expected.finish:
            fields = {"quota": platform.daily_quota, "days": self._days, "finish": expected.finish.isoformat()}
            yield self._result("volume.finish.ok", **fields)
