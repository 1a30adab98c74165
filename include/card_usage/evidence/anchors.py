"""Anchors: heads of the chains that left the machine, and whether the chain is still the one that they were of.

The page of all hospitals and the morning mail, with which it goes to mailboxes and chats, name each hospital's last
link (`heads`), and so does the foot of each hospital's report of a day, which is printed and signed. Whoever cuts links
off, empties a chain or makes it anew cannot call these back; `problems` looks at the pages and reports that lie in the
store, and `evidence verify --head` takes a head from a mail or from paper.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import Connection, func, select

from card_usage.ledger.schema import evidence, report_file

LAST: Final = 40
"""So many of the newest pages, and of the hospital's newest reports, are compared with."""


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


def summary(connection: Connection, hospitals: Iterable[str]) -> list[dict[str, str | int]]:
    """The same as reports say it."""
    return [
        {"hospital": head.hospital, "serial": head.serial, "head": head.link} for head in heads(connection, hospitals)
    ]


def problems(connection: Connection, hospital: str, chain: Sequence[_Link], files: _Files) -> Iterator[str]:
    """Which heads of the newest pages of all hospitals and of the hospital's newest reports are no links any more."""
    links = {link.serial: link.link for link in chain}
    for of, name in (("*", "page of all hospitals"), (hospital, "report")):
        query = select(report_file.c.path, report_file.c.day).where(
            report_file.c.hospital == of, report_file.c.kind == "json"
        )
        for path, day in connection.execute(query.order_by(report_file.c.day.desc()).limit(LAST)):
            try:
                said: dict[str, Any] = json.loads(files.read(path))
            except (OSError, ValueError):
                yield f"the {name} of {day} is gone or cannot be read: {path}"
                continue
            for head in said.get("heads", []):
                if head["hospital"] == hospital and links.get(head["serial"]) != head["head"]:
                    yield f"link {head['serial']}, as the {name} of {day} has it, is no link of this chain"
