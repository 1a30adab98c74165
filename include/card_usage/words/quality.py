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
        "业务“{feed}”没有记录，而以往同一星期几都有（平均 {of} 笔）：请检查医院系统备库和该业务接口",
        "feed {feed} has no records, the same weekday used to have {of}: check the replica and the feed",
    ),
}
