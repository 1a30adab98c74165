"""Preview: what reporting a range of days would send, and how long it would take. It only reads HIS and ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, func, select

from card_usage.config.hospital import Platform
from card_usage.context import Context
from card_usage.delivery import quota
from card_usage.events import SourceRow
from card_usage.ledger.patient_cards import CardMap
from card_usage.ledger.schema import OPEN, deliverer, event
from card_usage.staging.changes import Change, StoredEvent, compare, stored_events
from card_usage.staging.drafts import Draft, Drafter
from card_usage.windows import Window, day_window, local

ASSUMED_PER_SECOND: Final = 50.0
"""Calls per second of a hospital that sets no limit and has no delivery on record."""

_COUNTS: Final = ("read", "new", "due", "delivered", "quarantined", "changed_since_delivery", "voided", "undecided")


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """How long `calls` take.

    `days`: platform days needed under the daily quota, the last of them `finish`; None for a hospital that is live.
    `never`: live events alone need more than the quota. `seconds`: time of sending at `per_second`.
    """

    calls: int
    days: int | None
    finish: date | None
    never: bool
    per_second: float
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """Counts of the days' events. `new` ones would be sent, and `due` ones, which the ledger has already."""

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


def preview(
    context: Context, window: Window, *, now: datetime, on_rows: Callable[[int], None] | None = None
) -> Preview:
    """Read the window's days from the HIS and count what reporting them would send. Writes nothing."""
    hospital = context.hospital
    window = hospital.until_end(window)
    counts: Counter[str] = Counter()
    with context.source() as source, context.ledger.read() as connection:
        keys = context.ledger.day_keys.of(hospital.id, kept=False)
        for feed in hospital.his.feeds:
            drafter = Drafter(hospital, feed, context.tables, context.aliases, keys)
            drafter.cards = CardMap.of(context.ledger, hospital)
            for day in map(day_window, window.days):
                counts += _compared(connection, drafter, source.rows(feed, day.start, day.end, on_rows=on_rows), day)
        expected = forecast(
            connection, hospital.id, hospital.platform, new=counts["new"], due=counts["due"], today=local(now).date()
        )
    return Preview(window=str(window), forecast=expected, **{name: counts[name] for name in _COUNTS})


_COUNT_BY_STATUS: Final = {
    "ready": "due",
    "held": "due",
    "unknown": "due",
    "in_flight": "due",
    "rejected": "undecided",
    "unconfirmed": "undecided",
}
"""Status of an unchanged event in the ledger -> the count it belongs to; other statuses are counted by their name."""


def _compared(
    connection: Connection, drafter: Drafter, batches: Iterable[list[SourceRow]], window: Window
) -> Counter[str]:
    """Compare one feed's rows with the ledger; returns the counts of Preview."""
    counts: Counter[str] = Counter()
    for batch in batches:
        drafts = {draft.key: draft for draft in (drafter.draft(row, window) for row in batch)}
        in_ledger = stored_events(connection, list(drafts))
        counts["read"] += len(drafts)
        counts.update(_count_of(draft, in_ledger.get(key)) for key, draft in drafts.items())
    return counts


def _count_of(draft: Draft, stored: StoredEvent | None) -> str:
    """The count that a row belongs to, by its draft and the event that the ledger has of it."""
    if draft.status == "voided":
        return "voided"
    change = compare(stored, draft)
    if stored is None or change in {Change.NEW, Change.REPLACED}:
        if draft.status == "quarantined":
            return "quarantined"
        return "due" if stored is not None and stored.status in {"ready", "held"} else "new"
    if change in {Change.CHANGED_LATE, Change.UNVOIDED_CHANGED} or stored.changed:
        return "changed_since_delivery"
    return _COUNT_BY_STATUS.get(stored.status, stored.status)


def forecast(connection: Connection, hospital: str, platform: Platform, *, new: int, due: int, today: date) -> Forecast:
    """How long `new` and `due` events take beside everything else that is open, from platform day `today` on."""
    open_events = (
        connection.scalar(select(func.count()).select_from(event).where(event.c.hospital == hospital, OPEN)) or 0
    )
    per_second = platform.requests_per_second or _last_rate(connection, hospital) or ASSUMED_PER_SECOND
    days, finish, never = None, None, False
    if not platform.live and new + open_events:
        live_need = quota.live_need(connection, hospital=hospital, day=today)
        used = quota.used(connection, hospital=hospital, interface=quota.REPORT, day=today)
        per_day = platform.daily_quota - live_need
        left_today = max(0, per_day - used)
        days = _days_needed(new + open_events, per_day=per_day, left_today=left_today)
        never = days is None
        if days is not None:
            finish = today + timedelta(days=days - 1 if left_today else days)
    return Forecast(
        calls=new + due,
        days=days,
        finish=finish,
        never=never,
        per_second=round(per_second, 1),
        seconds=round((new + due) / per_second, 1),
    )


def _days_needed(calls: int, *, per_day: int, left_today: int) -> int | None:
    """On how many platform days calls are made, today included if some are left for it; None: the quota is too low."""
    if calls <= left_today:
        return 1
    if per_day <= 0:
        return None
    return (1 if left_today else 0) + -(-(calls - left_today) // per_day)


def _last_rate(connection: Connection, hospital: str) -> float | None:
    """Events per second of the hospital's last finished delivery of at least 500 events."""
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
