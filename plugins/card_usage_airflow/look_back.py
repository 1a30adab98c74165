"""Look-back: the windows a run works on: its own and, for scheduled runs, the last days again for late rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

from card_usage.windows import DAY, HOUR, Window, day_windows

from card_usage_airflow.runs import is_scheduled, window_of

MOST_AGAIN: Final = 31
"""Days that are not closed and that one run works on again."""

if TYPE_CHECKING:
    from card_usage.context import Context


def windows_of_run(context: Context, task_context: Mapping[str, Any]) -> tuple[Window, ...]:
    """The run's own window first, then the days of the look-back, oldest first.

    Only days that were staged before: a new hospital's first run is no backfill. An hourly hospital looks back once a
    day, in the run of its first hour. Windows that are not closed (the replica lagged, a feed failed) are worked on
    again by every scheduled run until they close, whatever their age: at most MOST_AGAIN of them, the newest.
    """
    own = context.hospital.until_end(window_of(task_context, context.hospital.cadence))
    days = context.hospital.his.look_back_days
    hourly_but_not_first = own.end - own.start <= HOUR and own.start.time() != time()
    if not is_scheduled(task_context):
        return (own,)
    again: list[Window] = []
    if days and not hourly_but_not_first:
        first, last = own.day - timedelta(days=days), own.day - timedelta(days=1)
        staged = _days_staged(context, first, last)
        again = [window for window in day_windows(first, last) if window.day in staged]
    never_closed = [window for window in _never_closed(context, own) if not any(window.start in day for day in again)]
    return (own, *sorted([*again, *never_closed]))


def _never_closed(context: Context, own: Window) -> list[Window]:
    """The newest windows before `own` that are not closed for some feed; of several days each by itself."""
    from card_usage.staging.coverage import open_windows

    hospital = context.hospital
    with context.ledger.read() as connection:
        unclosed = open_windows(connection, hospital.id, datetime.min, own.start)  # noqa: DTZ901 - local time is naive
    ended = [
        Window(part.start, part.end) for part in unclosed if part.end <= own.start and part.feed in hospital.his.feeds
    ]
    days = {day for window in ended for day in window.by_day if hospital.reports(day.day)}
    return sorted(days, reverse=True)[:MOST_AGAIN]


def _days_staged(context: Context, first: date, last: date) -> set[date]:
    """Days from `first` to `last` of which at least one window was staged."""
    from card_usage.ledger.schema import feed_window
    from sqlalchemy import select

    midnight = datetime.combine(first, time())
    query = select(feed_window.c.start).where(
        feed_window.c.hospital == context.hospital.id,
        feed_window.c.start >= midnight,
        feed_window.c.start < datetime.combine(last, time()) + DAY,
    )
    with context.ledger.read() as connection:
        return {start.date() for start in connection.scalars(query.distinct())}
