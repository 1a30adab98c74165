"""Run notes: what a run of a report DAG came to, as a note on the run: delivered, waiting, differences.

A listener: Airflow's scheduler calls it when a run has ended. It reads what `reconcile` returned, in the session that
the scheduler has open; it touches neither ledger nor HIS. A note that a person wrote stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

REPORT_DAG: Final = "report_card_usage__"
WAITING: Final = ("open", "quarantined", "rejected", "unconfirmed")


@hookimpl
def on_dag_run_success(dag_run: DagRun, msg: str) -> None:
    """Airflow's hook: the run has succeeded."""
    write_note(dag_run)


@hookimpl
def on_dag_run_failed(dag_run: DagRun, msg: str) -> None:
    """Airflow's hook: the run has failed; if it came as far as counting, the counts are known."""
    write_note(dag_run)


def write_note(dag_run: DagRun) -> None:
    """Put the run's figures into its note."""
    from airflow.models.xcom import XComModel
    from sqlalchemy.orm import object_session

    kept = dag_run.dag_run_note
    if not dag_run.dag_id.startswith(REPORT_DAG) or (kept is not None and kept.user_id is not None):
        return
    session = object_session(dag_run)
    if session is None:
        return
    query = XComModel.get_many(
        run_id=dag_run.run_id, key="return_value", dag_ids=[dag_run.dag_id], task_ids=["reconcile", "warehouse"]
    )
    # Airflow types its query as one of rows; it gives the entries themselves.
    entries: list[Any] = list(session.scalars(query))
    returned = {
        entry.task_id: json.loads(entry.value) if isinstance(entry.value, str) else entry.value for entry in entries
    }
    if "reconcile" in returned:
        dag_run.note = note_of(returned["reconcile"][0], returned.get("warehouse"))


def note_of(reconciled: Mapping[str, Any], built: Mapping[str, int] | None) -> str:
    """The note of a run whose own window was reconciled to these counts. `built`: what the warehouse has of it; None:
    its task came to nothing."""
    delivered, differences = reconciled["delivered"], reconciled["remainder"]
    waiting = sum(reconciled.get(name, 0) for name in WAITING)
    lacking = built is None or built["failed"] > 0
    return (
        f"已上报 {delivered:,}，待处理 {waiting:,}，差异 {differences:,}{'；数据仓库未更新' if lacking else ''}\n\n"
        f"{delivered:,} delivered, {waiting:,} waiting, {differences:,} differences"
        f"{'; the warehouse was not updated' if lacking else ''}"
    )
