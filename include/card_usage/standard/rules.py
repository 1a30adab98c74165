"""The rules of reportHISData (document 2.7.4, 3.2.7), declared once: what to send, and what an event must look like.

Everything derives from `RULES`: the check of a row, the fields that leave the hospital (least data: what a rule
requires, nothing more), the payload, the expectation suite and docs/rules.md (`python -m card_usage.standard.rules`
prints it).

A field that is not sent is not judged, but for codes: one that stands in no table is critical even there, unless the
hospital's file says otherwise (`every_code`). One field gives one finding: absent is `.required`, an unknown code is
`.code` and not also `.required`, and of the rules for a value the first that is broken speaks.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, Literal, NamedTuple

from card_usage.events import CODE_TABLES, FIELDS, CardUse, Finding
from card_usage.standard import id_numbers
from card_usage.standard.code_tables import CodeTable
from card_usage.windows import Window

Kind = Literal["required", "code", "format", "length", "window"]
Severity = Literal["critical", "warning", "info"]
Profile = Literal["v2.1", "current"]
DepartmentFormat = Literal["code", "name", "his_name"]

PROFILES: Final[tuple[Profile, ...]] = ("v2.1", "current")
OURS: Final = "-"
"""Section of a rule that the document does not have."""

REGISTRATION_SCENES: Final = frozenset({"010101", "0101011", "0101012"})
CHARGE_SCENES: Final = frozenset({"010105", "0101051", "0101053"})
HEALTH_CARD: Final = frozenset({id_numbers.HEALTH_CARD})
OTHER_DOCUMENTS: Final = frozenset({"01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "99"})


class Condition(NamedTuple):
    """Met where `field` holds one of `values`; an absent field meets nothing."""

    field: str
    values: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One demand on one field. `when`: only there (None: always). `section`: of the document.

    `limit`: longest text in characters. `holds(card_type, value)`: whether a present value is as demanded.
    """

    id: str
    field: str
    kind: Kind
    severity: Severity
    zh: str
    en: str
    section: str
    when: Condition | None = None
    profiles: tuple[Profile, ...] = PROFILES
    limit: int | None = None
    holds: Callable[[str, str], bool] | None = None

    def finding(self, code: str | None = None) -> Finding:
        """This rule broken. `code`: the local code, for rules of kind "code" alone."""
        return Finding(self.id, self.field, self.severity, self.field if self.kind == "code" else None, code)

    def applies(self, card_use: Mapping[str, str | None], profile: str) -> bool:
        """Whether the rule holds for an event with these scene and card type, in this profile."""
        if profile not in self.profiles:
            return False
        return self.when is None or card_use.get(self.when.field) in self.when.values


def _required(field: str, zh: str, en: str, when: Condition | None = None, **other: Any) -> Rule:
    name = "time" if field == "occurred_at" else field
    other.setdefault("section", "2.7.4, 3.2.7")
    return Rule(
        id=f"{name}.required", field=field, kind="required", severity="critical", zh=zh, en=en, when=when, **other
    )


def _code(field: str, zh: str, en: str, section: str) -> Rule:
    return Rule(id=f"{field}.code", field=field, kind="code", severity="critical", zh=zh, en=en, section=section)


def _length(field: str, limit: int, zh: str, en: str) -> Rule:
    return Rule(
        id=f"{field}.length",
        field=field,
        kind="length",
        severity="critical",
        zh=f"{zh}超过 {limit} 个字符（文档未规定长度，上限由本系统设定）",
        en=f"{en} is longer than {limit} characters (the document sets no length: this limit is ours)",
        section=OURS,
        limit=limit,
    )


_DOCUMENT: Final = Condition("card_type", OTHER_DOCUMENTS)

RULES: Final[tuple[Rule, ...]] = (
    _required("occurred_at", "缺少用卡时间", "the time is absent"),
    Rule(
        id="time.format",
        field="occurred_at",
        kind="format",
        severity="critical",
        zh="用卡时间无法识别（须有日期和时分，2000 至 2099 年）",
        en="the time cannot be read (a date and a time of day, in the years 2000 to 2099)",
        section="2.7.4, 3.2.7",
    ),
    Rule(
        id="time.window",
        field="occurred_at",
        kind="window",
        severity="critical",
        zh="用卡时间不在本次上报的时间窗内",
        en="the time is outside the window that is reported",
        section=OURS,
    ),
    _required("scene", "缺少用卡环节", "the scene is absent"),
    _code("scene", "用卡环节代码不在标准表中，也没有对照", "the scene is in neither table nor aliases", "3.3.1"),
    _required(
        "department",
        "挂号类环节必须有用卡科室",
        "registration scenes need a department",
        Condition("scene", REGISTRATION_SCENES),
    ),
    _code("department", "科室没有对照到标准科室", "the department leads to no standard department", "2.7.4"),
    _required("card_type", "缺少证件类型", "the card type is absent"),
    _code(
        "card_type", "证件类型代码不在标准表中，也没有对照", "the card type is in neither table nor aliases", "3.3.2"
    ),
    _required("channel", "缺少用卡渠道", "the channel is absent"),
    _code("channel", "用卡渠道代码不在标准表中，也没有对照", "the channel is in neither table nor aliases", "3.3.3"),
    _required(
        "cost_type",
        "收费类环节必须有费别（V2.1 之后的文档）",
        "charge scenes need a cost type (documents newer than V2.1)",
        Condition("scene", CHARGE_SCENES),
        profiles=("current",),
        section="3.3.4",
    ),
    _code("cost_type", "费别代码不在标准表中，也没有对照", "the cost type is in neither table nor aliases", "3.3.4"),
    _required("id_number", "证件类型不是健康卡时必须有证件号码", "all but health cards need an ID number", _DOCUMENT),
    _length("id_number", 32, "证件号码", "the ID number"),
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
        holds=id_numbers.looks_usual,
    ),
    _required("name", "证件类型不是健康卡时必须有姓名", "all but health cards need a name", _DOCUMENT),
    _length("name", 100, "姓名", "the name"),
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
    _required(
        "qr_code_text",
        "证件类型是健康卡时必须有二维码文本",
        "health cards need the QR code's text",
        Condition("card_type", HEALTH_CARD),
    ),
    _length("qr_code_text", 512, "二维码文本", "the QR code's text"),
)

BY_ID: Final[Mapping[str, Rule]] = {rule.id: rule for rule in RULES}

_OUTSIDE: Final = BY_ID["time.window"].finding()
_NO_DEPARTMENT: Final = BY_ID["department.required"].finding()
_Test = tuple[Finding, Callable[[str], bool]]


class _Plan(NamedTuple):
    """What is asked of every event with the same scene, card type and profile."""

    fields: frozenset[str]
    values: Callable[[CardUse], tuple[Any, ...]]
    asked: tuple[tuple[Finding, tuple[_Test, ...]], ...]
    passes_all: Callable[[CardUse], bool]


@lru_cache(maxsize=4096)
def _plan(scene: str | None, card_type: str | None, profile: str, his_department: bool) -> _Plan:
    """Rules for these codes, sorted by field. `his_department`: the HIS's name is sent, its standard code is not."""
    if profile not in PROFILES:
        raise ValueError(f"profile '{profile}' is none of {', '.join(PROFILES)}")
    applying = [rule for rule in RULES if rule.applies({"scene": scene, "card_type": card_type}, profile)]
    asked: dict[str, tuple[Finding, tuple[_Test, ...]]] = {}
    for rule in applying:
        if rule.kind == "required" and not (his_department and rule.field == "department"):
            tests = tuple(test for other in applying if other.field == rule.field for test in _tests(other, card_type))
            asked[rule.field] = (rule.finding(), tests)
    fields = frozenset(rule.field for rule in applying if rule.kind == "required")
    return _Plan(fields, attrgetter(*asked), tuple(asked.values()), _passes_all(asked.values()))


def _tests(rule: Rule, card_type: str | None) -> tuple[_Test, ...]:
    if rule.limit is not None:
        limit = rule.limit
        return ((rule.finding(), lambda value: len(value) <= limit),)
    if rule.holds is not None and card_type is not None:
        holds = rule.holds
        return ((rule.finding(), lambda value: holds(card_type, value)),)
    return ()


def check(
    card_use: CardUse,
    *,
    profile: str,
    window: Window | None = None,
    department_format: str = "code",
    department_name: str | None = None,
    found: tuple[Finding, ...] = (),
    every_code: bool = True,
) -> tuple[Finding, ...]:
    """All findings about one event: those of normalization (`found`) and those of the rules, each field's once.

    The answer includes `found`, so it stands alone. An unknown code is critical; without `every_code` it sinks to
    "info" where the field is not sent. `department_name` is asked for where `department_format` is "his_name", and no
    mapping then. `window` is half-open.
    """
    his_department = department_format == "his_name"
    plan = _plan(card_use.scene, card_use.card_type, profile, his_department)
    findings: list[Finding] = []
    spoken: set[str] = set()
    for finding in found:
        mapped = not (his_department and finding.field == "department")
        judged = mapped and (every_code or finding.field in plan.fields)
        findings.append(finding if judged else replace(finding, severity="info"))
        spoken.add(finding.field)
    for (missing, tests), value in zip(plan.asked, plan.values(card_use), strict=True):
        if value is None:
            if missing.field not in spoken:
                findings.append(missing)
            continue
        for broken, holds in tests:
            if not holds(value):
                findings.append(broken)
                break
    if his_department and not department_name and "department" in plan.fields:
        findings.append(_NO_DEPARTMENT)
    at = card_use.occurred_at
    if window is not None and at is not None and not window.start <= at < window.end:
        findings.append(_OUTSIDE)
    return tuple(findings)


def passes_all(
    codes: CardUse, *, profile: str, department_format: str = "code", department_name: str | None = None
) -> Callable[[CardUse], bool] | None:
    """A quick answer for all events with these codes: whether `check` would find nothing, windows aside.

    None: it finds something whatever else they say. Codes that normalization has findings about are not for it.
    """
    his_department = department_format == "his_name"
    plan = _plan(codes.scene, codes.card_type, profile, his_department)
    if his_department and not department_name and "department" in plan.fields:
        return None
    for (missing, _), value in zip(plan.asked, plan.values(codes), strict=True):
        if value is None and missing.field in CODE_TABLES:
            return None
    return plan.passes_all


def _passes_all(asked: Iterable[tuple[Finding, tuple[_Test, ...]]]) -> Callable[[CardUse], bool]:
    """Whether everything is there and as it should be in the fields that hold no code."""
    demands = [
        (CardUse._fields.index(missing.field), tuple(holds for _, holds in tests))
        for missing, tests in asked
        if missing.field not in CODE_TABLES
    ]

    def is_passes_all(card_use: CardUse) -> bool:
        for position, of_field in demands:
            value: Any = card_use[position]
            if value is None:
                return False
            for holds in of_field:
                if not holds(value):
                    return False
        return True

    return is_passes_all


def required_fields(card_use: CardUse, profile: str) -> frozenset[str]:
    """Fields that this event must have, and the only ones that are sent (names of `CardUse`)."""
    return _plan(card_use.scene, card_use.card_type, profile, False).fields


def payload(
    card_use: CardUse,
    hospital_id: str,
    profile: str,
    department_format: str,
    tables: Mapping[str, CodeTable],
    department_name: str | None = None,
) -> dict[str, str]:
    """`req` of reportHISData (document 3.2.7): flat text by wire name, required fields only, absent ones left out.

    `department_format`: the standard code, the standard name, or the HIS's own name (`department_name`).
    """
    required = required_fields(card_use, profile)
    sent: dict[str, str] = {"hospitalId": hospital_id}
    if profile == "current":
        sent["hospitalCode"] = hospital_id
    for field, wire in FIELDS.items():
        if field not in required:
            continue
        value = getattr(card_use, field)
        if field == "occurred_at" and value is not None:
            value = value.isoformat(" ", "seconds")
        elif field == "department" and department_format == "his_name":
            value = department_name
        elif field == "department" and department_format == "name" and value is not None:
            value = tables["department"].names[value]
        if value:
            sent[wire] = value
    return sent


def markdown() -> str:
    """docs/rules.md, as these declarations have it."""
    lines = [
        "# 规则 / Rules",
        "",
        "由 `python -m card_usage.standard.rules` 生成，请勿手改。 / Printed by that command; do not edit.",
        "",
        (
            "`critical`：隔离，不上报；`warning`：照常上报并列入报告；`info`：仅供参考。只上报规则要求的字段；不上报的字段不检查，"
            "但未对照的代码一律隔离，除非医院文件写明 `quarantine_every_unknown_code = false`（此时不上报的字段只记为 "
            "`info`）。一个字段只给出一条发现：缺失、代码未对照、内容不合规则，依次取一。"
        ),
        "",
        (
            "`critical`: quarantined, not sent. `warning`: sent and reported. `info`: worth knowing. Only fields that "
            "a rule requires are sent. A field that is not sent is not judged, but an unmapped code is quarantined "
            "even there, unless the hospital's file says `quarantine_every_unknown_code = false` (`info` then). One "
            "finding a field: absent, else unmapped, else the first rule that it breaks."
        ),
        "",
    ]
    for field, wire in FIELDS.items():
        lines += [
            f"## {field} (`{wire}`)",
            "",
            "| 规则 Rule | 级别 Severity | 条件 When | 说明 | Meaning | 文档 Section |",
            "|---|---|---|---|---|---|",
            *(_line(rule) for rule in RULES if rule.field == field),
            "",
        ]
    lines += [
        "## 其他参数 / Other parameters",
        "",
        (
            "- `hospitalId`: v2.1, current; `hospitalCode`: current. 均为医院文件中的 `hospital_id`。 / Both are the "
            "hospital file's `hospital_id`."
        ),
        (
            "- `department`: `department_format` = `code` 标准代码 / standard code, `name` 标准名称 / standard name, "
            "`his_name` HIS 科室名称 / the HIS's own name."
        ),
    ]
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
