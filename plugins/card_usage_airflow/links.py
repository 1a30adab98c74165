"""What leads from a task to what it has written: a button on the task's page, and an asset that others can wait for."""

from __future__ import annotations

from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

from airflow.sdk import Asset, BaseOperatorLink
from airflow.sdk.configuration import conf

from card_usage_airflow.web_app import FILES, WRITTEN

REPORTS: Final = Asset("card_usage_reports", group="card-usage")
"""Changes with every report of a day that a run has written; the event names the files. Schedule on it what follows."""

_Task = TypeVar("_Task")


class ReportLink(BaseOperatorLink):
    """The newest page that the task has written, as this UI serves it, behind its login."""

    name = "用卡报告"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Without host, so that it holds however the UI is reached; empty if no page was written.

        Asked in the task's own process when it has ended: `ti_key` is then the task instance itself.
        """
        told = ti_key.xcom_pull(task_ids=ti_key.task_id, key=WRITTEN, map_indexes=ti_key.map_index) or []
        pages = [name for name in told if name.endswith(".html") and not name.endswith(".mail.html")]
        below = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
        return f"{below}{FILES}{quote(max(pages))}" if pages else ""


def linked(task: _Task) -> _Task:
    """The same task, with the button."""
    task.operator.operator_extra_links = (ReportLink(),)  # type: ignore[attr-defined]
    return task
