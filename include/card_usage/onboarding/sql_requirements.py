"""SQL requirements: what the header of a feed's SQL file declares: columns and indexes that it needs, and success.

    -- Success VW_MZBRJSK by sfrq where ghsfbz = 1: ybjszt = 2 AND jlzt = 0

says of which table the uses come, by which column of time, which of its rows belong to the feed at all (`where`, may be
absent), and which of those are successful (成功状态, document 3.3.1). A file whose rows come from several tables has a
line for each.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from card_usage.files.shipped import overlaid
from card_usage.source.feeds import SQL

_COLUMNS: Final = re.compile(r"(\w+)(?: \([^)]*\))?: (\w+(?:, \w+)*)")
_INDEXES: Final = re.compile(r"\b(?!char\b)(\w+)\((\w+)\)")


_SUCCESS: Final = re.compile(r"^-- Success (\w+) by (\w+)(?: where ([^:]+))?: ([^:]+)$", re.MULTILINE)


class Success(NamedTuple):
    """Which rows of a table are successful uses: conditions in SQL over its own columns, as the header has them."""

    table: str
    time: str
    belongs: str
    condition: str


class Requirements(NamedTuple):
    """What a feed's SQL reads (columns by table), the indexes it should have (table, column), what success is."""

    reads: dict[str, tuple[str, ...]]
    indexes: tuple[tuple[str, str], ...]
    success: tuple[Success, ...]


def requirements_of(shape: str, feed: str, folder: Path = SQL) -> Requirements:
    """Parse the header of include/sql/<shape>/<feed>.sql."""
    lines = overlaid(folder / shape / f"{feed}.sql").read_text(encoding="utf-8-sig", errors="replace").splitlines()
    header = "\n".join(
        line.lstrip("- ") if line.startswith("--  ") else line for line in lines if line.startswith("--")
    )
    reads: dict[str, tuple[str, ...]] = {}
    for table, columns in _COLUMNS.findall(header.partition("-- Reads")[2].partition("-- Rights")[0]):
        reads[table] = (*reads.get(table, ()), *columns.split(", "))
    success = tuple(Success(*found) for found in _SUCCESS.findall(header))
    return Requirements(reads, tuple(_INDEXES.findall(header.partition("-- Indexes")[2])), success)
