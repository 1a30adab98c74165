"""Names of runs: the day that a run is about, from the timetable, the form or the backfill."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pendulum
import pytest
from airflow.models.dagrun import DagRun
from airflow.plugins_manager import ensure_plugins_loaded
from airflow.timetables.base import DataInterval
from airflow.utils.types import DagRunType
from card_usage.windows import day_window, instant
from card_usage_airflow.defaults import LOCAL, timetable
from card_usage_airflow.runs import window_of

REPORT = "report_card_usage__demo_hospital"
MADE = pendulum.datetime(2026, 11, 27, 16, 5, 31, 123456)  # 00:05 of the 28th, local
AT = "2026-11-28T00:05:31.123456"


@pytest.fixture(autouse=True, scope="module")
def plugin() -> None:
    ensure_plugins_loaded()


def made(run_type: DagRunType, given: str, *, dag_id: str = REPORT, **fields: Any) -> str:
    """The id of a run that Airflow makes with these fields."""
    return str(DagRun(dag_id=dag_id, run_id=given, run_type=run_type, run_after=MADE, **fields).run_id)


def by_hand(cadence: str = "daily", interval: DataInterval | None = None) -> str:
    """The id that Airflow asks the timetable for when somebody triggers a run."""
    return timetable(cadence).generate_run_id(run_type=DagRunType.MANUAL, run_after=MADE, data_interval=interval)


@pytest.mark.parametrize(("cadence", "name"), [("daily", "2026-11-27"), ("hourly", "2026-11-27T23")])
def test_a_run_by_hand_without_a_date_is_named_by_the_window_its_tasks_take(cadence: str, name: str) -> None:
    assert by_hand(cadence) == f"manual__{name}__{AT}"
    run = DagRun(dag_id=REPORT, run_id="r", run_type=DagRunType.MANUAL, run_after=MADE)
    assert f"{window_of({'params': {}, 'dag_run': run}, cadence).start:%Y-%m-%dT%H}".startswith(name)


@pytest.mark.parametrize("moment", ["2026-11-24T00:00", "2026-11-24T00:00:01", "2026-11-23T23:59:59.999999"])
def test_at_the_stroke_of_midnight_too(moment: str) -> None:
    at = pendulum.parse(moment, tz=LOCAL)
    assert isinstance(at, pendulum.DateTime)
    for cadence in ("daily", "hourly"):
        named = timetable(cadence).generate_run_id(run_type=DagRunType.MANUAL, run_after=at, data_interval=None)
        run = DagRun(dag_id=REPORT, run_id="r", run_type=DagRunType.MANUAL, run_after=at)
        start = window_of({"params": {}, "dag_run": run}, cadence).start
        assert named.split("__")[1] == f"{start:%Y-%m-%d}" + (f"T{start:%H}" if cadence == "hourly" else "")


@pytest.mark.parametrize(
    ("dag_id", "form", "name"),
    [
        (REPORT, {"day": "2026-11-20"}, "2026-11-20"),
        (REPORT, {"day": None}, "2026-11-27"),
        (REPORT, {}, "2026-11-27"),
        (REPORT, {"day": "20.11."}, "2026-11-27"),
        ("publish_card_usage", {"day": "2026-11-20"}, "2026-11-20"),
        ("redeliver_card_usage", {"from": "2026-11-18", "to": None}, "2026-11-18"),
        ("redeliver_card_usage", {"from": "2026-11-18", "to": "2026-11-20"}, "2026-11-18_2026-11-20"),
        ("load_history_card_usage", {"from": "2023-01-01", "to": "2025-12-31"}, "2023-01-01_2025-12-31"),
        ("reconcile_card_usage", {"first": "2026-11-18", "last": "2026-11-19", "days": 7}, "2026-11-18_2026-11-19"),
    ],
)
def test_the_day_of_the_form_is_in_the_name(dag_id: str, form: dict[str, Any], name: str) -> None:
    assert made(DagRunType.MANUAL, by_hand(), dag_id=dag_id, conf=form) == f"manual__{name}__{AT}"


def test_a_dag_without_a_timetable_of_ours_gets_the_day_of_its_form_too() -> None:
    given = DagRunType.MANUAL.generate_run_id(suffix=MADE.isoformat())
    form = {"from": "2026-11-18", "to": "2026-11-20"}
    assert made(DagRunType.MANUAL, given, dag_id="redeliver_card_usage", conf=form).startswith("manual__2026-11-18_")


@pytest.mark.parametrize(("length", "name"), [("daily", "2026-11-20"), ("hourly", "2026-11-20T00")])
def test_a_run_of_a_backfill_is_named_like_the_schedulers(length: str, name: str) -> None:
    start = pendulum.instance(instant(day_window(datetime(2026, 11, 20, tzinfo=UTC).date()).start))
    interval = DataInterval(start, start.add(days=1) if length == "daily" else start.add(hours=1))
    # As Airflow names it: by the end of the interval, in UTC, after which it may run.
    run = DagRun(
        dag_id=REPORT,
        run_id=DagRun.generate_run_id(
            run_type=DagRunType.BACKFILL_JOB, logical_date=interval.start, run_after=interval.end
        ),
        run_type=DagRunType.BACKFILL_JOB,
        run_after=interval.end,
        logical_date=interval.start,
        data_interval=interval,
    )
    assert run.run_id == f"backfill__{name}"


def test_two_runs_of_a_backfill_that_was_given_one_day_do_not_share_a_name() -> None:
    names = {
        DagRun(
            dag_id=REPORT,
            run_id=DagRun.generate_run_id(run_type=DagRunType.BACKFILL_JOB, logical_date=at, run_after=at),
            run_type=DagRunType.BACKFILL_JOB,
            run_after=at,
            conf={"day": "2026-11-20"},
        ).run_id
        for at in (MADE, MADE.add(days=1))
    }
    assert len(names) == 2
    assert all(name is not None and name.startswith("backfill__2026-11-20__") for name in names)


def test_a_name_that_somebody_gave_stays_and_so_do_runs_of_other_dags() -> None:
    assert made(DagRunType.MANUAL, "before-the-audit", conf={"day": "2026-11-20"}) == "before-the-audit"
    given = DagRunType.MANUAL.generate_run_id(suffix=MADE.isoformat())
    assert made(DagRunType.MANUAL, given, dag_id="billing", conf={"day": "2026-11-20"}) == given
    # Another DAG's operator waits for the run under the id that it made up itself, at a moment of its own.
    earlier = DagRunType.OPERATOR_TRIGGERED.generate_run_id(suffix=MADE.subtract(seconds=1).isoformat())
    assert made(DagRunType.OPERATOR_TRIGGERED, earlier, conf={"day": "2026-11-20"}) == earlier
