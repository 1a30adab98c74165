"""SQL requirements: the columns and indexes that a feed's SQL needs, as declared in the header of its file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from card_usage.files.shipped import overlaid
from card_usage.source.feeds import SQL

_COLUMNS: Final = re.compile(r"(\w+)(?: \([^)]*\))?: (\w+(?:, \w+)*)")
_INDEXES: Final = re.compile(r"\b(?!char\b)(\w+)\((\w+)\)")


class Requirements(NamedTuple):
    """What a feed's SQL reads (columns by table) and the indexes it should have (table, column)."""

    reads: dict[str, tuple[str, ...]]
    indexes: tuple[tuple[str, str], ...]


def requirements_of(shape: str, feed: str, folder: Path = SQL) -> Requirements:
    """Parse the header of include/sql/<shape>/<feed>.sql."""
    lines = overlaid(folder / shape / f"{feed}.sql").read_text(encoding="utf-8-sig", errors="replace").splitlines()
    header = "\n".join(
        line.lstrip("- ") if line.startswith("--  ") else line for line in lines if line.startswith("--")
    )
    reads: dict[str, tuple[str, ...]] = {}
    for table, columns in _COLUMNS.findall(header.partition("-- Reads")[2].partition("-- Rights")[0]):
        reads[table] = (*reads.get(table, ()), *columns.split(", "))
    return Requirements(reads, tuple(_INDEXES.findall(header.partition("-- Indexes")[2])))
