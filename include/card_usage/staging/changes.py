"""Changes: what a draft means for the ledger, compared with the event that the ledger holds. Nothing is written here.

    stored as                the HIS now says
                             the same   changed                 voided
    (not stored)             --         new row                 new row, voided
    ready held quarantined   --         replaced, due anew      voided: never sent
    rejected                 --         replaced, due anew      marked
    in_flight unknown        --         marked, sent as it was  marked
    delivered unconfirmed    --         marked                  marked
    voided                   --         replaced, due anew      --

What is replaced keeps its request id, for the platform certainly accepted nothing under it; only a refused event gets a
new one. What is unknown may have been accepted: the platform must not be given other content under the same id.

"The same" is what was sent: where only the settings differ by which optional fields are sent, an event that was sent
has not changed in the HIS. One that is still to be sent follows the settings.

An event of a ledger that was rebuilt (evidence/rebuild.py) has its request id, its state and no content: one that was
refused, or whose outcome nobody can say, gets its content back here, and goes on where it was.

One key in two days is one event: it stays in the day that was staged first, and what the other day says of it changes
nothing, so that the days may be staged in any order, again and again; a comparison lists it on the other day as
`moved_here`. Two things count in another day all the same: that the HIS no longer has it in the first one
(`vanished_at`), and a refund: an event that was not sent is then voided and stands in the day of the refund. One that
was sent is refunded as long as any day's copy says so: which ones do is kept (`refund_days`), so that it does not
matter which was staged last.

What has a digest by a key that is no more is compared by key and state alone: it is as it was, nothing new is marked.
One that was never sent is replaced, for it cannot be sent either; it counts as unchanged if all that can be compared
is as it was.

A mark is `voided_at` or `changed_at`: the platform has no call that takes a report back, so reconciliation names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import Connection, select

from card_usage.ledger.bulk import among
from card_usage.ledger.schema import event
from card_usage.staging.drafts import Draft

REPLACEABLE: Final = frozenset({"ready", "held", "quarantined", "rejected", "voided"})
VOIDABLE: Final = frozenset({"ready", "held", "quarantined"})
_MOST_DAYS: Final = 11
_KEEP_CONTENT: Final = frozenset({"rejected", "unconfirmed"})


class StoredEvent(NamedTuple):
    """What the ledger holds of an event that staging meets again. `plain`: values of `PLAIN_COLUMNS`."""

    id: int
    key: str
    status: str
    digest: str
    request_id: str
    generation: int
    occurred_at: datetime | None
    voided: bool
    changed: bool
    content_lost: bool
    plain: tuple[Any, ...]
    digest_key: str | None = None
    day: date | None = None
    vanished: bool = False
    refund_days: frozenset[date] = frozenset()

    @property
    def was_sent(self) -> bool:
        """Whether a refund only marks it."""
        return self.status not in VOIDABLE and self.status != "voided"

    def stands_elsewhere(self, draft: Draft) -> bool:
        """Whether the draft is the copy of another day, which decides nothing but whether a sent event is refunded."""
        if not self.is_of_another_day(draft):
            return False
        return self.was_sent or draft.status != "voided" or self.status == "voided"

    def refund_days_with(self, draft: Draft) -> frozenset[date]:
        """The days that say refunded once this copy is known. A day that no longer has the key says nothing."""
        said = self.refund_days - {self.day} if self.vanished else self.refund_days
        return said | {draft.day} if draft.status == "voided" else said - {draft.day}

    def is_of_another_day(self, draft: Draft) -> bool:
        """Whether the HIS has the key in two days, as far as is known."""
        return self.day is not None and self.day != draft.day and not self.vanished


PLAIN_COLUMNS: Final = ("scene", "department", "department_name", "card_type", "channel", "cost_type")
"""Columns in plain text. Not all of them are sent, so equal digests do not say that these are equal."""


def stored_events(connection: Connection, keys: Sequence[str]) -> dict[str, StoredEvent]:
    """The events of these keys that the ledger has."""
    columns = [event.c[name] for name in ("id", "key", "status", "digest", "request_id", "generation")]
    columns += [event.c[name] for name in ("occurred_at", "voided_at", "changed_at", "key_id", "digest_key")]
    columns += [event.c[name] for name in ("day", "vanished_at", "refund_days", *PLAIN_COLUMNS)]
    events: dict[str, StoredEvent] = {}
    query = select(*columns).where(among(connection, event.c.key, keys))
    for row in connection.execute(query):
        *first, status, digest, request_id, generation, at, voided_at, changed_at, key_id = row[:10]
        digest_key, day, vanished_at, refund_days = row[10:14]
        event_id, key = first
        content_lost = key_id is None and status in _KEEP_CONTENT
        marks = (voided_at is not None, changed_at is not None, content_lost)
        known = (event_id, key, status, digest, request_id, generation, at, *marks, tuple(row[14:]))
        refunded = days_of(refund_days) if refund_days else frozenset((day,)) if voided_at else frozenset()
        events[key] = StoredEvent(*known, digest_key, day, vanished_at is not None, refunded)
    return events


def days_of(text: str) -> frozenset[date]:
    """Days as the column `refund_days` has them."""
    return frozenset(map(date.fromisoformat, text.split(",")))


def days_text(days: frozenset[date], own: date | None) -> str | None:
    """The inverse; None: nothing that `voided_at` does not say."""
    return ",".join(sorted(map(str, days))[:_MOST_DAYS]) if days - {own} else None


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
    RECOVERED = "recovered"  # its content was lost with a ledger
    RECOVERED_CHANGED = "recovered_changed"


class Mark(NamedTuple):
    """A mark to set (`present`) or to remove."""

    column: Literal["voided_at", "changed_at"]
    present: bool


MARKS: Final[Mapping[Change, tuple[Mark, ...]]] = {
    Change.VOIDED_LATE: (Mark("voided_at", True),),
    Change.CHANGED_LATE: (Mark("changed_at", True),),
    Change.UNVOIDED: (Mark("voided_at", False),),
    Change.RESTORED: (Mark("changed_at", False),),
    Change.UNVOIDED_CHANGED: (Mark("voided_at", False), Mark("changed_at", True)),
    Change.UNVOIDED_RESTORED: (Mark("voided_at", False), Mark("changed_at", False)),
}
"""The marks of the changes that only mark."""


def same_content(stored: StoredEvent, draft: Draft) -> bool | None:
    """Whether the digests are of the same content; None: the stored one's key is no more."""
    now = draft.digest if draft.key_id == stored.digest_key else draft.digest_by(stored.digest_key)
    return None if now is None else now == stored.digest


def compare(stored: StoredEvent | None, draft: Draft) -> Change:
    """The table at the top of this file."""
    if stored is None:
        return Change.NEW
    if draft.status == "voided":
        if stored.status in VOIDABLE:
            return Change.VOIDED
        return Change.UNCHANGED if stored.status == "voided" or stored.voided else Change.VOIDED_LATE
    same = same_content(stored, draft)
    if same is None:
        if stored.status in VOIDABLE:
            return Change.REPLACED
        differs = stored.changed
    else:
        differs = not same and (stored.status in VOIDABLE or not draft.was(stored.digest_key, stored.digest))
    if stored.status == "voided" or (same is not None and differs and stored.status in REPLACEABLE):
        return Change.REPLACED
    if stored.content_lost and draft.status == "ready":
        return Change.RECOVERED_CHANGED if differs else Change.RECOVERED
    if differs == stored.changed:
        return Change.UNVOIDED if stored.voided else Change.UNCHANGED
    if differs:
        return Change.UNVOIDED_CHANGED if stored.voided else Change.CHANGED_LATE
    return Change.UNVOIDED_RESTORED if stored.voided else Change.RESTORED
