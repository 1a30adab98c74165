"""Incident texts: an incident in words. The texts are declared with its cause, the facts come from its detector.

A fact is shown by its name: `feeds`, `days`, `day`, `table`, `rule` and `code` are looked up and put into words,
`reason` is the one of the reader's language, `run_day` is for the link alone, and every other fact is shown as it is.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Final

from card_usage.alerts.incidents import Incident
from card_usage.config.alert_causes import CAUSES
from card_usage.platform.outcome import meanings
from card_usage.standard.rules import BY_ID
from card_usage.windows import local
from card_usage.words.catalogue import Words

LOOKED_UP: Final = frozenset({"feeds", "days", "day", "table", "rule", "code", "run", "run_day", "memory"})
"""Facts that are keys of something: no text of a HIS."""
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def title(incident: Incident, words: Words) -> str:
    """What kind of incident it is."""
    return words.text(CAUSES[incident.cause].title)


def what_happened(incident: Incident, words: Words) -> str:
    """What happened, and how many."""
    return words.text(CAUSES[incident.cause].what, **_facts(incident, words))


def what_to_do(incident: Incident, words: Words) -> str:
    """What the owner can do."""
    return words.text(CAUSES[incident.cause].todo, **_facts(incident, words))


def that_it_is_over(incident: Incident, words: Words) -> str:
    """What is well again."""
    return words.text(CAUSES[incident.cause].over, **_facts(incident, words))


def listing(incident: Incident, words: Words) -> tuple[str, ...]:
    """What it consists of, a line each, the largest first; empty for causes that list nothing."""
    colon = "：" if words.language == "zh" else ": "
    rows = [line.split("\t") for line in str(incident.facts.get("named", "")).split("\n") if line]
    match CAUSES[incident.cause].listing:
        case "codes":
            lines = [
                f"{code or words('alerts.blank')} {name}".strip() + f"{colon}{words('alerts.records', n=int(events))}"
                for code, name, events in rows
            ]
            more = int(incident.facts.get("codes", 0)) - len(rows)
            return (*lines, words("alerts.more", n=more)) if more > 0 else tuple(lines)
        case "volumes":
            return tuple(
                f"{words.known('feed', feed)}{colon}{words('alerts.usual', found=int(found), usual=int(usual))}"
                for feed, found, usual in rows
            )
        case _:
            return ()


def run_day(incident: Incident) -> str:
    """The day whose run shows most about it: its fact `run_day`, else the day or the newest of the days it is about."""
    facts = incident.facts
    return str(facts.get("run_day") or facts.get("day") or facts.get("days", "")).partition(",")[0]


def moment(at: datetime, words: Words) -> str:
    """An instant in local time, as people say it: 3月4日 02:10."""
    here = local(at)
    if words.language == "zh":
        return f"{here.month}月{here.day}日 {here:%H:%M}"
    return f"{here.day} {_MONTHS[here.month - 1]} {here:%H:%M}"


def span(hours: int, words: Words) -> str:
    """So many hours as people say it: from two days on, in days."""
    return words("alerts.hours", n=hours) if hours < 48 else words("alerts.days", n=hours // 24)


def _facts(incident: Incident, words: Words) -> dict[str, str | int]:
    """Everything that the texts of its cause may ask for."""
    facts = dict(incident.facts)
    filled = facts | {
        "count": incident.count,
        "hours_of_count": span(incident.count, words),
        "since": moment(incident.since, words),
        "hospital": incident.hospital,
        "detail": incident.detail,
    }
    if "hours" in facts:
        filled["span"] = span(int(facts["hours"]), words)
    if "feeds" in facts:
        filled["feeds"] = words("alerts.all_feeds") if facts.get("all") else _feeds(str(facts["feeds"]), words)
    if "columns" in facts:
        filled["columns"] = words.list(words(f"column.{column}") for column in str(facts["columns"]).split(","))
    if "days" in facts:
        filled["days"] = _days(str(facts["days"]), words)
    if "day" in facts:
        filled["day"] = _day(str(facts["day"]), words)
    if "table" in facts:
        filled["table"] = words(f"table.{facts['table']}")
    if (rule := BY_ID.get(str(facts.get("rule")))) is not None:
        filled["rule"] = rule.text(words.language)
    if "code" in facts:
        filled["meaning"] = _meaning(str(facts["code"]))
    memory = facts.get("memory")
    filled["memory"] = words(f"alerts.memory.{memory}") if memory else ""
    if "reason" in facts:
        filled["reason"] = _reason(incident, words)
    return filled


def _reason(incident: Incident, words: Words) -> str:
    """The reason in the reader's language, if it has one; filled into what the cause declares for the detail.

    Where the platform gave a result code (the fact `code`), that says more than our own sentence.
    """
    language = f"reason_{words.language}"
    reason = str(incident.facts.get(language, incident.facts["reason"]))
    if incident.detail == "platform" and "code" in incident.facts:
        code = str(incident.facts["code"])
        reason = words("alerts.code", code=code, meaning=_meaning(code))
    of_detail = CAUSES[incident.cause].reasons.get(incident.detail)
    return reason if of_detail is None else words.text(of_detail, reason=reason)


def _meaning(code: str) -> str:
    """What the platform's document says about a result code, in Chinese."""
    return meanings().get(int(code), "?") if re.fullmatch(r"-?\d+", code) else "?"


def _feeds(text: str, words: Words) -> str:
    return words.list(words.known("feed", feed) for feed in text.split(","))


def _days(text: str, words: Words) -> str:
    days = words.list(_day(part, words) for part in text.split(",") if part and not part.startswith("+"))
    if "+" not in text:
        return days
    return days + ("" if words.language == "zh" else " ") + words("alerts.and_days")


def _day(text: str, words: Words) -> str:
    day = date.fromisoformat(text)
    return f"{day.month}月{day.day}日" if words.language == "zh" else f"{day.day} {_MONTHS[day.month - 1]}"
