"""Unsealed: rows of versions that made no MACs, told apart from rows that somebody put in or took the MAC off.

Old rows stay as they are: to MAC them now would say that we know who wrote them. `verify` counts them as not sealed.
How many there can be, and up to which ids, stands in the ledger (`card_usage.ledger.macs.Before`) and in the head of
every pack that was made since, so that it cannot be taken out and written anew, later and higher.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Select, func, select

from card_usage.evidence.pack import UNREADABLE
from card_usage.ledger.macs import before_macs, without_mac
from card_usage.ledger.schema import attempt, day_use, event, reconciliation, report_file

_LINE: Final = "# before MACs "
_NAMES: Final = ("event", "attempt", "figures")


class _Link(Protocol):
    @property
    def day(self) -> date: ...
    def path(self, folder: Path) -> Path: ...


def line(connection: Connection) -> str:
    """The line of a pack's head."""
    return f"{_LINE}{' '.join(map(str, before_macs(connection).counts))}\n"


def problems(connection: Connection, folder: Path, links: Iterable[_Link]) -> Iterator[str]:
    """More rows without a MAC than there were, and packs that say less of them than the ledger now does.

    Rows behind the last ids are named one by one by `.changes`.
    """
    before = before_macs(connection)
    were = (before.events, before.calls, before.figures)
    found = without_mac(connection, before.last_event, before.last_call)
    for name, now, then in zip(_NAMES, found, were, strict=True):
        if now > then:
            yield f"{name}: {now} rows without a MAC, {then} when MACs began: rows were put in, or their MACs taken off"
    for link in links:
        said = _said(link.path(folder))
        if said is not None and any(now > then for now, then in zip(before.counts, said, strict=True)):
            yield f"what may be without a MAC was moved since the pack of {link.day} was made"


def _said(path: Path) -> tuple[int, ...] | None:
    """What a pack's head says; None: nothing, as those of earlier versions, or it cannot be read (told elsewhere)."""
    try:
        with gzip.open(path, "rt", encoding="ascii", errors="backslashreplace") as lines:
            next(lines, "")
            second = next(lines, "")
    except UNREADABLE:
        return None
    return tuple(map(int, second[len(_LINE) :].split())) if second.startswith(_LINE) else None


def summary(connection: Connection, hospital: str, days: Iterable[date]) -> dict[str, object]:
    """How many rows of these days have no MAC because they were made before there were any; empty: none."""
    before, wanted = before_macs(connection), set(days)
    queries = {
        "events": select(event.c.day, func.count()).where(event.c.mac.is_(None)),
        "calls": select(event.c.day, func.count())
        .join(attempt, attempt.c.event_id == event.c.id)
        .where(attempt.c.mac.is_(None)),
    }
    found = {
        name: _of(connection, query.where(event.c.hospital == hospital).group_by(event.c.day), wanted)
        for name, query in queries.items()
    }
    found["figures"] = sum(
        _of(
            connection,
            select(table.c.day, func.count())
            .where(table.c.mac.is_(None), table.c.hospital == hospital)
            .group_by(table.c.day),
            wanted,
        )
        for table in (day_use, reconciliation, report_file)
    )
    if not any(found.values()) or not any(before.counts):
        return {}
    return {"made before": before.since.isoformat(timespec="seconds"), **found}


def _of(connection: Connection, query: Select[Any], wanted: set[date]) -> int:
    return sum(row[1] for row in connection.execute(query) if row[0] in wanted)
