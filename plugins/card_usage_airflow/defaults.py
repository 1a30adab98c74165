"""What every DAG of this project has in common: owner, retries, limits, tags, local timetables."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

import pendulum
from airflow.sdk import Param
from card_usage.config.hospital import Hospital
from card_usage.windows import ZONE

from card_usage_airflow.retry_policy import RETRY_BY_MEANING
from card_usage_airflow.timetable import LocalIntervals

OWNER: Final = "card-usage"
"""The team that answers for the DAGs."""


class Tag(StrEnum):
    """The only tags there are, so that the filter of the DAG list stays short."""

    CARD_USAGE = "card-usage"
    REPORT = "report"
    RECONCILE = "reconcile"
    BY_HAND = "by-hand"
    ALERT = "alert"
    BROKEN = "broken"


DEFAULT_ARGS: Final[dict[str, Any]] = {
    "owner": OWNER,
    # 1 min doubling to 30 min: an outage of an hour heals by itself, a longer one is a failed run.
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


def timetable(cadence: str) -> LocalIntervals:
    """Local intervals of a hospital's cadence, or of a cron expression."""
    return LocalIntervals(_CRON.get(cadence, cadence), timezone=LOCAL)


def start_of(hospital: Hospital) -> pendulum.DateTime:
    """Local midnight of the hospital's first day; no run and no backfill goes before it."""
    if hospital.start is None:
        return EARLIEST
    return pendulum.datetime(hospital.start.year, hospital.start.month, hospital.start.day, tz=LOCAL)


def day_param(purpose: str = "") -> Param:
    """The local day that somebody may ask for in the trigger form. `purpose`: what is done with it, in Chinese."""
    return Param(
        None,
        type=["null", "string"],
        format="date",
        title="日期 · Local day",
        description=f"{purpose}留空为最近一个完整的自然日 / empty: the last complete one",
    )
