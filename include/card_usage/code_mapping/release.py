"""Release: validates quarantined events again with the present aliases, from the sealed rows in the ledger.

The HIS is not read. One new alias releases every event that waited for it, on all days; each keeps its key, and its
request id is the one that reading the HIS again would give, so nothing is sent twice. Events that a feed returned
outside of their window (`time.window`) are left alone: only reading the HIS again can tell about them.

Promises: repeating it changes nothing; a batch is written whole or not at all, so a run that was stopped can go on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, exists, select, text

from card_usage.config.day_keys import HospitalKeys
from card_usage.config.hospital import Hospital
from card_usage.config.keyring import Sealed
from card_usage.errors import WrongKey
from card_usage.events import SourceRow
from card_usage.ledger import sealed_parts
from card_usage.ledger.database import Ledger
from card_usage.ledger.patient_cards import CardMap
from card_usage.ledger.schema import event, finding
from card_usage.staging.drafts import Draft, Drafter
from card_usage.staging.intake import take_in
from card_usage.standard.aliases import Aliases
from card_usage.standard.code_tables import CodeTable
from card_usage.windows import day_window

_BATCH: Final = 2_000


@dataclass(kw_only=True, slots=True)
class ReleaseResult:
    """What validating again came to, in events. `released` is also counted by scene, department and day.

    `waiting`: still quarantined, by the first rule that they break. `stray`: left alone, outside of their window, or
    without what was sealed of them; `unreadable`: ids of those whose sealed row does not open.
    """

    looked_at: int = 0
    released: int = 0
    stray: int = 0
    unreadable: set[int] = field(default_factory=set)
    scenes: Counter[str] = field(default_factory=Counter)
    departments: Counter[str] = field(default_factory=Counter)
    days: Counter[date] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)

    def summary(self) -> dict[str, object]:
        """Counts only, fit for logs and XCom."""
        return {
            "looked_at": self.looked_at,
            "released": self.released,
            "still_quarantined": self.waiting.total(),
            "stray": self.stray,
            "scenes": dict(self.scenes.most_common()),
            "departments": dict(self.departments.most_common()),
            "days": {str(day): events for day, events in sorted(self.days.items())},
            "waiting": dict(self.waiting.most_common()),
        }


def release(
    ledger: Ledger,
    hospital: Hospital,
    tables: Mapping[str, CodeTable],
    aliases: Aliases,
    first: date,
    last: date,
    *,
    now: datetime,
    write: bool,
) -> ReleaseResult:
    """Validate the quarantined events of these days again; without `write` only count. Raises WrongKey."""
    result = ReleaseResult()
    keys = ledger.day_keys.of(hospital.id)
    cards = CardMap.of(ledger, hospital)
    after = 0
    while True:
        # Read and written in one transaction: a staging run that replaces the event meanwhile comes before or after.
        with ledger.write() if write else ledger.read() as connection:
            rows = _quarantined(connection, hospital.id, first, last, after)
            drafted = list(_drafts(keys, hospital, tables, aliases, cards, rows, result))
            if write:
                sealed_parts.set_aside(connection, [row.id for row in rows if row.id in result.unreadable])
                for feed in {feed for feed, _ in drafted}:
                    drafts = [draft for of, draft in drafted if of == feed]
                    take_in(connection, hospital.id, feed, drafts, lane=0, now=now)
        if not rows:
            return result
        after = rows[-1].id


def _quarantined(connection: Connection, hospital_id: str, first: date, last: date, after: int) -> list[Any]:
    stray = exists().where(finding.c.event_id == event.c.id, finding.c.rule == "time.window")
    query = (
        select(event.c.id, event.c.key, event.c.feed, event.c.day, event.c.key_id, event.c.sealed, stray.label("stray"))
        .where(
            event.c.hospital == hospital_id,
            event.c.day.between(first, last),
            # Written out, not bound: only so does either database see that the partial index fits.
            text("event.status = 'quarantined'"),
            event.c.id > after,
        )
        .order_by(event.c.id)
        .limit(_BATCH)
    )
    return list(connection.execute(query))


def _drafts(
    keys: HospitalKeys,
    hospital: Hospital,
    tables: Mapping[str, CodeTable],
    aliases: Aliases,
    cards: CardMap | None,
    rows: list[Any],
    result: ReleaseResult,
) -> Iterator[tuple[str, Draft]]:
    drafters: dict[str, Drafter] = {}
    for row in rows:
        result.looked_at += 1
        if row.stray or row.sealed is None:
            result.stray += 1
            continue
        drafter = drafters.get(row.feed)
        if drafter is None:
            drafter = drafters[row.feed] = Drafter(hospital, row.feed, tables, aliases, keys)
            drafter.cards = cards
        try:
            values = json.loads(keys.open(Sealed(row.key_id, row.sealed), bound_to=row.key.encode()))
        except WrongKey:
            if not keys.can_open(row.key_id):
                raise
            result.unreadable.add(row.id)
            result.stray += 1
            continue
        draft = drafter.draft(SourceRow._make(values), day_window(row.day))
        if draft.status == "ready":
            result.released += 1
            result.scenes[draft.card_use.scene or ""] += 1
            result.departments[draft.card_use.department or ""] += 1
            result.days[row.day] += 1
        else:
            rule = next((finding.rule for finding in draft.findings if finding.severity == "critical"), "")
            result.waiting[rule] += 1
        yield row.feed, draft
