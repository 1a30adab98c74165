"""Late changes: in which fields a sent event is otherwise now at the HIS, by name and never by value.

The ledger has what was sent of codes and time in plain text, of the patient only a keyed digest over all of it. So
codes and time are compared one by one; that something of the patient changed (number, name or QR text, as far as they
are sent) follows when the digest differs although codes and time are put back to what was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from card_usage.ledger.schema import late_change
from card_usage.ledger.upsert import upsert
from card_usage.staging.changes import PLAIN_COLUMNS, StoredEvent
from card_usage.staging.drafts import Draft, Drafter

PATIENT: Final = "patient"
"""The name for any of the patient's fields: which one cannot be told, nor should it."""
FIELDS: Final = ("time", "scene", "department", "card_type", "channel", "cost_type", PATIENT)


def changed_fields(drafter: Drafter, draft: Draft, stored: StoredEvent) -> tuple[str, ...]:
    """Names of `FIELDS` in which the HIS's row differs from the event that was sent."""
    plain = dict(zip(PLAIN_COLUMNS, stored.plain, strict=True))
    department_name = plain.pop("department_name")
    sent = draft.card_use._replace(occurred_at=stored.occurred_at, **plain)
    before = drafter.codes_sent(sent, department_name)
    now = drafter.codes_sent(draft.card_use, draft.department_name)
    fields = ["time"] if draft.card_use.occurred_at != stored.occurred_at else []
    fields += [name for name in FIELDS if (before.get(name) or "") != (now.get(name) or "")]
    if not drafter.sent_as(sent, department_name, stored.digest_key, stored.digest):
        fields.append(PATIENT)
    return tuple(fields)


def record(connection: Connection, changes: Mapping[int, tuple[str, ...]], *, now: datetime) -> None:
    """Keep the fields of these events (by id) in the place of what was kept of them."""
    for event_id, fields in changes.items():
        upsert(connection, late_change, {"event_id": event_id}, {"fields": ",".join(fields), "at": now})
