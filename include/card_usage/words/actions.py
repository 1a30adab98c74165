"""Who has to do what: by rule, by class of event."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    # --- who
    "who.his": ("医院信息科", "hospital IT"),
    "who.mapping": ("医院信息科、实施工程师", "hospital IT with the data engineer"),
    "who.engineer": ("实施工程师", "data engineer"),
    "who.automatic": ("系统自动", "the pipeline itself"),
    # --- what to do, by rule (table rules by kind) and by class
    "todo.code": ("在对照表 {table}.csv 中补上下列代码，再补报", "add the codes below to {table}.csv, then redeliver"),
    "todo.code_of_days": (
        "在对照表 {table}.csv 中补上日报所列代码，再补报",
        "add the codes that the day's report lists to {table}.csv, then redeliver",
    ),
    "todo.time.required": ("核对该业务的时间字段为何为空", "find out why the feed's time is empty"),
    "todo.time.format": ("核对该业务的时间格式", "check the form in which the feed gives times"),
    "todo.time.window": (
        "核对记录时间与查询条件是否同一字段",
        "check that the feed selects by the very time that it returns",
    ),
    "todo.scene.required": ("核对该业务的用卡环节", "check the scene of the feed"),
    "todo.department.required": (
        "请挂号处补全科室；新接口须必填科室",
        "complete the department in the HIS; make it mandatory at registration",
    ),
    "todo.card_type.required": (
        "补全证件类型；建档时设为必填",
        "complete the card type; make it mandatory when patients are entered",
    ),
    "todo.channel.required": ("核对该业务的渠道来源", "check where the feed takes its channel from"),
    "todo.cost_type.required": ("补全费别", "complete the cost type"),
    "todo.id_number.required": (
        "在医院系统补录证件号码；建档时设为必填",
        "enter the ID number in the HIS; make it mandatory for new patients",
    ),
    "todo.id_number.length": ("核对证件号码是否混入其他内容", "check what else was written into the ID number"),
    "todo.id_number.checksum": (
        "在医院系统核对证件号码和证件类型（多为录入错误）",
        "check ID number and card type in the HIS (mostly typing mistakes)",
    ),
    "todo.name.required": ("在医院系统补录姓名", "enter the name in the HIS"),
    "todo.name.length": ("核对姓名是否混入其他内容", "check what else was written into the name"),
    "todo.qr_code_text.required": (
        "检查扫码终端是否把健康卡二维码写回医院系统",
        "check that scanners write the card's QR text back to the HIS",
    ),
    "todo.qr_code_text.length": ("核对二维码文本是否混入其他内容", "check what else was written into the QR text"),
    "todo.rejected": ("对照应答代码更正后补报", "correct what the code says, then redeliver"),
    "todo.unconfirmed": ("在平台网站核对后决定是否补报", "look at the platform's website, then decide on redelivery"),
    "todo.voided_after_delivery": (
        "知悉即可；如需更正请联系平台",
        "for your information; ask the platform for a correction if needed",
    ),
    "todo.changed_after_delivery": (
        "核对更改内容，必要时联系平台",
        "look at the change; ask the platform for a correction if needed",
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
