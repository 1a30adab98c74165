"""# Report card uses · 用卡数据上报

One DAG a hospital, from its file in `CARD_USAGE_HOSPITALS`: every local day (or hour) of card uses goes from the HIS
replica through the ledger to the open platform, once each, and the report proves it.

一家医院一个 DAG：每个自然日（或小时）的用卡数据，从 HIS 副本经台账上报开放平台，不漏不重，并出具对账报告。

| task | what it does | again? |
|---|---|---|
| `wait` | waits until the replica has provably passed the window's end; holds no worker while it does | yes |
| `stage` | one per feed: HIS rows to the ledger, normalized, judged; scheduled runs also look at the last days | yes |
| `check` | the gate: pass, warn, hold or stop | yes |
| `deliver` | sends what is due and waits for the platform's answers; **skipped** if the gate holds all of it | yes |
| `reconcile` | counts HIS, ledger and acknowledgements against each other | yes |
| `warehouse` | puts the day's sums into the warehouse; its failure is an incident of its own, never the run's | yes |
| `publish` | writes the day's report; its log names the files, 用卡报告 in its details opens the page | yes |
| `approve` | one per withheld window: a person decides, in *Required Actions*; holds no worker while it waits | yes |
| `deliver_approved` | sends what was let go; **skipped** if nothing was | yes |
| `report_approved` | counts that window again and writes its report anew | yes |

Everything may be cleared and run again, alone or together: what was delivered is not sent a second time.

## A run has failed: what to do at night

Open the red task, read the **last lines of its log**: they say what happened and what to do next.

- `SourceUnreachable`, `SourceInterrupted`: the HIS replica is down or restarting. It retries for about an hour by
  itself; only then call hospital IT.
- `SourceDrift`: the HIS was upgraded and a column is gone. Nothing was staged; call hospital IT.
- `PlatformUnreachable`, `StillOpen`: the platform or the line to it is down. It retries for about an hour by itself;
  what was in flight keeps its request ids.
- `Misconfigured`: the platform refuses us (appId, appSecret, hospital id, rights). Mend the connection or the
  hospital's file, then run `redeliver_card_usage` with `dry_run` off, or `python -m card_usage resume` and clear
  `deliver`: until then the ledger holds everything back.
- `TokenContested`: another system takes tokens with our appId. Find it; only one of the two may.
- `GateStopped`: the day is so bad that nothing may leave; the line says why. Mend mapping or data, then clear `stage`
  with downstream.
- `BadHospitalFile`, `MissingSetting`, `BadConnection`, `CodeTableError`: set-up. Correct what the line names, clear the
  task.
- `LedgerUnreachable`, `LedgerBehind`, `WrongKey`: the ledger's database, schema or key. The line says which; clear the
  task when it is mended.

`deliver` **skipped** is no failure: the gate holds the window, its events wait in the ledger, and `approve` waits for a
person.

## A window is withheld: who decides what · 质检未放行

Open the run's *Required Actions* (需要操作). The form says why, how many, and what each answer does: release
everything, release only the feeds that no reason concerns, or nothing. Mending is better than releasing: add the codes
that are missing (`python -m card_usage quality`, or `redeliver_card_usage`), and the window passes by itself. After the
deadline of the hospital's file (`[gate]` `decide_within_hours`, 20) its default counts (`undecided`, `rejected`:
nothing leaves, and it may still be released). Without the UI: `python -m card_usage decide`. Who decided what is in the
ledger and in the day's report. Other hospitals and later windows do not wait for it.

## `wait` is deferred for long, or a run says PROVISIONAL

The replica lags, stands still or may not be asked. The log of `wait` (and of the triggerer) says what the probe of
`[his.freshness]` in the hospital's file reads: up to there the replica has followed.

- Call hospital IT if it does not move: the copying of the database has stopped, or the job that writes the heartbeat.
- `deadline_minutes` after the window's end the run goes on without proof: what is there is delivered, the window stays
  `provisional` in the ledger, and the day's report says so. Nothing is lost by that: every later run, and the morning's
  reconciliation, read it again until the replica has passed it, and only then does it close.
- To wait no longer: mark `wait` as success is **wrong** (it hands on the windows); lower `deadline_minutes` instead and
  clear `wait`.
- `ReplicaBusy`: `max_parallel_queries` or `avoid_hours` of the hospital's file let nothing through now. It tries again
  every half hour by itself.

## A day again, or days of the past

*Trigger* takes a `day`; empty means the last complete one. *Backfill* takes a range of local days, both ends inside:

    airflow backfill create --dag-id report_card_usage__<hospital> --from-date 2026-01-05 --to-date 2026-01-07

needs `core.default_timezone = Asia/Shanghai`. Backfilled events go after live ones where the platform rations calls.
Nothing is scheduled after the `end` of the hospital's file; days up to it may be triggered, cleared or backfilled at
any time.

## A red DAG with the tag `broken`

Its hospital's file cannot be read; the DAG's description and its one task say file, key and reason. The other
hospitals go on. Correct the file: the real DAG is back within a minute; then clear the failed runs.

## 中文手册

### 运行失败：夜里怎么办

打开红色任务，看它日志的**最后几行**：写着发生了什么、下一步做什么。

- `SourceUnreachable`、`SourceInterrupted`：HIS 备库停机或正在重启。系统会自动重试约一小时，之后仍不行再联系医院信息
  科。
- `SourceDrift`：HIS 升级后少了字段。什么都没有采集，请联系医院信息科。
- `PlatformUnreachable`、`StillOpen`：平台或到平台的线路不通。自动重试约一小时；已发出的保留原来的 requestId。
- `Misconfigured`：平台拒绝我们（appId、appSecret、医院 ID、权限）。改正连接或医院配置，然后以 `dry_run` 关闭运行
  `redeliver_card_usage`，或执行 `python -m card_usage resume` 并清除 `deliver`：在此之前台账不再上报。
- `TokenContested`：有别的系统在用我们的 appId 取令牌。找出来，只能留一个。
- `GateStopped`：当天数据问题严重，一笔都不能报，日志里写着原因。改好对照或数据，连同下游清除 `stage`。
- `BadHospitalFile`、`MissingSetting`、`BadConnection`、`CodeTableError`：配置问题。按日志所指改正，清除该任务。
- `LedgerUnreachable`、`LedgerBehind`、`WrongKey`：台账的数据库、版本或密钥问题。日志写明是哪一个；改好后清除该任务。

每个任务都可以清除重跑，单独或一起都行：已上报的不会再报一次。`deliver` 显示**跳过**不是失败：质检没有放行，记录留在
台账里，`approve` 在等人决定。

### 质检未放行：谁来决定

在运行的“需要操作”里打开表单：写着原因、笔数、每个选项的结果：全部放行、只放行不受影响的业务、不放行。补好对照比放
行更好：补上缺的代码（`python -m card_usage quality` 或 `redeliver_card_usage`），时间窗会自动通过。超过医院配置
`[gate]` `decide_within_hours`（20 小时）按默认处理（`undecided`，默认不放行：一笔不报，之后仍可放行）。不开页面也可
以：`python -m card_usage decide`。谁做了什么决定，台账和当天报告里都有。其他医院和之后的日期不受影响。

### `wait` 长时间等待，或提示 PROVISIONAL（暂定）

备库滞后、停止同步或不允许访问。`wait` 的日志写着医院配置 `[his.freshness]` 的探针读到了哪里。

- 一直不动就联系医院信息科：数据库复制停了，或者写心跳的任务停了。
- 窗口结束后超过 `deadline_minutes`，不再等证明，先上报已有的；台账中标为暂定，报告也会写明。不会丢：之后每次运行和
  每天早上的对账都会重读。
- 不想等：把 `wait` 标记成功是**错的**（要靠它传递时间窗）；请调小 `deadline_minutes`，再清除 `wait`。
- `ReplicaBusy`：医院配置的 `max_parallel_queries` 或 `avoid_hours` 现在不允许查询，每半小时自动再试。

### 重跑一天，或补报过去的日子

“触发”可填 `day`，留空为最近一个完整的自然日。补报一段日期（首尾都算）用上面的 `airflow backfill create` 命令，要
求 `core.default_timezone = Asia/Shanghai`。有限额时，补报排在当天数据之后。医院配置写了 `end` 的，此日之后不再排运行，
此前的日期随时可以触发、清除或补报。

### 带 `broken` 标签的红色 DAG

医院配置读不出来；DAG 说明和它唯一的任务写着文件、键和原因，其他医院照常。改好后一分钟内恢复，再清除失败的运行。
"""

from __future__ import annotations

import logging
from datetime import timedelta
from math import ceil
from typing import Any, cast

from airflow.sdk import DAG, TriggerRule, get_parsing_context, task, task_group
from airflow.sdk.exceptions import AirflowSkipException
from card_usage.config.hospital import Hospital
from card_usage.errors import BadHospitalFile, CardUsageError, GateStopped
from card_usage_airflow import hospital_files
from card_usage_airflow.access import access_control
from card_usage_airflow.approval import Approval
from card_usage_airflow.defaults import DEFAULT_ARGS, EARLIEST, Tag, day_param, start_of, timetable
from card_usage_airflow.links import REPORTS, linked
from card_usage_airflow.notifiers import run_failed, run_succeeded
from card_usage_airflow.runs import is_backfill, window_from
from card_usage_airflow.sensors import ReplicaPassed
from card_usage_airflow.steps import (
    build_warehouse,
    check_window,
    deliver_window,
    publish_window,
    reason_texts,
    reconcile_window,
    stage_window,
    verdicts_awaiting_decision,
    withholds_all,
)
from card_usage_airflow.task_context import open_context

log = logging.getLogger(__name__)


# Two at a time over all runs of a hospital: its replica serves doctors first.
@task(map_index_template="{{ task.op_kwargs['feed'] }}", max_active_tis_per_dag=2)
def stage(hospital_id: str, windows: list[str], feed: str, **task_context: Any) -> list[dict[str, object]]:
    """One feed from the HIS replica to the ledger."""
    with open_context(hospital_id) as context:
        return [
            stage_window(context, feed, window_from(window), backfill=is_backfill(task_context)) for window in windows
        ]


@task
def check(hospital_id: str, windows: list[str]) -> list[str]:
    """The gate before delivery. Returns the windows that somebody has to decide about.

    Of the days looked back on only those that nobody was asked about yet: their own run's form may still be open. Stops
    the run if nothing of its own window may leave.
    """
    ask = []
    with open_context(hospital_id) as context:
        for window in windows:
            verdicts = check_window(context, window_from(window))
            stopped = [verdict for verdict in verdicts if verdict.level == "stop"]
            if stopped and window == windows[0]:
                reasons = "; ".join(text for verdict in stopped for text in reason_texts(context, verdict))
                raise GateStopped(hospital=hospital_id, window=window, reasons=reasons)
            waiting = verdicts_awaiting_decision(context, window_from(window))
            if any(window == windows[0] or verdict.asked_at is None for verdict in waiting):
                ask.append(window)
    return ask


# One at a time a hospital: a second deliverer would only share the first one's rate.
@task(max_active_tis_per_dag=1, execution_timeout=timedelta(hours=12))
def deliver(hospital_id: str, windows: list[str]) -> list[dict[str, object]]:
    """Everything that is due in these windows, but for what the gate withholds."""
    with open_context(hospital_id) as context:
        held = [window for window in windows if withholds_all(context, window_from(window))]
        delivered = [deliver_window(context, window_from(window)) for window in windows if window not in held]
    if held:
        log.warning("held by the gate, nothing sent of %s", ", ".join(held))
    if not delivered:
        raise AirflowSkipException("the gate holds this window; its events wait in the ledger")
    return delivered


@task(max_active_tis_per_dag=1, execution_timeout=timedelta(hours=12))
def deliver_approved(hospital_id: str, decided: dict[str, str]) -> dict[str, object]:
    """What a person let go of one window."""
    if decided["decision"] not in ("released", "clean"):
        raise AirflowSkipException("nothing was let go; the events wait in the ledger")
    with open_context(hospital_id) as context:
        return deliver_window(context, window_from(decided["window"]))


@task(outlets=[REPORTS])
def report_approved(hospital_id: str, window: str) -> list[str]:
    """The window counted again and its report written anew, with the decision in it."""
    with open_context(hospital_id) as context:
        reconcile_window(context, window_from(window))
        return publish_window(context, window_from(window))


@task(trigger_rule=TriggerRule.NONE_FAILED)
def reconcile(hospital_id: str, windows: list[str]) -> list[dict[str, object]]:
    """HIS, ledger and acknowledgements, counted against each other."""
    with open_context(hospital_id) as context:
        return [reconcile_window(context, window_from(window)) for window in windows]


# No teardown, though it may fail alone: a run with one cannot be marked as failed or success before it has run.
@task(execution_timeout=timedelta(minutes=30))
def warehouse(hospital_id: str, windows: list[str]) -> dict[str, int]:
    """The days' sums, in the warehouse. Nothing waits for it, and a run does not fail by its errors."""
    try:
        with open_context(hospital_id) as context:
            return build_warehouse(context, map(window_from, windows))
    except CardUsageError as error:
        log.warning("%s", error)
        raise AirflowSkipException("the warehouse was not updated; the next run or morning does it") from None


@task(outlets=[REPORTS])
def publish(hospital_id: str, windows: list[str]) -> list[str]:
    """The report of each window: HTML for people, JSON for programs. The log names the files."""
    with open_context(hospital_id) as context:
        return [path for window in windows for path in publish_window(context, window_from(window))]


@task(retries=0)
def read_hospital_file(hospital_id: str) -> None:
    """Fails with file, key and reason for as long as the file is broken."""
    if isinstance(found := hospital_files.read(hospital_id), BadHospitalFile):
        raise found
    log.info("the file is in order again; the DAG takes its usual form at the next parse")


def most_runs(hospital: Hospital) -> int:
    """Three that work, and one for each window that may be waiting for a person."""
    hours = 24 if hospital.cadence == "daily" else 1
    return 3 + ceil(hospital.gate.decide_within_hours / hours)


def report_card_usage(hospital: Hospital) -> None:
    """The DAG of one hospital."""
    with DAG(
        f"report_card_usage__{hospital.id}",
        dag_display_name=f"用卡上报 · {hospital.name}",
        description=f"{hospital.name_en or hospital.id}: card uses to the open platform, {hospital.cadence}",
        doc_md=__doc__,
        schedule=timetable(hospital.cadence, hospital.end),
        start_date=start_of(hospital),
        catchup=False,
        max_active_runs=most_runs(hospital),
        default_args=DEFAULT_ARGS,
        tags={Tag.CARD_USAGE, Tag.REPORT},
        access_control=access_control(hospital.id, hospital.region),
        params={"day": day_param("要上报的自然日；")},
        on_failure_callback=run_failed,
        on_success_callback=run_succeeded,
    ):
        wait = ReplicaPassed(task_id="wait", hospital_id=hospital.id)
        # As the tasks below get it; Airflow's types let a task take values only, and no other task's output.
        windows = cast("list[str]", wait.output)
        staged = stage.partial(hospital_id=hospital.id, windows=windows).expand(feed=list(hospital.his.feeds))
        held = check(hospital.id, windows)
        staged >> held

        @task_group(group_id="held", prefix_group_id=False)
        def decide(window: str) -> None:
            """One withheld window, on its own: what passed does not wait for it."""
            approve = Approval(
                task_id="approve", hospital=hospital, window=window, map_index_template="{{ task.window }}"
            )
            decided = cast("dict[str, str]", approve.output)
            deliver_approved(hospital.id, decided) >> linked(report_approved(hospital.id, window))

        decide.expand(window=held)
        delivered = deliver(hospital.id, windows)
        counted = reconcile(hospital.id, windows)
        held >> delivered >> counted >> linked(publish(hospital.id, windows))
        counted >> warehouse(hospital.id, windows)


def broken_hospital(hospital_id: str, problem: BadHospitalFile) -> None:
    """A DAG in the place of one whose hospital file is broken: same id, so runs and history stay, and it says why.

    dags/hospital_files.py shows the same as an import error; raised here, it would take all hospitals' DAGs down.
    """
    with DAG(
        f"report_card_usage__{hospital_id}",
        dag_display_name=f"用卡上报 · {hospital_id}（配置有误）",
        description=f"BROKEN: {problem}",
        doc_md=f"# The hospital's file is broken · 医院配置有误\n\n{problem}\n\n{__doc__}",
        schedule=timetable("daily"),
        start_date=EARLIEST,
        catchup=False,
        default_args=DEFAULT_ARGS,
        tags={Tag.CARD_USAGE, Tag.REPORT, Tag.BROKEN},
        access_control=access_control(hospital_id),
        on_failure_callback=run_failed,
        on_success_callback=run_succeeded,
    ):
        read_hospital_file(hospital_id)


# A task needs its own DAG only; a fleet's other files need not be read for it.
wanted = get_parsing_context().dag_id
for hospital_id in hospital_files.ids():
    if wanted in (None, f"report_card_usage__{hospital_id}"):
        hospital = hospital_files.read(hospital_id)
        if isinstance(hospital, Hospital):
            report_card_usage(hospital)
        else:
            broken_hospital(hospital_id, hospital)
