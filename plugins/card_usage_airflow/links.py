"""Links: a button on a task's page that opens its report, and the asset that is updated with every report."""

from __future__ import annotations

from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

from airflow.sdk import Asset, BaseOperatorLink
from airflow.sdk.configuration import conf

from card_usage_airflow.web_app import FILES, WRITTEN

REPORTS: Final = Asset("card_usage_reports", group="card-usage")
"""Updated with every daily report that a run has written; the event's extra names the files. For asset schedules."""

_Task = TypeVar("_Task")


class ReportLink(BaseOperatorLink):
    """Link to the newest page that the task has written, served by this Airflow behind its login."""

    name = "用卡报告"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The path without a host, so that it works however the UI is reached; empty if no page was written.

        Airflow calls this in the task's own process after it has ended, with the task instance as `ti_key`.
        """
        written = ti_key.xcom_pull(task_ids=ti_key.task_id, key=WRITTEN, map_indexes=ti_key.map_index) or []
        pages = [name for name in written if name.endswith(".html") and not name.endswith(".mail.html")]
        base_path = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
        return f"{base_path}{FILES}{quote(max(pages))}" if pages else ""


def linked(task: _Task) -> _Task:
    """Add the button to a task; returns the task."""
    task.operator.operator_extra_links = (ReportLink(),)  # type: ignore[attr-defined]
    return task
