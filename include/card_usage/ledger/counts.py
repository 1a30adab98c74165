"""Counts: what reconciliation, the quality check and reports read of the ledger.

Promises: one grouped query each, whatever the size of the day; days are local and inclusive, `first` to `last`. No
sealed field, source id or key is ever selected, so nothing that comes out of here says who a patient is.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    String,
    and_,
    case,
    cast,
    exists,
    extract,
    func,
    null,
    or_,
    select,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from card_usage.events import CODE_TABLES
from card_usage.ledger.schema import OPEN, UNDECIDED, attempt, event, feed_window, finding
from card_usage.standard.id_numbers import HEALTH_CARD
from card_usage.windows import Window

CODE_RULES = tuple(f"{table}.code" for table in CODE_TABLES)
"""Rules that a missing alias breaks."""


class Cell(NamedTuple):
    """What tells events of one feed's day apart: state and the marks of reconciliation."""

    status: str
    vanished: bool = False
    voided: bool = False
    changed: bool = False


class CellCount(NamedTuple):
    """Events of one day, feed, state and mix of marks."""

    day: date
    feed: str
    cell: Cell
    events: int


class MinuteCount(NamedTuple):
    """Events of one local minute, 0 to 1439 (None: no readable time): `present` ones, which no comparison missed in
    the HIS, how many of them are refunded, and vanished ones."""

    minute: int | None
    present: int
    voided: int
    vanished: int


class CauseCount(NamedTuple):
    """Quarantined events by the first critical rule that they break; each event counts once.

    For rules about codes also by the local code and, for departments, the local name (None: the HIS gives none).
    """

    feed: str
    rule: str
    code: str | None
    local_name: str | None
    events: int


class WarningCount(NamedTuple):
    """Events that were not held back although a rule has something to say (severity warning)."""

    feed: str
    rule: str
    events: int


class HourCount(NamedTuple):
    """Valid uses (not refunded) by local hour, 0 to 23, and scene; None: the HIS says no readable one.

    `health_card`: how many of them were made with a health card.
    """

    hour: int | None
    scene: str | None
    events: int
    health_card: int


class DelayCount(NamedTuple):
    """Delivered events by the time from the card's use to the platform's answer: up to so many minutes.

    `minutes` is one of DELAYS; None: longer than the last of them.
    """

    minutes: int | None
    events: int


DELAYS: Final = (5, 15, 60, 180, 360, 720, 1440, 2880, 4320, 10080)
"""Upper bounds in minutes: 5 and 15 minutes, 1, 3, 6 and 12 hours, 1, 2, 3 and 7 days."""


class UseCount(NamedTuple):
    """Valid uses (not refunded) by everything that they are told apart by, in standard codes; None: unknown."""

    scene: str | None
    channel: str | None
    card_type: str | None
    department: str | None
    events: int


class ToldCount(NamedTuple):
    """What the platform was told, in standard codes. `by_form`: what is sent was sealed at staging, as every version
    after 0.2.0 does; before, no field was sent that need not be."""

    by_form: bool
    hour: int | None
    scene: str | None
    channel: str | None
    card_type: str | None
    department: str | None
    proved: int
    open: int


class RefusalCount(NamedTuple):
    """Refused events by the platform's result code (document 3.2.12; None: it gave none)."""

    result_code: int | None
    events: int


class RefusedCount(NamedTuple):
    """The same by feed and day."""

    day: date
    feed: str
    result_code: int | None
    events: int


class AnswerCount(NamedTuple):
    """Calls by feed and class of answer (`card_usage.platform.outcome.Answer`) and result code (None: none came)."""

    feed: str
    answer: str
    result_code: int | None
    calls: int


# Written out, not bound: only so does either database see that the partial index fits.
_QUARANTINED: Final = text("event.status = 'quarantined'")
HOUR: Final = cast(extract("hour", event.c.occurred_at), Integer)
"""Local hour of an event; null where the HIS says no readable time."""

VALID: Final = event.c.voided_at.is_(None)
"""A valid use: not refunded."""

# `occurred_at` is local: its epoch is eight hours ahead of the instant's.
_SECONDS: Final = extract("epoch", event.c.settled_at) - extract("epoch", event.c.occurred_at) + 8 * 3600
DELAY: Final[ColumnElement[int | None]] = case(*((bound * 60 >= _SECONDS, bound) for bound in DELAYS), else_=null())
"""From the card's use to the platform's answer: the first of DELAYS that is not exceeded; null beyond the last."""
DELAY_KNOWN: Final = and_(
    event.c.status == "delivered", event.c.settled_at.is_not(None), event.c.occurred_at.is_not(None)
)


class minute_of(GenericFunction[int]):
    """Minute of the day of a local time, 0 to 1439; null where there is none. Each database has its own quick way."""

    type = Integer()
    inherit_cache = True


@compiles(minute_of, "postgresql")
def _on_postgresql(function: minute_of, compiler: SQLCompiler, **options: Any) -> str:
    time = compiler.process(function.clauses, **options)
    return f"CAST(DATE_PART('hour', {time}) * 60 + DATE_PART('minute', {time}) AS INTEGER)"


@compiles(minute_of, "sqlite")
def _on_sqlite(function: minute_of, compiler: SQLCompiler, **options: Any) -> str:
    time = compiler.process(function.clauses, **options)
    return f"CAST(SUBSTR({time}, 12, 2) AS INTEGER) * 60 + CAST(SUBSTR({time}, 15, 2) AS INTEGER)"


def _of(hospital: str, first: date, last: date) -> ColumnElement[bool]:
    return and_(
        event.c.hospital == hospital, event.c.day == first if first == last else event.c.day.between(first, last)
    )


def cells(connection: Connection, hospital: str, first: date, last: date) -> list[CellCount]:
    """Events by day, feed, state and marks, in no order: to ask for one would sort them all on PostgreSQL."""
    marks = [event.c[name].is_not(None) for name in ("vanished_at", "voided_at", "changed_at")]
    groups = (event.c.day, event.c.feed, event.c.status, *marks)
    query: Select[Any] = select(*groups, func.count()).where(_of(hospital, first, last)).group_by(*groups)
    return [
        CellCount(day, feed, Cell(status, bool(vanished), bool(voided), bool(changed)), events)
        for day, feed, status, vanished, voided, changed, events in connection.execute(query)
    ]


def minutes(connection: Connection, hospital: str, feed: str, day: date) -> list[MinuteCount]:
    """Events of a feed's day by local minute."""
    minute = minute_of(event.c.occurred_at)
    vanished = func.count(event.c.vanished_at)
    voided = func.sum(case((and_(event.c.vanished_at.is_(None), event.c.voided_at.is_not(None)), 1), else_=0))
    query = select(minute, func.count(), voided, vanished).where(_of(hospital, day, day), event.c.feed == feed)
    return [
        MinuteCount(of, events - gone, refunded, gone)
        for of, events, refunded, gone in connection.execute(query.group_by(minute))
    ]


def acknowledged(connection: Connection, hospital: str, first: date, last: date) -> dict[tuple[date, str], int]:
    """Delivered events for which an answer stands in the record that proves it, by day and feed."""
    proof = exists().where(attempt.c.event_id == event.c.id, attempt.c.status == "delivered")
    query = (
        select(event.c.day, event.c.feed, func.count())
        .where(_of(hospital, first, last), event.c.status == "delivered", proof)
        .group_by(event.c.day, event.c.feed)
    )
    return {(day, feed): events for day, feed, events in connection.execute(query)}


def causes(connection: Connection, hospital: str, first: date, last: date) -> list[CauseCount]:
    """Why events are quarantined, the most frequent cause first."""
    of_code = and_(finding.c.event_id == event.c.id, finding.c.rule == event.c.reason, finding.c.rule.in_(CODE_RULES))
    name: ColumnElement[str | None] = case(
        (finding.c.code_table == "department", event.c.department_name), else_=cast(null(), String)
    )
    groups = (event.c.feed, event.c.reason, finding.c.code, name)
    query = (
        select(*groups, func.count())
        .select_from(event.outerjoin(finding, of_code))
        .where(_of(hospital, first, last), _QUARANTINED, event.c.reason.is_not(None))
        .group_by(*groups)
    )
    found = [CauseCount._make(row) for row in connection.execute(query)]
    return sorted(found, key=lambda one: (-one.events, one.rule, one.code or "", one.local_name or "", one.feed))


def unsent(connection: Connection, hospital: str, table: str, code: str) -> int:
    """Events that have this standard code and may still change: not sent, or certainly not accepted."""
    query = select(func.count()).where(
        event.c.hospital == hospital, OPEN, event.c.status.in_(("ready", "held")), event.c[table] == code
    )
    return connection.scalar(query) or 0


def warnings(connection: Connection, hospital: str, first: date, last: date) -> list[WarningCount]:
    """Findings of severity warning on events that are not quarantined, the most frequent first."""
    query = (
        select(event.c.feed, finding.c.rule, func.count())
        .select_from(event.join(finding, finding.c.event_id == event.c.id))
        .where(_of(hospital, first, last), event.c.status != "quarantined", finding.c.severity == "warning")
        .group_by(event.c.feed, finding.c.rule)
    )
    found = [WarningCount._make(row) for row in connection.execute(query)]
    return sorted(found, key=lambda one: (-one.events, one.rule, one.feed))


def hours(connection: Connection, hospital: str, first: date, last: date) -> list[HourCount]:
    """Valid uses by hour of the day and scene."""
    groups = (HOUR, event.c.scene)
    query = (
        select(*groups, func.count(), func.sum(case((event.c.card_type == HEALTH_CARD, 1), else_=0)))
        .where(_of(hospital, first, last), VALID)
        .group_by(*groups)
    )
    found = [HourCount._make(row) for row in connection.execute(query)]
    return sorted(found, key=lambda one: (-1 if one.hour is None else one.hour, one.scene or ""))


def delays(connection: Connection, hospital: str, first: date, last: date) -> list[DelayCount]:
    """How long delivered events took, the quickest first. An event that was answered before its own time took 0."""
    query = select(DELAY, func.count()).where(_of(hospital, first, last), DELAY_KNOWN).group_by(DELAY)
    found = [DelayCount._make(row) for row in connection.execute(query)]
    return sorted(found, key=lambda one: one.minutes or DELAYS[-1] + 1)


def uses(connection: Connection, hospital: str, first: date, last: date) -> list[UseCount]:
    """Valid uses by scene, channel, card type and department at once."""
    groups = (event.c.scene, event.c.channel, event.c.card_type, event.c.department)
    query = select(*groups, func.count()).where(_of(hospital, first, last), VALID).group_by(*groups)
    return [UseCount._make(row) for row in connection.execute(query)]


def refusals(connection: Connection, hospital: str, first: date, last: date) -> list[RefusalCount]:
    """Why events were refused, the most frequent code first."""
    query = (
        select(event.c.result_code, func.count())
        .where(_of(hospital, first, last), event.c.status == "rejected")
        .group_by(event.c.result_code)
    )
    found = [RefusalCount._make(row) for row in connection.execute(query)]
    return sorted(found, key=lambda one: (-one.events, one.result_code or 0))


def refused(connection: Connection, hospital: str, first: date, last: date) -> list[RefusedCount]:
    """Refused events by day, feed and code."""
    groups = (event.c.day, event.c.feed, event.c.result_code)
    query = select(*groups, func.count()).where(_of(hospital, first, last), event.c.status == "rejected")
    return [RefusedCount._make(row) for row in connection.execute(query.group_by(*groups))]


def answers(connection: Connection, hospital: str, first: date, last: date) -> list[AnswerCount]:
    """Calls ever made for the events of these days, by what came back."""
    groups = (event.c.feed, attempt.c.answer, attempt.c.result_code)
    query = (
        select(*groups, func.count())
        .select_from(attempt.join(event, event.c.id == attempt.c.event_id))
        .where(_of(hospital, first, last))
        .group_by(*groups)
    )
    found = [AnswerCount._make(row) for row in connection.execute(query)]
    return sorted(found, key=lambda one: (one.feed, -one.calls, one.answer, one.result_code or 0))


def told(connection: Connection, hospital: str, day: date, as_of: datetime) -> list[ToldCount]:
    """What the platform was told of a day, by everything that a statement may tell apart.

    `proved`: it had answered by `as_of`. `open`: it answered later, or never, or contradicts itself.
    """
    by_form = event.c.form.is_not(None)
    groups = (by_form, HOUR, event.c.scene, event.c.channel, event.c.card_type, event.c.department)
    sure = and_(event.c.status == "delivered", or_(event.c.settled_at.is_(None), event.c.settled_at <= as_of))
    query = (
        select(*groups, func.sum(case((sure, 1), else_=0)), func.sum(case((sure, 0), else_=1)))
        .where(_of(hospital, day, day), event.c.status.in_(("delivered", "in_flight", "unknown", "unconfirmed")))
        .group_by(*groups)
    )
    return [ToldCount._make(row) for row in connection.execute(query)]


def provisional_feeds(connection: Connection, hospital: str, window: Window) -> set[str]:
    """Feeds with a part of the window that was staged before it had passed."""
    query = select(feed_window.c.feed).where(
        feed_window.c.hospital == hospital,
        feed_window.c.start < window.end,
        feed_window.c.end > window.start,
        feed_window.c.status != "closed",
    )
    return set(connection.scalars(query))


def unconfirmed_by(connection: Connection, hospital: str, day: date, code: int) -> int:
    """How many events of a day this result code of the platform left unconfirmed."""
    query = select(func.count()).where(
        event.c.hospital == hospital, event.c.day == day, UNDECIDED, event.c.status == "unconfirmed"
    )
    return connection.scalar(query.where(event.c.result_code == code)) or 0
