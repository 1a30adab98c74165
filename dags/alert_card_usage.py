"""# Incidents and alerts · 告警

Every five minutes: looks at every hospital in the ledger, opens, updates and closes incidents, and takes the messages
to their channels (WeCom, DingTalk, Feishu, mail, webhook).

每五分钟巡检一次所有医院的台账：新问题开单、加重更新、恢复关闭，并把消息发到各通道（企业微信、钉钉、飞书、邮件、Webhook）。

| task | what it does | again? |
|---|---|---|
| `look_and_send` | one sweep of all hospitals, then the outbox; its log counts incidents and messages | yes |

A sweep reads what the ledger shows now: a run that was missed or repeated loses nothing and tells nothing twice. What
is told to whom stands in the hospital's file under `[alerts]` and `[[alerts.routes]]`; see docs/alerts.md.

## The task is red: what to do

Nobody hears of anything while it is. The last lines of its log say why:

- `LedgerUnreachable`, `LedgerBehind`, `WrongKey`: the ledger's database, schema or key. The line says which.
- `MissingSetting`: `CARD_USAGE_LEDGER_URL` or `CARD_USAGE_KEY` is not set where the task ran.

Mend it and wait for the next run; nothing has to be cleared. To look by hand: `python -m card_usage incidents`.

## No message arrives

The task is green and its log warns `channel '...' did not take the message`: the connection of that name is wrong or
the network is down. Messages wait for three days and are sent in order once the channel is back. Try each channel:
`python -m card_usage alerts test --hospital <id>`. No warning and no message: the hospital's file has no route, the
severity is below the route's `least`, or it is night there.

## 中文手册

**任务变红**：这期间谁都收不到告警。看日志最后几行：`LedgerUnreachable`、`LedgerBehind`、`WrongKey` 是台账的数据库、
版本或密钥；`MissingSetting` 是任务所在机器没有设置 `CARD_USAGE_LEDGER_URL` 或 `CARD_USAGE_KEY`。改好等下一次运行即
可，不用清除。手工查看：`python -m card_usage incidents`。

**收不到消息**：任务是绿的、日志里有 `channel '...' did not take the message`，说明该通道的连接配错或网络不通。消息
保留三天，通道恢复后按顺序发出。逐个试发：`python -m card_usage alerts test --hospital <id>`。既没有警告也没有消息：
医院配置里没有写通道、级别低于 `least`，或者正是夜间。
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag, task
from card_usage_airflow.alerting import look_and_send as look_and_send_once
from card_usage_airflow.defaults import DEFAULT_ARGS, EARLIEST, Tag, timetable
from card_usage_airflow.notifiers import run_failed

DAG_ID = "alert_card_usage"


# Tried again by the next run anyway: one retry rides out a restarting database.
@task(retries=1, execution_timeout=timedelta(minutes=20))
def look_and_send() -> dict[str, object]:
    """One sweep of all hospitals, then the outbox."""
    return look_and_send_once(made_good=DAG_ID)


@dag(
    dag_id=DAG_ID,
    dag_display_name="告警 · 巡检与发送",
    description="Looks for trouble in every hospital every five minutes and tells who can mend it, once",
    doc_md=__doc__,
    schedule=timetable("*/5 * * * *"),
    start_date=EARLIEST,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags={Tag.CARD_USAGE, Tag.ALERT},
    on_failure_callback=run_failed,
)
def alert_card_usage() -> None:
    look_and_send()


alert_card_usage()
