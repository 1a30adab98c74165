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
        run_id=dag_run.run_id, key="return_value", dag_ids=[dag_run.dag_id], task_ids=["reconcile"]
    )
    # Airflow types its query as one of rows; it gives the entries themselves.
    returned: Any = session.scalars(query).first()
    if returned is None:
        return
    value = returned.value
    days: list[dict[str, Any]] = json.loads(value) if isinstance(value, str) else value
    dag_run.note = note_of(days[0])


def note_of(reconciled: Mapping[str, Any]) -> str:
    """The note of a run whose own window was reconciled to these counts."""
    delivered, differences = reconciled["delivered"], reconciled["remainder"]
    waiting = sum(reconciled.get(name, 0) for name in WAITING)
    return (
        f"已上报 {delivered:,}，待处理 {waiting:,}，差异 {differences:,}\n\n"
        f"{delivered:,} delivered, {waiting:,} waiting, {differences:,} differences"
    )
