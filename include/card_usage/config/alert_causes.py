"""Alert causes: everything that is particular to a cause of incidents but how it is detected.

For each its name, who resolves it, how long it must be absent, which causes explain it, and its texts. Declared in this
package, below hospital files and alerts, because both use it: a hospital's route may name causes. To add a cause,
declare it here and write its detector (`card_usage.alerts.detectors`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Final, Literal

from card_usage.words.catalogue import Texts

Severity = Literal["info", "warning", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "critical")

Owner = Literal["his", "mapping", "engineer", "automatic"]
"""Who resolves an incident: `who.*` of the catalogue."""

Listing = Literal["", "codes", "volumes"]
"""What the fact `named` of an incident lists, a line each, its columns separated by tabs.

codes: local code, local name, events. volumes: feed, rows, usual rows.
"""

AT_ONCE: Final = timedelta(0)
SHORT_ABSENCE: Final = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """A kind of incident.

    `title`: its name; `what`: what happened; `todo`: what to do; `over`: that it is over. Each may have places for the
    facts that its detector gives, for `count`, `since`, `hospital` and `detail`. `reasons`: by detail, what the fact
    `reason` is filled into. `listing`: what its fact `named` lists.

    `part`: what its parts are (feeds, days, codes; "" for none). `closes_after`: how long the condition must be absent
    before the incident closes. `explained_by`: causes that bring it about; while one of them is open, no incident of
    this cause is opened. `resolved_in`: "form" if a person decides in a form of Airflow. `brings`: "gaps" if its
    message brings the workbook of missing codes, to be filled in, if it lists any.
    """

    name: str
    owner: Owner
    title: Texts
    what: Texts
    todo: Texts
    over: Texts
    reasons: Mapping[str, Texts] = field(default_factory=dict)
    listing: Listing = ""
    part: str = ""
    closes_after: timedelta = AT_ONCE
    resolved_in: Literal["", "form"] = ""
    brings: Literal["", "gaps"] = ""
    explained_by: tuple[str, ...] = ()


_DECLARED: Final = (
    # A cause comes after the causes that explain it, as far as they do not explain each other.
    Cause(
        name="misconfiguration",
        owner="engineer",
        title=("配置有误，上报已停止", "Misconfigured: nothing is sent"),
        what=(
            "{reason}；已停止上报，{count} 笔等待，数据不会丢失",
            "{reason}; nothing more is sent, {count} records wait, nothing is lost",
        ),
        todo=(
            "核对 appId、appSecret、医院编号和平台授权；改好后运行“手工补报”即自动解除",
            (
                "check appId, appSecret, hospital id and authorization; then run redeliver_card_usage, which "
                "lifts the hold"
            ),
        ),
        over=("配置已恢复，上报继续", "mended, sending goes on"),
        reasons={
            "file": ("医院配置文件读不出来：{reason}", "the hospital's file cannot be read: {reason}"),
            "platform": (
                "平台拒绝了我们的调用（{reason}）",
                "the platform turns our calls away ({reason})",
            ),
        },
    ),
    Cause(
        name="token_contested",
        owner="engineer",
        closes_after=timedelta(hours=1),
        title=("有其他系统在抢用平台令牌", "Another system takes our token"),
        what=(
            (
                "同一 appId 的令牌被其他系统替换了 {count} 次，双方互相踢下线；已改为轮流使用，"
                "对方约占四分之三的时间，上报速度降为约四分之一"
            ),
            (
                "the appToken was replaced {count} times by another system with the same appId: each ends the other's; "
                "we take turns, it has three quarters of the time, and deliveries go on at a quarter of their pace"
            ),
        ),
        todo=(
            "找到另一套使用同一 appId 的系统，只保留一方获取令牌，或向平台另申请 appId",
            "find the other system with this appId; only one may ask for tokens, or ask the platform for another appId",
        ),
        over=("令牌不再被抢用", "nobody takes the token any more"),
    ),
    Cause(
        name="dag_failed",
        owner="engineer",
        explained_by=("misconfiguration", "gate_held", "replica_late"),
        title=("流程运行失败", "A run of Airflow failed"),
        what=(
            "{dag} 有 {count} 次运行失败，最近一次停在任务 {task}",
            "{count} runs of {dag} failed, the last at task {task}",
        ),
        todo=(
            "打开该任务日志的最后几行，按该 DAG 文档中的处理手册操作；修复后清除（Clear）失败任务即可续跑",
            (
                "read the last lines of that task's log and follow the runbook in the DAG's docs; then clear the "
                "failed task"
            ),
        ),
        over=("后续运行已成功", "a later run succeeded"),
    ),
    Cause(
        name="gate_held",
        resolved_in="form",
        brings="gaps",
        listing="codes",
        owner="his",
        part="day",
        title=("质检未放行，等待人工决定", "Held by the quality gate"),
        what=(
            "{days}的 {count} 笔记录未通过上报前质检：{reason}",
            "{count} records of {days} did not pass the check before delivery: {reason}",
        ),
        todo=(
            "在 Airflow 该次运行中选择放行、只放行合格部分或不放行；能改数据或对照的，改好后重跑当日",
            "decide in the Airflow run: release, release the clean part, reject; or mend the cause and run again",
        ),
        over=("已有决定或重新质检通过", "decided, or checked again and passed"),
    ),
    Cause(
        name="replica_late",
        owner="his",
        part="feed",
        closes_after=SHORT_ABSENCE,
        explained_by=("dag_failed",),
        title=("医院系统备库数据滞后", "The HIS replica is behind"),
        what=(
            "{feeds}的数据只采到 {since}，已晚 {hours_of_count}",
            "{feeds}: read up to {since} only, {hours_of_count} late",
        ),
        todo=(
            "请信息科检查备库同步是否中断、备库能否登录；恢复后流程自动补采，无需重跑",
            "check the replication and the login of the replica; the pipeline catches up by itself",
        ),
        over=(
            "备库数据已跟上，缺的数据已自动补采",
            "the replica has caught up, what was missing is read",
        ),
    ),
    Cause(
        name="provisional_window",
        owner="his",
        part="feed",
        closes_after=SHORT_ABSENCE,
        explained_by=("replica_late", "dag_failed"),
        title=("有时段的数据仍是暂定", "Windows that are still provisional"),
        what=(
            "{feeds}在 {since} 之前的数据采集时备库还不完整，{hours_of_count}后仍未重新核对",
            (
                "{feeds}: the replica was not complete up to {since} when it was read; {hours_of_count} later not "
                "counted again"
            ),
        ),
        todo=(
            "检查备库同步进度；同步完成后在 Airflow 中重跑该日即可转为正式",
            "check how far replication is; then run that day again in Airflow",
        ),
        over=("暂定的数据已重新核对", "the windows were counted again"),
    ),
    Cause(
        name="unmapped_code",
        brings="gaps",
        owner="mapping",
        part="code",
        title=("有本地代码未对照", "Local codes without a standard code"),
        what=(
            "{count} 笔用卡记录的{table}代码没有对照到标准代码（{codes} 个代码），已隔离，暂未上报",
            "{count} card uses have a {table} code without a standard code ({codes} codes); set aside, not sent",
        ),
        todo=(
            (
                "为以上代码各定一个标准代码：填好附表交回，或填在“手工补报”的“代码对照”中（代码表 {detail}）；"
                "隔离的记录随即放行，不会重复上报"
            ),
            (
                "decide what each code means: hand the workbook back filled in, or type the codes into the form of "
                "redeliver_card_usage (table {detail}): the records are released, none is sent twice"
            ),
        ),
        over=(
            "{table}代码已全部对照，隔离的记录已放行",
            "all {table} codes are mapped, the records are released",
        ),
        listing="codes",
    ),
    Cause(
        name="missing_field",
        owner="his",
        part="feed",
        title=("必填项大量缺失", "A required field is often missing"),
        what=(
            "“{rule}”：{feeds}有 {count} 笔记录不满足，最高占当日该业务的 {share}，已隔离，暂未上报（{days}）",
            "'{rule}': {count} records of {feeds} break it, up to {share} of a day; set aside, not sent ({days})",
        ),
        todo=(
            "先看近期医院系统是否升级、字段是否改名或停填；在医院系统补录后重跑当日即可放行",
            (
                "was the HIS upgraded, the field renamed, or no longer filled? Complete it there, then run "
                "these days again"
            ),
        ),
        over=("缺失的内容已补齐", "what was missing is complete"),
    ),
    Cause(
        name="patient_in_column",
        owner="his",
        part="column",
        title=("列中有患者信息", "A column holds patient data"),
        what=(
            (
                "{feeds}有 {count} 笔记录在不该有患者信息的列中出现了姓名、证件号、手机号或健康卡二维码"
                "（{columns}）；内容已遮盖，记录已隔离，暂未上报"
            ),
            (
                "{count} records of {feeds} have a name, an ID, mobile or QR text in a column that should hold none "
                "({columns}); masked, set aside, not sent"
            ),
        ),
        todo=(
            (
                "请信息科核对该业务 SQL 取数的列，改正后重跑当日，不要转发原值；确是代码、科室名称的，"
                "在对照表中加一行；单号只是看起来像证件号的，在医院文件 [normalize] 中写 keys_by_shape = false"
            ),
            (
                "check which columns the feed's SQL takes, mend it, run these days again; pass no value on. A real "
                "code or department gets a line in code_aliases; keys that only look like ID numbers: "
                "keys_by_shape = false under [normalize] in the hospital's file"
            ),
        ),
        over=("列中已没有患者信息", "no column holds patient data any more"),
    ),
    Cause(
        name="volume_drop",
        owner="his",
        part="feed",
        explained_by=("gate_held", "replica_late", "dag_failed"),
        title=("用卡量明显下降", "Far fewer card uses than usual"),
        what=(
            "{day}只采到 {found} 笔，以往同类日期约 {usual} 笔，少了 {count} 笔",
            "{day} has {found} records, days like it usually {usual}: {count} fewer",
        ),
        todo=(
            "核对备库数据是否完整、该业务是否停诊或切换了系统；本院自定的停诊日可写入医院文件的 [calendar]",
            (
                "is the replica complete, was the service closed or moved? Days off of its own go into its "
                "file, [calendar]"
            ),
        ),
        over=("用卡量恢复正常", "volumes are as usual again"),
        listing="volumes",
    ),
    Cause(
        name="no_usable_time",
        owner="his",
        part="feed",
        title=("有记录的时间不可用", "Rows without a usable time"),
        what=(
            "{feeds}有 {count} 条记录的时间为空、不是时间或在年份之外，归不到任何一天，不会上报；例如主键 {keys}",
            (
                "{feeds}: {count} rows have no time, no real one, or one of an impossible year: they are in no day and "
                "are not reported; keys such as {keys}"
            ),
        ),
        todo=(
            "按主键在医院系统中查明并补正时间（全部主键：`python -m card_usage differences`）；补正后重跑该日即可采集",
            "look the keys up in the HIS (`python -m card_usage differences`), mend their times, run that day again",
        ),
        over=("已没有时间不可用的记录", "no row is without a usable time any more"),
    ),
    Cause(
        name="platform_refuses",
        owner="engineer",
        title=("平台拒收", "The platform refuses records"),
        what=(
            "平台拒收了 {count} 笔记录，返回码 {code}（{meaning}），不会自动重报",
            "the platform refused {count} records with code {code} ({meaning}); they do not go again by themselves",
        ),
        todo=(
            "按返回码改正后，运行“手工补报”并勾选“被拒收的”；不确定时先试运行",
            "mend what the code says, then run redeliver_card_usage with 'refused' on, dry run first",
        ),
        over=("被拒收的记录已重新处理", "the refused records were dealt with"),
    ),
    Cause(
        name="unconfirmed",
        owner="engineer",
        title=("有记录无法确认是否已上报", "Records that nobody can confirm"),
        what=(
            "{count} 笔记录的应答不能证明平台是否已收（如 10054 重复请求）{memory}",
            "the answers to {count} records (such as 10054, 'repeated') do not prove whether they arrived{memory}",
        ),
        todo=(
            "在平台网站核对这些记录；确认平台没有的，再由人决定补报",
            "look for them at the platform's website; send again only what it does not have",
        ),
        over=("无法确认的记录已处理", "they were dealt with"),
    ),
    Cause(
        name="quota_exhausted",
        owner="automatic",
        # A hospital that is not live yet reaches its quota every day: closed after a whole day in which it did not.
        closes_after=timedelta(hours=26),
        title=("当日调用限额已用完", "The day's calls are used up"),
        what=(
            "平台对未上线医院限每日 {quota} 次调用，今日已用完；{count} 笔排队，其中当日业务 {live} 笔",
            "the {quota} calls a day of a hospital not yet approved are used up; {count} wait, {live} of them live",
        ),
        todo=(
            "无需操作，次日自动继续；要尽快报完，请联系平台办理上线",
            "nothing: it goes on the next day; to be done sooner, ask the platform to approve the hospital",
        ),
        over=("已连续一天没有超限", "a whole day went by within the limit"),
    ),
    Cause(
        name="answers_without_end",
        owner="engineer",
        closes_after=SHORT_ABSENCE,
        explained_by=("misconfiguration", "token_contested"),
        title=("平台反复给出同一答复，记录报不出去", "The platform gives the same answer again and again"),
        what=(
            "{count} 笔记录反复调用（最多 {calls} 次）仍未报出，最近的答复是 {reason}；继续自动重试，不会重复上报",
            (
                "{count} records were called again and again, up to {calls} times, the last answer was {reason}; they "
                "go on by themselves"
            ),
        ),
        todo=(
            (
                "21007 或 HTTP 429 是调用太快：向平台或网关管理员问明允许的频率，写入医院文件的 requests_per_second；"
                "其他答复请把返回码和 appId 告诉平台工作人员。处理手册：docs/delivery.md 的 How each answer ends"
            ),
            (
                "21007 and HTTP 429 say too many calls: ask the platform, or who runs the gateway, how many are "
                "allowed, and set requests_per_second; for others tell the platform the code and appId. "
                "Runbook: docs/delivery.md, How each answer ends"
            ),
        ),
        over=("这些记录已报出", "these records are delivered"),
        reasons={
            "limited": ("HTTP 429（网关限制调用次数）", "HTTP 429 (a gateway limits our calls)"),
            "barred": ("HTTP 3xx/4xx（被网关拒绝）", "HTTP 3xx or 4xx (a gateway turns them away)"),
            "no_answer": (
                "没有可用的应答（超时、断线、HTTP 5xx 或无法识别）",
                "no answer that can be used (time-out, HTTP 5xx)",
            ),
            "not_sent": ("连接不上平台", "no connection to the platform"),
        },
    ),
    Cause(
        name="delivery_behind",
        owner="engineer",
        closes_after=SHORT_ABSENCE,
        explained_by=("misconfiguration", "token_contested", "quota_exhausted", "dag_failed", "replica_late"),
        title=("上报滞后", "Delivery is behind"),
        what=(
            "{count} 笔已就绪的记录超过 {limit} 小时仍未报出，最早的已等 {span}",
            "{count} records have been ready for more than {limit} hours, the oldest for {span}",
        ),
        todo=(
            "看 deliver 任务最近一次日志：多为平台或外网不通；恢复后自动续报，不会重复",
            (
                "read the last log of task deliver: mostly the platform or the line to it; it goes on by "
                "itself, none twice"
            ),
        ),
        over=("积压已报完", "what waited is delivered"),
    ),
    Cause(
        name="report_late",
        owner="engineer",
        part="day",
        explained_by=("misconfiguration", "dag_failed", "gate_held", "replica_late", "provisional_window"),
        title=("日报未按时生成", "The day's report is not ready"),
        what=(
            "{days}的对账日报到 {by} 还没有生成（共 {count} 天）",
            "the report of {days} was not ready by {by} ({count} days)",
        ),
        todo=(
            "看当日运行停在哪一步，或 DAG 是否被暂停；补跑后日报自动生成",
            "see where that day's run stands, or whether the DAG is paused; the report comes with the run",
        ),
        over=("日报已生成", "the reports are there"),
    ),
    Cause(
        name="reconciliation_remainder",
        owner="engineer",
        part="feed",
        title=("对账有差异说不清", "Reconciliation does not add up"),
        what=(
            "{days}有 {count} 笔差异归不到任何一类，说明台账与医院系统对不上",
            "{count} records of {days} differ and no class explains them: ledger and HIS do not agree",
        ),
        todo=(
            "请勿补报；立即联系实施工程师，带上当日日报和对账证据包核查",
            "do not redeliver; call the data engineer at once, with the day's report and its evidence",
        ),
        over=("对账已平", "it adds up again"),
    ),
    Cause(
        name="channel_down",
        owner="engineer",
        closes_after=SHORT_ABSENCE,
        title=("告警通道不通", "An alert channel is down"),
        what=(
            "告警通道 {channel} 已有 {span}发不出消息，{count} 条排队等待",
            "the channel {channel} has taken no message for {span}, {count} wait",
        ),
        todo=(
            "核对该连接的地址、密钥和外网；可用 python -m card_usage alerts test 逐个通道测试",
            "check that connection's address, key and network; python -m card_usage alerts test tries each channel",
        ),
        over=("告警通道已恢复，积压消息已补发", "it is back, what waited was sent"),
    ),
    Cause(
        name="warehouse_failed",
        owner="engineer",
        part="day",
        title=("数据仓库未更新", "The warehouse was not updated"),
        what=(
            "{count} 天的汇总没有写入数据仓库（{days}；{reason}）；上报和对账不受影响",
            "days that the warehouse lacks: {count} ({days}; {reason}); deliveries and reconciliation go on",
        ),
        todo=(
            "检查 CARD_USAGE_REPORTS 所指的存储能否写入；之后每次运行会自动补写",
            "see that the store that CARD_USAGE_REPORTS names can be written; the next run writes what is missing",
        ),
        over=("数据仓库已补齐", "the warehouse has all of its days"),
    ),
    Cause(
        name="mailbox_refused",
        owner="engineer",
        part="mailbox",
        title=("有收件地址被拒收", "A mailbox refuses our mail"),
        what=(
            "告警通道 {channel} 有 {count} 个收件地址被拒收：{reason}；其他人已收到",
            "{count} mailboxes of the channel {channel} refuse its mail: {reason}; the others have it",
        ),
        todo=(
            "核对该连接 extra 中的 to：改正或删去失效的地址",
            "correct or remove the address in `to`, in the extra of that connection",
        ),
        over=("所有收件地址都能收到", "every mailbox takes the mail"),
    ),
)

CAUSES: Final[Mapping[str, Cause]] = MappingProxyType({cause.name: cause for cause in _DECLARED})
"""By name, in the order in which they explain each other."""
