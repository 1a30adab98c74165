"""Document: the tables of docs/alerts.md and docs/alerts.zh-CN.md, generated from the declared causes (make docs)."""

from __future__ import annotations

from datetime import timedelta

from card_usage.config.alert_causes import CAUSES
from card_usage.words.catalogue import Words


def causes() -> str:
    """Markdown: every cause, who resolves it, what makes it worse, how long it must be absent, what explains it."""
    zh, en = Words("zh"), Words("en")
    lines = [
        "| Cause | What | 名称 | Who mends it | Worse also with a new | Over after | Not opened beside |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for cause in CAUSES.values():
        cells = (
            f"`{cause.name}`",
            en.text(cause.title),
            zh.text(cause.title),
            en(f"who.{cause.owner}"),
            cause.part or "-",
            _span(cause.closes_after),
            ", ".join(f"`{name}`" for name in cause.explained_by) or "-",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def causes_zh() -> str:
    """Markdown: the same in Chinese."""
    zh = Words("zh")
    parts = {"": "-", "day": "日期", "feed": "业务", "code": "代码", "mailbox": "地址", "column": "列"}
    lines = [
        "| 原因 | 名称 | 谁来办 | 出现新的什么也算加重 | 消失多久算恢复 | 已有哪个就不再另报 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for cause in CAUSES.values():
        span = _span(cause.closes_after).replace("at once", "立即").replace("min", "分钟").replace("h", "小时")
        explained = "、".join(f"`{name}`" for name in cause.explained_by) or "-"
        cells = (f"`{cause.name}`", zh.text(cause.title), zh(f"who.{cause.owner}"), parts[cause.part], span, explained)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def todos() -> str:
    """Markdown: what to do, by cause, as the messages say it."""
    zh = Words("zh")
    lines = ["| 问题 | 怎么办 | 谁来办 |", "| --- | --- | --- |"]
    for cause in CAUSES.values():
        todo = zh.text(cause.todo, hospital="<医院>", detail="<代码表>")
        lines.append(f"| {zh.text(cause.title)} | {todo} | {zh(f'who.{cause.owner}')} |")
    return "\n".join(lines)


def _span(absence: timedelta) -> str:
    minutes = int(absence / timedelta(minutes=1))
    return "at once" if not minutes else f"{minutes} min" if minutes < 60 else f"{minutes // 60} h"
