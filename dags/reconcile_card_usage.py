"""# Reconcile card uses · 用卡数据对账

Each morning at 07:00 (Asia/Shanghai) the last days of every hospital are counted again: HIS now, ledger,
acknowledgements of the platform. Every difference is named, and the reports of these days are written anew.

每天早上 7 点，对所有医院最近几天的数据重新对账：HIS 现状、台账、平台回执三方核对，差异逐类列出，并更新报告。

| task | what it does | again? |
|---|---|---|
| `recount` | one per hospital: counts its last `days` days (7 if not asked otherwise), writes their reports | yes |

It only reads the HIS (one grouped query a feed and day) and sends nothing. Differences are no failure: they are in the
report, and as a warning in the task's log.

## A task is red: what to do

Its map index is the hospital. The last lines of its log say what happened: the replica (`SourceUnreachable`: it
retries by itself for about an hour, then call hospital IT), the hospital's file (`BadHospitalFile`: correct it) or the
ledger (`Ledger...`). Clear the one red task when the cause is gone; the other hospitals are not concerned.

## More days

*Trigger* with another number of `days`, up to 92.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, task
from card_usage_airflow import fleet
from card_usage_airflow.defaults import DEFAULT_ARGS, EARLIEST, Tag, timetable
from card_usage_airflow.incidents import run_failed, run_succeeded
from card_usage_airflow.opening import hospital_pipeline
from card_usage_airflow.runs import last_days
from card_usage_airflow.verbs import publish_window, reconcile_window


# Four hospitals at a time: a morning's queries are spread, not fired at once.
@task(map_index_template="{{ task.op_kwargs['hospital_id'] }}", max_active_tis_per_dag=4)
def recount(hospital_id: str, **context: Any) -> list[dict[str, object]]:
    """One hospital's last days, each counted again and its report written anew."""
    reconciled = []
    with hospital_pipeline(hospital_id) as pipeline:
        for window in last_days(context, context["params"]["days"]):
            if pipeline.hospital.start is None or window.day >= pipeline.hospital.start:
                reconciled.append(reconcile_window(pipeline, window))
                publish_window(pipeline, window)
    return reconciled


@dag(
    dag_display_name="对账 · 最近几天",
    description="Counts the last days of every hospital again and names each difference",
    doc_md=__doc__,
    schedule=timetable("0 7 * * *"),
    start_date=EARLIEST,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags={Tag.CARD_USAGE, Tag.RECONCILE},
    params={
        "days": Param(
            7, type="integer", minimum=1, maximum=92, title="天数 · Days", description="对账的最近天数 / how many days"
        )
    },
    on_failure_callback=run_failed,
    on_success_callback=run_succeeded,
)
def reconcile_card_usage() -> None:
    recount.expand(hospital_id=list(fleet.ids()))


reconcile_card_usage()
