"""Sealed parts: what becomes of an event whose sealed part does not open, and which data keys are closed.

An event that was never sent, or certainly not accepted, is quarantined under the rule of kind `sealed`: staging takes
its row in anew. One that may have been accepted is left unconfirmed, for somebody to decide. Neither stops another.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, and_, delete, insert, select, update

from card_usage.ledger.schema import event, finding, shredded_key, staged_hour
from card_usage.standard.rules import RULES

UNREADABLE: Final = next(rule for rule in RULES if rule.kind == "sealed").finding()
NO_KEY: Final = "-"
"""In `digest_key`: the digest is to be compared with nothing."""


def closed(connection: Connection, hospital: str, key_ids: Collection[str]) -> str | None:
    """One of these data keys that is closed: nothing may be sealed with it. None: all are open."""
    if not key_ids:
        return None
    of_these = and_(shredded_key.c.hospital == hospital, shredded_key.c.key_id.in_(sorted(key_ids)))
    key_id: str | None = connection.scalar(select(shredded_key.c.key_id).where(of_these).limit(1))
    return key_id


def set_aside(connection: Connection, ids: Sequence[int]) -> None:
    """Quarantine events (claimed or quarantined ones) that the platform certainly does not have."""
    if not ids:
        return
    values = {
        "status": "quarantined",
        "reason": UNREADABLE.rule,
        "digest_key": NO_KEY,
        "form": None,
        "key_id": None,
        "sealed": None,
        "claimed_by": None,
        "due_at": None,
    }
    columns = (event.c.hospital, event.c.feed, event.c.occurred_at)
    rows = connection.execute(update(event).where(event.c.id.in_(ids)).values(values).returning(*columns)).all()
    connection.execute(delete(finding).where(finding.c.event_id.in_(ids)))
    found = {"rule": UNREADABLE.rule, "field": UNREADABLE.field, "severity": UNREADABLE.severity}
    connection.execute(insert(finding), [{"event_id": event_id, "position": 0, **found} for event_id in ids])
    # As `unchanged_hours.forget`: the ledger no longer holds this hour as it was staged.
    hours = {
        (row.hospital, row.feed, row.occurred_at.replace(minute=0, second=0, microsecond=0))
        for row in rows
        if row.occurred_at is not None
    }
    for hospital, feed, hour in hours:
        of = staged_hour.c
        connection.execute(delete(staged_hour).where(of.hospital == hospital, of.feed == feed, of.hour == hour))


def leave_unconfirmed(connection: Connection, ids: Sequence[int], *, now: datetime) -> None:
    """Settle claimed events that the platform may have: nobody can send the same content again."""
    if ids:
        values = {"status": "unconfirmed", "settled_at": now, "key_id": None, "sealed": None, "claimed_by": None}
        connection.execute(update(event).where(event.c.id.in_(ids)).values(values | {"due_at": None}))
