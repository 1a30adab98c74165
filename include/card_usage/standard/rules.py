"""Rules of reportHISData (document 2.7.4, 3.2.7), declared once: what to send, and what an event must look like.

Everything derives from `RULES`: the check of a row (`rule_check`), the fields that leave the hospital (what a rule
requires, and what the hospital's `also_send` adds; of the patient's fields nothing by default) and the payload
(`payload`), the expectation suite, the texts and actions of the reports, and docs/rules.md (`python -m
card_usage.standard.rules` prints it). To add a rule, declare it here and print that document again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from card_usage.events import FIELDS, Finding
from card_usage.interfaces.declaration import PROFILES, Condition
from card_usage.interfaces.messages import (
    CHARGE_SCENES,
    HEALTH_CARDS,
    NAME,
    NUMBER,
    OTHER_DOCUMENTS,
    QR_TEXT,
    REGISTRATION_SCENES,
)
from card_usage.standard import contradictions, id_numbers
from card_usage.standard.characters import is_rare

Kind = Literal["required", "code", "format", "length", "window", "patient", "sealed", "supplied"]
Severity = Literal["critical", "warning", "info"]
DepartmentFormat = Literal["code", "name", "his_name"]

OURS: Final = "-"
"""Section of a rule that the document does not have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One demand on one field. `when`: only there (None: always). `section`: of the document.

    `limit`: longest text in characters. `holds(card_type, value)`: whether a present value is as demanded. `zh`, `en`:
    what is wrong where it is broken; `to_do`: what somebody has to do then, in the same languages (rules of kind "code"
    have one action together, in the catalogue; a warning may have none).
    """

    id: str
    field: str
    kind: Kind
    severity: Severity
    zh: str
    en: str
    section: str
    when: Condition | None = None
    profiles: tuple[str, ...] = PROFILES
    limit: int | None = None
    holds: Callable[[str, str], bool] | None = None
    to_do: tuple[str, str] | None = None

    def finding(self, code: str | None = None) -> Finding:
        """This rule broken. `code`: the local code, for rules of kind "code" alone."""
        return Finding(self.id, self.field, self.severity, self.field if self.kind == "code" else None, code)

    def text(self, language: Literal["zh", "en"]) -> str:
        """What is wrong with an event that breaks the rule."""
        return self.zh if language == "zh" else self.en

    def action(self, language: Literal["zh", "en"]) -> str:
        """What somebody has to do about it; '' if this rule asks for nothing of its own."""
        if self.to_do is None:
            return ""
        zh, en = self.to_do
        return zh if language == "zh" else en

    def applies(self, card_use: Mapping[str, str | None], profile: str) -> bool:
        """Whether the rule holds for an event with these scene and card type, in this profile."""
        if profile not in self.profiles:
            return False
        return self.when is None or card_use.get(self.when.field) in self.when.values


def _required(
    field: str, zh: str, en: str, to_do: tuple[str, str], when: Condition | None = None, **other: Any
) -> Rule:
    name = "time" if field == "occurred_at" else field
    other.setdefault("section", "2.7.4, 3.2.7")
    return Rule(
        id=f"{name}.required",
        field=field,
        kind="required",
        severity="critical",
        zh=zh,
        en=en,
        to_do=to_do,
        when=when,
        **other,
    )


def _code(field: str, zh: str, en: str, section: str) -> Rule:
    return Rule(id=f"{field}.code", field=field, kind="code", severity="critical", zh=zh, en=en, section=section)


def _patient(field: str, zh: str, en: str) -> Rule:
    return Rule(
        id=f"{field}.patient",
        field=field,
        kind="patient",
        severity="critical",
        zh=f"{zh}中有患者信息（姓名、证件号、手机号或健康卡二维码），已遮盖",
        en=f"patient data (a name, an ID, mobile or QR text) in {en}; masked",
        section=OURS,
        to_do=(
            "请信息科核对该业务 SQL 取数的列（是否错列），改正后重跑当日；若确是代码或名称，在对照表中加一行",
            "check which column the feed's SQL takes it from, mend it and run the day again; a real code gets an alias",
        ),
    )


def _length(field: str, limit: int, zh: str, en: str, to_do: tuple[str, str]) -> Rule:
    return Rule(
        id=f"{field}.length",
        field=field,
        kind="length",
        severity="critical",
        zh=f"{zh}超过 {limit} 个字符（文档未规定长度，上限由本系统设定）",
        en=f"{en} is longer than {limit} characters (the document sets no length: this limit is ours)",
        section=OURS,
        limit=limit,
        to_do=to_do,
    )


_DOCUMENT: Final = Condition("card_type", OTHER_DOCUMENTS)

RULES: Final[tuple[Rule, ...]] = (
    _required(
        "occurred_at",
        "缺少用卡时间",
        "the time is absent",
        ("核对该业务的时间字段为何为空", "find out why the feed's time is empty"),
    ),
    Rule(
        id="time.format",
        field="occurred_at",
        kind="format",
        severity="critical",
        zh="用卡时间无法识别（须有日期和时分，2000 至 2099 年）",
        en="the time cannot be read (a date and a time of day, in the years 2000 to 2099)",
        section="2.7.4, 3.2.7",
        to_do=("核对该业务的时间格式", "check the form in which the feed gives times"),
    ),
    Rule(
        id="time.window",
        field="occurred_at",
        kind="window",
        severity="critical",
        zh="用卡时间不在本次上报的时间窗内",
        en="the time is outside the window that is reported",
        section=OURS,
        to_do=("核对记录时间与查询条件是否同一字段", "check that the feed selects by the very time that it returns"),
    ),
    Rule(
        id="time.sealed",
        field="occurred_at",
        kind="sealed",
        severity="critical",
        zh="台账中加密保存的内容无法解密（密钥文件丢失或损坏，或该行被改动）",
        en="what the ledger sealed of it does not open (its data key is lost or damaged, or the row was altered)",
        section=OURS,
        to_do=("重新采集该日，由医院系统重新取数", "stage its day again: the row is taken in anew from the HIS"),
    ),
    _required("scene", "缺少用卡环节", "the scene is absent", ("核对该业务的用卡环节", "check the scene of the feed")),
    _code("scene", "用卡环节代码不在标准表中，也没有对照", "the scene is in neither table nor aliases", "3.3.1"),
    _required(
        "department",
        "挂号类环节必须有用卡科室",
        "registration scenes need a department",
        ("请挂号处补全科室；新接口须必填科室", "complete the department in the HIS; make it mandatory at registration"),
        Condition("scene", REGISTRATION_SCENES),
    ),
    _code("department", "科室没有对照到标准科室", "the department leads to no standard department", "2.7.4"),
    _required(
        "card_type",
        "缺少证件类型",
        "the card type is absent",
        ("补全证件类型；建档时设为必填", "complete the card type; make it mandatory when patients are entered"),
    ),
    _code(
        "card_type", "证件类型代码不在标准表中，也没有对照", "the card type is in neither table nor aliases", "3.3.2"
    ),
    _required(
        "channel",
        "缺少用卡渠道",
        "the channel is absent",
        ("核对该业务的渠道来源", "check where the feed takes its channel from"),
    ),
    _code("channel", "用卡渠道代码不在标准表中，也没有对照", "the channel is in neither table nor aliases", "3.3.3"),
    _required(
        "cost_type",
        "收费类环节必须有费别（V2.1 之后的文档）",
        "charge scenes need a cost type (documents newer than V2.1)",
        ("补全费别", "complete the cost type"),
        Condition("scene", CHARGE_SCENES),
        profiles=("current",),
        section="3.3.4",
    ),
    _code("cost_type", "费别代码不在标准表中，也没有对照", "the cost type is in neither table nor aliases", "3.3.4"),
    _required(
        "id_number",
        "证件类型不是健康卡时必须有证件号码",
        "all but health cards need an ID number",
        (
            "在医院系统补录证件号码；建档时设为必填",
            "enter the ID number in the HIS; make it mandatory for new patients",
        ),
        _DOCUMENT,
    ),
    _length(
        "id_number",
        NUMBER,
        "证件号码",
        "the ID number",
        ("核对证件号码是否混入其他内容", "check what else was written into the ID number"),
    ),
    Rule(
        id="id_number.checksum",
        field="id_number",
        kind="format",
        severity="critical",
        zh="居民身份证号码不合法（位数、出生日期或校验码）",
        en="not a valid resident ID (length, birth date or check digit)",
        section=OURS,
        when=Condition("card_type", frozenset({id_numbers.RESIDENT_ID})),
        holds=lambda _, number: id_numbers.is_resident_id(number),
        to_do=(
            "在医院系统核对证件号码和证件类型（多为录入错误）",
            "check ID number and card type in the HIS (mostly typing mistakes)",
        ),
    ),
    Rule(
        id="id_number.birth",
        field="id_number",
        kind="format",
        severity="critical",
        zh="居民身份证号码的出生日期在用卡之后",
        en="the resident ID's birth date is after the card use",
        section=OURS,
        when=Condition("card_type", frozenset({id_numbers.RESIDENT_ID})),
        to_do=(
            "在医院系统核对证件号码（多为录入错误）",
            "check the ID number in the HIS (mostly typing mistakes)",
        ),
    ),
    Rule(
        id="id_number.format",
        field="id_number",
        kind="format",
        severity="warning",
        zh="证件号码与该证件类型的常见格式不符，请核对（照常上报）",
        en="the number looks unlike others of its document type, please check (reported all the same)",
        section=OURS,
        when=Condition("card_type", frozenset(id_numbers.PATTERNS)),
        holds=id_numbers.has_usual_format,
    ),
    _required(
        "name",
        "证件类型不是健康卡时必须有姓名",
        "all but health cards need a name",
        ("在医院系统补录姓名", "enter the name in the HIS"),
        _DOCUMENT,
    ),
    _length(
        "name", NAME, "姓名", "the name", ("核对姓名是否混入其他内容", "check what else was written into the name")
    ),
    Rule(
        id="name.damaged",
        field="name",
        kind="format",
        severity="warning",
        zh="姓名中有问号：HIS 字符集缺字或数据损坏，请核对（照常上报）",
        en="a question mark in the name: the HIS lacks the character or its bytes are damaged (reported all the same)",
        section=OURS,
        holds=lambda _, name: name.isalpha() or not any(sign in name for sign in "?？\ufffd"),
    ),
    Rule(
        id="name.rare",
        field="name",
        kind="format",
        severity="warning",
        zh="姓名中有罕用字（自造字或新收的字），平台可能不识，请核对（照常上报）",
        en="a rare character in the name (private use or new) that the platform may not know (reported all the same)",
        section=OURS,
        holds=lambda _, name: not is_rare(name),
    ),
    _required(
        "qr_code_text",
        "证件类型是健康卡时必须有二维码文本",
        "health cards need the QR code's text",
        ("检查扫码终端是否把健康卡二维码写回医院系统", "check that scanners write the card's QR text back to the HIS"),
        Condition("card_type", HEALTH_CARDS),
    ),
    _length(
        "qr_code_text",
        QR_TEXT,
        "二维码文本",
        "the QR code's text",
        ("核对二维码文本是否混入其他内容", "check what else was written into the QR text"),
    ),
    _patient("scene", "用卡环节", "the scene"),
    _patient("department", "科室代码或名称", "the department's code or name"),
    _patient("card_type", "证件类型代码", "the card type"),
    _patient("channel", "渠道代码", "the channel"),
    _patient("cost_type", "费别代码", "the cost type"),
    Rule(
        id="qr_code_text.supplied",
        field="qr_code_text",
        kind="supplied",
        severity="warning",
        zh="HIS 未给出二维码文本，取自已知的健康卡（照常上报）",
        en="the HIS gave no QR text, it is that of the card that is known of the patient (reported all the same)",
        section=OURS,
        to_do=("请在 HIS 健康卡表中补上二维码文本", "put the QR text into the HIS's table of health cards"),
    ),
    Rule(
        id="source_id.patient",
        field="source_id",
        kind="patient",
        severity="critical",
        zh="HIS 单号本身是患者信息（姓名、证件号或健康卡二维码），已遮盖",
        en="the record's own key in the HIS is patient data (a name, an ID or QR text); masked",
        section=OURS,
        to_do=(
            "请改用不含患者信息的流水号作单号；若确是流水号，在医院文件 [normalize] 中写 keys_by_shape = false",
            (
                "take a serial number as the key in the feed's SQL; if it is one that only looks like an ID number, "
                "write keys_by_shape = false under [normalize] in the hospital's file"
            ),
        ),
    ),
)

BY_ID: Final[Mapping[str, Rule]] = {rule.id: rule for rule in RULES}

MISPLACED: Final[Mapping[str, Finding]] = {rule.field: rule.finding() for rule in RULES if rule.kind == "patient"}
"""Column -> the finding that it holds patient data: looked for apart (misplaced.py), and first among an event's."""

SUPPLIED: Final = BY_ID["qr_code_text.supplied"].finding()
BORN_LATER: Final = BY_ID["id_number.birth"].finding()
"""The one finding about two fields: it is looked for apart (rule_check.py)."""


def markdown() -> str:
    """docs/rules.md, as these declarations have it."""
    lines = [
        "# 规则 / Rules",
        "",
        "由 `python -m card_usage.standard.rules` 生成，请勿手改。 / Printed by that command; do not edit.",
        "",
        (
            "`critical`：隔离，不上报；`warning`：照常上报并列入报告；`info`：仅供参考。规则要求的字段必报；"
            "`also_send` 列出的字段知道就报，缺失不影响上报。不上报的字段不检查，但未对照的代码一律隔离，"
            "除非医院文件写明 `quarantine_every_unknown_code = false`（此时规则不要求的字段只记为 `info`）。"
            "一个字段只给出一条发现：列中有患者信息、缺失、代码未对照、内容不合规则，依次取一。"
        ),
        "",
        (
            "`critical`: quarantined, not sent. `warning`: sent and reported. `info`: worth knowing. What a rule "
            "requires is sent, and the fields of `also_send` where they are known; an event may lack these. A field "
            "that is not sent is not judged, but an unmapped code is quarantined even there, unless the hospital's "
            "file says `quarantine_every_unknown_code = false` (`info` then where no rule requires the field). One "
            "finding a field: patient data in a column that should hold none, else absent, else unmapped, else "
            "the first rule that it breaks."
        ),
        "",
    ]
    for field, wire in {**FIELDS, "source_id": ""}.items():
        lines += [
            f"## {field} (`{wire}`)" if wire else f"## {field} (不上报 not sent)",
            "",
            "| 规则 Rule | 级别 Severity | 条件 When | 说明 | Meaning | 文档 Section |",
            "|---|---|---|---|---|---|",
            *(_line(rule) for rule in RULES if rule.field == field),
            "",
        ]
    lines += contradictions.lines()
    return "\n".join(lines) + "\n"


def _line(rule: Rule) -> str:
    conditions = [] if rule.when is None else [f"{rule.when.field} = {', '.join(sorted(rule.when.values))}"]
    if rule.profiles != PROFILES:
        conditions.append(f"profile = {', '.join(rule.profiles)}")
    section = "我们的 ours" if rule.section == OURS else rule.section
    when = "; ".join(conditions) or "总是 always"
    return f"| `{rule.id}` | {rule.severity} | {when} | {rule.zh} | {rule.en} | {section} |"


if __name__ == "__main__":
    print(markdown(), end="")
