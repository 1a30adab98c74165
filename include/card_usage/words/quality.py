"""Texts of the quality check."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    # --- quality check
    "gate.withheld": ("质检未放行", "Withheld by the quality check"),
    "gate.pass": ("通过", "passed"),
    "gate.warn": ("通过，有提醒", "passed with warnings"),
    "gate.hold": ("暂缓，等待人工确认", "held for a person to decide"),
    "gate.stop": ("停止上报", "stopped"),
    "gate.none": ("尚未质检", "not checked yet"),
    "gate.all_feeds": ("全部业务", "all feeds"),
    "gate.level.info": ("知悉", "info"),
    "gate.level.warn": ("提醒", "warning"),
    "gate.level.hold": ("暂缓", "hold"),
    "gate.level.stop": ("停止", "stop"),
    "gate.decision.released": ("全部放行", "Release"),
    "gate.decision.clean": ("只放行不受影响的业务", "Release only the clean part"),
    "gate.decision.rejected": ("不放行", "Reject"),
    "reason.rule_broken": (
        "{count} 笔待上报记录不合规则“{rule}”，已停止上报：请联系实施工程师",
        "{count} records that are due break the rule '{rule}', nothing is sent: call the data engineer",
    ),
    "reason.quarantined_share": (
        "{share} 的记录被隔离（{count} / {of}），超过 {limit}：请按原因处理",
        "{share} of the records are quarantined ({count} of {of}), more than {limit}: see their causes",
    ),
    "reason.unmapped_share": (
        "{share} 的记录有未对照的代码（{count} / {of}），超过 {limit}：请补充对照表",
        "{share} of the records have unmapped codes ({count} of {of}), more than {limit}: add aliases",
    ),
    "reason.no_rows": (
        "业务“{feed}”没有记录，而以往同类日期都有（平均 {of} 笔）：请检查医院系统备库和该业务接口",
        "feed {feed} has no records, days like it used to have {of}: check the replica and the feed",
    ),
    "reason.volume_drop": (
        "{feed}只有 {count} 笔，比以往同类日期（{of} 笔）少 {change}：停诊属正常，否则请检查备库是否同步到位",
        (
            "{feed}: {count} records, {change} fewer than days like it used to have ({of}): clinics closed, or "
            "a replica that is not up to date; please check"
        ),
    ),
    "reason.volume_rise": (
        "{feed}有 {count} 笔，比以往同类日期（{of} 笔）多 {change}：请核对接口是否重复取数，上报后无法撤回",
        (
            "{feed}: {count} records, {change} more than days like it used to have ({of}): check whether the feed "
            "counts twice; reports cannot be called back"
        ),
    ),
    "reason.share_shift": (
        "{table}“{value}”占 {share}（{count} / {of}），以往约 {usual}：请核对医院系统近日是否升级或改了字典",
        (
            "{table} '{value}' makes up {share} ({count} of {of}), it used to be {usual}: was the HIS upgraded or its "
            "dictionary changed?"
        ),
    ),
    "reason.health_card_share": (
        "健康卡用卡占 {share}（{count} / {of}），以往约 {usual}：请检查扫码终端和健康卡接口",
        "health cards make up {share} ({count} of {of}), it used to be {usual}: check scanners and the card interface",
    ),
    "reason.value_gone": (
        "{table}“{value}”一笔也没有，以往约 {of} 笔：请检查相关终端或接口是否停用",
        "{table} '{value}' does not occur, it used to have {of}: was a terminal or an interface switched off?",
    ),
    "reason.value_new": (
        "首次出现{table}“{value}”，{count} 笔：如为新开通业务，无需处理",
        "{table} '{value}' occurs for the first time, {count} records: nothing to do if it is a new service",
    ),
    "reason.doubled": (
        "{share} 的记录疑似重复（{count} / {of}，同一人、同一秒、同一环节），超过 {limit}：请核对接口是否重复取数",
        (
            "{share} of the records look like doubles ({count} of {of}: same person, second and scene), more than "
            "{limit}: check whether the feed counts twice"
        ),
    ),
    "reason.repeated": (
        "接口把 {count} 行重复返回（共 {of} 笔），已自动去重：请核对接口的关联条件",
        "feeds gave {count} rows twice ({of} records in all), counted once: check the joins of the feed",
    ),
    "reason.future": (
        "{count} 笔记录的时间晚于当前时间：请核对医院系统服务器时钟",
        "{count} records lie in the future: check the clock of the HIS",
    ),
    "reason.midnight": (
        "{share} 的记录时间恰为 00:00:00（{count} / {of}），可能只取到日期：请核对接口的时间字段",
        "{share} of the records are at 00:00:00 sharp ({count} of {of}), dates without a time perhaps: check the feed",
    ),
    "reason.quiet": (
        "业务“{feed}”在时间窗结束前 {hours} 小时起就没有记录，以往最长 {usual_hours} 小时：请检查备库是否停止同步",
        (
            "feed {feed} has been silent for the window's last {hours} hours, at most {usual_hours} in earlier "
            "weeks: did the replica stop?"
        ),
    ),
    "reason.provisional": (
        "有 {count} 项业务在时间窗结束前采集，结果为暂定，将自动重新采集",
        "{count} feeds were staged before the window had passed: provisional, they are staged again by themselves",
    ),
    # --- what the check demands, as the pages of Great Expectations show it
    "demand.rule": (
        "【{level}】没有待上报记录违反 {rule}（{text}）",
        "[{level}] nothing that is due breaks {rule} ({text})",
    ),
    "demand.quarantined_share": ("【{level}】被隔离的不超过 {high}", "[{level}] at most {high} quarantined"),
    "demand.unmapped_share": ("【{level}】未对照代码的不超过 {high}", "[{level}] at most {high} with unmapped codes"),
    "demand.no_rows": ("【{level}】{of}有记录", "[{level}] {of} has records"),
    "demand.volume_drop": ("【{level}】{of}不少于 {low} 笔", "[{level}] {of}: at least {low} records"),
    "demand.volume_rise": ("【{level}】{of}不多于 {high} 笔", "[{level}] {of}: at most {high} records"),
    "demand.share_shift": ("【{level}】{of} 占 {low} 至 {high}", "[{level}] {of} makes up {low} to {high}"),
    "demand.health_card_share": ("【{level}】健康卡不低于 {low}", "[{level}] health cards are at least {low}"),
    "demand.value_gone": ("【{level}】{of} 有记录", "[{level}] {of} occurs"),
    "demand.value_new": ("【{level}】{of} 以往没有", "[{level}] {of} never occurred before"),
    "demand.doubled": ("【{level}】疑似重复的不超过 {high}", "[{level}] at most {high} look like doubles"),
    "demand.repeated": (
        "【{level}】接口重复返回的行不超过 {high}",
        "[{level}] feeds repeat at most {high} of their rows",
    ),
    "demand.future": ("【{level}】没有晚于当前时间的记录", "[{level}] no record lies in the future"),
    "demand.midnight": ("【{level}】恰为零点的不超过 {high}", "[{level}] at most {high} at midnight sharp"),
    "demand.quiet": (
        "【{level}】{of}在结束前静默不超过 {high} 分钟",
        "[{level}] {of} is silent for at most {high} minutes",
    ),
}
