"""Changes: what the ledger says otherwise than a day's pack, and whether that left a trace."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Connection

from card_usage.evidence.chain import Link
from card_usage.evidence.pack import Live, Row, digest_of, link_text, live, read


class Change(NamedTuple):
    """A row that is not as it was sealed. `how` is one of BROKEN or GROWN."""

    day: date
    key: str
    how: str


BROKEN: Final = (
    "row is gone",
    "row has no trace of its coming",
    "row was not written by us",
    "call was not written by us",
    "figure was not written by us",
    "sums do not agree",
    "report is gone",
    "report was replaced",
    "calls were changed",
    "state changed without a call",
    "content changed without staging",
    "sealed line cannot be read",
    "pack was changed",
    "pack is gone",
)
GROWN: Final = ("staged later", "called again", "under way", "marked by reconciliation", "decided to be sent again")
_OPEN: Final = ("ready", "held", "in_flight", "unknown")


def judge(day: date, sealed: Row | None, now: Live | None, sealed_at: datetime) -> Change | None:
    """What a difference between a sealed row and the ledger's is; None: there is none.

    Pure. A later change must leave its trace: calls only at the end, staging after the seal, a mark.
    """
    if now is None:
        return None if sealed is None else Change(day, sealed.key, "row is gone")
    row = now.row
    if now.forged is not None:
        return Change(day, row.key, now.forged)
    staged_later = now.staged_at > sealed_at
    unproved = row.state == "delivered" and not now.proved
    if sealed is None:
        return Change(
            day, row.key, "staged later" if staged_later and not unproved else "row has no trace of its coming"
        )
    if row == sealed:
        return None
    return Change(day, row.key, _how(sealed, now, sealed_at, staged_later=staged_later, unproved=unproved))


def _how(sealed: Row, now: Live, sealed_at: datetime, *, staged_later: bool, unproved: bool) -> str:
    row = now.row
    new_calls = now.called_at[sealed.attempts :]
    forged = sealed.state != "in_flight" and any(at <= sealed_at for at in new_calls)
    same_start = not sealed.attempts or now.chains[sealed.attempts - 1 : sealed.attempts] == (sealed.chain,)
    if not same_start or forged:
        return "calls were changed"
    if unproved:
        return "state changed without a call"
    if staged_later:
        return "staged later"
    if row.content != sealed.content:
        return "content changed without staging"
    if new_calls:
        return "called again"
    if row.generation > sealed.generation and row.state in _OPEN:
        return "decided to be sent again"
    if (row.request_id, row.generation) == (sealed.request_id, sealed.generation):
        if row.state == sealed.state:
            return "marked by reconciliation"
        if row.state in _OPEN and sealed.state in _OPEN:
            return "under way"
        # Refunded before it was sent: the mark is the trace.
        if row.state == "voided" and "v" in row.marks and sealed.state in (*_OPEN, "quarantined"):
            return "marked by reconciliation"
    return "state changed without a call"


def changes(connection: Connection, folder: Path, link: Link) -> Iterator[Change]:
    """What a day's pack and the ledger do not agree about: a merge of two streams in the order of their keys."""
    path = link.path(folder)
    if not path.is_file():
        yield Change(link.day, "-", "pack is gone")
        return
    digest = digest_of(path)
    if digest != link.digest or link_text(path) not in (None, link.text):
        # What it says of single rows is no longer worth anything, and is told all the same.
        yield Change(link.day, "-", "pack was changed")
        if digest is None:
            return
    ours = live(connection, link.hospital, link.day)
    now = next(ours, None)
    last = ""
    for sealed in read(path):
        if sealed is None or sealed.key <= last:
            yield Change(link.day, "-" if sealed is None else sealed.key, "sealed line cannot be read")
            continue
        last = sealed.key
        while now is not None and now.row.key < sealed.key:
            if change := judge(link.day, None, now, link.at):
                yield change
            now = next(ours, None)
        same = now if now is not None and now.row.key == sealed.key else None
        if change := judge(link.day, sealed, same, link.at):
            yield change
        if same is not None:
            now = next(ours, None)
    while now is not None:
        if change := judge(link.day, None, now, link.at):
            yield change
        now = next(ours, None)
