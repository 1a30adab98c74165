"""Feeds: the SQL of a feed, include/sql/<shape>/<feed>.sql, and what derives from it.

Promises: a window is bound, never formatted in; a file that breaks the conventions is refused with its name.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import DateTime, TextClause, bindparam, text
from sqlalchemy.types import CHAR, TypeEngine

from card_usage.errors import BadFeedFile
from card_usage.files.shipped import SHIPPED, overlaid
from card_usage.source.dialect import Dialect

SQL: Final = SHIPPED / "sql"
"""The folder of the shapes."""

Bounds = Literal["char16", "datetime"]
"""How the edges of a window are bound: as char(16) `yyyymmddhh:mm:ss`, or as datetime."""

_CHAR16: Final = "%Y%m%d%H:%M:%S"
_HEADER: Final = re.compile(r"^--\s*bounds:\s*(char16|datetime)\s*$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Feed:
    """One SQL file of a shape, and the queries about the same rows. All take the parameters `start` and `end`."""

    name: str
    bounds: Bounds
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
        return moment.strftime(_CHAR16) if self.bounds == "char16" else moment

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
            self.bounds,
        )

    def by_minute(self, dialect: Dialect) -> TextClause:
        """Minute, rows, voided ones and checksum of each local minute that has rows."""
        minute = dialect.minute_of_text if self.bounds == "char16" else dialect.minute_of_datetime
        return _bound(
            f"SELECT {minute}, COUNT(*), COALESCE(SUM(counted.voided), 0), {dialect.checksum}"  # noqa: S608
            f" FROM (\n{self.rows}) counted GROUP BY {minute}{dialect.query_suffix}",
            self.bounds,
        )


def feed_sql(shape: str, name: str, folder: Path = SQL, *, suffix: str = "") -> Feed:
    """Read include/sql/<shape>/<name>.sql; `suffix` ends each of its queries (`Dialect.query_suffix`).

    Raises BadFeedFile if it breaks the conventions of these files.
    Conventions: the first line says `-- bounds: char16` or `-- bounds: datetime`, comments are whole lines, and the one
    statement ends with `ORDER BY occurred_at, source_id`.
    """
    return _read(overlaid(folder / shape / f"{name}.sql"), suffix)


@lru_cache(maxsize=256)
def _read(path: Path, suffix: str) -> Feed:
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
    rows, order, _ = statement.rpartition("ORDER BY occurred_at, source_id")
    if not order or not statement.endswith(order):
        problem = "the statement does not end with 'ORDER BY occurred_at, source_id'"
        raise BadFeedFile(path=path.as_posix(), problem=problem)
    counted = f"SELECT COUNT(*), COALESCE(SUM(counted.voided), 0) FROM (\n{rows}) counted"  # noqa: S608
    return Feed(
        name=path.stem,
        bounds=bounds,
        select=_bound(statement + suffix, bounds),
        counted=_bound(counted + suffix, bounds),
        keys=_bound(f"SELECT keyed.source_id, keyed.voided FROM (\n{rows}) keyed{suffix}", bounds),  # noqa: S608
        newest=_bound(f"SELECT MAX(newest.occurred_at) FROM (\n{rows}) newest{suffix}", bounds),  # noqa: S608
        rows=rows,
    )


def _bound(query: str, bounds: Bounds) -> TextClause:
    kind: TypeEngine[Any] = CHAR(16) if bounds == "char16" else DateTime()
    return text(query).bindparams(bindparam("start", type_=kind), bindparam("end", type_=kind))
