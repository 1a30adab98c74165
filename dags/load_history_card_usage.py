"""# Load history of card uses · 补录历史数据

For one hospital and a range of past local days, years if need be: stages, checks, delivers, reconciles and reports
every day of it that is not finished yet, then verifies and seals what came in. One task a month, one after the other.

对一家医院过去的一段日期（可以是几年）：把其中尚未办结的每一天采集、质检、上报、对账、出报告，之后核实并封存。每月一个
任务，逐个执行。

| task | what it does | again? |
|---|---|---|
| `months` | cuts the range into months, in the order in which they are loaded | yes |
| `load` | one per month: its days that are not finished, one after the other; its log has a line a day | yes |

## What to know before

- **Order**: newest day first, or as `[platform] backfill_order` of the hospital's file says, or as `order` says.
  Newest first lets what is verified grow back from the days that are verified already; oldest first gives the gate
  earlier days to compare each day's volume with.
- **Live days come first**: events of history wait in a lane of their own and take of a day's quota what live ones
  leave; a day of history is begun only when no other delivery of the hospital is at work.
- **It may be cut off anywhere**, killed too: trigger it again with the same dates, or clear a red task. Finished days
  are skipped.
- The replica is asked as on any day: `max_parallel_queries` and `avoid_hours` of the hospital's file hold.
- `airflow backfill create` on the hospital's own DAG does the same with a run a day; this one keeps years readable.

## `load` is red

- `LoadStopped`: a pause, a drain, a used-up quota or a refusing platform stands in the way; the line says which, and
  how many days are left. It tries again for about an hour; when the cause is over, clear the red tasks.
- Days that the gate withholds are no failure: the log names them, `python -m card_usage decide` lets them go, and the
  same dates again finish them.
- Everything else as in the docs of the hospital's `report_card_usage` DAG.

From the command line: `python -m card_usage history load`, `python -m card_usage history status`.

## 中文手册

- **顺序**：默认从最近的一天往前，或按医院配置 `[platform] backfill_order`，或按参数 `order`。从近到远，“已核实”可以
  从现有日期连续往前延伸；从远到近，质检可以用更早的日期比较数量。
- **当天数据优先**：历史数据单独排队，只用当天限额的剩余部分；医院有别的上报任务在进行时，不开始新的一天。
- **随时可以中断**，包括被强行终止：用同样的日期再触发，或清除红色任务；已办结的日期自动跳过。
- 对副本的查询照常受医院配置 `max_parallel_queries`、`avoid_hours` 限制。
- 在医院自己的 DAG 上用 `airflow backfill create` 效果相同，每天一个运行；几年的历史用这里更清楚。

**`load` 变红**：`LoadStopped` 表示被暂停、收尾、限额用完或平台拒绝挡住，日志写明是哪一种、还剩几天；约一小时内自动重
试，之后待原因解除，清除红色任务即可。质检未放行的日期不算失败，日志会列出：用 `python -m card_usage decide` 决定，再用
同样的日期补完。其他原因见该医院 `report_card_usage` DAG 的说明。命令行：`python -m card_usage history load`、
`python -m card_usage history status`。
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowFailException
from card_usage_airflow import hospital_files
from card_usage_airflow.defaults import DEFAULT_ARGS, Tag, hospital_param
from card_usage_airflow.history import load_part, parts_of
from card_usage_airflow.notifiers import run_failed, run_succeeded
from card_usage_airflow.runs import who_triggered, window_from
from card_usage_airflow.steps import record_begun
from card_usage_airflow.task_context import open_context

HOSPITALS = list(hospital_files.ids())


# Airflow hands `params` to each task from the run's context; whoever wires the tasks together leaves it out.
@task
def months(params: Any = None, dag_run: Any = None) -> list[str]:
    """The range cut into months, the first to be loaded first."""
    first, last = date.fromisoformat(params["from"]), date.fromisoformat(params["to"])
    if last < first:
        raise AirflowFailException(f"'to' ({last}) is before 'from' ({first}): trigger again with the days in order")
    with open_context(params["hospital"]) as context:
        record_begun(context, "history load", who_triggered(dag_run), f"{first}..{last}")
        return [str(part) for part in parts_of(context, first, last, params["order"])]


# One at a time: a month is bounded, years of them at once are not.
@task(
    map_index_template="{{ task.op_kwargs['part'] }}",
    max_active_tis_per_dag=1,
    execution_timeout=timedelta(hours=12),
)
def load(part: str, params: Any = None) -> dict[str, object]:
    """The days of one month that are not finished yet. A try that runs into its time limit is followed by another."""
    with open_context(params["hospital"]) as context:
        return load_part(context, window_from(part), params["order"])


@dag(
    dag_display_name="补录历史数据",
    description="By hand: brings a range of past days to the platform, behind everything live, month by month",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags={Tag.CARD_USAGE, Tag.BY_HAND},
    params={
        "hospital": hospital_param(HOSPITALS),
        "from": Param(type="string", format="date", title="首日 · First local day"),
        "to": Param(type="string", format="date", title="末日 · Last local day", description="含当日 / included"),
        "order": Param(
            None,
            type=["null", "string"],
            enum=[None, "newest", "oldest"],
            title="顺序 · Order",
            description="newest 从近到远，oldest 从远到近，留空按医院配置 / empty: as the hospital's file says",
        ),
    },
    on_failure_callback=run_failed,
    on_success_callback=run_succeeded,
)
def load_history_card_usage() -> None:
    load.expand(part=months())


load_history_card_usage()
