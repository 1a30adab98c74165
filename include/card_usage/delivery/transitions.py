"""Transitions: claim, settle, release, recover. Each changes events only from the state that it expects.

ready | held | unknown  --claim-->    in_flight
in_flight               --settle-->   whatever the outcome table says, under a new request id if it says so
in_flight               --release-->  as before the claim (never sent)
in_flight of the dead   --recover-->  unknown (perhaps sent)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    TextClause,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from card_usage.events import request_id
from card_usage.ledger.bulk import few_sizes, insert_many
from card_usage.ledger.macs import CALL, made
from card_usage.ledger.schema import IN_FLIGHT, OPEN, SETTLED_STATES, attempt, event
from card_usage.ledger.scope import BACKFILL, LIVE, Scope
from card_usage.platform.outcome import Answer, Reply


class Claimed(NamedTuple):
    """What a deliverer needs of one event. `before` is its state before the claim; `sealed` its patient fields and what
    else is sent, by the settings of that `form` (standard/payload.py)."""

    id: int
    key: str
    before: str
    lane: int
    request_id: str
    generation: int
    attempts: int
    occurred_at: datetime
    scene: str
    department: str | None
    department_name: str | None
    card_type: str
    channel: str
    cost_type: str | None
    form: str | None
    key_id: str | None
    sealed: bytes | None


class Attempt(NamedTuple):
    """One call and what came of it."""

    at: datetime
    reply: Reply
    status: str


class Settled(NamedTuple):
    """An event's new state after its calls of this claim. `new_id`: it goes on under a new request id."""

    claimed: Claimed
    status: str
    due_at: datetime | None
    result_code: int | None
    attempts: tuple[Attempt, ...]
    new_id: bool = False


def _open(form: tuple[bool, ...]) -> ColumnElement[bool]:
    """Open events of a scope of this form.

    An open event has a time, and its day is that time's: bounds on the time let the index of open events, in the order
    of claiming, lead straight to the scope, however much is open or settled around it.
    """
    parts: list[ColumnElement[bool] | TextClause] = [
        event.c.hospital == bindparam("in_hospital"),
        OPEN,
        event.c.occurred_at >= bindparam("from_time"),
        event.c.occurred_at < bindparam("to_time"),
    ]
    for n, of_feeds in enumerate(form):
        clear = [
            event.c.occurred_at < bindparam(f"withheld_from_{n}"),
            event.c.occurred_at >= bindparam(f"withheld_to_{n}"),
        ]
        if of_feeds:
            clear.append(event.c.feed.not_in(bindparam(f"withheld_feeds_{n}", expanding=True)))
        parts.append(or_(*clear))
    return and_(*parts)


_CLAIMED = (
    event.c.id,
    event.c.key,
    event.c.status,
    event.c.lane,
    event.c.request_id,
    event.c.generation,
    event.c.attempts,
    event.c.occurred_at,
    event.c.scene,
    event.c.department,
    event.c.department_name,
    event.c.card_type,
    event.c.channel,
    event.c.cost_type,
    event.c.form,
    event.c.key_id,
    event.c.sealed,
)


@cache
def _claimable(form: tuple[bool, ...], newest_first: bool) -> Select[Any]:
    """The claim's statement; made once, for it is executed many times a second."""
    order = (event.c.occurred_at, event.c.id)
    due = or_(event.c.due_at.is_(None), event.c.due_at <= bindparam("at", type_=event.c.due_at.type))
    return (
        select(*_CLAIMED)
        .where(_open(form), event.c.lane == bindparam("of_lane"), due)
        .order_by(*(column.desc() if newest_first else column for column in order))
        .limit(bindparam("most", type_=Integer))
        .with_for_update(skip_locked=True)
    )


# Locked since they were found, so they still are open. To say OPEN here would lead PostgreSQL, once its statistics
# know a large ledger with hardly anything open, through all that is open to find these.
_TAKE: Final = (
    update(event)
    .where(event.c.id.in_(bindparam("ids", expanding=True)), event.c.claimed_by.is_(None))
    .values(status="in_flight", claimed_by=bindparam("worker"))
)


def claim(
    connection: Connection,
    scope: Scope,
    *,
    lane: int,
    worker: int,
    limit: int,
    now: datetime,
    newest_first: bool = False,
    except_ids: Collection[int] = (),
) -> list[Claimed]:
    """Take up to `limit` due events of a lane, oldest first unless told otherwise; no other deliverer gets them.

    `except_ids`: events of earlier claims of this deliverer whose outcomes it does not yet know to be written. Claimed
    again, they would look like the earlier claim to a retried transaction that writes its outcomes.
    """
    values = {**scope.bounds(), "of_lane": lane, "at": now, "most": limit}
    query = _claimable(scope.form, newest_first)
    claimed = [Claimed._make(row) for row in connection.execute(query, values) if row.id not in except_ids]
    if claimed:
        connection.execute(_TAKE, {"ids": few_sizes(connection, [row.id for row in claimed]), "worker": worker})
    return claimed


_RESEAL: Final = (
    update(event)
    .where(event.c.id == bindparam("event_id"))
    .values(form=bindparam("new_form"), key_id=bindparam("new_key_id"), sealed=bindparam("new_sealed"))
)


def reseal(connection: Connection, claimed: Iterable[Claimed]) -> None:
    """Write down what these events of this deliverer send, before it is sent."""
    rows = [
        {"event_id": row.id, "new_form": row.form, "new_key_id": row.key_id, "new_sealed": row.sealed}
        for row in claimed
    ]
    if rows:
        connection.execute(_RESEAL, rows)


_HISTORY: Final = (
    select(attempt.c.event_id, attempt.c.answer)
    .join(event, and_(event.c.id == attempt.c.event_id, event.c.request_id == attempt.c.request_id))
    .where(attempt.c.event_id.in_(bindparam("ids", expanding=True)))
)


def history(connection: Connection, claimed: Iterable[Claimed]) -> dict[int, list[Answer]]:
    """Earlier answers by event, to its present request id only. Events never sent before are left out."""
    ids = [row.id for row in claimed if row.attempts]
    answers: dict[int, list[Answer]] = defaultdict(list)
    if ids:
        for event_id, answer in connection.execute(_HISTORY, {"ids": few_sizes(connection, ids)}):
            answers[event_id].append(Answer(answer))
    return answers


_UNTIMELY: Final = (
    select(attempt.c.event_id, func.count())
    .where(attempt.c.event_id.in_(bindparam("ids", expanding=True)), attempt.c.answer == Answer.UNTIMELY.value)
    .group_by(attempt.c.event_id)
)


def untimely(connection: Connection, claimed: Iterable[Claimed]) -> dict[int, int]:
    """Refusals that a date may have caused, by event, under all its request ids. Events without any are left out."""
    ids = [row.id for row in claimed if row.attempts]
    if not ids:
        return {}
    return {event_id: count for event_id, count in connection.execute(_UNTIMELY, {"ids": few_sizes(connection, ids)})}


_ATTEMPT = ("event_id", "deliverer", *CALL, "mac")


# What a deliverer claimed, of these events; found by their ids, so the state is no clause that an index goes by.
_CLAIMED_OF_THESE: Final = and_(
    event.c.id.in_(bindparam("ids", expanding=True)),
    event.c.status == "in_flight",
    event.c.claimed_by == bindparam("worker"),
)


@cache
def _settling(status: str) -> ReturningUpdate[Any]:
    """Give claimed events a state; made once for each, for it is executed many times a second."""
    values: dict[str, Any] = {
        "status": status,
        "due_at": bindparam("due", type_=event.c.due_at.type),
        "claimed_by": None,
        "attempts": event.c.attempts + bindparam("calls", type_=Integer),
        "result_code": func.coalesce(bindparam("code", type_=Integer), event.c.result_code),
    }
    if status in SETTLED_STATES:
        values["settled_at"] = bindparam("at", type_=event.c.settled_at.type)
    if status == "delivered":
        values |= {"sealed": None, "key_id": None}
    return update(event).where(_CLAIMED_OF_THESE).values(values).returning(event.c.id)


LAST_GENERATION: Final = 32_767  # the column holds no more; from there the request id stays
_RENEW_ID: Final = (
    update(event)
    .where(event.c.id == bindparam("event_id"))
    .values(request_id=bindparam("new_request_id"), generation=event.c.generation + 1)
)


def settle(connection: Connection, settled: Sequence[Settled], *, worker: int, now: datetime) -> set[int]:
    """Write outcomes; patient fields of settled events are erased. Returns the ids that moved: an event that is no
    longer this deliverer's, or was settled by an earlier try of the same call, does not move."""
    alike: dict[tuple[str, datetime | None, int | None, int], list[int]] = defaultdict(list)
    for outcome in settled:
        group = outcome.status, outcome.due_at, outcome.result_code, len(outcome.attempts)
        alike[group].append(outcome.claimed.id)
    moved: set[int] = set()
    for (status, due_at, result_code, calls), ids in alike.items():
        values = {
            "ids": few_sizes(connection, ids),
            "worker": worker,
            "due": due_at,
            "calls": calls,
            "code": result_code,
        }
        if status in SETTLED_STATES:
            values["at"] = now
        moved.update(connection.scalars(_settling(status), values))
    renewed = [
        {"event_id": outcome.claimed.id, "new_request_id": request_id(outcome.claimed.key, generation)}
        for outcome in settled
        if outcome.new_id
        and outcome.claimed.id in moved
        and (generation := outcome.claimed.generation + 1) <= LAST_GENERATION
    ]
    if renewed:
        connection.execute(_RENEW_ID, renewed)
    rows = [
        _call(
            connection,
            outcome.claimed.id,
            outcome.claimed.key,
            worker,
            (
                outcome.claimed.request_id,
                call.at,
                call.reply.answer.value,
                call.reply.http_status,
                call.reply.result_code,
                call.reply.detail or None,
                call.status,
            ),
        )
        for outcome in settled
        if outcome.claimed.id in moved
        for call in outcome.attempts
    ]
    insert_many(connection, attempt, _ATTEMPT, rows)
    return moved


def _call(connection: Connection, event_id: int, key: str, worker: int, call: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row of `_ATTEMPT` with its MAC; `call`: values of `macs.CALL`."""
    return (event_id, worker, *call, made(connection, "call", key, *call))


_RELEASE: Final = update(event).where(_CLAIMED_OF_THESE).values(status=bindparam("before"), claimed_by=None)


def release(connection: Connection, claimed: Iterable[Claimed], *, worker: int) -> int:
    """Give back what was never sent, each to the state it had."""
    before: dict[str, list[int]] = defaultdict(list)
    for row in claimed:
        before[row.before].append(row.id)
    return sum(
        connection.execute(_RELEASE, {"ids": few_sizes(connection, ids), "worker": worker, "before": status}).rowcount
        for status, ids in before.items()
    )


_RECOVER: Final = (
    update(event)
    .where(IN_FLIGHT, event.c.claimed_by == bindparam("worker"), event.c.id.not_in(bindparam("kept", expanding=True)))
    .values(status="unknown", claimed_by=None, due_at=None, attempts=event.c.attempts + 1)
    .returning(event.c.id, event.c.key, event.c.request_id)
)


def recover(connection: Connection, worker: int, *, now: datetime, detail: str, keep: Collection[int] = ()) -> int:
    """Make a deliverer's claims unknown: they may have been sent. `keep` names events to leave alone.

    The lost call is written down as one without an answer, so that the outcome table knows of it.
    """
    lost = connection.execute(_RECOVER, {"worker": worker, "kept": list(keep)}).all()
    calls = [
        _call(
            connection,
            row.id,
            row.key,
            worker,
            (row.request_id, now, Answer.NO_ANSWER.value, None, None, detail, "unknown"),
        )
        for row in lost
    ]
    insert_many(connection, attempt, _ATTEMPT, calls)
    return len(lost)


class Backlog(NamedTuple):
    """What is open in a scope: events due by now, all open ones, and when the next one falls due (None: none)."""

    due: int
    open: int
    next_due: datetime | None


@cache
def _backlog(form: tuple[bool, ...]) -> Select[Any]:
    later = event.c.due_at > bindparam("at", type_=event.c.due_at.type)
    due = func.coalesce(func.sum(case((later, 0), else_=1)), 0)
    lanes = event.c.lane.in_((LIVE, BACKFILL))  # names the index's second column
    counts = select(func.count(), due, func.min(case((later, event.c.due_at))))
    return counts.select_from(event).where(_open(form), lanes)


def backlog(connection: Connection, scope: Scope, now: datetime) -> Backlog:
    """Count what is open and due in a scope."""
    values = {**scope.bounds(), "at": now}
    open_count, due_count, next_due = connection.execute(_backlog(scope.form), values).one()
    return Backlog(int(due_count), int(open_count), next_due)
