"""Statements in the ledger: one a hospital and day, replaced as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, delete, insert, select

from card_usage.ledger.schema import statement, statement_count
from card_usage.reconciliation.statement_match import Slot


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """What the platform's website says it has of one hospital's day. `uses`: the sum of all counts.

    `as_of`: what the platform took later is not in it. `told_apart`: fields of Slot, in their order.
    """

    hospital: str
    day: date
    as_of: datetime
    told_apart: tuple[str, ...]
    counts: Mapping[Slot, int]
    layout: str
    file: str
    sha256: str

    @property
    def uses(self) -> int:
        """All of them."""
        return sum(self.counts.values())


def keep(connection: Connection, statements: Iterable[Statement], *, now: datetime) -> None:
    """Write them; what was known of the same hospitals and days goes."""
    for one in statements:
        connection.execute(delete(statement).where(statement.c.hospital == one.hospital, statement.c.day == one.day))
        (kept,) = connection.execute(
            insert(statement)
            .values(
                hospital=one.hospital,
                day=one.day,
                layout=one.layout,
                file=one.file,
                sha256=one.sha256,
                told_apart=",".join(one.told_apart),
                uses=one.uses,
                as_of=one.as_of,
                imported_at=now,
            )
            .returning(statement.c.id)
        ).scalars()
        rows = [{"statement_id": kept, **slot._asdict(), "uses": uses} for slot, uses in one.counts.items()]
        if rows:
            connection.execute(insert(statement_count), rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A statement as the ledger has it. `uses`: the total that was written down when it was read."""

    as_of: datetime
    told_apart: tuple[str, ...]
    uses: int
    counts: Mapping[Slot, int]


def find(connection: Connection, hospital: str, day: date) -> Kept | None:
    """The statement of a day; None: nobody imported one."""
    head = connection.execute(
        select(statement).where(statement.c.hospital == hospital, statement.c.day == day)
    ).one_or_none()
    if head is None:
        return None
    fields = [statement_count.c[name] for name in Slot._fields]
    found = connection.execute(select(*fields, statement_count.c.uses).where(statement_count.c.statement_id == head.id))
    return Kept(
        as_of=head.as_of,
        told_apart=tuple(name for name in head.told_apart.split(",") if name),
        uses=head.uses,
        counts={Slot(*row[:-1]): row[-1] for row in found},
    )


def imported(connection: Connection, hospital: str, sha256: str) -> set[date]:
    """Days of which this very file is the statement."""
    query = select(statement.c.day).where(statement.c.hospital == hospital, statement.c.sha256 == sha256)
    return set(connection.scalars(query))
