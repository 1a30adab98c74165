"""Defaults of all DAGs: owner, retries, limits, tags, timetables in local time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, Final

import pendulum
from airflow.sdk import Param
from card_usage.config.hospital import Hospital
from card_usage.windows import ZONE

from card_usage_airflow.retry_policy import RETRY_BY_MEANING
from card_usage_airflow.timetable import LocalIntervals

OWNER: Final = "card-usage"
"""The team that owns the DAGs."""


class Tag(StrEnum):
    """All tags in use."""

    CARD_USAGE = "card-usage"
    REPORT = "report"
    RECONCILE = "reconcile"
    BY_HAND = "by-hand"
    ALERT = "alert"
    BROKEN = "broken"


DEFAULT_ARGS: Final[dict[str, Any]] = {
    "owner": OWNER,
    # 1 min, doubled up to 30 min: the retries outlast an outage of an hour; after that the run fails.
    "retries": 6,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=30),
    "retry_policy": RETRY_BY_MEANING,
    "execution_timeout": timedelta(hours=2),
}

LOCAL: Final = pendulum.timezone(ZONE.key)
EARLIEST: Final = pendulum.datetime(2020, 1, 1, tz=LOCAL)
_CRON: Final = {"daily": "0 0 * * *", "hourly": "0 * * * *"}


def timetable(cadence: str, last: date | None = None) -> LocalIntervals:
    """The timetable of a hospital's cadence or of a cron expression, in local time. `last`: its last local day."""
    return LocalIntervals(_CRON.get(cadence, cadence), LOCAL, last)


def start_of(hospital: Hospital) -> pendulum.DateTime:
    """Local midnight of the hospital's first day; runs and backfills do not go back before it."""
    if hospital.start is None:
        return EARLIEST
    return pendulum.datetime(hospital.start.year, hospital.start.month, hospital.start.day, tz=LOCAL)


def hospital_param(hospitals: Sequence[str]) -> Param:
    """The parameter `hospital` of the trigger form of a DAG that is for one of these."""
    return Param(hospitals[0] if hospitals else None, type="string", enum=list(hospitals), title="医院 · Hospital")


def day_param(purpose: str = "") -> Param:
    """The parameter `day` of the trigger form. `purpose`: what the day is for, in Chinese."""
    return Param(
        None,
        type=["null", "string"],
        format="date",
        title="日期 · Local day",
        description=f"{purpose}留空为最近一个完整的自然日 / empty: the last complete one",
    )
