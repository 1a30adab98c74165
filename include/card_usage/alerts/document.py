"""The tables of docs/alerts.md, written from the code (make docs)."""

from __future__ import annotations

from datetime import timedelta

from card_usage.config.alert_causes import CAUSES
from card_usage.words.catalogue import Words


def causes() -> str:
    """Markdown: every cause, who mends it, what makes it worse, how long it must be away, what explains it."""
    zh, en = Words("zh"), Words("en")
    lines = [
        "| Cause | What | 名称 | Who mends it | Worse also with a new | Over after | Not opened beside |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for cause in CAUSES.values():
        cells = (
            f"`{cause.name}`",
            en(f"alert.{cause.name}.title"),
            zh(f"alert.{cause.name}.title"),
            en(f"who.{cause.owner}"),
            cause.part or "-",
            _span(cause.closes_after),
            ", ".join(f"`{name}`" for name in cause.explained_by) or "-",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def todos() -> str:
    """Markdown: what to do, by cause, as the messages say it."""
    zh = Words("zh")
    lines = ["| 问题 | 怎么办 | 谁来办 |", "| --- | --- | --- |"]
    for cause in CAUSES.values():
        todo = zh(f"alert.{cause.name}.todo", file="code_aliases/<医院>/<代码表>.csv")
        lines.append(f"| {zh(f'alert.{cause.name}.title')} | {todo} | {zh(f'who.{cause.owner}')} |")
    return "\n".join(lines)


def _span(calm: timedelta) -> str:
    minutes = int(calm / timedelta(minutes=1))
    return "at once" if not minutes else f"{minutes} min" if minutes < 60 else f"{minutes // 60} h"
