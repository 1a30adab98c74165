"""Verdict store: verdicts and the decisions about them, as rows of the ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, update

from card_usage.ledger.schema import attempt, event
from card_usage.ledger.schema import verdict as verdict_table
from card_usage.ledger.scope import Withheld
from card_usage.quality.profiles import inside
from card_usage.quality.verdicts import WITHHOLDING, Decision, First, Reason, StoredVerdict, Verdict
from card_usage.windows import Window, merged


def save(connection: Connection, verdict: Verdict, window: Window, *, now: datetime) -> None:
    """Write the verdict. One that is not worse than the last one takes over that one's question and decision."""
    table = verdict_table
    reasons = _to_json(verdict)
    same = (table.c.hospital == verdict.hospital, table.c.start == window.start, table.c.end == window.end)
    last = connection.execute(select(table).where(*same).order_by(table.c.id.desc()).limit(1)).first()
    if last is not None and (last.verdict, last.reasons) == (verdict.level, reasons):
        connection.execute(update(table).where(table.c.id == last.id).values(at=now))
        return
    carried: dict[str, Any] = {}
    if last is not None and last.verdict in WITHHOLDING and not verdict.is_worse_than(_verdict_of(last)):
        decided = ("asked_at", "decision", "decided_by", "decided_at", "first_decision", "first_by")
        carried = {name: getattr(last, name) for name in decided}
    connection.execute(
        insert(table).values(
            hospital=verdict.hospital,
            start=window.start,
            end=window.end,
            verdict=verdict.level,
            reasons=reasons,
            at=now,
            **carried,
        )
    )


def verdicts_in_force(connection: Connection, hospital_id: str, window: Window) -> tuple[StoredVerdict, ...]:
    """Verdicts in force for windows that overlap this one, oldest window first.

    A later verdict replaces earlier ones whose window lies inside its own. One about several days (no check makes such
    a verdict any more) stands for those of its days that were not judged since.
    """
    table = verdict_table
    query = (
        select(table)
        .where(table.c.hospital == hospital_id, table.c.start < window.end, table.c.end > window.start)
        .order_by(table.c.at.desc(), table.c.id.desc())
    )
    in_force: list[StoredVerdict] = []
    for row in connection.execute(query):
        judged = [later.window for later in in_force]
        days = [
            (part.start, part.end)
            for part in Window(row.start, row.end).by_day
            if not any(later.start <= part.start and part.end <= later.end for later in judged)
        ]
        in_force += [_stored(row, Window(start, end)) for start, end in merged(days)]
    overlapping = (
        stored for stored in in_force if stored.window.start < window.end and stored.window.end > window.start
    )
    return tuple(sorted(overlapping, key=lambda stored: stored.window))


def withheld(connection: Connection, hospital_id: str, window: Window) -> tuple[Withheld, ...]:
    """What must not be delivered of the window until a person decides or a later check lets it pass."""
    in_force = verdicts_in_force(connection, hospital_id, window)
    return tuple(part for stored in in_force if (part := stored.withheld) is not None)


def mark_asked(connection: Connection, verdicts: Sequence[StoredVerdict], *, now: datetime) -> None:
    """Note that somebody was asked about these."""
    ids = [stored.id for stored in verdicts]
    connection.execute(update(verdict_table).where(verdict_table.c.id.in_(ids)).values(asked_at=now))


def decide(
    connection: Connection, verdict_id: int, decision: Decision, *, by: str, now: datetime, anew: bool = False
) -> bool:
    """Write a decision; returns whether it counts. The first one does; `anew` changes one that was made before."""
    table = verdict_table
    parts = [table.c.id == verdict_id, table.c.verdict.in_(WITHHOLDING)]
    if not anew:
        parts.append(table.c.decision.is_(None))
    values = {"decision": decision, "decided_by": by[:64], "decided_at": now, "first_decision": None, "first_by": None}
    return connection.execute(update(table).where(*parts).values(values)).rowcount > 0


def decide_first(connection: Connection, verdict_id: int, first: First) -> None:
    """Keep what the first of two people decides, in the place of what another one did."""
    values = {"first_decision": first.decision, "first_by": first.by[:64]}
    connection.execute(update(verdict_table).where(verdict_table.c.id == verdict_id).values(values))


def first_of(connection: Connection, verdict_id: int) -> First | None:
    """What the first of two people has decided, while the second has not."""
    columns = (verdict_table.c.first_decision, verdict_table.c.first_by)
    return _first(*connection.execute(select(*columns).where(verdict_table.c.id == verdict_id)).one())


def decision_of(connection: Connection, verdict_id: int) -> Decision | None:
    """The decision that a verdict has now."""
    decision: Decision | None = connection.scalar(
        select(verdict_table.c.decision).where(verdict_table.c.id == verdict_id)
    )
    return decision


def left_since(connection: Connection, stored: StoredVerdict) -> int:
    """How many events of the window were sent since it was decided about, or are under way."""
    sent = select(attempt.c.event_id).where(attempt.c.event_id == event.c.id, attempt.c.at >= stored.decided_at)
    query = select(func.count()).select_from(event).where(inside(stored.verdict.hospital, stored.window))
    return connection.scalar(query.where(or_(event.c.status == "in_flight", sent.exists()))) or 0


def _to_json(verdict: Verdict) -> str:
    """The column `reasons`: {"events": ..., "reasons": [the fields of each that have a value]}."""
    reasons = [reason.filled() for reason in verdict.reasons]
    return json.dumps({"events": verdict.events, "reasons": reasons}, ensure_ascii=False)


def _reason_of(values: dict[str, Any]) -> Reason:
    """A reason as it was written; fields that this version does not know are left out."""
    names = {field.name for field in fields(Reason)}
    known = {name: value for name, value in values.items() if name in names}
    return Reason(**known | {"feeds": tuple(known.get("feeds", ()))})


def _verdict_of(row: Any, window: Window | None = None) -> Verdict:
    content = json.loads(row.reasons)
    return Verdict(
        hospital=row.hospital,
        window=str(window or Window(row.start, row.end)),
        level=row.verdict,
        reasons=tuple(_reason_of(values) for values in content["reasons"]),
        events=content["events"],
    )


def _first(decision: Decision | None, by: str | None) -> First | None:
    return None if decision is None or by is None else First(decision=decision, by=by)


def _stored(row: Any, window: Window) -> StoredVerdict:
    return StoredVerdict(
        id=row.id,
        window=window,
        verdict=_verdict_of(row, window),
        at=row.at,
        asked_at=row.asked_at,
        decision=row.decision,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        first=_first(row.first_decision, row.first_by),
    )
