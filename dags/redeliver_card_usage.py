"""# Redeliver card uses by hand · 手工补报

For one hospital and a range of local days: shows what waits and, if asked to, reads these days from the HIS again and
delivers what is due. **Dry run by default**: it changes nothing and sends nothing.

对一家医院的一段日期：先试运行（默认），列出待报数量；确认后关闭 `dry_run`，重新读取 HIS 并补报。已上报的不会重复上报。

| task | what it does | dry run |
|---|---|---|
| `preview` | what would be sent, what is set aside, how long it takes; unmapped codes; what `aliases` release | yes |
| `feeds` | which feeds to read; a dry run ends here | skipped |
| `mend` | decides `aliases` in the ledger and releases the events that waited for them, from the ledger | skipped |
| `stage` | one per feed: reads the days again; **skipped** if `reread` is off | skipped |
| `check` | the gate, day by day | skipped |
| `deliver` | lifts the hold of a refusing platform, sends what is due on the days that the gate lets pass | skipped |
| `reconcile_and_publish` | counts again, writes the days' reports anew | skipped |

## When to use it

- **Codes are unmapped**: a dry run lists them in the log of `preview` with suggestions. Write the right ones into
  `aliases`, one a line (`department:21010=0301`), run it dry again to see what they release, then with `dry_run` off.
  With `reread` off the HIS is not asked: the ledger has the rows.
  Who triggered the run is who decided: `python -m card_usage aliases list` shows it, `aliases undo` takes it back. A
  code that means something else already is changed only with `replace` on.
- **A mapping was mended** (new rows in `code_aliases`): the quarantined events of these days are judged again.
- **The platform refused us** (`Misconfigured`) and the cause is mended: this run lifts the hold.
- **Events were refused** and the cause is mended: with `refused` on, they go again under new request ids.
- **Events were left open** by an outage that outlasted the retries.

Run it dry, read the log of `preview`, then *Trigger* again with `dry_run` off. It may be run twice, or while the daily
DAG runs: the ledger lets each event go once.

## A task is red

Its log's last lines say what to do; the table of causes is in the docs of the hospital's `report_card_usage` DAG.

## 中文手册

**什么时候用**

- **代码没有对照**：先试运行，`preview` 的日志列出代码和建议。把正确的写进 `aliases`，一行一个（
  `department:21010=0301`），再试运行看能放行多少，然后关闭 `dry_run`。`reread` 关闭时不读 HIS，台账里就有。
  谁触发运行，就记为谁决定：`python -m card_usage aliases list` 可查，`aliases undo` 可撤销。已有其他含义的代码，
  打开 `replace` 才会更改。
- **对照表补过了**（`code_aliases` 有新行）：这些日期被隔离的记录重新判断。
- **平台拒绝过我们**（`Misconfigured`），原因已排除：这次运行会解除停报。
- **有记录被拒收**，原因已排除：打开 `refused`，用新的 requestId 再报。
- **长时间故障后留下未报的**。

先试运行，看 `preview` 的日志，再关闭 `dry_run` “触发”一次。可以重复运行，也可以和日常 DAG 同时运行：台账保证每条
只报一次。

**任务变红**：看日志最后几行；各种原因见该医院 `report_card_usage` DAG 的说明。
"""

from __future__ import annotations

import logging
from datetime import date
from typing import Any

from airflow.sdk import Param, TriggerRule, dag, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from card_usage.windows import Window, day_window
from card_usage_airflow import hospital_files
from card_usage_airflow.defaults import DEFAULT_ARGS, Tag, hospital_param
from card_usage_airflow.notifiers import run_failed, run_succeeded
from card_usage_airflow.runs import who_triggered
from card_usage_airflow.steps import (
    check_window,
    deliver_window,
    make_refused_due,
    mend_window,
    preview_window,
    publish_window,
    reconcile_window,
    record_begun,
    resume,
    show_gaps,
    stage_window,
)
from card_usage_airflow.task_context import open_context

log = logging.getLogger(__name__)
HOSPITALS = list(hospital_files.ids())
FEEDS = sorted({feed for hospital in hospital_files.hospitals() for feed in hospital.his.feeds})


def asked_for(params: Any) -> Window:
    """The days that somebody asked for, both ends inside; without `to` the one day `from`."""
    first, last = date.fromisoformat(params["from"]), date.fromisoformat(params["to"] or params["from"])
    if last < first:
        raise AirflowFailException(f"'to' ({last}) is before 'from' ({first}): trigger again with the days in order")
    return Window(day_window(first).start, day_window(last).end)


def end_dry_run(params: Any) -> None:
    """A dry run goes no further."""
    if params["dry_run"]:
        raise AirflowSkipException("dry run: nothing is read and nothing is sent; see the log of preview")


# Airflow hands `params` to each task from the run's context; whoever wires the tasks together leaves it out.
@task
def preview(params: Any = None) -> dict[str, object]:
    """What these days would send, how long it would take, and what the aliases would release. Changes nothing."""
    with open_context(params["hospital"]) as context:
        show_gaps(context, asked_for(params), params["aliases"])
        return preview_window(context, asked_for(params))


@task
def feeds(params: Any = None) -> list[str]:
    """The feeds to read again. Ends a dry run here."""
    end_dry_run(params)
    with open_context(params["hospital"]) as context:
        known = context.hospital.his.feeds
    if not params["reread"]:
        return []
    wanted = params["feeds"] or list(known)
    if strangers := sorted(set(wanted) - set(known)):
        raise AirflowFailException(f"{params['hospital']} has no feed {', '.join(strangers)}: take {', '.join(known)}")
    return wanted


@task(trigger_rule=TriggerRule.NONE_FAILED)
def mend(params: Any = None, dag_run: Any = None) -> dict[str, object]:
    """The aliases decided, and everything released that waited for them or for those decided before."""
    end_dry_run(params)
    with open_context(params["hospital"]) as context:
        window, by = asked_for(params), who_triggered(dag_run)
        return mend_window(context, window, params["aliases"], replace=bool(params.get("replace")), by=by)


@task(map_index_template="{{ task.op_kwargs['feed'] }}", max_active_tis_per_dag=2)
def stage(feed: str, params: Any = None) -> dict[str, object]:
    """One feed's days from the HIS replica to the ledger, again."""
    with open_context(params["hospital"]) as context:
        return stage_window(context, feed, asked_for(params), backfill=True)


@task(trigger_rule=TriggerRule.NONE_FAILED)
def check(params: Any = None) -> dict[str, str]:
    """The gate's verdict of each day, kept in the ledger; the delivery leaves out what it withholds."""
    end_dry_run(params)
    with open_context(params["hospital"]) as context:
        return {verdict.window: verdict.level for verdict in check_window(context, asked_for(params))}


@task(max_active_tis_per_dag=1)
def deliver(params: Any = None, dag_run: Any = None) -> dict[str, object]:
    """Everything that is due in these days."""
    with open_context(params["hospital"]) as context:
        by = who_triggered(dag_run)
        record_begun(context, "redeliver", by, str(asked_for(params)))
        resume(context, by)
        if params["refused"]:
            make_refused_due(context, asked_for(params), by)
        return deliver_window(context, asked_for(params))


@task
def reconcile_and_publish(params: Any = None) -> dict[str, object]:
    """The days counted again, their reports written anew."""
    with open_context(params["hospital"]) as context:
        reconciled = reconcile_window(context, asked_for(params))
        publish_window(context, asked_for(params))
        return reconciled


@dag(
    dag_display_name="手工补报",
    description="By hand: what waits for a hospital's days (dry run), then read them again and deliver what is due",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags={Tag.CARD_USAGE, Tag.BY_HAND},
    params={
        "hospital": hospital_param(HOSPITALS),
        "from": Param(type="string", format="date", title="首日 · First local day"),
        "to": Param(
            None,
            type=["null", "string"],
            format="date",
            title="末日 · Last local day",
            description="含当日；留空为首日这一天 / included; empty: the first day alone",
        ),
        "dry_run": Param(
            True,
            type="boolean",
            title="试运行 · Dry run",
            description="只统计，不读取、不上报 / counts only, sends nothing",
        ),
        "refused": Param(
            False,
            type="boolean",
            title="含被平台拒绝的 · Refused too",
            description="以新的请求号重报被拒绝的数据 / send refused events again under new request ids",
        ),
        "feeds": Param(
            None,
            type=["null", "array"],
            examples=FEEDS,
            title="数据来源 · Feeds",
            description="要重新读取的来源，留空为全部 / feeds to read again; empty: all",
        ),
        "aliases": Param(
            [],
            type="array",
            items={"type": "string", "pattern": r"^[^:\s]+:.+=\s*\S+\s*$"},
            title="代码对照 · Aliases",
            description="每行一条，如 department:21010=0301；先试运行查看效果 / one a line; run dry first",
        ),
        "replace": Param(
            False,
            type="boolean",
            title="更改已有对照 · Replace",
            description="本院代码已有其他含义时也更改 / also change codes that mean something else already",
        ),
        "reread": Param(
            True,
            type="boolean",
            title="重新读取 HIS · Read the HIS again",
            description="关闭时只处理台账中已隔离的数据 / off: only what the ledger has quarantined",
        ),
    },
    on_failure_callback=run_failed,
    on_success_callback=run_succeeded,
)
def redeliver_card_usage() -> None:
    wanted = feeds()
    mended = mend()
    preview() >> wanted >> mended
    staged = stage.expand(feed=wanted)
    mended >> staged >> check() >> deliver() >> reconcile_and_publish()


redeliver_card_usage()
