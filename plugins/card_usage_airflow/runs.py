"""Runs: the local time that a DAG run is about, and whether it is scheduled or a backfill."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from card_usage.windows import DAY, HOUR, Window, day_window, day_windows, local, recount_days, window_between

if TYPE_CHECKING:
    from card_usage.ledger.decisions import Actor


def present() -> datetime:
    """The present instant. Only tasks read the clock; the domain takes time as an argument."""
    return datetime.now(UTC)


def window_of(context: Mapping[str, Any], cadence: str = "daily") -> Window:
    """The window of a run: the parameter `day`, else its data interval, else the last complete day or hour.

    A run triggered without a date has no data interval; it takes the last day or hour before it was triggered.
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
    """The inverse of `str(window)`: windows are passed between tasks as text that is readable in the UI."""
    start, _, end = text.partition("/")
    if end:
        return Window(datetime.fromisoformat(start), datetime.fromisoformat(end))
    first, _, last = text.partition("..")
    return Window(day_window(date.fromisoformat(first)).start, day_window(date.fromisoformat(last or first)).end)


def is_backfill(context: Mapping[str, Any]) -> bool:
    """Whether a backfill created the run: under a daily quota its events are sent after live ones."""
    return bool(context["dag_run"].run_type == "backfill")


def is_scheduled(context: Mapping[str, Any]) -> bool:
    """Whether the timetable created the run. Only such runs look back; others are about their own window alone."""
    return bool(context["dag_run"].run_type == "scheduled")


def last_days(context: Mapping[str, Any], days: int) -> tuple[Window, ...]:
    """One window for each day that is reconciled again, oldest first: the last complete local days before the run and,
    for the scheduled run on the 3rd, the whole month before."""
    end = context["dag_run"].data_interval_end or context["dag_run"].run_after
    today = local(end).date()
    if is_scheduled(context):
        return tuple(day_windows(*recount_days(today, days)))
    return tuple(day_windows(today - timedelta(days=days), today - timedelta(days=1)))


def who_triggered(dag_run: Any) -> Actor:
    """The user of the session that triggered a run, as Airflow authenticated it; 'Airflow' for one that nobody did."""
    from card_usage.ledger.decisions import Actor

    return Actor(getattr(dag_run, "triggering_user_name", None) or "Airflow", "form")
