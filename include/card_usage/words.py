"""Words: every text that people outside the team read, in Chinese and English, in one catalogue.

Promises: each text exists in both languages with the same places to fill; a missing one is a KeyError, never a blank.
Tone: what happened, how many, what to do, who can help. Rules carry their own texts (`card_usage.rules`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final, Literal

from card_usage.english_names import ENGLISH_NAMES

Language = Literal["zh", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("zh", "en")

TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    # --- the report's frame
    "report.title": ("用卡数据上报日报", "Card use report of the day"),
    "report.made": ("制表 {at}", "made {at}"),
    "report.no_patients": (
        "本报表只含统计数字，不含患者信息。",
        "This report holds counts only and nothing about patients.",
    ),
    "report.counted": ("医院系统于 {at} 重新清点。", "The HIS was counted again at {at}."),
    "report.sign": ("医院核对人", "Checked for the hospital by"),
    "report.sign_date": ("日期", "Date"),
    "report.more": ("另有 {n} 项，见 JSON 文件", "{n} more, see the JSON file"),
    "report.none": ("无", "none"),
    "section.flow": ("数据去向", "Where the records went"),
    "section.flow_note": (
        "从医院系统到开放平台，每一笔都有去处",
        "From the HIS to the open platform, each record has its place",
    ),
    "section.todo": ("需要处理", "What needs action"),
    "section.todo_note": ("按影响笔数排列", "most affected first"),
    "section.todo_none": ("没有需要处理的事项。", "Nothing needs action."),
    "section.codes": ("未对照的本地代码", "Local codes without a standard code"),
    "section.codes_note": (
        "在 code_aliases/{hospital}/ 的对照表中为每个代码补一行，相关记录即可放行",
        "one line each in the alias tables of code_aliases/{hospital}/ releases the records",
    ),
    "section.hours": ("各时段用卡", "Uses by hour"),
    "section.hours_note": (
        "有效用卡 {n} 笔（不含退费作废），按环节分色",
        "{n} valid uses (refunds left out), coloured by scene",
    ),
    "section.hours_unknown": ("另有 {n} 笔时间不明，未计入图中。", "{n} more have no readable time and are not drawn."),
    "section.scenes": ("用卡环节", "Scenes"),
    "section.channels": ("用卡渠道", "Channels"),
    "section.card_types": ("证件类型", "Card types"),
    "section.departments": ("用卡科室（前 {n} 位）", "Departments (first {n})"),
    "section.share_note": ("占有效用卡的比例", "share of valid uses"),
    "section.feeds": ("各业务对账", "Reconciliation by feed"),
    "section.classes": ("台账状态", "States in the ledger"),
    "section.equations": ("对账等式", "Equations"),
    "section.gate": ("上报前质检", "Quality check before delivery"),
    "section.warnings": ("已上报、建议核对", "Reported, worth checking"),
    "section.calls": ("平台接口应答（次）", "Answers of the platform (calls)"),
    # --- heads
    "head.what": ("事项", "What"),
    "head.records": ("笔数", "Records"),
    "head.todo": ("怎么办", "What to do"),
    "head.who": ("谁来办", "Who"),
    "head.table": ("代码表", "Table"),
    "head.local_code": ("本地代码", "Local code"),
    "head.local_name": ("本地名称", "Local name"),
    "head.feed": ("业务", "Feed"),
    "head.state": ("状态", "State"),
    "head.meaning": ("说明", "Meaning"),
    "head.total": ("合计", "Total"),
    "head.difference": ("不明差异", "Unexplained"),
    "head.others": ("其他", "Others"),
    # --- the three counts
    "leg.source": ("医院系统", "Hospital (HIS)"),
    "leg.source_note": ("其中退费、作废 {voided} 笔", "{voided} of them refunded or cancelled"),
    "leg.source_unknown": ("未清点", "not counted"),
    "leg.staged": ("台账登记", "Ledger"),
    "leg.staged_note": ("与医院系统一致", "the same as in the HIS"),
    "leg.staged_off": ("迟到 {late} 笔，已消失 {vanished} 笔", "{late} late, {vanished} vanished"),
    "leg.staged_alone": ("尚未与医院系统核对", "not yet compared with the HIS"),
    "leg.delivered": ("平台已接收", "Platform accepted"),
    "leg.delivered_note": ("应上报 {due} 笔的 {share}", "{share} of {due} to be reported"),
    # --- the verdict in one sentence
    "verdict.complete": (
        "核对一致，全部上报：医院系统记录 {source} 笔，应上报 {due} 笔，平台已全部接收。",
        "All agrees and all is reported: {source} records in the HIS, {due} to be reported, all accepted.",
    ),
    "verdict.explained": (
        "核对一致：医院系统记录 {source} 笔，平台已接收 {delivered} 笔，其余 {rest} 笔去处均已查明，{todo} 笔待处理。",
        "All agrees: {source} records in the HIS, {delivered} accepted, {rest} others accounted for, {todo} to mend.",
    ),
    "verdict.open": (
        "尚未办结：医院系统记录 {source} 笔，平台已接收 {delivered} 笔，{open} 笔仍在处理，下次运行自动继续。",
        "Not finished: {source} records in the HIS, {delivered} accepted, {open} under way for the next run.",
    ),
    "verdict.withheld": (
        "质检未放行，{open} 笔暂不上报：请查看质检原因后决定。平台已接收 {delivered} 笔。",
        "The quality check withholds {open} records until somebody decides; {delivered} accepted so far.",
    ),
    "verdict.provisional": (
        "当日数据尚未完整，以下为截至制表时的暂定数字：平台已接收 {delivered} 笔。",
        "The day is not complete yet; provisional figures: {delivered} accepted so far.",
    ),
    "verdict.uncounted": (
        "尚未与医院系统核对：台账登记 {staged} 笔，平台已接收 {delivered} 笔。",
        "Not yet compared with the HIS: {staged} in the ledger, {delivered} accepted.",
    ),
    "verdict.broken": (
        "有 {remainder} 笔差异无法归类，请立即联系实施工程师核查。",
        "{remainder} records differ and no class explains them: call the data engineer now.",
    ),
    "verdict.empty": ("当日没有用卡记录。", "No card was used on this day."),
    # --- classes of events and differences
    "class.delivered": ("已上报", "Delivered"),
    "class.delivered.meaning": ("平台已接收并有应答为证", "accepted by the platform, with its answer on record"),
    "class.quarantined": ("待处理（隔离）", "Quarantined"),
    "class.quarantined.meaning": ("资料不合规则，未上报，修正后放行", "breaks a rule, not sent; released when mended"),
    "class.due": ("待上报", "Due"),
    "class.due.meaning": ("已就绪，等待上报", "ready, waiting to be sent"),
    "class.held": ("暂缓", "Held"),
    "class.held.meaning": (
        "当日调用限额已用完，到时自动上报",
        "the day's quota is used up; sent when it is free again",
    ),
    "class.in_flight": ("上报中", "In flight"),
    "class.in_flight.meaning": ("正在上报", "being sent right now"),
    "class.unknown": ("结果未知", "Outcome unknown"),
    "class.unknown.meaning": (
        "平台没有应答，以同一请求 ID 再次确认，不会重复计数",
        "no answer came; asked again under the same request id, never counted twice",
    ),
    "class.unconfirmed": ("无法确认", "Unconfirmed"),
    "class.unconfirmed.meaning": (
        "平台的应答前后矛盾，需人工判断",
        "the platform's answers contradict each other; a person decides",
    ),
    "class.rejected": ("平台拒收", "Refused"),
    "class.rejected.meaning": ("平台明确拒收，需更正后重报", "definitely refused; correct and send again"),
    "class.voided": ("退费作废", "Refunded"),
    "class.voided.meaning": ("上报前已退费或作废，无需上报", "refunded or cancelled before it was sent; not reported"),
    "class.late_in_source": ("迟到未采集", "Late, not staged"),
    "class.late_in_source.meaning": (
        "医院系统已有，台账还没有，下次采集补上",
        "in the HIS, not in the ledger yet; the next run stages it",
    ),
    "class.vanished_from_source": ("来源已消失", "Vanished"),
    "class.vanished_from_source.meaning": ("台账已有，医院系统现在查不到", "in the ledger, no longer in the HIS"),
    "class.voided_after_delivery": ("上报后退费", "Refunded after delivery"),
    "class.voided_after_delivery.meaning": (
        "平台没有撤回接口，平台统计会多出这些笔",
        "the platform cannot take reports back: its statistics hold these too many",
    ),
    "class.changed_after_delivery": ("上报后更改", "Changed after delivery"),
    "class.changed_after_delivery.meaning": (
        "医院系统在上报后改过内容",
        "the HIS changed the record after it was sent",
    ),
    "class.refunds_not_staged": ("退费未采集", "Refunds not staged"),
    "class.refunds_not_staged.meaning": (
        "医院系统新增的退费，下次采集补上",
        "new refunds in the HIS; the next run stages them",
    ),
    # --- equations
    "equation.source": (
        "医院系统 {left} = 台账 {staged} + 迟到 {late} − 消失 {vanished}",
        "HIS {left} = ledger {staged} + late {late} − vanished {vanished}",
    ),
    "equation.states": ("台账 {left} = 各状态之和 {right}", "ledger {left} = sum of its states {right}"),
    "equation.causes": ("隔离 {left} = 各原因之和 {right}", "quarantined {left} = sum of its causes {right}"),
    "equation.acknowledged": ("已上报 {left} = 平台应答 {right}", "delivered {left} = answers of the platform {right}"),
    "equation.voided": ("作废 {left} = 有退费标记 {right}", "voided {left} = with a refund on record {right}"),
    "equation.holds": ("成立", "holds"),
    "equation.broken": ("相差 {gap}", "off by {gap}"),
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
    # --- who
    "who.his": ("医院信息科", "hospital IT"),
    "who.mapping": ("医院信息科、实施工程师", "hospital IT with the data engineer"),
    "who.engineer": ("实施工程师", "data engineer"),
    "who.automatic": ("系统自动", "the pipeline itself"),
    # --- what to do, by rule (table rules by kind) and by class
    "todo.code": ("在对照表 {table}.csv 中补上下列代码，再补报", "add the codes below to {table}.csv, then redeliver"),
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
    "todo.late_in_source": ("下次运行自动采集，无需操作", "the next run stages them, nothing to do"),
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
    # --- answers of the platform
    "answer.accepted": ("接收", "accepted"),
    "answer.repeated": ("重复请求（此前已接收）", "repeated (accepted before)"),
    "answer.token": ("凭证失效，已自动更换", "token no longer valid, renewed"),
    "answer.busy": ("平台繁忙或出错", "platform busy or failing"),
    "answer.quota": ("调用限额用完", "quota used up"),
    "answer.throttled": ("请求过快", "too fast"),
    "answer.refused": ("拒收", "refused"),
    "answer.misconfigured": ("配置或授权有误", "misconfigured or not authorized"),
    "answer.unlisted": ("文档之外的返回码", "a code that the document lacks"),
    "answer.not_sent": ("未能连接平台", "no connection"),
    "answer.barred": ("被网关或防火墙拦截", "turned away by a gateway"),
    "answer.no_answer": ("没有应答", "no answer"),
    # --- the field's own words
    "feed.registration": ("挂号", "registration"),
    "feed.payment": ("收费", "payment"),
    "feed.dispensing": ("取药", "dispensing"),
    "feed.examination": ("检查报告", "examination"),
    "feed.laboratory": ("检验报告", "laboratory"),
    "feed.admission": ("住院登记", "admission"),
    "table.scene": ("用卡环节", "scene"),
    "table.department": ("科室", "department"),
    "table.card_type": ("证件类型", "card type"),
    "table.channel": ("渠道", "channel"),
    "table.cost_type": ("费别", "cost type"),
    "value.no_department": ("未填科室", "no department"),
    "value.unknown": ("未识别", "not recognized"),
    "value.blank": ("（空）", "(blank)"),
}

_WEEKDAYS: Final = (
    ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"),
    ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
)
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


class Words:
    """The catalogue in one language. Numbers that fill a text are grouped by thousands."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language
        self._at = LANGUAGES.index(language)

    def __call__(self, key: str, **fields: object) -> str:
        """The text of `key`, filled. Raises KeyError for a text or a place that does not exist."""
        text = TEXTS[key][self._at]
        return text.format_map({name: self.number(value) for name, value in fields.items()}) if fields else text

    def has(self, key: str) -> bool:
        """Whether the catalogue has this text."""
        return key in TEXTS

    def known(self, prefix: str, name: str) -> str:
        """The text of a name that may be somebody else's (a feed of a new HIS): itself, if nobody wrote one."""
        key = f"{prefix}.{name}"
        return self(key) if key in TEXTS else name

    def code(self, table: str, code: str, name: str) -> str:
        """A standard code in words: `name` is the table's own, in Chinese."""
        return name if self.language == "zh" else ENGLISH_NAMES.get(table, {}).get(code, name)

    def sentence(self, text: str) -> str:
        """With a capital at its start, for what stands alone."""
        return text[:1].upper() + text[1:]

    def number(self, value: object) -> str:
        """Whole numbers as 12,345; everything else as it is."""
        return f"{value:,}" if isinstance(value, int) else str(value)

    def share(self, part: int, of: int) -> str:
        """A share as people read it: 97.3%. What is not nothing never shows as 0%, what is not all never as 100%."""
        if of <= 0:
            return "—"
        percent = 100 * part / of
        if 0 < percent < 0.05:
            return "<0.1%"
        if 99.95 <= percent < 100:
            return ">99.9%"
        return f"{percent:.1f}%"

    def day(self, day: date) -> str:
        """A date with its weekday."""
        weekday = _WEEKDAYS[self._at][day.weekday()]
        if self.language == "zh":
            return f"{day.year}年{day.month}月{day.day}日 {weekday}"
        return f"{weekday}, {day.day} {_MONTHS[day.month - 1]} {day.year}"

    def hour(self, hour: int) -> str:
        """An hour of the day."""
        return f"{hour} 时" if self.language == "zh" else f"{hour}:00"
