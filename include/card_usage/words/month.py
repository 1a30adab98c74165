"""Texts of a month's report."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "month.title": ("用卡数据上报月报", "Card use report of the month"),
    "month.complete": (
        "全月核对一致，全部上报：医院系统记录 {source} 笔，应上报 {due} 笔，平台已全部接收。",
        "All of the month agrees and is reported: {source} records in the HIS, {due} to be reported, all accepted.",
    ),
    "month.explained": (
        "全月核对一致：医院系统记录 {source} 笔，平台已接收 {delivered} 笔，其余 {rest} 笔已查明，{todo} 笔待处理。",
        "The month agrees: {source} records in the HIS, {delivered} accepted, {rest} accounted for, {todo} to mend.",
    ),
    "month.open": (
        "本月尚未办结：医院系统记录 {source} 笔，平台已接收 {delivered} 笔，{open} 笔仍在处理，{todo} 笔待处理。",
        (
            "The month is not finished: {source} records in the HIS, {delivered} accepted, {open} under way, {todo} to "
            "mend."
        ),
    ),
    "month.provisional": (
        "本月尚未结束，以下为已有 {days} 天的数字：平台已接收 {delivered} 笔，{open} 笔仍在处理，{todo} 笔待处理。",
        "The month is not over; figures of {days} days so far: {delivered} accepted, {open} under way, {todo} to mend.",
    ),
    "month.uncounted": (
        (
            "有 {missing} 天没有对账记录，以下为其余 {days} 天的数字：平台已接收 {delivered} 笔，{open} 笔仍在处理，"
            "{todo} 笔待处理。"
        ),
        (
            "{missing} days were not reconciled; figures of the other {days}: {delivered} accepted, {open} under way, "
            "{todo} to mend."
        ),
    ),
    "month.broken": (
        "本月有 {remainder} 笔差异无法归类，请立即联系实施工程师核查。",
        "{remainder} records of the month differ and no class explains them: call the data engineer now.",
    ),
    "month.empty": ("本月没有用卡记录。", "No card was used in this month."),
    "month.days": ("逐日情况", "Day by day"),
    "month.missing": ("没有对账记录的日子：{days}", "Days that were not reconciled: {days}"),
    "month.before": (
        "上月（{month}，{days} 天）{uses} 次",
        "the month before ({month}, {days} days): {uses}",
    ),
}
