"""Texts of alerts: the frame of a message. The texts of an incident are declared with its cause.

See `card_usage.config.alert_causes`.
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
    "alerts.memory.unknown": (
        "：尚不清楚平台何时记住 requestId，请先执行 platform calibrate",
        ": it is not known when the platform remembers request ids, run `platform calibrate` first",
    ),
    "alerts.memory.on_sight": (
        "：已知该平台一看到 requestId 就会记住",
        ": the platform is known to remember request ids on sight",
    ),
    "alerts.memory.on_acceptance": (
        "：它们在得知平台何时记住 requestId 之前，或在平台报错、拒收之后得到该应答",
        ": they were told so before its memory was known, or after a failure or a refusal",
    ),
    "alerts.code": ("返回码 {code}，{meaning}", "code {code}, {meaning}"),
    "alerts.link": ("在 Airflow 中查看", "Open in Airflow"),
    "alerts.no_patients": (
        "本消息只含统计数字和事件编号，不含患者信息。",
        "Counts and event keys only, nothing about patients.",
    ),
    "alerts.more": ("等 {n} 项", "and {n} more"),
    "alerts.fleet": ("全部医院", "All hospitals"),
    "alerts.all_feeds": ("全部业务", "all feeds"),
    "alerts.hours": ("{n} 小时", "{n} hours"),
    "alerts.days": ("{n} 天", "{n} days"),
    "alerts.blank": ("（空白）", "(blank)"),
    "alerts.records": ("{n} 笔", "{n} records"),
    "alerts.broken_rule": ("“{rule}” {n} 笔不满足", "'{rule}': {n} records break it"),
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
}
