"""# Purge · 到期清除

Deletes every night what is past its time by `[retention]` of the hospitals' files (docs/production.md): patient fields
of quarantined and rejected events, report files, statements that were imported or refused. Rows, counts and evidence
stay.

每天夜里按医院文件的 `[retention]` 清除到期内容：被隔离和被拒记录的患者字段、报告文件、已导入或被拒收的对账单。
记录、数量和证据保留。

| task | what it does | again? |
|---|---|---|
| `purge` | deletes by hospital, kind and day, with a record of each | yes |

What it deleted: the task's log, and `python -m card_usage purge --recorded`. What it would delete: `purge --dry-run`.

## `purge` is red: what to do

The ledger or the report store cannot be reached or written: the last lines of the log say which. Clear the task; what
was deleted before is recorded, the rest follows.

## 中文手册

**`purge` 变红**：台账或报告存储连不上、不可写，日志最后几行会说明。修好后清除该任务即可：已清除的
已有记录，其余接着清除。
查看已清除的内容：`python -m card_usage purge --recorded`；预览：`purge --dry-run`。
"""

from __future__ import annotations

from airflow.sdk import dag, task
from card_usage_airflow.defaults import DEFAULT_ARGS, EARLIEST, Tag, timetable
from card_usage_airflow.notifiers import run_failed, run_succeeded
from card_usage_airflow.retention import purge_all

DAG_ID = "purge_card_usage"


@task
def purge() -> list[dict[str, object]]:
    """What is past its time, of every hospital."""
    return purge_all(by=DAG_ID)


@dag(
    dag_display_name="到期清除",
    description="Deletes what is past its time by the hospitals' files, and records it",
    doc_md=__doc__,
    schedule=timetable("40 3 * * *"),
    start_date=EARLIEST,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags={Tag.CARD_USAGE},
    on_failure_callback=run_failed,
    on_success_callback=run_succeeded,
)
def purge_card_usage() -> None:
    purge()


purge_card_usage()
