"""Hour chunks: a feed's rows cut hour by hour, so that an hour that is unchanged since it was staged can be skipped.

A look-back reads days again in which hardly anything has changed, and a row is far cheaper to read than to normalize,
judge and compare. What is compared is a digest over every value of every row as the driver gave it (`row_text`), and
over all that decides what becomes of a row (`fingerprint`): the hospital's file, tables, aliases, and the source of the
whole package. Whatever of these changes, every row is processed again.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

from card_usage.config.hospital import Hospital
from card_usage.events import SourceRow
from card_usage.files.shipped import PACKAGE
from card_usage.standard.aliases import Aliases
from card_usage.standard.code_tables import CodeTable

MAX_ROWS: Final = 1000
"""Rows of a chunk: one row that changed causes at most so many to be processed again."""

_TIME: Final = SourceRow._fields.index("occurred_at")


class HourChunk(NamedTuple):
    """Successive rows of one hour. `hour`: naive local time, None if the rows do not say one in a known form; `part`
    counts the chunks of the hour."""

    hour: datetime | None
    part: int
    rows: list[SourceRow]


def hour_chunks(batches: Iterable[list[SourceRow]]) -> Iterator[HourChunk]:
    """The same rows in the same order, cut where an hour ends and after `MAX_ROWS` rows."""
    parts: Counter[datetime | None] = Counter()
    for hour_value, rows in groupby(chain.from_iterable(batches), key=_hour_value):
        hour = _hour(hour_value)
        while chunk := list(islice(rows, MAX_ROWS)):
            yield HourChunk(hour, parts[hour], chunk)
            parts[hour] += 1


def _hour_value(row: SourceRow) -> object:
    """The row's time cut to the hour, in the form that the driver gave it; called for every row."""
    value = row[_TIME]
    if isinstance(value, str):
        return value[:10] if value[10:11] == ":" else value[:13]
    return value.replace(minute=0, second=0, microsecond=0) if isinstance(value, datetime) else None


def _hour(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo is None else None
    if not isinstance(value, str):
        return None
    try:
        return datetime.strptime(value, "%Y%m%d%H" if len(value) == 10 else "%Y-%m-%d %H")  # noqa: DTZ007 - local time
    except ValueError:
        return None


def row_text(rows: list[SourceRow]) -> str | None:
    """Every value of every row, type included: other rows give another text. None if a value has no such form."""
    try:
        return json.dumps(rows, default=_exact)
    except TypeError:
        return None


def _exact(value: object) -> list[str]:
    match value:
        case datetime() | date() | time():
            return [type(value).__name__, value.isoformat()]
        case bytes() | bytearray():
            return ["bytes", value.hex()]
        case Decimal() | UUID():
            return [type(value).__name__, str(value)]
    raise TypeError(type(value).__name__)


def fingerprint(hospital: Hospital, tables: Mapping[str, CodeTable], aliases: Aliases) -> str:
    """SHA-256 over all that decides what becomes of a row but the row itself. 64 hex characters."""
    standard = [(table.table, list(table.names.items()), list(table.parents.items())) for table in tables.values()]
    local = {table: dict(codes) for table, codes in aliases.items()}
    content = json.dumps([source_digest(), hospital.model_dump_json(), standard, local])
    return hashlib.sha256(content.encode()).hexdigest()


@cache
def source_digest(package: Path = PACKAGE) -> str:
    """SHA-256 over the source of the whole package, all its folders: a new version processes every row once more."""
    files = sorted(package.rglob("*.py"))
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()
