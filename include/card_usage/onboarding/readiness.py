"""Survey: what a hospital's HIS offers, held against what its file wants of it, before anything is reported.

Promises: holds a query slot while it asks, short queries and the rows of a few days; says counts, local codes and names
of tables and columns, never anything of a patient. Each finding is one sentence in the language of the hospital's
reports, with what to do. What the shape's SQL reads, and which indexes it wants, stands in the head of its files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Final, Literal, NamedTuple

from sqlalchemy import inspect, text
from sqlalchemy.exc import SQLAlchemyError

from card_usage.context import Context
from card_usage.errors import SourceDrift, SourceUnreachable
from card_usage.preview import forecast
from card_usage.source import freshness
from card_usage.source.feeds import SQL
from card_usage.source.reader import Source
from card_usage.staging.drafts import Drafter
from card_usage.windows import DAY, Window, day_window, local
from card_usage.words.catalogue import Words

State = Literal["ok", "warn", "missing"]

_SLOW_SECONDS: Final = 10.0
_EXAMPLES: Final = 8
_HELD_SHARE: Final = 0.02
_READS: Final = re.compile(r"(\w+)(?: \([^)]*\))?: (\w+(?:, \w+)*)")
_INDEXES: Final = re.compile(r"\b(?!char\b)(\w+)\((\w+)\)")


class Item(NamedTuple):
    """One finding: its text ends the key's family (`columns`), `feed` where it is about one."""

    check: str
    state: State
    feed: str | None
    says: str


class Needs(NamedTuple):
    """What a feed's SQL reads (columns by table) and which indexes it wants (table, column)."""

    reads: dict[str, tuple[str, ...]]
    indexes: tuple[tuple[str, str], ...]


def needs(shape: str, feed: str, folder: Path = SQL) -> Needs:
    """From the head of include/sql/<shape>/<feed>.sql."""
    lines = (folder / shape / f"{feed}.sql").read_text(encoding="utf-8").splitlines()
    head = "\n".join(line.lstrip("- ") if line.startswith("--  ") else line for line in lines if line.startswith("--"))
    reads: dict[str, tuple[str, ...]] = {}
    for table, columns in _READS.findall(_between(head, "-- Reads", "-- Rights")):
        reads[table] = (*reads.get(table, ()), *columns.split(", "))
    return Needs(reads, tuple(_INDEXES.findall(head.partition("-- Indexes")[2])))


def _between(whole: str, first: str, last: str) -> str:
    return whole.partition(first)[2].partition(last)[0]


def survey(context: Context, *, now: datetime, days: int = 3) -> list[Item]:
    """Everything that can be found out, in order, past what is missing. `days`: complete local days to look at.

    Raises SourceUnreachable if the database does not answer at all, ReplicaBusy if it may not be asked.
    """
    with context.source() as source:
        return list(_Survey(context, source, now, days).items())


class _Survey:
    def __init__(self, context: Context, source: Source, now: datetime, days: int) -> None:
        self._context, self._source, self._now, self._days = context, source, now, days
        self._hospital = context.hospital
        self._words = Words(self._hospital.report.language)
        today = day_window(local(now).date())
        self._window = Window(today.start - days * DAY, today.start)
        self._needs = {feed: needs(self._hospital.his.shape, feed) for feed in self._hospital.his.feeds}

    def _item(self, key: str, feed: str | None = None, /, **fields: object) -> Item:
        if feed is not None:
            fields["feed"] = feed
        family, *_, state = key.split(".")
        return Item(family, state, feed, self._words(f"survey.{key}", **fields))  # type: ignore[arg-type]

    def items(self) -> Iterator[Item]:
        began = perf_counter()
        self._source.ask("connection", text("SELECT 1"))
        yield self._item("connection.ok", backend=self._backend, seconds=f"{perf_counter() - began:.2f}")
        readable = []
        for feed in self._hospital.his.feeds:
            item = self._columns(feed)
            yield item
            if item.state == "ok":
                readable.append(feed)
        yield from self._rights()
        counted = []
        rows = 0
        for feed in readable:
            item, found, valid = self._rows(feed)
            rows += valid
            yield item
            if found:
                counted.append(feed)
        yield from self._codes(counted)
        yield from self._freshness()
        yield from self._indexes()
        yield from self._volume(rows)

    @property
    def _backend(self) -> str:
        return self._source.engine.dialect.name

    def _columns(self, feed: str) -> Item:
        missing: list[str] = []
        reads = self._needs[feed].reads
        for table, columns in reads.items():
            if self._lacks(table, columns):
                alone = [column for column in columns if self._lacks(table, (column,))]
                missing += [table] if len(alone) == len(columns) else [f"{table}.{column}" for column in alone]
        if missing:
            shape = self._hospital.his.shape
            return self._item("columns.missing", feed, names=", ".join(missing), shape=shape)
        return self._item("columns.ok", feed, tables=len(reads), columns=sum(map(len, reads.values())))

    def _lacks(self, table: str, columns: tuple[str, ...]) -> bool:
        # Names come from our own SQL files, and are words.
        query = text(f"SELECT {', '.join(columns)} FROM {table} WHERE 1 = 0")  # noqa: S608
        try:
            self._source.ask("columns", query)
        except (SourceDrift, SourceUnreachable):
            return True
        return False

    def _rights(self) -> Iterator[Item]:
        can_write = self._source.dialect.can_write
        if can_write is None:
            yield self._item("rights.unknown.ok")
            return
        writable = []
        for table in sorted({table for one in self._needs.values() for table in one.reads}):
            try:
                ((may,),) = self._source.ask("rights", text(can_write(table)))
            except (SourceDrift, SourceUnreachable):
                continue
            if may:
                writable.append(table)
        yield self._item("rights.warn", names=", ".join(writable)) if writable else self._item("rights.ok")

    def _rows(self, feed: str) -> tuple[Item, bool, int]:
        """The finding, whether there are rows, and how many of them would be reported."""
        began = perf_counter()
        try:
            rows, voided = self._source.tally(feed, self._window.start, self._window.end)
        except SourceDrift as drift:
            column, problem = drift.details["column"], drift.details["problem"]
            return self._item("drift.missing", feed, column=column, problem=problem), False, 0
        seconds = perf_counter() - began
        said = {"rows": rows, "seconds": f"{seconds:.1f}"}
        if not rows:
            return self._item("rows.none.warn", feed, days=self._days), False, 0
        if seconds > _SLOW_SECONDS:
            return self._item("rows.slow.warn", feed, **said), True, rows - voided
        return self._item("rows.ok", feed, days=self._days, voided=voided, **said), True, rows - voided

    def _codes(self, feeds: list[str]) -> Iterator[Item]:
        """Codes without an alias, and what else would hold events back, by normalizing the rows as staging does."""
        codes: dict[str, Counter[str]] = {}
        causes: Counter[str] = Counter()
        read = held = 0
        context = self._context
        for feed in feeds:
            drafter = Drafter(self._hospital, feed, context.tables, context.aliases, context.settings.keyring)
            try:
                for batch in self._source.rows(feed, self._window.start, self._window.end):
                    for draft in (drafter.draft(row, self._window) for row in batch if not row.voided):
                        read += 1
                        for one in draft.findings:
                            if one.table and one.code:
                                codes.setdefault(one.table, Counter())[one.code] += 1
                        rules = [one.rule for one in draft.findings if one.severity == "critical" and not one.table]
                        held += bool(rules)
                        causes.update(rules[:1])
            except SourceDrift as drift:
                column, problem = drift.details["column"], drift.details["problem"]
                yield self._item("drift.missing", feed, column=column, problem=problem)
        for table, counts in sorted(codes.items()):
            examples = ", ".join(f"{code} ({rows:,})" for code, rows in counts.most_common(_EXAMPLES))
            more = " ..." if len(counts) > _EXAMPLES else ""
            said = {"table": table, "count": len(counts), "rows": counts.total(), "examples": examples + more}
            yield self._item("codes.missing", **said)
        if not codes:
            yield self._item("codes.ok", days=self._days)
        if read:
            said = {"read": read, "held": held, "share": self._words.share(held, read)}
            named = ", ".join(f"{rule} {rows:,}" for rule, rows in causes.most_common(_EXAMPLES))
            bad = held > read * _HELD_SHARE
            yield self._item("rules.warn", causes=named, **said) if bad else self._item("rules.ok", **said)

    def _freshness(self) -> Iterator[Item]:
        settings = self._hospital.his.freshness
        if settings.probe == "none":
            yield self._item("freshness.none.warn")
            return
        # The last full hour: how far the replica is behind now, not at midnight.
        end = local(self._now).replace(minute=0, second=0, microsecond=0) - timedelta(minutes=settings.grace_minutes)
        window = Window(end - DAY, end)
        try:
            reading = freshness.read(self._source, self._hospital, window, now=self._now)
        except (SourceDrift, SourceUnreachable) as problem:
            yield self._item("freshness.missing", problem=str(problem))
            return
        upto = f"{reading.upto:%Y-%m-%d %H:%M:%S}" if reading.upto else "-"
        said = {"probe": settings.probe, "upto": upto}
        if freshness.passed(reading, window, settings, now=self._now):
            yield self._item("freshness.ok", **said)
        else:
            yield self._item("freshness.warn", end=f"{end:%Y-%m-%d %H:%M}", **said)

    def _indexes(self) -> Iterator[Item]:
        wanted = dict.fromkeys(index for one in self._needs.values() for index in one.indexes)
        seen: list[str] = []
        absent: list[str] = []
        hidden: list[str] = []
        # One query slot for all of them: the inspector asks many short questions of the catalogue.
        with self._source.query_slot("indexes"):
            for table, column in wanted:
                name = f"{table}({column})"
                leading = self._leading(table)
                group = hidden if leading is None else seen if column.lower() in leading else absent
                group.append(name)
        if absent:
            yield self._item("indexes.warn", names=", ".join(absent))
        if hidden:
            yield self._item("indexes.unknown.ok", names=", ".join(hidden))
        if seen and not absent:
            yield self._item("indexes.ok", names=", ".join(seen))

    def _leading(self, table: str) -> set[str] | None:
        """The first columns of a table's indexes, in lower case; None: they cannot be seen."""
        try:
            with self._source.engine.connect() as connection:
                catalogue = inspect(connection)
                names = {name.lower(): name for name in catalogue.get_table_names()}
                if table.lower() not in names:
                    return None
                real = names[table.lower()]
                firsts = [one for index in catalogue.get_indexes(real) for one in index["column_names"][:1]]
                firsts += catalogue.get_pk_constraint(real)["constrained_columns"][:1]
                return {str(one).lower() for one in firsts}
        except SQLAlchemyError:
            return None

    def _volume(self, rows: int) -> Iterator[Item]:
        calls = -(-rows // self._days)
        platform = self._hospital.platform
        if platform.live:
            yield self._item("volume.ok", calls=calls)
        elif calls > platform.daily_quota:
            yield self._item("volume.warn", calls=calls, quota=platform.daily_quota)
        else:
            today = local(self._now).date()
            with self._context.ledger.read() as connection:
                expected = forecast(connection, self._hospital.id, platform, new=rows, due=0, today=today)
            yield self._item("volume.ok", calls=calls)
            if expected.finish:
                said = {"quota": platform.daily_quota, "days": self._days, "finish": expected.finish.isoformat()}
                yield self._item("volume.finish.ok", **said)
