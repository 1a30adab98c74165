"""# Publish reports · 用卡报表

Each morning at 07:45 (Asia/Shanghai), after the days were counted again: each hospital's month so far (in the first
days of a month the one before as well), then the page of all hospitals, which goes to the team's channels as the
morning mail.

每天早上 7:45，在对账之后：更新各医院当月月报（月初几天同时更新上月月报），再生成全部医院的总览，作为晨报发到团队通道。

| task | what it does | again? |
|---|---|---|
| `months` | one per hospital: writes its month's report (page, mail, XLSX, JSON) | yes |
| `all_hospitals` | writes the page of all hospitals; the morning mail, once a day and channel | yes |

Both read what was kept of the days, never events or the HIS: they cost seconds however many card uses there are. The
month before is final after its count on the 3rd. `CARD_USAGE_TEAM_CHANNELS` names the channels; none: nothing is sent.

## A task is red: what to do

The last lines of its log say why: the ledger (`Ledger...`), a hospital's file (`BadHospitalFile`), or the place where
reports are kept (`OSError`, `NoCredentialsError`: `CARD_USAGE_REPORTS` and the connection that it names). Mend it and
clear the task.

## A day or month of the past

*Trigger* with a `day`: the page of that day, and the reports of its month. Nothing is sent then.

## 中文手册

**任务变红**：看日志最后几行：台账（`Ledger...`）、医院配置（`BadHospitalFile`）或报告存放处（`OSError`、
`NoCredentialsError`：检查`CARD_USAGE_REPORTS` 及其连接）。改好后清除该任务。只读已存的每日结果，不读 HIS，几秒即可
完成。

**过去的某天或某月**：“触发”时填 `day`，生成那天的总览和那个月的月报，不发送邮件。
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from airflow.sdk import TriggerRule, dag, task
from card_usage_airflow import hospital_files
from card_usage_airflow.defaults import DEFAULT_ARGS, EARLIEST, Tag, day_param, timetable
from card_usage_airflow.links import REPORTS, linked
from card_usage_airflow.notifiers import run_failed, run_succeeded
from card_usage_airflow.publishing import publish_fleet, publish_months
from card_usage_airflow.runs import is_scheduled, last_days

MONTH_SETTLES = 7
"""Up to this day of a month the one before is written too."""


def day_of(task_context: Any) -> date:
    """The day that somebody asked for, else the last complete one."""
    if day := task_context["params"]["day"]:
        return date.fromisoformat(day)
    return last_days(task_context, 1)[0].day


@task(map_index_template="{{ task.op_kwargs['hospital_id'] }}", max_active_tis_per_dag=4)
def months(hospital_id: str, **task_context: Any) -> list[str]:
    """One hospital's months, newest first."""
    day = day_of(task_context)
    wanted = [day]
    if day.day <= MONTH_SETTLES:
        wanted.append(day.replace(day=1) - timedelta(days=1))
    return publish_months(hospital_id, wanted)


# A hospital whose file is broken stands on the page; it must not keep the page from the others.
@task(trigger_rule=TriggerRule.ALL_DONE, outlets=[REPORTS])
def all_hospitals(**task_context: Any) -> list[str]:
    """The page of all hospitals, and the morning mail."""
    return publish_fleet(day_of(task_context), send=is_scheduled(task_context))


@dag(
    dag_display_name="报表 · 月报与总览",
    description="Writes months and the page of all hospitals, and sends the morning mail",
    doc_md=__doc__,
    schedule=timetable("45 7 * * *"),
    start_date=EARLIEST,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags={Tag.CARD_USAGE, Tag.REPORT},
    params={"day": day_param()},
    on_failure_callback=run_failed,
    on_success_callback=run_succeeded,
)
def publish_card_usage() -> None:
    months.expand(hospital_id=list(hospital_files.ids())) >> linked(all_hospitals())


publish_card_usage()
