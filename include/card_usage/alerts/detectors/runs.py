"""Runs: DAGs of which runs failed, without a later success."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection

from card_usage.alerts.incidents import Condition
from card_usage.alerts.situation import FailedRun, Situation, failed_runs


def _of_hospital(situation: Situation) -> Iterator[Condition]:
    return _dag_failed(failed_runs(situation.connection, situation.hospital.id))


def _of_fleet(connection: Connection, now: datetime) -> Iterator[Condition]:
    return _dag_failed(failed_runs(connection))


def _dag_failed(failed: Sequence[FailedRun]) -> Iterator[Condition]:
    """One condition a DAG."""
    by_dag: dict[str, list[FailedRun]] = {}
    for run in failed:
        by_dag.setdefault(run.dag_id, []).append(run)
    for dag_id, runs in by_dag.items():
        last = runs[-1]
        yield Condition(
            cause="dag_failed",
            detail=dag_id,
            severity="critical" if len(runs) >= 3 else "warning",
            count=len(runs),
            since=runs[0].at,
            facts={"dag": dag_id, "run": last.run_id, "task": last.task_id},
        )


DETECTORS = (_of_hospital,)
FLEET_DETECTORS = (_of_fleet,)
