"""What Airflow must know by name: the only file of this folder that it loads by itself (see .airflowignore)."""

from __future__ import annotations

import sys

from airflow.plugins_manager import AirflowPlugin
from card_usage_airflow import preloading, run_names, run_notes
from card_usage_airflow.timetable import LocalIntervals
from card_usage_airflow.web_app import PREFIX, Pages


class CardUsagePlugin(AirflowPlugin):
    """The timetable, so that the scheduler can read DAGs that use it; runs' names and notes; pages behind the login."""

    name = "card_usage"
    timetables = [LocalIntervals]  # noqa: RUF012 - as Airflow's base class declares it; the others likewise
    listeners = [run_notes]  # noqa: RUF012
    fastapi_apps = [{"app": Pages(), "url_prefix": PREFIX, "name": "card usage"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "用卡报告",
            "href": f"{PREFIX}/",
            "destination": "nav",
            "url_route": "card-usage",
            "category": "browse",
        },
        {
            "name": "用卡报告",
            "href": f"{PREFIX}/runs/{{DAG_ID}}/{{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "card-usage-of-run",
        },
    ]

    @classmethod
    def on_load(cls, *args: object, **kwargs: object) -> None:
        """Airflow's hook: the plugin is loaded, in each process that makes runs or that tasks are forked from."""
        run_names.install()
        preloading.preload(sys.argv)
