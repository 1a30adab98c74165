"""Stretches: a feed's rows hour by hour, so that an hour which the HIS tells as it did last time can be passed over.

A look-back reads days again in which hardly anything has changed, and a row is far cheaper to read than to normalize,
judge and compare. The digest covers every value of every row as the driver gave it, and all that decides what becomes
of a row: the hospital's file, tables, aliases, and this very code. Whatever changes, everything is looked at again.
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
from typing import Final, NamedTuple
from uuid import UUID

from card_usage.config.hospital import Hospital
from card_usage.events import SourceRow
from card_usage.files.shipped import PACKAGE
from card_usage.standard.code_tables import Aliases, CodeTable

LONGEST: Final = 1000
"""Rows of a stretch: one row that changed lets at most so many be looked at again."""

_TIME: Final = SourceRow._fields.index("occurred_at")


class Stretch(NamedTuple):
    """Successive rows of one hour. `hour`: naive local time, None if the rows do not say one in a known form; `part`
    counts the stretches of the hour."""

    hour: datetime | None
    part: int
    rows: list[SourceRow]


def stretches(batches: Iterable[list[SourceRow]]) -> Iterator[Stretch]:
    """The same rows in the same order, cut where an hour ends and after `LONGEST` rows."""
    parts: Counter[datetime | None] = Counter()
    for said, rows in groupby(chain.from_iterable(batches), key=_hour_said):
        hour = _hour(said)
        while some := list(islice(rows, LONGEST)):
            yield Stretch(hour, parts[hour], some)
            parts[hour] += 1


def _hour_said(row: SourceRow) -> object:
    """What is alike for rows of one hour; called for every row."""
    said = row[_TIME]
    if isinstance(said, str):
        return said[:10] if said[10:11] == ":" else said[:13]
    return said.replace(minute=0, second=0, microsecond=0) if isinstance(said, datetime) else None


def _hour(said: object) -> datetime | None:
    if isinstance(said, datetime):
        return said if said.tzinfo is None else None
    if not isinstance(said, str):
        return None
    try:
        return datetime.strptime(said, "%Y%m%d%H" if len(said) == 10 else "%Y-%m-%d %H")  # noqa: DTZ007 - local time
    except ValueError:
        return None


def text(rows: list[SourceRow]) -> str | None:
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
    """Stands for all that decides what becomes of a row but the row itself. 64 hex characters."""
    listed = [(table.table, list(table.names.items()), list(table.parents.items())) for table in tables.values()]
    said = json.dumps([_code(), hospital.model_dump_json(), listed, {name: dict(of) for name, of in aliases.items()}])
    return hashlib.sha256(said.encode()).hexdigest()


@cache
def _code() -> str:
    """The package's own source: a new version looks at everything once more."""
    files = sorted(PACKAGE.rglob("*.py"))
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()
