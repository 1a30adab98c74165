"""Which local time a run works on, whatever started it, and which earlier days it looks at again."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ledgers
import pendulum
import pytest
from airflow.timetables.base import TimeRestriction
from card_usage.config.hospital import load_hospital
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import open_ledger
from card_usage.staging.coverage import record_window
from card_usage.windows import HOUR, Window, day_window, instant, local
from card_usage_airflow.defaults import LOCAL, timetable
from card_usage_airflow.look_back import windows_of_run
from card_usage_airflow.runs import is_backfill, last_days, window_from, window_of
from card_usage_airflow.timetable import LocalIntervals

DAY = day_window(date(2026, 11, 23))
FIVE = Window(datetime(2026, 11, 23, 5), datetime(2026, 11, 23, 6))  # noqa: DTZ001 - naive local time


def run(
    window: Window | None, *, kind: str = "scheduled", after: datetime | None = None, **params: Any
) -> dict[str, Any]:
    """A task's context, as far as windows are read from it."""
    edges = (instant(window.start), instant(window.end)) if window else (None, None)
    return {
        "params": {"day": None, **params},
        "dag_run": SimpleNamespace(
            run_type=kind, data_interval_start=edges[0], data_interval_end=edges[1], run_after=after
        ),
    }


@pytest.mark.parametrize("window", [DAY, FIVE])
def test_a_run_works_on_its_data_interval_in_local_time(window: Window) -> None:
    assert window_of(run(window)) == window


def test_a_day_that_somebody_asked_for_comes_before_the_interval() -> None:
    assert window_of(run(FIVE, kind="manual", day="2026-11-20"), "hourly") == day_window(date(2026, 11, 20))


def test_a_run_without_a_date_takes_the_last_complete_day_or_hour() -> None:
    after = datetime(2026, 11, 23, 22, 30, tzinfo=UTC)  # 06:30 of the 24th, local
    assert window_of(run(None, kind="manual", after=after)) == DAY
    hour = window_of(run(None, kind="manual", after=after), "hourly")
    assert str(hour) == "2026-11-24T05:00/2026-11-24T06:00"


@pytest.mark.parametrize("window", [DAY, FIVE, Window(DAY.start, DAY.end + timedelta(days=2))])
def test_windows_travel_as_text(window: Window) -> None:
    assert window_from(str(window)) == window


def test_the_morning_count_covers_the_last_complete_days() -> None:
    morning = Window(datetime(2026, 11, 23, 7), datetime(2026, 11, 24, 7))  # noqa: DTZ001 - naive local time
    assert [str(window) for window in last_days(run(morning), 3)] == ["2026-11-21", "2026-11-22", "2026-11-23"]


def test_only_a_backfill_is_a_backfill() -> None:
    assert [is_backfill(run(DAY, kind=kind)) for kind in ("backfill", "scheduled", "manual")] == [True, False, False]


@pytest.fixture
def context(tmp_path: Path) -> Any:
    """The demo hospital with a ledger in which three of the last days were staged, one of them in two hours only."""
    ledger = open_ledger(ledgers.sqlite_url(tmp_path), ledgers.KEYRING)
    earlier = [day_window(date(2026, 11, 18)), day_window(date(2026, 11, 20)), day_window(date(2026, 11, 22))]
    hours = [
        Window(earlier[2].start, earlier[2].start + HOUR),
        Window(earlier[2].start + HOUR, earlier[2].start + 2 * HOUR),
    ]
    with ledger.write() as connection:
        for window in (*earlier[:2], *hours):
            record_window(
                connection,
                hospital="demo_hospital",
                feed="payment",
                start=window.start,
                end=window.end,
                status="closed",
                source_rows=1,
                now=instant(window.end),
            )
    yield SimpleNamespace(hospital=load_hospital(SHIPPED / "hospitals", "demo_hospital"), ledger=ledger)
    ledger.close()


def test_a_scheduled_run_looks_back_on_days_that_were_staged_before_and_on_no_others(context: Any) -> None:
    assert context.hospital.his.look_back_days == 3
    assert [str(window) for window in windows_of_run(context, run(DAY))] == ["2026-11-23", "2026-11-20", "2026-11-22"]


@pytest.mark.parametrize("kind", ["backfill", "manual"])
def test_a_run_for_chosen_dates_does_not_look_back(context: Any, kind: str) -> None:
    assert windows_of_run(context, run(DAY, kind=kind)) == (DAY,)


def test_an_hourly_hospital_looks_back_once_a_day(context: Any) -> None:
    assert windows_of_run(context, run(FIVE)) == (FIVE,)
    first = Window(DAY.start, DAY.start + HOUR)
    assert [str(window) for window in windows_of_run(context, run(first))] == [str(first), "2026-11-20", "2026-11-22"]


@pytest.mark.parametrize(("cadence", "runs"), [("daily", 3), ("hourly", 72)])
def test_nothing_is_scheduled_after_a_hospitals_last_day(cadence: str, runs: int) -> None:
    first, last = date(2026, 3, 1), date(2026, 3, 3)
    made = timetable(cadence, last)
    stored = LocalIntervals.deserialize(made.serialize())
    assert stored.last == last
    assert LocalIntervals.deserialize(timetable(cadence).serialize()).last is None
    within = TimeRestriction(earliest=start_of_day(first), latest=None, catchup=True)
    begun, interval = [], None
    while (found := stored.next_dagrun_info(last_automated_data_interval=interval, restriction=within)) is not None:
        interval = found.data_interval
        begun.append(local(interval.start).date())
    assert (len(begun), begun[0], begun[-1]) == (runs, first, last)
    missed = TimeRestriction(earliest=start_of_day(first), latest=None, catchup=False)
    assert stored.next_dagrun_info(last_automated_data_interval=None, restriction=missed) is None


def start_of_day(day: date) -> pendulum.DateTime:
    return pendulum.datetime(day.year, day.month, day.day, tz=LOCAL)
