"""Texts of alerts: what happened, since when, how many, what to do, who can help. Read at seven in the morning.

`alert.<cause>.title` names the trouble, `.what` says what happened, `.todo` what to do, `.over` that it is over.
"""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    # --- frame
    "alerts.subject": ("[{mark}] {hospital}：{what}", "[{mark}] {hospital}: {what}"),
    "alerts.mark.info": ("提示", "Note"),
    "alerts.mark.warning": ("警告", "Warning"),
    "alerts.mark.critical": ("严重", "Critical"),
    "alerts.mark.closed": ("已恢复", "Over"),
    "alerts.mark.digest": ("晨报", "Morning"),
    "alerts.mark.test": ("测试", "Test"),
    "alerts.opened": ("新出现", "new"),
    "alerts.returned": ("再次出现（第 {times} 次）", "back again (time {times})"),
    "alerts.worse": ("仍未解决，且在加重", "not solved, and getting worse"),
    "alerts.closed": ("已解除", "over"),
    "alerts.since": ("开始时间：{at}", "Since: {at}"),
    "alerts.until": ("{since} 至 {until}", "{since} to {until}"),
    "alerts.lasted": ("持续时间：{span}", "Lasted: {span}"),
    "alerts.todo": ("怎么办：{todo}", "What to do: {todo}"),
    "alerts.who": ("谁来办：{who}", "Who can help: {who}"),
    "alerts.sample": ("示例事件编号：{event}", "One of the events: {event}"),
    "alerts.code": ("返回码 {code}，{meaning}", "code {code}, {meaning}"),
    "alerts.link": ("在 Airflow 中查看", "Open in Airflow"),
    "alerts.no_patients": (
        "本消息只含统计数字和事件编号，不含患者信息。",
        "Counts and event keys only, nothing about patients.",
    ),
    "alerts.more": ("等 {n} 项", "and {n} more"),
    "alerts.fleet": ("全部医院", "All hospitals"),
    "alerts.all_feeds": ("全部业务", "all feeds"),
    "alerts.blank": ("（空白）", "(blank)"),
    "alerts.records": ("{n} 笔", "{n} records"),
    "alerts.usual": ("{found} 笔，平时 {usual} 笔", "{found}, usually {usual}"),
    "alerts.and_days": ("等", "and more"),
    # --- digest
    "alerts.digest.subject": (
        "{open} 项未解决，昨日以来恢复 {closed} 项",
        "{open} open, {closed} over since yesterday",
    ),
    "alerts.digest.open": ("尚未解决", "Not solved"),
    "alerts.digest.closed": ("昨日以来已恢复", "Over since yesterday"),
    "alerts.digest.over": ("{what}（{since} 至 {until}）", "{what} ({since} to {until})"),
    # --- test
    "alerts.test": (
        "这是一条测试消息，收到即表示“{channel}”通道可用，无需处理。",
        "This is a test: the channel '{channel}' works. Nothing needs to be done.",
    ),
    # --- causes
    "alert.unmapped_code.title": ("有本地代码未对照", "Local codes without a standard code"),
    "alert.unmapped_code.what": (
        "{count} 笔用卡记录的{table}代码没有对照到标准代码（{codes} 个代码），已隔离，暂未上报",
        "{count} card uses have a {table} code without a standard code ({codes} codes); set aside, not sent",
    ),
    "alert.unmapped_code.todo": (
        "在对照表 {file} 中为以上代码各补一行，再运行“手工补报”；隔离的记录随即放行，不会重复上报",
        "add a line for each code to {file}, then redeliver: the records are released, none is sent twice",
    ),
    "alert.unmapped_code.over": (
        "{table}代码已全部对照，隔离的记录已放行",
        "all {table} codes are mapped, the records are released",
    ),
    "alert.missing_field.title": ("必填项大量缺失", "A required field is often missing"),
    "alert.missing_field.what": (
        "“{rule}”：{feeds}有 {count} 笔记录不满足，最高占当日该业务的 {share}，已隔离，暂未上报（{days}）",
        "'{rule}': {count} records of {feeds} break it, up to {share} of a day; set aside, not sent ({days})",
    ),
    "alert.missing_field.todo": (
        "先看近期医院系统是否升级、字段是否改名或停填；在医院系统补录后重跑当日即可放行",
        "was the HIS upgraded, the field renamed, or no longer filled? Complete it there, then run these days again",
    ),
    "alert.missing_field.over": ("缺失的内容已补齐", "what was missing is complete"),
    "alert.volume_drop.title": ("用卡量明显下降", "Far fewer card uses than usual"),
    "alert.volume_drop.what": (
        "{day}只采到 {found} 笔，以往同类日期约 {usual} 笔，少了 {count} 笔",
        "{day} has {found} records, days like it usually {usual}: {count} fewer",
    ),
    "alert.volume_drop.todo": (
        "核对备库数据是否完整、该业务是否停诊或切换了系统；本院自定的停诊日可写入医院文件的 [calendar]",
        "is the replica complete, was the service closed or moved? Days off of its own go into its file, [calendar]",
    ),
    "alert.volume_drop.over": ("用卡量恢复正常", "volumes are as usual again"),
    "alert.replica_late.title": ("医院系统备库数据滞后", "The HIS replica is behind"),
    "alert.replica_late.what": (
        "{feeds}的数据只采到 {since}，已晚 {count} 小时",
        "{feeds}: read up to {since} only, {count} hours late",
    ),
    "alert.replica_late.todo": (
        "请信息科检查备库同步是否中断、备库能否登录；恢复后流程自动补采，无需重跑",
        "check the replication and the login of the replica; the pipeline catches up by itself",
    ),
    "alert.replica_late.over": (
        "备库数据已跟上，缺的数据已自动补采",
        "the replica has caught up, what was missing is read",
    ),
    "alert.provisional_window.title": ("有时段的数据仍是暂定", "Windows that are still provisional"),
    "alert.provisional_window.what": (
        "{feeds}在 {since} 之前的数据采集时备库还不完整，{count} 小时后仍未重新核对",
        "{feeds}: the replica was not complete up to {since} when it was read; {count} hours later not counted again",
    ),
    "alert.provisional_window.todo": (
        "检查备库同步进度；同步完成后在 Airflow 中重跑该日即可转为正式",
        "check how far replication is; then run that day again in Airflow",
    ),
    "alert.provisional_window.over": ("暂定的数据已重新核对", "the windows were counted again"),
    "alert.platform_refuses.title": ("平台拒收", "The platform refuses records"),
    "alert.platform_refuses.what": (
        "平台拒收了 {count} 笔记录，返回码 {code}（{meaning}），不会自动重报",
        "the platform refused {count} records with code {code} ({meaning}); they do not go again by themselves",
    ),
    "alert.platform_refuses.todo": (
        "按返回码改正后，运行“手工补报”并勾选“被拒收的”；不确定时先试运行",
        "mend what the code says, then run redeliver_card_usage with 'refused' on, dry run first",
    ),
    "alert.platform_refuses.over": ("被拒收的记录已重新处理", "the refused records were dealt with"),
    "alert.unconfirmed.title": ("有记录无法确认是否已上报", "Records that nobody can confirm"),
    "alert.unconfirmed.what": (
        "{count} 笔记录先被告知失败、后被告知重复，无法确认平台是否已收",
        "{count} records were told 'failed' first and 'repeated' then: nobody knows whether the platform has them",
    ),
    "alert.unconfirmed.todo": (
        "在平台网站核对这些记录；确认平台没有的，再由人决定补报",
        "look for them at the platform's website; send again only what it does not have",
    ),
    "alert.unconfirmed.over": ("无法确认的记录已处理", "they were dealt with"),
    "alert.token_contested.title": ("有其他系统在抢用平台令牌", "Another system takes our token"),
    "alert.token_contested.what": (
        "同一 appId 的令牌被其他系统替换了 {count} 次，双方互相踢下线，上报变慢",
        "the appToken was replaced {count} times by another system with the same appId: each ends the other's",
    ),
    "alert.token_contested.todo": (
        "找到另一套使用同一 appId 的系统，只保留一方获取令牌，或向平台另申请 appId",
        "find the other system with this appId; only one may ask for tokens, or ask the platform for another appId",
    ),
    "alert.token_contested.over": ("令牌不再被抢用", "nobody takes the token any more"),
    "alert.quota_exhausted.title": ("当日调用限额已用完", "The day's calls are used up"),
    "alert.quota_exhausted.what": (
        "平台对未上线医院限每日 {quota} 次调用，今日已用完；{count} 笔排队，其中当日业务 {live} 笔",
        "the {quota} calls a day of a hospital not yet approved are used up; {count} wait, {live} of them live",
    ),
    "alert.quota_exhausted.todo": (
        "无需操作，次日自动继续；要尽快报完，请联系平台办理上线",
        "nothing: it goes on the next day; to be done sooner, ask the platform to approve the hospital",
    ),
    "alert.quota_exhausted.over": ("已连续一天没有超限", "a whole day went by within the limit"),
    "alert.misconfiguration.title": ("配置有误，上报已停止", "Misconfigured: nothing is sent"),
    "alert.misconfiguration.what": (
        "{reason}；已停止上报，{count} 笔等待，数据不会丢失",
        "{reason}; nothing more is sent, {count} records wait, nothing is lost",
    ),
    "alert.misconfiguration.todo": (
        "核对 appId、appSecret、医院编号和平台授权；改好后运行“手工补报”即自动解除",
        "check appId, appSecret, hospital id and authorization; then run redeliver_card_usage, which lifts the hold",
    ),
    "alert.misconfiguration.over": ("配置已恢复，上报继续", "mended, sending goes on"),
    "alert.misconfiguration.file": ("医院配置文件读不出来：{reason}", "the hospital's file cannot be read: {reason}"),
    "alert.misconfiguration.platform": (
        "平台拒绝了我们的调用（{reason}）",
        "the platform turns our calls away ({reason})",
    ),
    "alert.delivery_behind.title": ("上报滞后", "Delivery is behind"),
    "alert.delivery_behind.what": (
        "{count} 笔已就绪的记录超过 {limit} 小时仍未报出，最早的已等 {hours} 小时",
        "{count} records have been ready for more than {limit} hours, the oldest for {hours}",
    ),
    "alert.delivery_behind.todo": (
        "看 deliver 任务最近一次日志：多为平台或外网不通；恢复后自动续报，不会重复",
        "read the last log of task deliver: mostly the platform or the line to it; it goes on by itself, none twice",
    ),
    "alert.delivery_behind.over": ("积压已报完", "what waited is delivered"),
    "alert.gate_held.title": ("质检未放行，等待人工决定", "Held by the quality gate"),
    "alert.gate_held.what": (
        "{days}的 {count} 笔记录未通过上报前质检：{reason}",
        "{count} records of {days} did not pass the check before delivery: {reason}",
    ),
    "alert.gate_held.todo": (
        "在 Airflow 该次运行中选择放行、只放行合格部分或不放行；能改数据或对照的，改好后重跑当日",
        "decide in the Airflow run: release, release the clean part, reject; or mend the cause and run again",
    ),
    "alert.gate_held.over": ("已有决定或重新质检通过", "decided, or checked again and passed"),
    "alert.dag_failed.title": ("流程运行失败", "A run of Airflow failed"),
    "alert.dag_failed.what": (
        "{dag} 有 {count} 次运行失败，最近一次停在任务 {task}",
        "{count} runs of {dag} failed, the last at task {task}",
    ),
    "alert.dag_failed.todo": (
        "打开该任务日志的最后几行，按该 DAG 文档中的处理手册操作；修复后清除（Clear）失败任务即可续跑",
        "read the last lines of that task's log and follow the runbook in the DAG's docs; then clear the failed task",
    ),
    "alert.dag_failed.over": ("后续运行已成功", "a later run succeeded"),
    "alert.report_late.title": ("日报未按时生成", "The day's report is not ready"),
    "alert.report_late.what": (
        "{days}的对账日报到 {by} 还没有生成（共 {count} 天）",
        "the report of {days} was not ready by {by} ({count} days)",
    ),
    "alert.report_late.todo": (
        "看当日运行停在哪一步，或 DAG 是否被暂停；补跑后日报自动生成",
        "see where that day's run stands, or whether the DAG is paused; the report comes with the run",
    ),
    "alert.report_late.over": ("日报已生成", "the reports are there"),
    "alert.reconciliation_remainder.title": ("对账有差异说不清", "Reconciliation does not add up"),
    "alert.reconciliation_remainder.what": (
        "{days}有 {count} 笔差异归不到任何一类，说明台账与医院系统对不上",
        "{count} records of {days} differ and no class explains them: ledger and HIS do not agree",
    ),
    "alert.reconciliation_remainder.todo": (
        "请勿补报；立即联系实施工程师，带上当日日报和对账证据包核查",
        "do not redeliver; call the data engineer at once, with the day's report and its evidence",
    ),
    "alert.reconciliation_remainder.over": ("对账已平", "it adds up again"),
    "alert.channel_down.title": ("告警通道不通", "An alert channel is down"),
    "alert.channel_down.what": (
        "告警通道 {channel} 已有 {hours} 小时发不出消息，{count} 条排队等待",
        "the channel {channel} has taken no message for {hours} hours, {count} wait",
    ),
    "alert.channel_down.todo": (
        "核对该连接的地址、密钥和外网；可用 python -m card_usage alerts test 逐个通道测试",
        "check that connection's address, key and network; python -m card_usage alerts test tries each channel",
    ),
    "alert.channel_down.over": ("告警通道已恢复，积压消息已补发", "it is back, what waited was sent"),
}
