"""Which local time a run is about, and why it runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from card_usage.windows import DAY, HOUR, Window, day_window, day_windows, local, recount_days, window_between


def present() -> datetime:
    """The present instant. Tasks are the edge: here the clock is read, below it time is an argument."""
    return datetime.now(UTC)


def window_of(context: Mapping[str, Any], cadence: str = "daily") -> Window:
    """The window of a run: the `day` somebody asked for, else its data interval, else the last complete one.

    A run triggered without a date has no data interval; it takes the last day (or hour) before it was triggered.
    """
    if day := context["params"].get("day"):
        return day_window(date.fromisoformat(day))
    start, end = context["dag_run"].data_interval_start, context["dag_run"].data_interval_end
    if start and end:
        return window_between(start, end)
    until = local(context["dag_run"].run_after)
    if cadence == "hourly":
        until = until.replace(minute=0, second=0, microsecond=0)
        return Window(until - HOUR, until)
    return day_window(until.date() - DAY)


def window_from(text: str) -> Window:
    """The inverse of `str(window)`: windows travel between tasks as text that a reader of the UI understands."""
    start, _, end = text.partition("/")
    if end:
        return Window(datetime.fromisoformat(start), datetime.fromisoformat(end))
    first, _, last = text.partition("..")
    return Window(day_window(date.fromisoformat(first)).start, day_window(date.fromisoformat(last or first)).end)


def is_backfill(context: Mapping[str, Any]) -> bool:
    """Whether the run was made by a backfill: its events go after the live ones where calls are rationed."""
    return bool(context["dag_run"].run_type == "backfill")


def is_scheduled(context: Mapping[str, Any]) -> bool:
    """Whether the timetable made the run. Only these look back; a run for a chosen date is about that date alone."""
    return bool(context["dag_run"].run_type == "scheduled")


def last_days(context: Mapping[str, Any], days: int) -> tuple[Window, ...]:
    """One window for each day that a recount goes over, oldest first: the last complete local days before the run and,
    for the timetable's run on the 3rd, the whole month before."""
    end = context["dag_run"].data_interval_end or context["dag_run"].run_after
    today = local(end).date()
    if is_scheduled(context):
        return tuple(day_windows(*recount_days(today, days)))
    return tuple(day_windows(today - timedelta(days=days), today - timedelta(days=1)))
