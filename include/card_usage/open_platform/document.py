"""Document: docs/interfaces.md, written from the table of the interfaces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from card_usage.interfaces.declaration import PROFILES, Form, Interface, Message, Parameter, Repetition, parameters
from card_usage.interfaces.table import INTERFACES
from card_usage.open_platform.advice import advice, givers
from card_usage.platform.outcome import classify, meanings
from card_usage.words.catalogue import LANGUAGES, Words

_FORMS: Final = {
    Form.TEXT: "文本",
    Form.DATE: "yyyy-MM-dd",
    Form.MOMENT: "yyyy-MM-dd HH:mm:ss",
    Form.ID_NUMBER: "证件号码；01 居民身份证校验位数、出生日期和校验码",
    Form.LINK: "URL",
    Form.BASE64: "Base64，不带 data:image 头部",
    Form.NUMBER: "整数",
    Form.TRUTH: "boolean",
    Form.OBJECT: "对象",
    Form.LIST: "数组",
}
_REPETITIONS: Final = {
    Repetition.NEW_ID: ("可换新 requestId 重复", "again under a new requestId"),
    Repetition.NEW_CODE: (
        "可换新 requestId 重复；一次性码已用掉时先重新获取",
        "the same; a spent code is fetched anew",
    ),
    Repetition.SAME_ID: ("只能用原 requestId 重复", "only under the same requestId"),
}


def overview() -> str:
    """The interfaces in one table."""
    lines = [
        "| 文档 § | 接口 Interface | 名称 | 请求 Request | 应答 Answer | 没有应答时 After no answer | 限额 Quota |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in INTERFACES.values():
        zh, en = _REPETITIONS[each.repetition]
        quota = "计 counted" if each.counted else "不计 not counted"
        kinds = f"`{each.request.__name__}` | `{each.response.__name__}`"
        lines.append(f"| {each.section} | `{each.name}` | {each.zh} | {kinds} | {zh} / {en} | {quota} |")
    return "\n".join(lines)


def details() -> str:
    """Every interface with its parameters, codes and notes."""
    return "\n".join(line for each in INTERFACES.values() for line in _interface(each))


def codes() -> str:
    """Every result code: its class, what the document says, what to do, and who can give it."""
    lines = [
        "| 返回码 | 类别 Class | 文档 3.2.12 | 怎么办 | What to do | 接口 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for code, meaning in meanings().items():
        zh, en = (advice(code, Words(language)) for language in LANGUAGES)
        own = givers(code)
        by = "全部" if own is None else ", ".join(own) or "—"
        lines.append(f"| {code} | {classify(code)} | {meaning} | {zh} | {en} | {by} |")
    return "\n".join(lines)


def _interface(interface: Interface) -> Iterator[str]:
    yield f"### {interface.section} {interface.zh} `{interface.name}`"
    yield ""
    yield f"`POST {interface.path}`"
    yield ""
    yield from _parameters(interface.request, "req")
    yield from _parameters(interface.response, "rsp")
    own = ", ".join(map(str, interface.own_codes)) or "无 none"
    yield f"本接口的返回码 Own result codes: {own}"
    yield ""
    for zh, en in interface.notes:
        yield f"- {zh} / {en}"
    if interface.notes:
        yield ""


def _parameters(kind: type[Message], title: str) -> Iterator[str]:
    yield f"| {title} | 名称 | 必选 | 类型、取值 | Python | 缺失时 If absent |"
    yield "| --- | --- | --- | --- | --- | --- |"
    nested = []
    for parameter in parameters(kind).values():
        missing = str(parameter.missing) if title != "rsp" and (parameter.required or parameter.when) else ""
        yield (
            f"| `{parameter.name}` | {parameter.zh} | {_needed(parameter, title)} | {_look(parameter)} | "
            f"`{parameter.attribute}` | {missing} |"
        )
        if parameter.message is not None:
            nested.append((parameter.message, parameter.name))
    yield ""
    for of, name in nested:
        yield from _parameters(of, f"{title}.{name}" if title != "rsp" else "rsp")


def _needed(parameter: Parameter, title: str) -> str:
    if parameter.when is not None:
        needed = f"{parameter.when.field} = {', '.join(sorted(parameter.when.values))}"
    elif title == "rsp" and parameter.vital:
        needed = "是，缺失则应答不可用"
    else:
        needed = "是" if parameter.required else "否"
    return needed if parameter.profiles == PROFILES else f"{needed}（profile {', '.join(parameter.profiles)}）"


def _look(parameter: Parameter) -> str:
    parts = [_FORMS[parameter.form]]
    if parameter.values:
        parts = ["、".join(parameter.values)]
    if parameter.table:
        parts = [f"代码表 {parameter.table}{'，代码或名称' if parameter.named else ''}"]
    if parameter.limit is not None:
        parts.append(f"最多 {parameter.limit} {'项' if parameter.form is Form.LIST else '字符'}（我方上限）")
    if parameter.note:
        parts.append(parameter.note)
    return "；".join(parts)
