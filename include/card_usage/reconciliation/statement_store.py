"""Statement store: the platform's statements in the ledger, one a hospital and day, replaced as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, delete, insert, select

from card_usage.ledger.schema import statement, statement_count
from card_usage.reconciliation.statement_match import Bucket


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """What the platform's website says it has of one hospital's day. `uses`: the sum of all counts.

    `as_of`: what the platform took later is not in it. `dimensions`: fields of Bucket, in their order.
    """

    hospital: str
    day: date
    as_of: datetime
    dimensions: tuple[str, ...]
    counts: Mapping[Bucket, int]
    layout: str
    file: str
    sha256: str

    @property
    def uses(self) -> int:
        """All of them."""
        return sum(self.counts.values())


def save(connection: Connection, statements: Iterable[Statement], *, now: datetime) -> None:
    """Write them; what was known of the same hospitals and days goes."""
    for stated in statements:
        connection.execute(
            delete(statement).where(statement.c.hospital == stated.hospital, statement.c.day == stated.day)
        )
        (statement_id,) = connection.execute(
            insert(statement)
            .values(
                hospital=stated.hospital,
                day=stated.day,
                layout=stated.layout,
                file=stated.file,
                sha256=stated.sha256,
                told_apart=",".join(stated.dimensions),
                uses=stated.uses,
                as_of=stated.as_of,
                imported_at=now,
            )
            .returning(statement.c.id)
        ).scalars()
        rows = [
            {"statement_id": statement_id, **bucket._asdict(), "uses": uses} for bucket, uses in stated.counts.items()
        ]
        if rows:
            connection.execute(insert(statement_count), rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredStatement:
    """A statement as the ledger has it. `uses`: the total that was written down when it was read."""

    as_of: datetime
    dimensions: tuple[str, ...]
    uses: int
    counts: Mapping[Bucket, int]


def load(connection: Connection, hospital: str, day: date) -> StoredStatement | None:
    """The statement of a day; None: nobody imported one."""
    head = connection.execute(
        select(statement).where(statement.c.hospital == hospital, statement.c.day == day)
    ).one_or_none()
    if head is None:
        return None
    fields = [statement_count.c[name] for name in Bucket._fields]
    rows = connection.execute(select(*fields, statement_count.c.uses).where(statement_count.c.statement_id == head.id))
    return StoredStatement(
        as_of=head.as_of,
        dimensions=tuple(name for name in head.told_apart.split(",") if name),
        uses=head.uses,
        counts={Bucket(*row[:-1]): row[-1] for row in rows},
    )


def imported(connection: Connection, hospital: str, sha256: str) -> set[date]:
    """Days of which this very file is the statement."""
    query = select(statement.c.day).where(statement.c.hospital == hospital, statement.c.sha256 == sha256)
    return set(connection.scalars(query))
