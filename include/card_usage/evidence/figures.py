"""Figures: the sums, reconciliations and report files of a day, as the pack keeps them and as they are checked.

They may be made anew at any time, so a day is not broken when they differ from its pack; they are each MACed when they
are written, and a row that is not ours, a file that is another one, or sums that do not agree with each other are.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Final, Protocol

from sqlalchemy import Connection, select

from card_usage.evidence import unsealed
from card_usage.evidence.changes import Change
from card_usage.ledger.macs import Checked
from card_usage.ledger.schema import day_use, reconciliation, report_file

_USE: Final = ("hospital", "day", "dimension", "code", "events", "health_card")
_RECONCILED: Final = ("hospital", "feed", "day", "counts", "remainder", "provisional", "clean", "at")
_REPORT: Final = ("hospital", "day", "kind", "path", "at", "digest")
_TABLES: Final = (
    ("use", day_use, _USE, ("dimension", "code")),
    ("reconciliation", reconciliation, _RECONCILED, ("feed",)),
    ("report", report_file, _REPORT, ("kind",)),
)
_TOTALS: Final = ("hour", "scene", "channel", "card_type", "department")
"""Dimensions that each sum up the whole day."""


class Files(Protocol):
    """Where the reports lie: `card_usage.files.store.Store`."""

    def read(self, name: str) -> bytes: ...


def lines(connection: Connection, hospital: str, day: date) -> Iterator[str]:
    """Lines for the head of a day's pack, each behind a #, in one order on every database."""
    yield unsealed.line(connection)
    for kind, table, names, _ in _TABLES:
        of_day = (table.c.hospital == hospital, table.c.day == day)
        said = [name for name in names if name not in ("hospital", "day", "at")]
        for row in sorted(connection.execute(select(*(table.c[name] for name in said)).where(*of_day)), key=str):
            yield f"# {kind} {json.dumps(list(row))}\n"


def problems(connection: Connection, hospital: str, days: Iterable[date], files: Files | None) -> Iterator[Change]:
    """What of these days' figures the product did not write. `files`: read every report that a row names, too."""
    checked, wanted = Checked(connection), set(days)
    for kind, table, names, order in _TABLES:
        query = select(*(table.c[name] for name in names), table.c.mac).where(table.c.hospital == hospital)
        for row in connection.execute(query.order_by(table.c.day)).mappings():
            if row["day"] not in wanted:
                continue
            where = " ".join([kind, *(str(row[name]) for name in order)])
            if not checked.is_ours(row["mac"], 0, row.get("at"), row["day"], kind, [row[name] for name in names]):
                yield Change(row["day"], where, "figure was not written by us")
            elif kind == "report" and (how := _file_is(files, row["path"], row["digest"])) is not None:
                yield Change(row["day"], row["path"], how)
    yield from _sums_apart(connection, hospital, wanted)


def _file_is(files: Files | None, name: str, digest: str | None) -> str | None:
    """What is wrong with a report's file; None: nothing, or it was not looked at."""
    if files is None or digest is None:
        return None
    try:
        content = files.read(name)
    except OSError:
        return "report is gone"
    return None if hashlib.sha256(content).hexdigest() == digest else "report was replaced"


def _sums_apart(connection: Connection, hospital: str, wanted: set[date]) -> Iterator[Change]:
    totals: dict[date, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_TOTALS, 0))
    query = select(day_use.c.day, day_use.c.dimension, day_use.c.events).where(day_use.c.hospital == hospital)
    for day, dimension, events in connection.execute(query):
        if day in wanted and dimension in _TOTALS:
            totals[day][dimension] += events
    for day, sums in sorted(totals.items()):
        if len(set(sums.values())) > 1:
            yield Change(day, "use", "sums do not agree")
