"""# Cards for patients, in batches · 老用户批量升级

For one hospital: shows what the HIS's patients would come to and, if asked to, reads them and registers them in batches
(document 2.5, 3.2.9). **Dry run by default**: it changes nothing and sends nothing.

对一家医院的患者：先试运行（默认），列出可注册、被隔离的人数和所需批次；确认后关闭 `dry_run`，
读取 HIS 并分批注册健康卡。

| task | what it does | dry run |
|---|---|---|
| `preview` | judges every patient of the HIS: how many could be registered, why others not; batches and days | yes |
| `read` | patients into the ledger, page by page; **skipped** if `read_his` is off | skipped |
| `send` | batches, as many as `calls`, `hours` and the day's quota allow | skipped |
| `report` | counts by class, cause, result code and day | skipped |

## What to know before

- **It may be cut off anywhere**, killed too: trigger it again, or clear the red task. A batch and its request id stand
  in the ledger before it is sent; after no answer the same batch goes again under the same id.
- **Card use keeps its part**: calls of a hospital that is not live are counted by interface and platform day, as
  deliveries count theirs; calls a second are shared evenly with every delivery of the hospital and the appId.
- A run that ends because of `calls`, `hours` or the quota is green: trigger it again for the rest. Its note says how
  many are left.
- `python -m card_usage upgrade --hospital ID --out FOLDER` writes who is quarantined and the openIds; no task does.

## A task is red

The log's last lines say what to do.

- `UpgradeStopped`: a pause, a refusing platform or one that gives no answers; it tries again for about an hour.
- `UpgradeUnderWay`: another process registers this hospital's patients; it is tried again.
- `BadFeedFile`, `SourceDrift`: the SQL of patients does not fit this HIS: docs/upgrade.md.
- `BadConnection`, `BadHospitalFile`: `offline_wechat_code` or `card_list_url` is missing.

## 中文手册

- **随时可以中断**，包括被强行终止：再触发一次，或清除红色任务。每批的 requestId 和名单先写入台账再发送；没有应答时
  用原 requestId 重发同一批。
- **不挤占用卡上报**：未上线医院按接口、按平台日计数，与上报任务用同一套限额；每秒调用数与本院、同一 appId 的上报
  任务均分。
- 因 `calls`、`hours` 或限额结束的运行是绿色的：再触发即继续，运行备注写明还剩多少。
- 被隔离的患者和 openId 名单由命令行写出：`python -m card_usage upgrade --hospital ID --out 目录`。

**任务变红**：看日志最后几行。

- `UpgradeStopped`：被暂停、平台拒绝或没有应答；约一小时内自动重试。
- `UpgradeUnderWay`：另一个进程正在注册本院患者，稍后自动重试。
- `BadFeedFile`、`SourceDrift`：患者 SQL 与该 HIS 不符，见 docs/upgrade.md。
- `BadConnection`、`BadHospitalFile`：缺 `offline_wechat_code` 或 `card_list_url`。
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, TriggerRule, dag, task
from airflow.sdk.exceptions import AirflowSkipException
from card_usage_airflow import hospital_files
from card_usage_airflow.defaults import DEFAULT_ARGS, Tag, hospital_param
from card_usage_airflow.notifiers import run_failed, run_succeeded
from card_usage_airflow.task_context import open_context
from card_usage_airflow.upgrading import preview_upgrade, read_patients, report_upgrade, send_patients

HOSPITALS = list(hospital_files.ids())


def end_dry_run(params: Any) -> None:
    """A dry run goes no further."""
    if params["dry_run"]:
        raise AirflowSkipException("dry run: nothing is kept and nothing is sent; see the log of preview")


# Airflow hands `params` to each task from the run's context; whoever wires the tasks together leaves it out.
@task(execution_timeout=timedelta(hours=6))
def preview(params: Any = None) -> dict[str, object]:
    """What the patients of the HIS would come to. Changes nothing."""
    with open_context(params["hospital"]) as context:
        return preview_upgrade(context, from_his=params["dry_run"] and params["read_his"])


@task(execution_timeout=timedelta(hours=6))
def read(params: Any = None) -> dict[str, int]:
    """Patients of the HIS into the ledger, each in one class."""
    end_dry_run(params)
    if not params["read_his"]:
        raise AirflowSkipException("read_his is off: those whom the ledger has are sent")
    with open_context(params["hospital"]) as context:
        return read_patients(context)


@task(trigger_rule=TriggerRule.NONE_FAILED, max_active_tis_per_dag=1, execution_timeout=timedelta(hours=12))
def send(params: Any = None) -> dict[str, int]:
    """Batches, one after the other."""
    end_dry_run(params)
    with open_context(params["hospital"]) as context:
        return send_patients(context, calls=params["calls"], hours=params["hours"])


@task
def report(params: Any = None) -> dict[str, object]:
    """What the upgrade came to: by class, cause, result code and day."""
    with open_context(params["hospital"]) as context:
        return report_upgrade(context)


@dag(
    dag_display_name="老用户批量升级",
    description="By hand: health cards for a hospital's patients, in batches; shows first what would be sent",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags={Tag.CARD_USAGE, Tag.BY_HAND},
    params={
        "hospital": hospital_param(HOSPITALS),
        "dry_run": Param(
            True,
            type="boolean",
            title="试运行 · Dry run",
            description="只统计，不写入、不注册 / counts only, keeps and sends nothing",
        ),
        "read_his": Param(
            True,
            type="boolean",
            title="读取 HIS · Read the HIS",
            description="关闭时只注册台账中已有的患者 / off: only those whom the ledger has",
        ),
        "calls": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="批数上限 · Calls",
            description="最多调用多少次，留空不限 / at most so many batches; empty: no limit",
        ),
        "hours": Param(
            8,
            type="number",
            exclusiveMinimum=0,
            maximum=11,
            title="时长上限（小时） · Hours",
            description="到时结束，其余下次继续 / ends then, the rest goes with the next run",
        ),
    },
    on_failure_callback=run_failed,
    on_success_callback=run_succeeded,
)
def upgrade_patients() -> None:
    preview() >> read() >> send() >> report()


upgrade_patients()
