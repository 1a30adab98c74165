"""Intake: what staging brings, against what the ledger knows. The same rows again change nothing.

    known as                 the HIS now says
                             the same   changed                 voided
    (not known)              --         new row                 new row, voided
    ready held quarantined   --         replaced, due anew      voided: never sent
    rejected                 --         replaced, due anew      marked
    in_flight unknown        --         marked, sent unchanged  marked
    delivered unconfirmed    --         marked                  marked
    voided                   --         replaced, due anew      --

A mark is `voided_at` or `changed_at`: the platform has no call that takes a report back, so reconciliation names it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import Connection, and_, bindparam, delete, insert, or_, select, update

from card_usage.config.keyring import Sealed
from card_usage.events import CardUse, Finding
from card_usage.ledger.bulk import among, insert_many
from card_usage.ledger.schema import event, feed_window, finding
from card_usage.ledger.upsert import insert_into
from card_usage.staging import unchanged_hours

REPLACEABLE: Final = frozenset({"ready", "held", "quarantined", "rejected", "voided"})
VOIDABLE: Final = frozenset({"ready", "held", "quarantined"})


class Draft(NamedTuple):
    """One card use as staging sees it now. `seal` makes its sealed part, called only if it has to be written."""

    key: str
    source_id: str
    day: date
    card_use: CardUse
    department_name: str | None
    status: Literal["ready", "quarantined", "voided"]
    digest: str
    request_id: str
    findings: tuple[Finding, ...]
    seal: Callable[[], Sealed | None]


class Known(NamedTuple):
    """What the ledger holds of an event that staging meets again."""

    id: int
    key: str
    status: str
    digest: str
    occurred_at: datetime | None
    voided: bool
    changed: bool
    plain: tuple[Any, ...]


_PLAIN: Final = ("scene", "department", "department_name", "card_type", "channel", "cost_type")


def known(connection: Connection, keys: Sequence[str]) -> dict[str, Known]:
    """The events of these keys that the ledger has."""
    columns = (
        event.c.id,
        event.c.key,
        event.c.status,
        event.c.digest,
        event.c.occurred_at,
        event.c.voided_at,
        event.c.changed_at,
    )
    found: dict[str, Known] = {}
    query = select(*columns, *(event.c[name] for name in _PLAIN)).where(among(connection, event.c.key, keys))
    for of_id, key, status, digest, occurred_at, voided_at, changed_at, *plain in connection.execute(query):
        marks = (voided_at is not None, changed_at is not None)
        found[key] = Known(of_id, key, status, digest, occurred_at, *marks, tuple(plain))
    return found


class Change(StrEnum):
    """What one draft means for the ledger."""

    NEW = "new"
    UNCHANGED = "unchanged"
    REPLACED = "replaced"
    VOIDED = "voided"
    VOIDED_LATE = "voided_late"  # after it was sent: marked
    CHANGED_LATE = "changed_late"  # after it was sent: marked
    UNVOIDED = "unvoided"  # the refund was itself taken back: the mark is no longer true
    RESTORED = "restored"  # the change was itself taken back
    UNVOIDED_CHANGED = "unvoided_changed"
    UNVOIDED_RESTORED = "unvoided_restored"


_MARKS: Final = {
    Change.VOIDED_LATE: (("voided_at", True),),
    Change.CHANGED_LATE: (("changed_at", True),),
    Change.UNVOIDED: (("voided_at", False),),
    Change.RESTORED: (("changed_at", False),),
    Change.UNVOIDED_CHANGED: (("voided_at", False), ("changed_at", True)),
    Change.UNVOIDED_RESTORED: (("voided_at", False), ("changed_at", False)),
}


def compare(one: Known | None, draft: Draft) -> Change:
    """The table at the top of this file."""
    if one is None:
        return Change.NEW
    if draft.status == "voided":
        if one.status in VOIDABLE:
            return Change.VOIDED
        return Change.UNCHANGED if one.status == "voided" or one.voided else Change.VOIDED_LATE
    if one.status == "voided" or (draft.digest != one.digest and one.status in REPLACEABLE):
        return Change.REPLACED
    differs = draft.digest != one.digest
    if differs == one.changed:
        return Change.UNVOIDED if one.voided else Change.UNCHANGED
    if differs:
        return Change.UNVOIDED_CHANGED if one.voided else Change.CHANGED_LATE
    return Change.UNVOIDED_RESTORED if one.voided else Change.RESTORED


class Taken(NamedTuple):
    """What taking in a batch came to.

    `counts`: read, new, unchanged, changed, voided, marked, duplicate, quarantined. `differing`: keys of events that
    the ledger held otherwise than the batch says, or still does.
    """

    counts: Counter[str]
    differing: set[str]


def take_in(
    connection: Connection, hospital: str, feed: str, drafts: Sequence[Draft], *, lane: int, now: datetime
) -> Taken:
    """Bring one batch in, and forget the hours of events that it changes: they are no longer as they were staged.

    Two runs may stage the same window at once: whoever comes second waits, and finds that nothing changes.
    """
    unchanged_hours.lock(connection, hospital, feed)
    counts: Counter[str] = Counter(read=len(drafts))
    differing: set[str] = set()
    left: set[datetime] = set()
    fresh: dict[str, Draft] = {}
    for draft in drafts:
        if fresh.setdefault(draft.key, draft) is not draft:
            counts["duplicate"] += 1
            differing.add(draft.key)
            if draft.status == "voided":
                fresh[draft.key] = draft  # a refund in either copy counts
    have = known(connection, list(fresh)) if fresh else {}
    new: list[Draft] = []
    replaced: list[tuple[int, Draft]] = []
    voided: list[int] = []
    marks: dict[tuple[str, bool], list[int]] = {}
    plain: list[dict[str, Any]] = []
    for key, draft in fresh.items():
        one = have.get(key)
        if one is None:
            new.append(draft)
            continue
        change = compare(one, draft)
        if change is Change.UNCHANGED:
            counts["unchanged"] += 1
            if not _agrees(one, draft):
                differing.add(key)
            if draft.status != "voided" and one.plain != _plain(draft):
                # Only what is not sent differs (say, the department of a payment): follow the HIS.
                plain.append({"of_id": one.id, **dict(zip(_PLAIN, _plain(draft), strict=True))})
            continue
        differing.add(key)
        if one.occurred_at is not None:
            left.add(unchanged_hours.floor(one.occurred_at))
        if change is Change.REPLACED:
            replaced.append((one.id, draft))
        elif change is Change.VOIDED:
            voided.append(one.id)
        else:
            counts["marked"] += 1
            for mark in _MARKS[change]:
                marks.setdefault(mark, []).append(one.id)
    _insert(connection, hospital, feed, new, lane=lane, now=now)
    _replace(connection, replaced, now=now)
    if voided:
        counts["voided"] += void(connection, voided, now=now)
    for (column, present), ids in marks.items():
        connection.execute(update(event).where(event.c.id.in_(ids)).values({column: now if present else None}))
    if plain:
        connection.execute(_update_plain, plain)
    counts["new"] += len(new)
    counts["changed"] += len(replaced)
    states = Counter([draft.status for draft in new])
    counts["voided"] += states["voided"]
    counts["quarantined"] += states["quarantined"]
    counts["quarantined"] += sum(draft.status == "quarantined" for _, draft in replaced)
    unchanged_hours.forget(connection, hospital, feed, left)
    return Taken(counts, differing)


def _agrees(one: Known, draft: Draft) -> bool:
    """Whether an unchanged event stays so whatever a delivery does with it, as long as the HIS says the same."""
    return one.digest == draft.digest and (draft.status != "voided" or one.status in {"voided", "delivered"})


def _plain(draft: Draft) -> tuple[Any, ...]:
    _, scene, department, card_type, channel, cost_type, *_ = draft.card_use
    return (scene, department, draft.department_name, card_type, channel, cost_type)


_update_plain = update(event).where(event.c.id == bindparam("of_id")).values({name: bindparam(name) for name in _PLAIN})
_replaced_columns = (
    *_PLAIN,
    "day",
    "occurred_at",
    "status",
    "reason",
    "digest",
    "request_id",
    "key_id",
    "sealed",
    "staged_at",
)
_update_replaced = (
    update(event)
    # Not `in_`, whose list of parameters does not go with many rows at once.
    .where(event.c.id == bindparam("of_id"), or_(*(event.c.status == state for state in sorted(REPLACEABLE))))
    .values(
        {name: bindparam(name) for name in _replaced_columns}
        | {"generation": 0, "attempts": 0, "due_at": None, "result_code": None, "settled_at": None}
        | {"voided_at": None, "changed_at": None, "vanished_at": None}
    )
)


def _row(draft: Draft, now: datetime) -> tuple[Any, ...]:
    """Values of `_replaced_columns`."""
    _, _, day, use, _, status, digest, request_id, findings, seal = draft
    critical = next((one.rule for one in findings if one.severity == "critical"), None) if findings else None
    key_id, blob = seal() or (None, None)
    return (*_plain(draft), day, use.occurred_at, status, critical, digest, request_id, key_id, blob, now)


def _insert(connection: Connection, hospital: str, feed: str, drafts: list[Draft], *, lane: int, now: datetime) -> None:
    if not drafts:
        return
    columns = ("key", "hospital", "feed", "source_id", "lane", "voided_at", *_replaced_columns)
    rows = [
        (draft.key, hospital, feed, draft.source_id, lane, now if draft.status == "voided" else None, *_row(draft, now))
        for draft in drafts
    ]
    insert_many(connection, event, columns, rows)
    found = {draft.key: draft.findings for draft in drafts if draft.findings}
    if found:
        ids = select(event.c.id, event.c.key).where(among(connection, event.c.key, list(found)))
        _write_findings(connection, {row.id: found[row.key] for row in connection.execute(ids)})


def _replace(connection: Connection, replaced: list[tuple[int, Draft]], *, now: datetime) -> None:
    if not replaced:
        return
    rows = [
        {"of_id": of_id, **dict(zip(_replaced_columns, _row(draft, now), strict=True))} for of_id, draft in replaced
    ]
    connection.execute(_update_replaced, rows)
    _write_findings(connection, {of_id: draft.findings for of_id, draft in replaced})


def _write_findings(connection: Connection, found: Mapping[int, tuple[Finding, ...]]) -> None:
    connection.execute(delete(finding).where(finding.c.event_id.in_(list(found))))
    rows = [
        {
            "event_id": event_id,
            "position": position,
            "rule": one.rule,
            "field": one.field,
            "severity": one.severity,
            "code_table": one.table,
            "code": one.code,
        }
        for event_id, findings in found.items()
        for position, one in enumerate(findings)
    ]
    if rows:
        connection.execute(insert(finding), rows)


def void(connection: Connection, ids: list[int], *, now: datetime) -> int:
    """Refunded before they were sent; returns how many moved, for one may have been claimed meanwhile."""
    query = update(event).where(event.c.id.in_(ids), event.c.status.in_(sorted(VOIDABLE)))
    values = {"status": "voided", "voided_at": now, "settled_at": now, "key_id": None, "sealed": None, "reason": None}
    connection.execute(delete(finding).where(finding.c.event_id.in_(ids)))
    return connection.execute(query.values(values)).rowcount


def open_window(connection: Connection, *, hospital: str, feed: str, start: datetime, end: datetime) -> None:
    """Note that a feed's window is being staged: it stays open, seen by everybody, if that fails."""
    named = {"hospital": hospital, "feed": feed, "start": start, "end": end, "status": "open"}
    connection.execute(insert_into(connection, feed_window).values(named).on_conflict_do_nothing())


def record_window(
    connection: Connection,
    *,
    hospital: str,
    feed: str,
    start: datetime,
    end: datetime,
    status: Literal["provisional", "closed"],
    source_rows: int,
    now: datetime,
    repeated_rows: int = 0,
) -> None:
    """Note that a feed's window was staged, and whether the HIS can still add to it.

    A closed window closes the parts of it that were open (the hours of a day).
    """
    of_feed = and_(feed_window.c.hospital == hospital, feed_window.c.feed == feed)
    same = and_(of_feed, feed_window.c.start == start, feed_window.c.end == end)
    closed_at = now if status == "closed" else None
    counted = {"source_rows": source_rows, "repeated_rows": repeated_rows}
    values = {"status": status, **counted, "staged_at": now, "closed_at": closed_at}
    if connection.execute(update(feed_window).where(same).values(values)).rowcount == 0:
        named = {"hospital": hospital, "feed": feed, "start": start, "end": end}
        connection.execute(insert(feed_window).values(**named, **values))
    if status == "closed":
        inside = and_(of_feed, feed_window.c.start >= start, feed_window.c.end <= end, feed_window.c.status != "closed")
        connection.execute(update(feed_window).where(inside).values(status="closed", closed_at=now))


def reopen_windows(connection: Connection, hospital: str, start: datetime, end: datetime) -> int:
    """Make closed windows that touch this time provisional again: the replica has fallen behind what it once showed."""
    touching = and_(feed_window.c.start < end, feed_window.c.end > start, feed_window.c.status == "closed")
    query = update(feed_window).where(feed_window.c.hospital == hospital, touching)
    return connection.execute(query.values(status="provisional", closed_at=None)).rowcount


class OpenWindow(NamedTuple):
    """A feed's window that is not closed (local edges)."""

    feed: str
    start: datetime
    end: datetime
    status: str


def open_windows(connection: Connection, hospital: str, start: datetime, end: datetime) -> list[OpenWindow]:
    """Windows that touch this time and are not closed: staged too early, or not to the end. Oldest first."""
    columns = feed_window.c
    query = select(columns.feed, columns.start, columns.end, columns.status).where(
        columns.hospital == hospital, columns.start < end, columns.end > start, columns.status != "closed"
    )
    return [OpenWindow._make(row) for row in connection.execute(query.order_by(columns.start, columns.feed))]
