"""Redelivery: a person decides that refused events are sent again, under a new request id.

A refused event becomes due again only on request, as the next generation: its old request id is used up. An unconfirmed
one may have reached the platform; sending it again can report it twice, so it must be asked for explicitly. One whose
content was lost with a ledger stays where it is until its day is staged again.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, select, update

from card_usage.events import request_id
from card_usage.ledger.database import Ledger
from card_usage.ledger.decisions import Actor, record
from card_usage.ledger.schema import UNDECIDED, event
from card_usage.ledger.scope import Scope

Undecided = Literal["rejected", "unconfirmed"]

_BATCH: Final = 5_000
_send_again = (
    update(event)
    .where(
        event.c.id == bindparam("of_id"),
        event.c.status == bindparam("of_status"),
        event.c.generation == bindparam("of_generation"),
    )
    .values(
        status="ready",
        generation=event.c.generation + 1,
        request_id=bindparam("of_request_id"),
        attempts=0,
        due_at=None,
        settled_at=None,
    )
)


def undecided(connection: Connection, scope: Scope, states: tuple[Undecided, ...]) -> Counter[tuple[str, int | None]]:
    """How many events of the scope wait for a decision, by state and the platform's last result code."""
    query = select(event.c.status, event.c.result_code).where(_of(scope, states))
    return Counter((status, code) for status, code in connection.execute(query))


def decide_again(
    ledger: Ledger, scope: Scope, states: tuple[Undecided, ...], actor: Actor, *, now: datetime, reason: str = ""
) -> int:
    """`send_again` as the decision of a person, which is recorded with it; returns how many events are due again."""
    with ledger.write() as connection:
        counted = undecided(connection, scope, states)
        moved = send_again(connection, scope, states)
        if moved:
            record(
                connection,
                ledger.keyring,
                verb="redeliver",
                hospital=scope.hospital,
                actor=actor,
                now=now,
                subject=f"{scope.first}..{scope.last}",
                old=", ".join(f"{state} {code}: {count}" for (state, code), count in sorted(counted.items(), key=str)),
                new=f"ready: {moved}",
                reason=reason,
            )
    return moved


def standing_unconfirmed(connection: Connection, scope: Scope) -> int:
    """How many events of the scope are unconfirmed, whichever run left them so."""
    days = event.c.day.between(scope.first, scope.last)
    of_scope = and_(event.c.hospital == scope.hospital, days, UNDECIDED, event.c.status == "unconfirmed")
    return connection.scalar(select(func.count()).select_from(event).where(of_scope)) or 0


def send_again(connection: Connection, scope: Scope, states: tuple[Undecided, ...]) -> int:
    """Make them due under a new request id; returns how many. Repeating it finds none: they are ready then."""
    moved = 0
    columns = (event.c.id, event.c.key, event.c.generation, event.c.status)
    query = select(*columns).where(_of(scope, states), event.c.key_id.is_not(None)).order_by(event.c.id).limit(_BATCH)
    while rows := connection.execute(query).all():
        moves = [
            {
                "of_id": row.id,
                "of_status": row.status,
                "of_generation": row.generation,
                "of_request_id": request_id(row.key, row.generation + 1),
            }
            for row in rows
        ]
        connection.execute(_send_again, moves)
        moved += len(moves)
    return moved


def without_content(connection: Connection, scope: Scope, states: tuple[Undecided, ...]) -> int:
    """How many of them cannot be sent, for their content was lost with a ledger: their days have to be staged again."""
    query = select(func.count()).select_from(event).where(_of(scope, states), event.c.key_id.is_(None))
    return connection.scalar(query) or 0


def _of(scope: Scope, states: tuple[Undecided, ...]) -> ColumnElement[bool]:
    days = event.c.day.between(scope.first, scope.last)
    # What lost its patient fields after its time (card_usage.retention) cannot be sent any more.
    whole = event.c.sealed.is_not(None)
    return and_(event.c.hospital == scope.hospital, days, event.c.status.in_(states), whole)
