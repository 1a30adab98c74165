"""# Import statements · 导入平台对账单

The platform has no query interface; its website shows what it holds, and people export it. Every half hour whatever
lies in the drop folder (`CARD_USAGE_STATEMENTS`) is imported and set against the answers that the ledger has on record.

平台没有查询接口。把平台网站导出的对账单（CSV 或 XLSX）放进投递目录，每半小时自动导入，并与台账中的平台应答核对。

| task | what it does | again? |
|---|---|---|
| `take_in` | imports each file whole or not at all, then moves it to `imported/` or `refused/` | yes |

It updates the asset `card_usage_statements`. Nothing to import is a skipped task, no failure. Two files for the same
hospital and day: the later one counts.

## `take_in` is red: what to do

A file was refused; all others are imported. Beside it in `refused/` lies a text with its line, field and problem, and
the last lines of the task's log say the same. Mend the file, or write a layout for it (`docs/reconciliation.md`), and
put it back into the drop folder; then clear the task.

## 中文手册

**`take_in` 变红**：有文件被拒收，其余都已导入。`refused/` 里该文件旁边有一份说明，写着行、字段和问题；任务日志最后
几行也一样。改好文件，或者为它写一份格式说明（`docs/reconciliation.md`），放回投递目录，再清除该任务。没有文件可导入
时任务显示跳过，不是失败；同一医院同一天有两份，以后到的为准。
"""

from __future__ import annotations

from airflow.sdk import dag, task
from card_usage_airflow.defaults import DEFAULT_ARGS, EARLIEST, Tag, timetable
from card_usage_airflow.notifiers import run_failed, run_succeeded
from card_usage_airflow.statements import STATEMENTS, take_in_statements


@task(outlets=[STATEMENTS])
def take_in() -> list[dict[str, object]]:
    """Every file of the drop folder."""
    return take_in_statements()


@dag(
    dag_display_name="对账单 · 导入",
    description="Imports the platform's statements from the drop folder and weighs them against its answers",
    doc_md=__doc__,
    schedule=timetable("*/30 * * * *"),
    start_date=EARLIEST,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags={Tag.CARD_USAGE, Tag.RECONCILE},
    on_failure_callback=run_failed,
    on_success_callback=run_succeeded,
)
def import_statements() -> None:
    take_in()


import_statements()
