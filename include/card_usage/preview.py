"""Preview: what reporting a range of days would send, and how long that takes. Reads HIS and ledger, writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Final

from sqlalchemy import Connection, func, select

from card_usage.config.hospital import Platform
from card_usage.delivery import quota
from card_usage.events import SourceRow
from card_usage.ledger.schema import OPEN, deliverer, event
from card_usage.staging.changes import Change, compare, known
from card_usage.staging.drafts import Drafter
from card_usage.windows import Window

# Calls a second assumed of a hospital without a limit of its own and without a delivery on record.
ASSUMED_PER_SECOND: Final = 50.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """How long `calls` take. `days` platform days, the last of them `finish`, if the hospital is rationed (else None);
    `seconds` of sending at `per_second`."""

    calls: int
    days: int | None
    finish: date | None
    never: bool
    per_second: float
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What the days hold, in events: `new` ones would be sent, as would `due` ones that the ledger already has."""

    window: str
    read: int
    new: int
    due: int
    delivered: int
    quarantined: int
    changed_since_delivery: int
    voided: int
    undecided: int
    forecast: Forecast

    def summary(self) -> dict[str, object]:
        """Counts only, fit for logs and XCom."""
        return asdict(self)


def look(connection: Connection, drafter: Drafter, batches: Iterable[list[SourceRow]], window: Window) -> Counter[str]:
    """Compare one feed's rows with the ledger. Counts by fate: the integer fields of Preview."""
    counts: Counter[str] = Counter()
    for batch in batches:
        drafts = {draft.key: draft for draft in (drafter.draft(row, window) for row in batch)}
        have = known(connection, list(drafts))
        for key, draft in drafts.items():
            one = have.get(key)
            change = compare(one, draft)
            counts["read"] += 1
            if draft.status == "voided":
                counts["voided"] += 1
            elif change in {Change.NEW, Change.REPLACED}:
                again = "due" if one is not None and one.status in {"ready", "held"} else "new"
                counts["quarantined" if draft.status == "quarantined" else again] += 1
            elif change in {Change.CHANGED_LATE, Change.UNVOIDED_CHANGED} or (one is not None and one.changed):
                counts["changed_since_delivery"] += 1
            elif one is not None:
                counts[_FATES.get(one.status, one.status)] += 1
    return counts


_FATES: Final = {
    "ready": "due",
    "held": "due",
    "unknown": "due",
    "in_flight": "due",
    "rejected": "undecided",
    "unconfirmed": "undecided",
}


def forecast(connection: Connection, hospital: str, platform: Platform, *, new: int, due: int, today: date) -> Forecast:
    """How long a range's `new` and `due` events take with all else that is open, from platform day `today` on."""
    waiting = connection.scalar(select(func.count()).select_from(event).where(event.c.hospital == hospital, OPEN)) or 0
    per_second = platform.requests_per_second or _seen_per_second(connection, hospital) or ASSUMED_PER_SECOND
    calls, total = new + due, new + waiting
    days, finish = None, None
    never = False
    if not platform.live and total:
        spent = quota.used(connection, hospital=hospital, interface=quota.REPORT, day=today)
        need = quota.live_need(connection, hospital=hospital, day=today)
        a_day = platform.daily_quota - need
        left_today = max(0, a_day - spent)
        if total <= left_today:
            days = 1
        elif a_day > 0:
            days = (1 if left_today else 0) + -(-(total - left_today) // a_day)
            finish = today + timedelta(days=days - (1 if left_today else 0))
        else:
            never = True  # live events alone need more than the quota
        if days == 1 and finish is None:
            finish = today
    return Forecast(
        calls=calls,
        days=days,
        finish=finish,
        never=never,
        per_second=round(per_second, 1),
        seconds=round(calls / per_second, 1),
    )


def _seen_per_second(connection: Connection, hospital: str) -> float | None:
    """The rate of the hospital's last finished delivery of some size."""
    query = (
        select(deliverer.c.done, deliverer.c.started_at, deliverer.c.ended_at)
        .where(deliverer.c.hospital == hospital, deliverer.c.ended_at.is_not(None), deliverer.c.done >= 500)
        .order_by(deliverer.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    seconds = (row.ended_at - row.started_at).total_seconds()
    return row.done / seconds if seconds > 0 else None
