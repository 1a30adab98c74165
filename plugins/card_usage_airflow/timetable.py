"""Timetable: runs of local days and hours, with run ids that name the local time they are about."""

from __future__ import annotations

from datetime import date
from typing import Any

from airflow._shared.timezones.timezone import parse_timezone
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow.utils.types import DagRunType
from card_usage.windows import local, window_between
from pendulum import DateTime, FixedTimezone, Timezone

from card_usage_airflow.run_names import run_id


class LocalIntervals(CronDataIntervalTimetable):
    """Data intervals of a cron expression in its own time zone; each run starts at the end of its interval.

    Runs are named by the local day that they report (run_names); Airflow's own name would be the end of that day in
    UTC. A plain cron string as schedule would give empty intervals. Stored DAG versions name this class by its path: do
    not move it.

    `last`: the last local day that the scheduler and backfills make runs of. With a DAG's end_date, runs that somebody
    triggers later for a past day would never start: Airflow compares it with the moment of the trigger.
    """

    def __init__(self, cron: str, timezone: str | Timezone | FixedTimezone, last: date | None = None) -> None:
        super().__init__(cron, timezone)
        self.last = last

    def serialize(self) -> dict[str, Any]:
        """As the base class, and the last day, if there is one."""
        return super().serialize() | ({} if self.last is None else {"last": self.last.isoformat()})

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> LocalIntervals:
        """The inverse; what an earlier version stored has no last day."""
        last = data.get("last")
        return cls(data["expression"], parse_timezone(data["timezone"]), last and date.fromisoformat(last))

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """None after the last day."""
        found = super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction
        )
        if found is None or found.data_interval is None or self.last is None:
            return found
        return found if local(found.data_interval.start).date() <= self.last else None

    @property
    def summary(self) -> str:
        return f"{self._expression} {self._timezone.name}"

    def generate_run_id(
        self, *, run_type: DagRunType, run_after: DateTime, data_interval: DataInterval | None, **extra: Any
    ) -> str:
        """Names the local day or hour; without an interval the last complete one before the run, as its tasks take."""
        interval = data_interval or self.infer_manual_data_interval(run_after=run_after)
        return run_id(run_type, window_between(interval.start, interval.end), run_after)
