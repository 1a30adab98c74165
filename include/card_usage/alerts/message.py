"""Message: incidents as Markdown for chats and as HTML for mail. Pure: nothing here reads or writes.

Each says what happened, since when, how many, what to do and who can help; none holds more than counts, codes, names of
feeds and event keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import jinja2

from card_usage.alerts.incident_texts import (
    LOOKED_UP,
    listing,
    moment,
    run_day,
    that_it_is_over,
    title,
    what_happened,
    what_to_do,
)
from card_usage.alerts.incidents import ChangeKind, Incident
from card_usage.config.alert_causes import CAUSES, SEVERITIES
from card_usage.ledger.holds import EVERYONE
from card_usage.plain_text import unlinked, visible, without_markup
from card_usage.windows import day_window, instant
from card_usage.words.catalogue import Language, Words

HERE: Final = Path(__file__).parent
SECOND: Final = timedelta(seconds=1)


class Message(NamedTuple):
    """As the outbox takes it. `text` is Markdown."""

    subject: str
    text: str
    html: str


class Notice(NamedTuple):
    """An incident, and how it has changed since the channel was last notified."""

    kind: ChangeKind
    incident: Incident


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """The hospital that a message is about, or the fleet. `airflow`: the address of Airflow's UI, '' if unknown."""

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


def message(origin: Origin, notices: Sequence[Notice], language: Language, now: datetime) -> Message:
    """One message about incidents of one cause."""
    words = Words(language)
    order = sorted(
        notices, key=lambda notice: (not notice.incident.is_open, -SEVERITIES.index(notice.incident.severity))
    )
    blocks = [_block(origin, notice, words, now) for notice in order]
    subject = words("alerts.subject", mark=blocks[0].mark, hospital=origin.label(words), what=blocks[0].title)
    return Message(subject, _markdown(_for_chats(origin, order, words, now), words), _html(subject, blocks, (), words))


def _for_chats(origin: Origin, notices: Iterable[Notice], words: Words, now: datetime) -> list[Block]:
    """The incidents as chats show them: codes, names and answers are other people's text, nothing in them is markup."""
    return [_block(origin, notice._replace(incident=_neutral(notice.incident)), words, now) for notice in notices]


def _neutral(incident: Incident) -> Incident:
    shown: dict[str, str | int] = {}
    for name, fact in incident.facts.items():
        if isinstance(fact, str) and name not in LOOKED_UP:
            theirs = unlinked(fact) if name == "named" else fact
            fact = visible(without_markup(theirs), keep="\t\n")
        shown[name] = fact
    return replace(incident, facts=shown, sample=tuple(without_markup(key) for key in incident.sample))


def fields(origin: Origin, cause: str, notices: Sequence[Notice]) -> dict[str, object]:
    """The message for programs: how bad it is, what it is about, and the counts. `severity`: of what is open."""
    open_severities = [notice.incident.severity for notice in notices if notice.incident.is_open]
    return {
        "hospital": origin.hospital,
        "cause": cause,
        "severity": max(open_severities, key=SEVERITIES.index, default="info"),
        "state": "open" if open_severities else "closed",
        "count": sum(notice.incident.count for notice in notices if notice.incident.is_open),
        "incidents": [
            {
                "id": notice.incident.id,
                "cause": notice.incident.cause,
                "detail": notice.incident.detail,
                "severity": notice.incident.severity,
                "state": "closed" if not notice.incident.is_open else notice.kind,
                "count": notice.incident.count,
                "parts": list(notice.incident.parts),
                "since": notice.incident.since.isoformat(),
                "closed_at": None if notice.incident.closed_at is None else notice.incident.closed_at.isoformat(),
            }
            for notice in notices
        ],
    }


def digest(origin: Origin, incidents: Sequence[Incident], language: Language, now: datetime) -> Message:
    """The morning's list: what is open, worst first, and what was closed since yesterday."""
    words = Words(language)
    still_open = sorted(
        (incident for incident in incidents if incident.is_open),
        key=lambda incident: (-SEVERITIES.index(incident.severity), incident.opened_at),
    )
    closed = sorted(
        (incident for incident in incidents if not incident.is_open), key=lambda incident: incident.closed_at or now
    )
    counts = words("alerts.digest.subject", open=len(still_open), closed=len(closed))
    subject = words("alerts.subject", mark=words("alerts.mark.digest"), hospital=origin.label(words), what=counts)
    notices = [Notice("opened", incident) for incident in still_open]
    blocks = [_block(origin, notice, words, now) for notice in notices]
    closed_lines = tuple(
        words(
            "alerts.digest.over",
            what=title(incident, words),
            since=moment(incident.since, words),
            until=moment(incident.closed_at or now, words),
        )
        for incident in closed
    )
    parts = []
    if still_open:
        parts.append(f"**{words('alerts.digest.open')}**\n")
        parts.append(_markdown(_for_chats(origin, notices, words, now), words, closing=not closed_lines))
    if closed_lines:
        parts.append(f"**{words('alerts.digest.closed')}**\n" + "\n".join(f"- {line}" for line in closed_lines))
    return Message(subject, "\n".join(parts), _html(subject, blocks, closed_lines, words))


def test_message(origin: Origin, channel: str, language: Language) -> Message:
    """To see whether a channel works."""
    words = Words(language)
    text = words("alerts.test", channel=channel)
    subject = words("alerts.subject", mark=words("alerts.mark.test"), hospital=origin.label(words), what=channel)
    return Message(subject, text, _html(subject, (), (text,), words))


def _block(origin: Origin, notice: Notice, words: Words, now: datetime) -> Block:
    incident = notice.incident
    over = notice.kind == "closed"
    since = moment(incident.since, words)
    rows = []
    if over:
        until = moment(incident.closed_at or now, words)
        rows.append(words("alerts.lasted", span=words("alerts.until", since=since, until=until)))
    else:
        rows.append(words("alerts.since", at=since))
        rows.append(words("alerts.todo", todo=what_to_do(incident, words)))
        rows.append(words("alerts.who", who=words(f"who.{incident.owner}")))
        if incident.sample:
            rows.append(words("alerts.sample", event=incident.sample[0]))
    times = {"times": incident.returns + 1} if notice.kind == "returned" else {}
    return Block(
        tone="over" if over else incident.severity,
        mark=words("alerts.mark.closed") if over else words(f"alerts.mark.{incident.severity}"),
        title=title(incident, words),
        state=words(f"alerts.{notice.kind}", **times),
        what=words.sentence(that_it_is_over(incident, words) if over else what_happened(incident, words)),
        lines=() if over else listing(incident, words),
        rows=tuple(rows),
        link=_link(origin, incident),
    )


def _link(origin: Origin, incident: Incident) -> str:
    """The page of Airflow that shows most about it: the run that is its fact `run`, the forms that wait for a decision,
    the runs of its day (scheduled or backfilled), or the hospital's DAG."""
    if not origin.airflow:
        return ""
    if "run" in incident.facts:
        run = quote(str(incident.facts["run"]), safe="")
        return f"{origin.airflow}/dags/{incident.detail}/runs/{run}"
    if origin.hospital == EVERYONE:
        return origin.airflow
    dag = f"{origin.airflow}/dags/report_card_usage__{origin.hospital}"
    if CAUSES[incident.cause].resolved_in:
        return f"{dag}/required_actions?response_received=false"
    day = run_day(incident)
    if not day:
        return dag
    of = day_window(date.fromisoformat(day))
    first, last = (f"{instant(at).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for at in (of.start, of.end - SECOND))
    return f"{dag}/runs?logical_date_gte={first}&logical_date_lte={last}"


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


def _html(subject: str, blocks: Sequence[Block], closed_lines: Sequence[str], words: Words) -> str:
    return _template().render(
        subject=subject,
        blocks=blocks,
        overs=closed_lines,
        over_title=words("alerts.digest.closed") if blocks or len(closed_lines) != 1 else "",
        link=words("alerts.link"),
        footer=words("alerts.no_patients"),
        language="zh-CN" if words.language == "zh" else "en",
    )
