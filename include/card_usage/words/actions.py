"""Who has to do what, by class of event; what a broken rule asks for stands with the rule."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    # --- who
    "who.his": ("医院信息科", "hospital IT"),
    "who.mapping": ("医院信息科、实施工程师", "hospital IT with the data engineer"),
    "who.engineer": ("实施工程师", "data engineer"),
    "who.automatic": ("系统自动", "the pipeline itself"),
    # --- what to do about codes, and by class of event
    "todo.code": (
        "补报表单或 aliases apply 里填写下列代码的对照（{table}）",
        "give the codes below their meaning ({table}): form of redelivery, or `aliases apply`",
    ),
    "todo.code_of_days": (
        "补报表单或 aliases apply 里填写日报所列代码的对照（{table}）",
        "give the codes that the day's report lists their meaning ({table}): form of redelivery, or `aliases apply`",
    ),
    "todo.rejected": ("对照应答代码更正后补报", "correct what the code says, then redeliver"),
    "todo.unconfirmed": ("在平台网站核对后决定是否补报", "look at the platform's website, then decide on redelivery"),
    "todo.unconfirmed_unknown": (
        "尚不清楚平台何时记住 requestId，10054 不能证明已收：先执行 platform calibrate，再到平台网站核对",
        "10054 proves nothing until it is known what it means: run `platform calibrate`, then look at its website",
    ),
    "todo.unconfirmed_on_sight": (
        "该平台一看到 requestId 就会记住，10054 不能证明已收：在平台网站核对后决定是否补报",
        "it remembers request ids on sight, so 10054 proves nothing: look at its website, then decide",
    ),
    "todo.voided_after_delivery": (
        "用 card_usage corrections 导出清单（HIS 单号、请求 ID）；核对后请平台更正统计",
        "export the list (HIS key, request id) by card_usage corrections; ask the platform for a correction",
    ),
    "todo.changed_after_delivery": (
        "用 card_usage corrections 导出清单（HIS 单号、请求 ID、更改的字段）；核对后请平台更正",
        "export the list (HIS key, request id, fields) by card_usage corrections; ask the platform for a correction",
    ),
    "todo.vanished_from_source": (
        "核对记录是否被删除或改期",
        "find out whether they were deleted or moved to another day",
    ),
    "todo.late_in_source": (
        "回看天数内的由下次运行自动采集；更早的请补采该日",
        "the next run stages them within the look-back days; stage older days by hand",
    ),
    "todo.provisional_window": ("当日结束后再次采集，无需操作", "staged once the day has ended, nothing to do"),
    "todo.no_usable_time": (
        "按告警或“hospital check”给出的主键在医院系统中补正时间，再重跑该日",
        "mend their times in the HIS, by the keys that the alert and hospital check name; then run that day again",
    ),
    "todo.moved_here": (
        "记录改到了当日：核对原日期的上报是否需要更正",
        "moved to this day: see whether the report of the earlier day needs a correction",
    ),
    "todo.platform_missing": (
        "平台对账单少于应答数：凭请求 ID 向平台查询",
        "the statement shows less than was answered: ask the platform, with the request ids",
    ),
    "todo.platform_surplus": (
        "平台对账单多于应答数：核对是否有其他系统也在上报",
        "the statement shows more than was sent: does another system report too?",
    ),
    "todo.paused": ("查明暂停原因，处理后恢复上报", "find out why it was paused, then resume"),
    "todo.misconfigured": ("核对平台连接与授权，更正后恢复上报", "check connection and authorization, then resume"),
    "todo.refunds_not_staged": ("下次运行自动采集，无需操作", "the next run stages them, nothing to do"),
    "todo.due": (
        "等待下次运行；若持续不减，检查平台连接",
        "wait for the next run; if they stay, check the platform's connection",
    ),
    "todo.withheld": (
        "查看质检原因，修正后重新质检，或人工放行",
        "see why, mend it and check again, or release by hand",
    ),
    "todo.held": ("限额恢复后自动上报；上线后不再受限", "sent when the quota is free again; a live hospital has none"),
    "todo.unknown": ("下次运行自动确认，无需操作", "the next run asks again, nothing to do"),
    "todo.remainder": ("立即核查台账与医院系统", "compare ledger and HIS at once"),
}
