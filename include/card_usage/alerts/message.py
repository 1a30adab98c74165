"""Messages: incidents in words, as Markdown for chats and as HTML for mail. Nothing here reads or writes.

Each says what happened, since when, how many, what to do and who can help; none holds more than counts, codes, names of
feeds and event keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import jinja2

from card_usage.alerts.incidents import Happened, Incident
from card_usage.config.alert_causes import SEVERITIES
from card_usage.ledger.holds import EVERYONE
from card_usage.platform.outcome import meanings
from card_usage.standard.rules import BY_ID
from card_usage.windows import local
from card_usage.words.catalogue import Language, Words

HERE: Final = Path(__file__).parent
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Message(NamedTuple):
    """As the outbox takes it. `text` is Markdown."""

    subject: str
    text: str
    html: str


class Said(NamedTuple):
    """An incident, and what about it is news."""

    happened: Happened
    incident: Incident


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where it happened. `airflow`: the address of Airflow's UI, '' if unknown."""

    hospital: str
    name: str
    name_en: str
    airflow: str

    def label(self, words: Words) -> str:
        """The hospital's name."""
        if self.hospital == EVERYONE:
            return words("alerts.fleet")
        return self.name if words.language == "zh" else self.name_en or self.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One incident as it is shown. `tone`: info, warning, critical or over."""

    tone: str
    mark: str
    title: str
    state: str
    what: str
    lines: tuple[str, ...]
    rows: tuple[str, ...]
    link: str


def message(place: Place, said: Sequence[Said], language: Language, now: datetime) -> Message:
    """One message about incidents of one cause."""
    words = Words(language)
    order = sorted(said, key=lambda one: (not one.incident.is_open, -SEVERITIES.index(one.incident.severity)))
    blocks = [_block(place, one, words, now) for one in order]
    subject = words("alerts.subject", mark=blocks[0].mark, hospital=place.label(words), what=blocks[0].title)
    return Message(subject, _markdown(blocks, words), _html(subject, blocks, (), words))


def digest(place: Place, listed: Sequence[Incident], language: Language, now: datetime) -> Message:
    """The morning's list: what is open, worst first, and what was over since yesterday."""
    words = Words(language)
    still = sorted(
        (one for one in listed if one.is_open), key=lambda one: (-SEVERITIES.index(one.severity), one.opened_at)
    )
    over = sorted((one for one in listed if not one.is_open), key=lambda one: one.closed_at or now)
    what = words("alerts.digest.subject", open=len(still), closed=len(over))
    subject = words("alerts.subject", mark=words("alerts.mark.digest"), hospital=place.label(words), what=what)
    blocks = [_block(place, Said("opened", one), words, now) for one in still]
    overs = tuple(
        words(
            "alerts.digest.over",
            what=words(f"alert.{one.cause}.title"),
            since=moment(one.since, words),
            until=moment(one.closed_at or now, words),
        )
        for one in over
    )
    parts = []
    if still:
        parts.append(f"**{words('alerts.digest.open')}**\n")
        parts.append(_markdown(blocks, words, closing=not overs))
    if overs:
        parts.append(f"**{words('alerts.digest.closed')}**\n" + "\n".join(f"- {line}" for line in overs))
    return Message(subject, "\n".join(parts), _html(subject, blocks, overs, words))


def test_message(place: Place, channel: str, language: Language) -> Message:
    """To see whether a channel works."""
    words = Words(language)
    what = words("alerts.test", channel=channel)
    subject = words("alerts.subject", mark=words("alerts.mark.test"), hospital=place.label(words), what=channel)
    return Message(subject, what, _html(subject, (), (what,), words))


def moment(at: datetime, words: Words) -> str:
    """An instant in local time, as people say it: 3月4日 02:10."""
    here = local(at)
    if words.language == "zh":
        return f"{here.month}月{here.day}日 {here:%H:%M}"
    return f"{here.day} {_MONTHS[here.month - 1]} {here:%H:%M}"


def _block(place: Place, said: Said, words: Words, now: datetime) -> Block:
    one = said.incident
    over = said.happened == "closed"
    rows = []
    since = moment(one.since, words)
    if over:
        until = moment(one.closed_at or now, words)
        rows.append(words("alerts.lasted", span=words("alerts.until", since=since, until=until)))
    else:
        rows.append(words("alerts.since", at=since))
        rows.append(words("alerts.todo", todo=_todo(place, one, words)))
        rows.append(words("alerts.who", who=words(f"who.{one.owner}")))
        if one.sample:
            rows.append(words("alerts.sample", event=one.sample[0]))
    state = words(f"alerts.{said.happened}", times=one.returns + 1) if said.happened == "returned" else ""
    return Block(
        tone="over" if over else one.severity,
        mark=words("alerts.mark.closed") if over else words(f"alerts.mark.{one.severity}"),
        title=words(f"alert.{one.cause}.title"),
        state=state or words(f"alerts.{said.happened}"),
        what=words.sentence(_over(one, words) if over else what(one, words)),
        lines=() if over else _lines(one, words),
        rows=tuple(rows),
        link=_link(place, one),
    )


def what(one: Incident, words: Words) -> str:
    """What happened, and how many."""
    facts = {**one.facts, "count": one.count, "since": moment(one.since, words)}
    if "feeds" in facts:
        facts["feeds"] = words("alerts.all_feeds") if facts.get("all") else _feeds(str(facts["feeds"]), words)
    if "days" in facts:
        facts["days"] = _days(str(facts["days"]), words)
    match one.cause:
        case "unmapped_code":
            facts["table"] = words(f"table.{facts['table']}")
        case "missing_field":
            facts["rule"] = getattr(BY_ID[str(facts["rule"])], words.language)
        case "volume_drop":
            facts["day"] = _day(str(facts["day"]), words)
        case "platform_refuses":
            facts["meaning"] = _meaning(str(facts["code"]))
        case "misconfiguration":
            facts["reason"] = _reason(one, words)
        case "gate_held" if words.language == "en":
            facts["reason"] = facts["reason_en"]
        case _:
            pass
    return words(f"alert.{one.cause}.what", **facts)


def _over(one: Incident, words: Words) -> str:
    table = words(f"table.{one.detail}") if one.cause == "unmapped_code" else ""
    return words(f"alert.{one.cause}.over", table=table)


def _todo(place: Place, one: Incident, words: Words) -> str:
    file = f"code_aliases/{place.hospital}/{one.detail}.csv" if one.cause == "unmapped_code" else ""
    return words(f"alert.{one.cause}.todo", file=file)


def _reason(one: Incident, words: Words) -> str:
    """A hold's reason ends with the platform's code, if it has one; a file's is file, key and problem."""
    reason = str(one.facts.get("reason", ""))
    code = re.search(r"-?\d+$", reason)
    if one.detail == "platform" and code:
        reason = words("alerts.code", code=code[0], meaning=_meaning(code[0]))
    return words(f"alert.misconfiguration.{one.detail}", reason=reason)


def _meaning(code: str) -> str:
    """In the platform's own words, which are Chinese."""
    return meanings().get(int(code), "?") if re.fullmatch(r"-?\d+", code) else "?"


def _lines(one: Incident, words: Words) -> tuple[str, ...]:
    """What it consists of, the largest first."""
    named = str(one.facts.get("named", ""))
    colon = "：" if words.language == "zh" else ": "
    rows = [line.split("\t") for line in named.split("\n") if line]
    if one.cause == "unmapped_code":
        lines = [
            f"{code or words('alerts.blank')} {name}".strip() + f"{colon}{words('alerts.records', n=int(events))}"
            for code, name, events in rows
        ]
        more = int(one.facts.get("codes", 0)) - len(rows)
        return (*lines, words("alerts.more", n=more)) if more > 0 else tuple(lines)
    if one.cause == "volume_drop":
        return tuple(
            f"{words.known('feed', feed)}{colon}{words('alerts.usual', found=int(found), usual=int(usual))}"
            for feed, found, usual in rows
        )
    return ()


def _feeds(text: str, words: Words) -> str:
    names = [words.known("feed", feed) for feed in text.split(",")]
    return ("、" if words.language == "zh" else ", ").join(names)


def _days(text: str, words: Words) -> str:
    days = [part for part in text.split(",") if part and not part.startswith("+")]
    more = words("alerts.and_days") if "+" in text else ""
    join = "、" if words.language == "zh" else ", "
    return join.join(_day(day, words) for day in days) + (
        more if words.language == "zh" else f" {more}" if more else ""
    )


def _day(text: str, words: Words) -> str:
    day = date.fromisoformat(text)
    return f"{day.month}月{day.day}日" if words.language == "zh" else f"{day.day} {_MONTHS[day.month - 1]}"


def _link(place: Place, one: Incident) -> str:
    if not place.airflow:
        return ""
    if one.cause == "dag_failed":
        run = quote(str(one.facts.get("run", "")), safe="")
        return f"{place.airflow}/dags/{one.detail}/runs/{run}"
    if place.hospital == EVERYONE:
        return place.airflow
    return f"{place.airflow}/dags/report_card_usage__{place.hospital}"


def _markdown(blocks: Iterable[Block], words: Words, *, closing: bool = True) -> str:
    parts = []
    for block in blocks:
        lines = [f"**{block.what}**", block.state]
        lines += [f"> {line}" for line in block.lines]
        lines += block.rows
        if block.link:
            lines.append(f"[{words('alerts.link')}]({block.link})")
        parts.append("\n".join(lines) + "\n")
    if closing:
        parts.append(words("alerts.no_patients"))
    return "\n".join(parts)


@cache
def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(HERE)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.get_template("mail.html.jinja")


def _html(subject: str, blocks: Sequence[Block], overs: Sequence[str], words: Words) -> str:
    return _template().render(
        subject=subject,
        blocks=blocks,
        overs=overs,
        over_title=words("alerts.digest.closed") if blocks or len(overs) != 1 else "",
        link=words("alerts.link"),
        footer=words("alerts.no_patients"),
        language="zh-CN" if words.language == "zh" else "en",
    )
