"""Run names: the id of every run of ours begins with the local day or hour that it is about, whoever started it.

| started by | id |
|---|---|
| the scheduler | `scheduled__2026-11-23`, hourly `scheduled__2026-11-23T05` |
| a backfill | `backfill__2026-11-23` |
| a person, form or command | `manual__2026-11-23__2026-11-28T00:05:31.123456`: the day, and when (local time) |

Airflow asks a DAG's timetable for the first and the last, without the form; a backfill it names itself, after the end
of the day in UTC. So the name is put right where the run is made, before its tasks take it over (`name_by_day`). A name
that a person or another DAG gave stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from airflow.models.base import Base
from airflow.utils.types import DagRunType
from card_usage.windows import HOUR, Window, day_window, local, window_between
from sqlalchemy import event

OURS: Final = ("report_card_usage__", "_card_usage")
"""How the id of a DAG begins or ends whose runs are about days."""

_FORM_FIELDS: Final = (("day", "day"), ("from", "to"), ("first", "last"))


def run_id(run_type: DagRunType, window: Window, made: datetime) -> str:
    """The id of a run about a window. `made`: when it was started (aware); in the id of runs that may be repeated."""
    if run_type in (DagRunType.SCHEDULED, DagRunType.BACKFILL_JOB):
        return run_type.generate_run_id(suffix=_text(window))
    return run_type.generate_run_id(suffix=f"{_text(window)}__{_moment(made)}")


def name_by_day(run: object, _args: object, fields: dict[str, Any]) -> None:
    """Put the day into the id of a run that is being made: the form's day, else a backfill's own.

    SQLAlchemy calls it before the constructor of each object of Airflow's database, and lets it change the fields.
    """
    if getattr(run, "__tablename__", None) != "dag_run" or not _is_ours(fields.get("dag_id")):
        return
    made, given = fields.get("run_after"), fields.get("run_id")
    if made is None or given is None or not _chosen_by_airflow(given, made):
        return
    run_type, interval = DagRunType(fields["run_type"]), fields.get("data_interval")
    if (asked := _asked_for(fields.get("conf"))) is not None:
        suffix = f"{_text(asked)}__{_moment(made)}"
        fields["run_id"] = run_type.generate_run_id(suffix=suffix)
    elif run_type is DagRunType.BACKFILL_JOB and interval is not None:
        fields["run_id"] = run_id(run_type, window_between(*interval), made)


def install() -> None:
    """Name runs in this process from now on; asked again, it does nothing more."""
    if not event.contains(Base, "init", name_by_day):
        event.listen(Base, "init", name_by_day, propagate=True)


def _is_ours(dag_id: object) -> bool:
    return isinstance(dag_id, str) and (dag_id.startswith(OURS[0]) or dag_id.endswith(OURS[1]))


def _chosen_by_airflow(given: str, made: datetime) -> bool:
    """Whether Airflow or our timetable made the id up: such an id holds the moment of the run."""
    return _moment(made) in given or made.isoformat() in given


def _asked_for(form: object) -> Window | None:
    """The days that the form of a run names; None if it names none, or what is no day: its task will say so."""
    if not isinstance(form, Mapping):
        return None
    for first, last in _FORM_FIELDS:
        if begin := form.get(first):
            try:
                start = day_window(date.fromisoformat(begin))
                end = day_window(date.fromisoformat(form.get(last) or begin))
                return Window(start.start, end.end)
            except (TypeError, ValueError):
                return None
    return None


def _moment(made: datetime) -> str:
    return f"{local(made):%Y-%m-%dT%H:%M:%S.%f}"


def _text(window: Window) -> str:
    """The window as an id may hold it: a day, its first and last day, or the hour or minute in which it starts."""
    if window == day_window(window.day):
        return window.day.isoformat()
    if window.start.time() == window.end.time() == day_window(window.day).start.time():
        return f"{window.days[0]}_{window.days[-1]}"
    return f"{window.start:%Y-%m-%dT%H}" if window.end - window.start >= HOUR else f"{window.start:%Y-%m-%dT%H:%M}"
