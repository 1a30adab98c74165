"""Notifiers: record failed and successful runs in the ledger; the alerting DAG turns failed ones into incidents.

For `on_failure_callback` and `on_success_callback` of a DAG or a task. However many tasks of a run fail, it is one
failed run, identified by DAG and run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier, Context
from card_usage.errors import CardUsageError

from card_usage_airflow import task_context
from card_usage_airflow.runs import present

if TYPE_CHECKING:
    from card_usage.ledger.database import Ledger

REPORT_DAG = "report_card_usage__"
EVERYONE = "*"


class RunFailed(BaseNotifier):
    """Records a failed run: one line in the log, one row in the ledger."""

    def notify(self, context: Context) -> None:
        from card_usage.alerts.incident_store import run_failed

        dag_id, run_id = context["dag"].dag_id, str(context.get("run_id"))
        last = context.get("ti")
        task_id = last.task_id if last else "-"
        self.log.error(
            "incident: dag=%s run=%s reason=%s last_task=%s next=read that task's log and the DAG's docs",
            *(dag_id, run_id, context.get("reason"), task_id),
        )
        try:
            with _ledger() as ledger, ledger.write() as connection:
                run_failed(
                    connection,
                    hospital=hospital_of(context),
                    dag_id=dag_id,
                    run_id=run_id,
                    task_id=task_id,
                    reason=str(context.get("reason") or "failed"),
                    now=present(),
                )
        except CardUsageError as problem:
            # The run has failed all the same; the alerting DAG notices that its report is missing.
            self.log.error("incident not written down: %s", problem)


class RunSucceeded(BaseNotifier):
    """Records a successful run, which resolves earlier failed runs of its kind."""

    def notify(self, context: Context) -> None:
        from card_usage.alerts.incident_store import run_succeeded

        try:
            with _ledger() as ledger, ledger.write() as connection:
                run_succeeded(connection, dag_id=context["dag"].dag_id, run_id=str(context.get("run_id")))
        except CardUsageError as problem:
            self.log.error("success not written down: %s", problem)


run_failed, run_succeeded = RunFailed(), RunSucceeded()


def hospital_of(context: Mapping[str, Any]) -> str:
    """The hospital of a run: from the DAG's id, else from its parameters, else '*'."""
    dag_id = context["dag"].dag_id
    if dag_id.startswith(REPORT_DAG):
        return str(dag_id.removeprefix(REPORT_DAG))
    conf = getattr(context.get("dag_run"), "conf", None) or {}
    return str(conf.get("hospital") or EVERYONE)


@contextmanager
def _ledger() -> Iterator[Ledger]:
    from card_usage.ledger.database import open_ledger

    settings = task_context.settings()
    ledger = open_ledger(settings.ledger_url, settings.keyring)
    try:
        yield ledger
    finally:
        ledger.close()
