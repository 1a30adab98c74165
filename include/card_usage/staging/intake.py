"""Intake: brings a batch of drafts into the ledger, as `changes` decides. The same rows again change nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, case, delete, insert, select, update

from card_usage.errors import DayKeyClosed
from card_usage.events import Finding, request_id
from card_usage.ledger import sealed_parts
from card_usage.ledger.bulk import among, insert_many
from card_usage.ledger.macs import mac_events_again, made
from card_usage.ledger.schema import CONTENT_LOST, event, finding
from card_usage.staging import late_changes, unchanged_hours
from card_usage.staging.changes import (
    MARKS,
    PLAIN_COLUMNS,
    VOIDABLE,
    Change,
    Mark,
    StoredEvent,
    compare,
    days_text,
    same_content,
    stored_events,
)
from card_usage.staging.drafts import Draft, Drafter
from card_usage.staging.late_changes import changed_fields


class Taken(NamedTuple):
    """What taking in a batch came to.

    `counts`: read, new, unchanged, changed, voided, marked, duplicate, quarantined. `differing`: keys of events that
    the ledger has otherwise than the batch says, or still does. `put_off`: drafts that would take a refund back.
    """

    counts: Counter[str]
    differing: set[str]
    put_off: list[Draft]


def take_in(
    connection: Connection,
    hospital: str,
    feed: str,
    drafts: Sequence[Draft],
    *,
    lane: int,
    now: datetime,
    put_off: bool = False,
    drafter: Drafter | None = None,
) -> Taken:
    """Bring one batch in, and forget the hours of events that it changes: they are no longer as they were staged.

    `drafter`: of these drafts; with it, the fields are kept in which sent events are otherwise now. `put_off`: leave a
    draft out that would take back a refund that the ledger holds, and hand it back: another copy of the row, later in
    the window, may say that it is refunded all the same.

    Two runs may stage the same window at once: whoever comes second waits, and finds that nothing changes. Raises
    DayKeyClosed if a key of these drafts was closed since they were drafted.
    """
    unchanged_hours.lock(connection, hospital, feed)
    unique, duplicates = _without_duplicates(drafts)
    stored = stored_events(connection, list(unique)) if unique else {}
    waiting = [unique.pop(key) for key in [*unique] if put_off and _takes_refund_back(stored.get(key), unique[key])]
    writes = _sort_out(unique, stored)
    _check_keys(connection, hospital, {draft.key_id for draft in writes.drafts})
    voided = _write(connection, hospital, feed, writes, lane=lane, now=now)
    if drafter is not None and writes.changed_late:
        fields = {stored.id: changed_fields(drafter, draft, stored) for stored, draft in writes.changed_late}
        late_changes.record(connection, fields, now=now)
    unchanged_hours.forget(connection, hospital, feed, writes.changed_hours)
    counts = writes.counts()
    read = len(drafts) - len(waiting)
    counts.update(read=read, duplicate=read - len(unique) + writes.of_other_days, voided=voided)
    return Taken(counts, writes.differing | duplicates | {draft.key for draft in waiting}, waiting)


def _takes_refund_back(stored: StoredEvent | None, draft: Draft) -> bool:
    if stored is None or draft.status == "voided" or stored.stands_elsewhere(draft):
        return False
    return stored.voided or stored.status == "voided"


def _check_keys(connection: Connection, hospital: str, keys: set[str]) -> None:
    """Behind the lock, so that no key is closed between here and the commit."""
    if (key_id := sealed_parts.closed(connection, hospital, keys)) is not None:
        raise DayKeyClosed(key_id=key_id)


def _without_duplicates(drafts: Sequence[Draft]) -> tuple[dict[str, Draft], set[str]]:
    """One draft a key, and the keys of which there were several. A refund in either copy counts."""
    unique: dict[str, Draft] = {}
    duplicates: set[str] = set()
    for draft in drafts:
        if unique.setdefault(draft.key, draft) is not draft:
            duplicates.add(draft.key)
            if draft.status == "voided":
                unique[draft.key] = draft
    return unique, duplicates


_OTHERWISE: Final = (Change.CHANGED_LATE, Change.UNVOIDED_CHANGED)


@dataclass(kw_only=True, slots=True)
class _Writes:
    """What a batch has to write, by kind of statement."""

    new: list[Draft] = field(default_factory=list)
    replaced: list[tuple[StoredEvent, Draft]] = field(default_factory=list)
    voided: list[int] = field(default_factory=list)
    marked: dict[Mark, list[int]] = field(default_factory=dict)
    recovered: list[tuple[StoredEvent, Draft, bool]] = field(default_factory=list)
    """With whether the HIS has changed it since it was sent."""
    plain: list[dict[str, Any]] = field(default_factory=list)
    """Values of columns that are not sent, of events that else stay as they are."""
    changed_late: list[tuple[StoredEvent, Draft]] = field(default_factory=list)
    """Sent events that are otherwise now, marked before or not."""
    unchanged: int = 0
    only_marked: int = 0
    refunded_elsewhere: list[tuple[int, Draft]] = field(default_factory=list)
    """Of `voided`: events that go to the day of their refund."""
    refunds: list[tuple[StoredEvent, frozenset[date]]] = field(default_factory=list)
    """Sent events, and the days that say now that they are refunded."""
    of_other_days: int = 0
    """Rows whose key the ledger has in another day."""
    differing: set[str] = field(default_factory=set)
    changed_hours: set[datetime] = field(default_factory=set)

    @property
    def drafts(self) -> list[Draft]:
        """Those that are written whole."""
        again = [draft for _, draft in self.replaced] + [draft for _, draft, _ in self.recovered]
        return self.new + again

    def add_stored(self, stored: StoredEvent, draft: Draft) -> None:
        """An event that the ledger holds already."""
        if stored.was_sent:
            stored = self._known_refund(stored, draft)
        if stored.stands_elsewhere(draft):
            self.of_other_days += 1
            self.differing.add(stored.key)
            return
        change = compare(stored, draft)
        if change is Change.REPLACED and stored.was_sent and stored.refund_days_with(draft) - {draft.day}:
            # Refused, mended, and refunded in another day: nothing to send again.
            self.only_marked += 1
            self.differing.add(stored.key)
            return
        if change in _OTHERWISE or (change is Change.UNCHANGED and stored.changed and draft.status != "voided"):
            self.changed_late.append((stored, draft))
        if change is Change.UNCHANGED:
            self._add_unchanged(stored, draft)
            return
        if change in (Change.RECOVERED, Change.RECOVERED_CHANGED):
            self.recovered.append((stored, draft, change is Change.RECOVERED_CHANGED))
        self.differing.add(stored.key)
        if stored.occurred_at is not None:
            self.changed_hours.add(unchanged_hours.floor(stored.occurred_at))
        if change is Change.REPLACED:
            self.replaced.append((stored, draft))
        elif change is Change.VOIDED:
            self.voided.append(stored.id)
            if stored.is_of_another_day(draft):
                self.refunded_elsewhere.append((stored.id, draft))
        elif change is Change.RECOVERED:
            self.unchanged += 1
        elif change is Change.RECOVERED_CHANGED:
            self.only_marked += 1
        else:
            self.only_marked += 1
            for mark in MARKS[change]:
                self.marked.setdefault(mark, []).append(stored.id)

    def _known_refund(self, stored: StoredEvent, draft: Draft) -> StoredEvent:
        """Note what this copy says of the refund of a sent event; returns the event so that its own day decides no more
        about the mark than the days together do."""
        days = stored.refund_days_with(draft)
        if days != stored.refund_days and (
            stored.is_of_another_day(draft) or (days | stored.refund_days) - {stored.day}
        ):
            # Not its own day alone, which `compare` looks after.
            self.refunds.append((stored, days))
            self.differing.add(stored.key)
        if stored.is_of_another_day(draft):
            return stored
        if days - {draft.day}:
            return stored._replace(voided=draft.status == "voided")
        return stored

    def _add_unchanged(self, stored: StoredEvent, draft: Draft) -> None:
        self.unchanged += 1
        if not _stays_unchanged(stored, draft):
            self.differing.add(stored.key)
        if draft.status != "voided" and stored.plain != (values := _plain_values(draft)):
            # Only what is not sent differs (say, the department of a payment): follow the HIS.
            self.plain.append({"event_id": stored.id, **dict(zip(PLAIN_COLUMNS, values, strict=True))})

    def counts(self) -> Counter[str]:
        """Rows by what became of them; those that are voided before they were sent are counted when written."""
        states = Counter([draft.status for draft in self.new])
        changed = [draft for stored, draft in self.replaced if not _only_keyed_anew(stored, draft)]
        return Counter(
            new=len(self.new),
            changed=len(changed),
            unchanged=self.unchanged + len(self.replaced) - len(changed),
            marked=self.only_marked,
            voided=states["voided"],
            quarantined=states["quarantined"] + sum(draft.status == "quarantined" for draft in changed),
        )


def _sort_out(drafts: Mapping[str, Draft], stored: Mapping[str, StoredEvent]) -> _Writes:
    writes = _Writes()
    add_new, stored_as = writes.new.append, stored.get
    for key, draft in drafts.items():
        stored_event = stored_as(key)
        if stored_event is None:
            add_new(draft)
        else:
            writes.add_stored(stored_event, draft)
    return writes


def _write(connection: Connection, hospital: str, feed: str, writes: _Writes, *, lane: int, now: datetime) -> int:
    """Execute them; returns how many events were voided."""
    _insert(connection, hospital, feed, writes.new, lane=lane, now=now)
    _replace(connection, writes.replaced, now=now)
    _recover(connection, writes.recovered, now=now)
    voided = void(connection, writes.voided, now=now) if writes.voided else 0
    for event_id, draft in writes.refunded_elsewhere:
        moved = {"day": draft.day, "occurred_at": draft.card_use.occurred_at}
        # Unless a delivery has claimed it meanwhile.
        connection.execute(update(event).where(event.c.id == event_id, event.c.status == "voided").values(moved))
    for mark, ids in writes.marked.items():
        value = now if mark.present else None
        connection.execute(update(event).where(event.c.id.in_(ids)).values({mark.column: value}))
    for stored, days in writes.refunds:
        values = {"refund_days": days_text(days, stored.day), "voided_at": now if days else None}
        kept = {} if bool(days) == stored.voided else {"voided_at": values["voided_at"]}
        connection.execute(
            update(event).where(event.c.id == stored.id).values({"refund_days": values["refund_days"]} | kept)
        )
    if writes.plain:
        connection.execute(_UPDATE_PLAIN, writes.plain)
    return voided


def _only_keyed_anew(stored: StoredEvent, draft: Draft) -> bool:
    """Whether an event is replaced for no other reason than that its digest's key is no more: all that can be compared
    is as it was."""
    return (
        same_content(stored, draft) is None
        and stored.status == draft.status
        and stored.occurred_at == draft.card_use.occurred_at
        and stored.plain == _plain_values(draft)
    )


def _stays_unchanged(stored: StoredEvent, draft: Draft) -> bool:
    """Whether an unchanged event stays so whatever a delivery does with it, as long as the HIS says the same."""
    if draft.status == "voided" and stored.status not in {"voided", "delivered"}:
        return False
    same = same_content(stored, draft)
    return same is not False or (stored.status == "delivered" and draft.was(stored.digest_key, stored.digest))


def _plain_values(draft: Draft) -> tuple[Any, ...]:
    """Values of `PLAIN_COLUMNS`."""
    _, scene, department, card_type, channel, cost_type, *_ = draft.card_use
    return (scene, department, draft.department_name, card_type, channel, cost_type)


_UPDATE_PLAIN: Final = (
    update(event).where(event.c.id == bindparam("event_id")).values({name: bindparam(name) for name in PLAIN_COLUMNS})
)
_REPLACED_COLUMNS: Final = (
    *PLAIN_COLUMNS,
    "day",
    "occurred_at",
    "status",
    "reason",
    "digest",
    "digest_key",
    "request_id",
    "generation",
    "form",
    "key_id",
    "sealed",
    "staged_at",
    "mac",
)
_UPDATE_REPLACED: Final = (
    update(event)
    # Only as it was read: a delivery may have sent it meanwhile, and a later staging sees what came of it.
    .where(
        event.c.id == bindparam("event_id"),
        event.c.status == bindparam("stored_status"),
        event.c.request_id == bindparam("stored_request_id"),
    )
    .values(
        {name: bindparam(name) for name in _REPLACED_COLUMNS}
        | {"attempts": 0, "due_at": None, "result_code": None, "settled_at": None}
        | {"voided_at": None, "refund_days": None, "changed_at": None, "vanished_at": None}
    )
)


def _row(connection: Connection, draft: Draft, now: datetime, request_id: str, generation: int) -> tuple[Any, ...]:
    """Values of `_REPLACED_COLUMNS`."""
    _, _, day, use, _, status, digest, digest_key, findings, form, seal, *_ = draft
    critical = next((found.rule for found in findings if found.severity == "critical"), None) if findings else None
    key_id, blob = seal() or (None, None)
    sent = (digest, digest_key, request_id, generation, form, key_id, blob)
    sealed = made(connection, "event", draft.key, day, use.occurred_at, use.scene, use.card_type, use.channel, now)
    return (*_plain_values(draft), day, use.occurred_at, status, critical, *sent, now, sealed)


def _row_after(connection: Connection, stored: StoredEvent, draft: Draft, now: datetime) -> tuple[Any, ...]:
    """The same, for an event that the ledger has: what was refused goes on under a new request id."""
    if stored.status != "rejected":
        return _row(connection, draft, now, stored.request_id, stored.generation)
    generation = stored.generation + 1
    return _row(connection, draft, now, request_id(stored.key, generation), generation)


def _insert(connection: Connection, hospital: str, feed: str, drafts: list[Draft], *, lane: int, now: datetime) -> None:
    if not drafts:
        return
    columns = ("key", "hospital", "feed", "source_id", "lane", "voided_at", *_REPLACED_COLUMNS)
    rows = [
        (
            draft.key,
            hospital,
            feed,
            draft.source_id,
            lane,
            now if draft.status == "voided" else None,
            *_row(connection, draft, now, request_id(draft.key, 0), 0),
        )
        for draft in drafts
    ]
    insert_many(connection, event, columns, rows)
    findings = {draft.key: draft.findings for draft in drafts if draft.findings}
    if findings:
        ids = select(event.c.id, event.c.key).where(among(connection, event.c.key, list(findings)))
        _write_findings(connection, {row.id: findings[row.key] for row in connection.execute(ids)})


def _replace(connection: Connection, replaced: list[tuple[StoredEvent, Draft]], *, now: datetime) -> None:
    if not replaced:
        return
    rows = [
        {
            "event_id": stored.id,
            "stored_status": stored.status,
            "stored_request_id": stored.request_id,
            **dict(zip(_REPLACED_COLUMNS, _row_after(connection, stored, draft, now), strict=True)),
        }
        for stored, draft in replaced
    ]
    connection.execute(_UPDATE_REPLACED, rows)
    _write_findings(connection, {stored.id: draft.findings for stored, draft in replaced})


_UPDATE_RECOVERED: Final = (
    update(event)
    .where(
        event.c.id == bindparam("event_id"),
        event.c.status == bindparam("stored_status"),
        event.c.request_id == bindparam("stored_request_id"),
        event.c.key_id.is_(None),
    )
    .values(
        status=case((event.c.reason == CONTENT_LOST, "unknown"), else_=event.c.status),
        settled_at=case((event.c.reason == CONTENT_LOST, None), else_=event.c.settled_at),
        reason=None,
        form=bindparam("new_form"),
        key_id=bindparam("new_key_id"),
        sealed=bindparam("new_sealed"),
        staged_at=bindparam("at", type_=event.c.staged_at.type),
        changed_at=bindparam("changed", type_=event.c.changed_at.type),
        voided_at=case((event.c.refund_days.is_not(None), event.c.voided_at), else_=None),
        vanished_at=None,
    )
)


def _recover(connection: Connection, recovered: list[tuple[StoredEvent, Draft, bool]], *, now: datetime) -> None:
    """Give events of a rebuilt ledger their content back; they keep id, generation, calls and what was sent of them."""
    rows = []
    for stored, draft, differs in recovered:
        key_id, blob = draft.seal() or (None, None)
        rows.append(
            {
                "event_id": stored.id,
                "stored_status": stored.status,
                "stored_request_id": stored.request_id,
                "new_form": draft.form,
                "new_key_id": key_id,
                "new_sealed": blob,
                "at": now,
                "changed": now if differs else None,
            }
        )
    if rows:
        connection.execute(_UPDATE_RECOVERED, rows)
        mac_events_again(connection, [stored.id for stored, *_ in recovered])


def _write_findings(connection: Connection, findings_of: Mapping[int, tuple[Finding, ...]]) -> None:
    """Replace the findings of these events (by id)."""
    connection.execute(delete(finding).where(finding.c.event_id.in_(list(findings_of))))
    rows = [
        {
            "event_id": event_id,
            "position": position,
            "rule": found.rule,
            "field": found.field,
            "severity": found.severity,
            "code_table": found.table,
            "code": found.code,
        }
        for event_id, findings in findings_of.items()
        for position, found in enumerate(findings)
    ]
    if rows:
        connection.execute(insert(finding), rows)


def void(connection: Connection, ids: list[int], *, now: datetime) -> int:
    """Refunded before they were sent; returns how many moved, for one may have been claimed meanwhile."""
    query = update(event).where(event.c.id.in_(ids), event.c.status.in_(sorted(VOIDABLE)))
    values = {"status": "voided", "voided_at": now, "settled_at": now, "key_id": None, "sealed": None, "reason": None}
    connection.execute(delete(finding).where(finding.c.event_id.in_(ids)))
    return connection.execute(query.values(values)).rowcount
