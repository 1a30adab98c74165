"""# Reconcile card uses · 用卡数据对账

Each morning at 07:00 (Asia/Shanghai) the last days of every hospital are counted again, on the 3rd the whole month
before: HIS now, ledger, the platform's answers and statements. Every difference is named, verified_through moves as far
as it may stand, verified days are sealed, and the reports are written anew.

每天早上 7 点，对所有医院最近几天（每月 3 日为上月整月）的数据重新对账：HIS 现状、台账、平台回执与对账单三方核对，差异
逐类列出；已核实的日期封存为证据链，并更新报告。

| task | what it does | again? |
|---|---|---|
| `recount` | one per hospital: counts its last `days` days (7 if not asked otherwise), writes their reports | yes |
| `compact` | puts the warehouse's days together by month, and sums them for questions | yes |
| `seal` | one per hospital: seals verified days, and days that moved since with the reason | yes |

It only reads the HIS (one grouped query a feed and day; keys only of hours that differ) and sends nothing. Differences
are no failure: they are in the report, and as a warning in the task's log; `docs/reconciliation.md` explains each.

## `seal` is red with `EvidenceBroken`

Rows of a sealed day were changed in the ledger, and not by this pipeline. Stop and find out who did it before anything
else: `python -m card_usage evidence verify --hospital <id>` names each day and row.

## A task is red: what to do

Its map index is the hospital. The last lines of its log say what happened: the replica (`SourceUnreachable`: it
retries by itself for about an hour, then call hospital IT), the hospital's file (`BadHospitalFile`: correct it) or the
ledger (`Ledger...`). Clear the one red task when the cause is gone; the other hospitals are not concerned.

## More days

*Trigger* with another number of `days`, or with `first` and `last`, two local days of any age. Days that change so are
sealed again, whatever their age.

## 中文手册

**`seal` 变红且提示 `EvidenceBroken`**：已封存日期的台账记录被改动，而且不是本系统改的。先查清是谁，再做别的：
`python -m card_usage evidence verify --hospital <id>` 列出日期和记录。

**任务变红**：映射索引就是医院。看日志最后几行：备库（`SourceUnreachable`，自动重试约一小时，之后联系医院信息科）、
医院配置（`BadHospitalFile`）或台账（`Ledger...`）。原因消除后只清除那一个红色任务，其他医院不受影响。对账只读 HIS，
不发送任何数据；有差异不算失败，报告和日志里会写明。

**更多天**：“触发”时改 `days`，或填 `first`、`last`（任意的两个自然日，再早也可以）；因此变动的日期会重新封存。
"""

from __future__ import annotations

from datetime import date
from typing import Any

from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowFailException
from card_usage.windows import Window, day_windows
from card_usage_airflow import hospital_files
from card_usage_airflow.defaults import DEFAULT_ARGS, EARLIEST, Tag, timetable
from card_usage_airflow.notifiers import run_failed, run_succeeded
from card_usage_airflow.runs import last_days
from card_usage_airflow.steps import build_warehouse, compact_warehouse, publish_window, reconcile_window, seal_days
from card_usage_airflow.task_context import open_context


def days_asked_for(params: Any) -> tuple[Window, ...]:
    """The days from `first` to `last`, both inside; none if nobody named any."""
    if not params["first"] and not params["last"]:
        return ()
    first, last = (date.fromisoformat(params[name] or params["first"] or params["last"]) for name in ("first", "last"))
    if last < first:
        raise AirflowFailException(f"'last' ({last}) is before 'first' ({first}): trigger again with the days in order")
    return tuple(day_windows(first, last))


# Four hospitals at a time: a morning's queries are spread, not fired at once.
@task(map_index_template="{{ task.op_kwargs['hospital_id'] }}", max_active_tis_per_dag=4)
def recount(hospital_id: str, **task_context: Any) -> list[dict[str, object]]:
    """One hospital's last days, each counted again and its report written anew."""
    days = task_context["params"]["days"]
    windows = days_asked_for(task_context["params"]) or last_days(task_context, days)
    reconciled = []
    with open_context(hospital_id) as context:
        for age, window in enumerate(reversed(windows)):
            if context.hospital.reports(window.day):
                reconciled.append(reconcile_window(context, window))
                # Of the month before, only what came out otherwise than clean is worth a new page.
                if age < days or not reconciled[-1]["clean"]:
                    build_warehouse(context, [window])
                    publish_window(context, window)
    return reconciled


@task(map_index_template="{{ task.op_kwargs['hospital_id'] }}", max_active_tis_per_dag=4)
def seal(hospital_id: str) -> list[dict[str, object]]:
    """One hospital's verified days, sealed."""
    with open_context(hospital_id) as context:
        return seal_days(context)


@task
def compact() -> dict[str, int]:
    """The warehouse's months, from what was counted of their days."""
    return compact_warehouse()


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
        ),
        "first": Param(
            None,
            type=["null", "string"],
            format="date",
            title="首日 · First local day",
            description="与末日同填，代替天数 / with the last day, instead of a number of days",
        ),
        "last": Param(None, type=["null", "string"], format="date", title="末日 · Last local day"),
    },
    on_failure_callback=run_failed,
    on_success_callback=run_succeeded,
)
def reconcile_card_usage() -> None:
    hospitals = list(hospital_files.ids())
    # One hospital's replica that is down must not keep the others' days open.
    counted = recount.expand(hospital_id=hospitals)
    (
        counted
        >> compact.override(trigger_rule="all_done")()
        >> seal.override(trigger_rule="all_done").expand(hospital_id=hospitals)
    )


reconcile_card_usage()
