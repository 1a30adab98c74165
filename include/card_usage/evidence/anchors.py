"""Anchors: heads of the chains that left the machine, and whether the chain is still the one that they were of.

The page of all hospitals and the morning mail, with which it goes to mailboxes and chats, name each hospital's last
link (`heads`). Whoever cuts links off, empties a chain or makes it anew cannot call the mails back; `problems` looks at
the pages that lie in the store, and `evidence verify --head` takes a head out of a mail.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import Connection, func, select

from card_usage.ledger.schema import evidence, report_file

LAST: Final = 40
"""So many of the newest pages are compared with."""


class Head(NamedTuple):
    """The last link of a hospital's chain."""

    hospital: str
    serial: int
    link: str


class _Link(Protocol):
    @property
    def serial(self) -> int: ...
    @property
    def link(self) -> str: ...


class _Files(Protocol):
    def read(self, name: str) -> bytes: ...


def heads(connection: Connection, hospitals: Iterable[str]) -> list[Head]:
    """The last link of each hospital that has one, by hospital."""
    of = evidence.c
    last = select(of.hospital, func.max(of.serial).label("serial")).group_by(of.hospital).subquery()
    query = select(of.hospital, of.serial, of.link).join(
        last, (of.hospital == last.c.hospital) & (of.serial == last.c.serial)
    )
    wanted = set(hospitals)
    return [Head._make(row) for row in connection.execute(query.order_by(of.hospital)) if row.hospital in wanted]


def problems(connection: Connection, hospital: str, chain: Sequence[_Link], files: _Files) -> Iterator[str]:
    """Which heads of the newest pages of all hospitals are no links of this chain any more."""
    links = {link.serial: link.link for link in chain}
    query = select(report_file.c.path, report_file.c.day).where(
        report_file.c.hospital == "*", report_file.c.kind == "json"
    )
    for path, day in connection.execute(query.order_by(report_file.c.day.desc()).limit(LAST)):
        try:
            said: dict[str, Any] = json.loads(files.read(path))
        except (OSError, ValueError):
            yield f"the page of all hospitals of {day} is gone or cannot be read: {path}"
            continue
        for head in said.get("heads", []):
            if head["hospital"] == hospital and links.get(head["serial"]) != head["head"]:
                yield f"link {head['serial']}, as the page of all hospitals of {day} has it, is no link of this chain"
