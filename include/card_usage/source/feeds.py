"""Feeds: the SQL of a feed, include/sql/<shape>/<feed>.sql, and what derives from it.

Promises: a window is bound, never formatted in; a file that breaks the conventions is refused with its name.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import DateTime, String, TextClause, bindparam, text
from sqlalchemy.types import CHAR, TypeEngine

from card_usage.errors import BadFeedFile
from card_usage.files.shipped import SHIPPED, overlaid
from card_usage.source.dialect import Dialect

SQL: Final = SHIPPED / "sql"
"""The folder of the shapes."""

Bounds = Literal["char16", "datetime"]
"""How the edges of a window are bound: as char(16) `yyyymmddhh:mm:ss`, or as datetime."""

_CHAR16: Final = "%Y%m%d%H:%M:%S"
_BETWEEN: Final = re.compile(
    r"(?P<column>\b[\w.]+)\s*>=\s*(?P<start>:start\b|CAST\(:start AS char\(16\)\))"
    r"\s+AND\s+(?P=column)\s*<\s*(?P<end>:end\b|CAST\(:end AS char\(16\)\))"
)
_HEADER: Final = re.compile(r"^--\s*bounds:\s*(char16|datetime)\s*$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Feed:
    """One SQL file of a shape, and the queries about the same rows. All take the parameters `start` and `end`."""

    name: str
    bounds: Bounds
    as_text: bool
    """Whether edges are bound, and times compared, as text: char16, or a database that keeps a datetime as text."""
    select: TextClause
    counted: TextClause
    """Rows, and how many of them are voided."""
    keys: TextClause
    newest: TextClause
    rows: str
    """The statement without its order, to be used as a subquery."""

    def edge(self, moment: datetime) -> str | datetime:
        """An edge of a window in the form of the feed's own column."""
        if moment.tzinfo is not None:
            raise ValueError("a window's edges are naive local times")
        if self.bounds == "char16":
            return moment.strftime(_CHAR16)
        if not self.as_text:
            return moment
        # The shortest form: every text of this moment, with or without a time of day, is at or after it.
        return moment.strftime("%Y-%m-%d" if moment.time() == time() else "%Y-%m-%d %H:%M:%S")

    def successful(self, table: str, time: str, belongs: str, condition: str) -> TextClause:
        """Rows of a table in a window of its column `time` that belong to the feed, and how many meet a condition.

        The texts come from the header of this project's or the installation's own SQL files.
        """
        start, end = ("CAST(:start AS char(16))", "CAST(:end AS char(16))")
        if self.bounds == "datetime":
            start, end = (":start", ":end")
        return _bound(
            f"SELECT COUNT(*), COALESCE(SUM(CASE WHEN {condition} THEN 1 ELSE 0 END), 0) FROM {table}"  # noqa: S608
            f" WHERE {time} >= {start} AND {time} < {end}" + (f" AND {belongs}" if belongs else ""),
            _kind(self.bounds, self.as_text),
        )

    def untimed(self, dialect: Dialect, *, keys: int = 0) -> TextClause | None:
        """How many rows stand in no window from `start` to `end`, or with `keys` so many of their keys in order. None:
        the statement bounds its times otherwise than `column >= :start AND column < :end`."""
        outside, bounds = _BETWEEN.subn(
            r"(\g<column> IS NULL OR \g<column> < \g<start> OR \g<column> >= \g<end>)", self.rows
        )
        if not bounds or bounds != self.rows.count(":start"):
            return None
        rows = f"FROM (\n{outside}) outside"
        listed = f"SELECT outside.source_id {rows} WHERE outside.source_id IS NOT NULL ORDER BY outside.source_id"
        query = dialect.page(listed, keys) if keys else f"SELECT COUNT(*) {rows}"
        return _bound(query + dialect.query_suffix, _kind(self.bounds, self.as_text))

    def by_minute(self, dialect: Dialect) -> TextClause:
        """Minute, rows, voided ones and checksum of each local minute that has rows."""
        minute = dialect.minute_of_text if self.bounds == "char16" else dialect.minute_of_datetime
        return _bound(
            f"SELECT {minute}, COUNT(*), {_voided(dialect)}, {dialect.checksum}"  # noqa: S608
            f" FROM (\n{self.rows}) counted GROUP BY {minute}{dialect.query_suffix}",
            _kind(self.bounds, self.as_text),
        )


_PLAIN: Final = Dialect(names=("",))


def _voided(dialect: Dialect) -> str:
    return f"COALESCE(SUM(CASE WHEN {dialect.is_voided} THEN 1 ELSE 0 END), 0)"


def feed_sql(shape: str, name: str, folder: Path = SQL, *, dialect: Dialect = _PLAIN) -> Feed:
    """Read include/sql/<shape>/<name>.sql, with its queries as a kind of database takes them.

    Raises BadFeedFile if it breaks the conventions of these files.
    Conventions: the first line says `-- bounds: char16` or `-- bounds: datetime`, comments are whole lines, and the one
    statement ends with `ORDER BY occurred_at, source_id`.
    """
    path = overlaid(folder / shape / f"{name}.sql")
    return _read(path, dialect.query_suffix, _voided(dialect), dialect.times_as_text, dialect.adapted)


@lru_cache(maxsize=256)
def _read(path: Path, suffix: str, voided: str, as_text: bool, adapted: Callable[[str], str]) -> Feed:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise BadFeedFile(path=path.as_posix(), problem="it is not UTF-8") from None
    header = _HEADER.match(lines[0]) if lines else None
    if header is None:
        problem = "the first line says neither '-- bounds: char16' nor '-- bounds: datetime'"
        raise BadFeedFile(path=path.as_posix(), problem=problem)
    bounds: Bounds = "char16" if header[1] == "char16" else "datetime"
    # Comments stay behind: a bound parameter named in one would count as a parameter.
    statement = "\n".join(line for line in lines if not line.lstrip().startswith("--")).strip()
    statement = adapted(statement)
    rows, order, _ = statement.rpartition("ORDER BY occurred_at, source_id")
    if not order or not statement.endswith(order):
        problem = "the statement does not end with 'ORDER BY occurred_at, source_id'"
        raise BadFeedFile(path=path.as_posix(), problem=problem)
    counted = f"SELECT COUNT(*), {voided} FROM (\n{rows}) counted"  # noqa: S608
    kind = _kind(bounds, as_text)
    return Feed(
        name=path.stem,
        bounds=bounds,
        as_text=bounds == "char16" or as_text,
        select=_bound(statement + suffix, kind),
        counted=_bound(counted + suffix, kind),
        keys=_bound(f"SELECT keyed.source_id, keyed.voided FROM (\n{rows}) keyed{suffix}", kind),  # noqa: S608
        newest=_bound(f"SELECT MAX(newest.occurred_at) FROM (\n{rows}) newest{suffix}", kind),  # noqa: S608
        rows=rows,
    )


def _kind(bounds: Bounds, as_text: bool) -> TypeEngine[Any]:
    if bounds == "char16":
        return CHAR(16)
    return String(32) if as_text else DateTime()


def _bound(query: str, kind: TypeEngine[Any]) -> TextClause:
    return text(query).bindparams(bindparam("start", type_=kind), bindparam("end", type_=kind))
