"""What Airflow must know by name: the only file of this folder that it loads by itself (see .airflowignore)."""

from __future__ import annotations

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin
from card_usage_airflow.timetable import LocalIntervals


class CardUsagePlugin(AirflowPlugin):
    """Registers the timetable, so that the scheduler can read DAGs that use it."""

    name = "card_usage"
    timetables: ClassVar = [LocalIntervals]
