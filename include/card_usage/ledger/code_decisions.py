"""Code decisions: what people decided that local codes mean, kept in the ledger and layered over the alias files.

Every worker sees the same ones at once, whatever files it has. Where a decision and a line of a file say different
things, the decision counts, and both are shown. Each keeps who took it and when; none is deleted or changed: a later
one replaces it, or somebody takes it back, and then the file's line counts again.

Two people who decide about the same code at once: the second one is told what the first decided, and nothing of what
the second wanted is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, and_, func, insert, select, update

from card_usage.errors import CodesDecidedMeanwhile, DecisionOutdated
from card_usage.ledger.schema import code_decision
from card_usage.standard.aliases import Aliases, Choice
from card_usage.standard.code_tables import CodeTable, fold

LONGEST_LOCAL: Final = 256
_NOTE, _PERSON = 200, 64


class Decision(NamedTuple):
    """One decision. `before`: what the code meant until then; None: nothing. `ended`: undone, replaced or None."""

    hospital: str
    table: str
    local: str
    standard: str
    before: str | None
    note: str
    by: str
    at: datetime
    ended: str | None
    ended_by: str | None
    ended_at: datetime | None


_COLUMNS: Final = ("hospital", "code_table", "local", "standard", "before", "note", "decided_by", "decided_at")
_ALL: Final = tuple(code_decision.c[name] for name in (*_COLUMNS, "ended", "ended_by", "ended_at"))
_STANDS: Final = code_decision.c.ended.is_(None)


def standing(connection: Connection, hospital: str | None = None) -> list[Decision]:
    """The decisions that stand, of one hospital or of all, by table and local code."""
    query = select(*_ALL).where(_STANDS)
    if hospital is not None:
        query = query.where(code_decision.c.hospital == hospital)
    ordered = query.order_by(code_decision.c.hospital, code_decision.c.code_table, code_decision.c.local)
    return [Decision._make(row) for row in connection.execute(ordered)]


def history(connection: Connection, hospital: str) -> list[Decision]:
    """All decisions of a hospital, those that ended too, in the order in which they were taken."""
    query = select(*_ALL).where(code_decision.c.hospital == hospital).order_by(code_decision.c.id)
    return [Decision._make(row) for row in connection.execute(query)]


def layered(files: Aliases, decisions: Iterable[Decision], tables: Mapping[str, CodeTable]) -> Aliases:
    """The alias files with the decisions over them. Raises DecisionOutdated for a standard code that is gone."""
    aliases = {table: dict(codes) for table, codes in files.items()}
    for decision in decisions:
        if decision.table not in tables or decision.standard not in tables[decision.table]:
            raise DecisionOutdated(
                hospital=decision.hospital, table=decision.table, local=decision.local, standard=decision.standard
            )
        aliases[decision.table][decision.local] = decision.standard
    return aliases


class Conflict(NamedTuple):
    """A decision, and a line of the alias files that says otherwise. The decision counts."""

    decision: Decision
    file: str


def conflicts(files: Aliases, decisions: Iterable[Decision]) -> list[Conflict]:
    """Where files and decisions say different things."""
    return [
        Conflict(decision, line)
        for decision in decisions
        if (line := files.get(decision.table, {}).get(decision.local)) not in (None, decision.standard)
    ]


def decide(
    connection: Connection,
    hospital: str,
    choices: Sequence[Choice],
    *,
    files: Aliases,
    seen: Aliases,
    by: str,
    now: datetime,
) -> list[Choice]:
    """Write the choices down, inside the caller's transaction; returns those that change what a code means.

    `seen`: what the codes meant when the person decided. Raises CodesDecidedMeanwhile if one means something else by
    now; then the transaction must not be committed.
    """
    _lock(connection, hospital)
    present = {(decision.table, decision.local): decision for decision in standing(connection, hospital)}
    written: list[Choice] = []
    taken: list[str] = []
    for choice in choices:
        local = fold(choice.local)
        decision = present.get((choice.table, local))
        means = decision.standard if decision else files[choice.table].get(local)
        if means == choice.standard:
            continue
        if means != seen[choice.table].get(local):
            who = f"{decision.by}, {decision.at:%Y-%m-%d %H:%M} UTC" if decision else "alias files"
            taken.append(f"{choice.table}:{local} = {means or '-'} ({who})")
            continue
        if decision is not None:
            _end(connection, hospital, choice.table, local, "replaced", by, now)
        values = (hospital, choice.table, local, choice.standard, means, choice.note[:_NOTE], by[:_PERSON], now)
        connection.execute(insert(code_decision).values(dict(zip(_COLUMNS, values, strict=True))))
        written.append(choice)
    if taken:
        raise CodesDecidedMeanwhile(count=len(taken), codes="; ".join(taken[:10]))
    return written


def undo(
    connection: Connection, hospital: str, codes: Iterable[tuple[str, str]], *, by: str, now: datetime
) -> list[tuple[str, str]]:
    """Take the decisions about these codes (table, local) back; returns those of which one stood."""
    _lock(connection, hospital)
    return [
        (table, local) for table, local in codes if _end(connection, hospital, table, fold(local), "undone", by, now)
    ]


def _end(connection: Connection, hospital: str, table: str, local: str, how: str, by: str, now: datetime) -> bool:
    of_code = and_(
        code_decision.c.hospital == hospital, code_decision.c.code_table == table, code_decision.c.local == local
    )
    values = {"ended": how, "ended_by": by[:_PERSON], "ended_at": now}
    return connection.execute(update(code_decision).where(of_code, _STANDS).values(values)).rowcount > 0


def _lock(connection: Connection, hospital: str) -> None:
    """Until the transaction ends nobody else decides about this hospital's codes; SQLite has one writer at a time."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"codes {hospital}", 0))))
