"""Run notes: what a run came to, as a note on it: delivered, waiting, differences; of an upgrade, who has a card.

A listener: Airflow's scheduler calls it when a run has ended. It reads what tasks of the run returned, in the
session that the scheduler has open; it touches neither ledger nor HIS. A note that a person wrote stays.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
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
    noted = next((of for start, of in NOTED.items() if dag_run.dag_id.startswith(start)), None)
    if noted is None or (kept is not None and kept.user_id is not None):
        return
    tasks, note = noted
    session = object_session(dag_run)
    if session is None:
        return
    query = XComModel.get_many(
        run_id=dag_run.run_id, key="return_value", dag_ids=[dag_run.dag_id], task_ids=list(tasks)
    )
    # Airflow types its query as one of rows; it gives the entries themselves.
    entries: list[Any] = list(session.scalars(query))
    returned = {
        entry.task_id: json.loads(entry.value) if isinstance(entry.value, str) else entry.value for entry in entries
    }
    if tasks[0] in returned:
        dag_run.note = note(returned)


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


def note_of_upgrade(sent: Mapping[str, Any]) -> str:
    """The note of a run that sent batches of patients to these counts."""
    registered, refused, left = (sent.get(name, 0) for name in ("registered", "refused", "left"))
    return (
        f"已注册 {registered:,}，未通过 {refused:,}，待注册 {left:,}\n\n"
        f"{registered:,} registered, {refused:,} refused, {left:,} waiting"
    )


Note = Callable[[Mapping[str, Any]], str]
NOTED: Final[Mapping[str, tuple[tuple[str, ...], Note]]] = {
    REPORT_DAG: (
        ("reconcile", "warehouse"),
        lambda returned: note_of(returned["reconcile"][0], returned.get("warehouse")),
    ),
    "upgrade_patients": (("send",), lambda returned: note_of_upgrade(returned["send"])),
}
"""Beginning of a DAG's name -> the tasks whose counts make the note, the first of which must be there, and how."""
