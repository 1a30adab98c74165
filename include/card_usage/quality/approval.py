"""Approval: what a person is asked about a withheld window: why, how many, and what each answer would do.

Markdown for the form in the Airflow UI, in the language of the hospital's reports. Counts, codes and names of codes:
nothing in it says who a patient is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import Connection, func, select

from card_usage.config.hospital import Hospital
from card_usage.errors import DecisionStands
from card_usage.ledger import counts
from card_usage.ledger.database import Ledger
from card_usage.ledger.decisions import Actor, record
from card_usage.ledger.schema import event
from card_usage.plain_text import unlinked, visible
from card_usage.quality.profiles import inside
from card_usage.quality.verdict_store import (
    decide,
    decide_first,
    decision_of,
    first_of,
    left_since,
    mark_asked,
    verdicts_in_force,
)
from card_usage.quality.verdict_texts import reason_text
from card_usage.quality.verdicts import DECISIONS, Decision, First, StoredVerdict
from card_usage.standard.rules import BY_ID
from card_usage.windows import Window, local
from card_usage.words.catalogue import Words

Effect = Literal["decided", "first", "none"]
"""Of a decision: it counts; it waits for the same one of another person; another one stands."""
MOST_CAUSES: Final = 8
READY: Final = ("ready", "held", "unknown")


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A form: headline and Markdown body."""

    subject: str
    body: str


def options(hospital: Hospital) -> dict[str, Decision]:
    """The answers as the form shows them, each with the decision that it means."""
    words = Words(hospital.report.language)
    return {words(f"gate.decision.{decision}"): decision for decision in DECISIONS}


def deadline(hospital: Hospital, asked: datetime) -> datetime:
    """When the hospital's default takes the place of an answer."""
    return asked + timedelta(hours=hospital.gate.decide_within_hours)


def verdicts_of(ledger: Ledger, hospital_id: str, window: Window) -> tuple[StoredVerdict, ...]:
    """Verdicts in force for the window, with the decisions about them."""
    with ledger.read() as connection:
        return verdicts_in_force(connection, hospital_id, window)


def ask_for_decision(ledger: Ledger, hospital: Hospital, stored: StoredVerdict, *, now: datetime) -> Question:
    """The form about a withheld window; records that somebody was asked."""
    with ledger.write() as connection:
        mark_asked(connection, [stored], now=now)
        return question(connection, hospital, stored, now=now)


def record_decision(
    ledger: Ledger,
    hospital: Hospital,
    stored: StoredVerdict,
    decision: Decision,
    actor: Actor,
    *,
    now: datetime,
    anew: bool = False,
    reason: str = "",
) -> Effect:
    """Store a decision about a withheld window and who took it; returns what comes of it.

    The first one counts, or where more than the hospital's `second_person_above` would go, the first one that a second
    person takes, too; `anew` changes one under which nothing has left. Raises DecisionStands if something has.
    """
    with ledger.write() as connection:
        old = decision_of(connection, stored.id)
        if old == decision or (old is not None and not anew):
            return "none"
        if old is not None and (left := left_since(connection, stored)):
            raise DecisionStands(hospital=hospital.id, window=stored.verdict.window, count=left)
        first = first_of(connection, stored.id)
        two = needs_second_person(connection, hospital, stored, decision)
        if two and actor.channel == "file":  # a default is nobody
            return "none"
        if two and (first is None or not first.is_confirmed_by(decision, actor.name)):
            if first is not None and first.decision == decision:  # the same person again
                return "first"
            decide_first(connection, stored.id, First(decision=decision, by=actor.name))
            effect: Effect = "first"
        else:
            by = f"{first.by}, {actor.label}" if two and first is not None else actor.label
            if not decide(connection, stored.id, decision, by=by, now=now, anew=anew):
                return "none"
            effect = "decided"
        record(
            connection,
            ledger.keyring,
            verb="decide",
            hospital=hospital.id,
            actor=actor,
            now=now,
            subject=stored.verdict.window,
            old=old if first is None else f"{first.decision} (1/2)",
            new=decision if effect == "decided" else f"{decision} (1/2)",
            reason=reason,
        )
    return effect


def needs_second_person(connection: Connection, hospital: Hospital, stored: StoredVerdict, decision: Decision) -> bool:
    """Whether a larger share of the window's events (refunded ones left out) would go than one person may let go."""
    limit = hospital.gate.second_person_above
    if limit is None or decision == "rejected":
        return False
    ready, _ = _by_feed(connection, hospital.id, stored)
    concerned = () if decision == "released" else stored.verdict.concerned
    going = 0 if concerned is None else sum(events for feed, events in ready.items() if feed not in concerned)
    query = (
        select(func.count()).select_from(event).where(inside(hospital.id, stored.window), event.c.status != "voided")
    )
    return going > limit * (connection.scalar(query) or 0)


def question(connection: Connection, hospital: Hospital, stored: StoredVerdict, *, now: datetime) -> Question:
    """The form about one withheld window."""
    words = Words(hospital.report.language)
    ready, quarantined = _by_feed(connection, hospital.id, stored)
    reasons = _reasons(words, stored)
    first, last = stored.window.days[0], stored.window.days[-1]
    until = local(deadline(hospital, now))
    standard = words(f"gate.decision.{hospital.gate.undecided}")
    body = [
        f"### {words('ask.why')}",
        *_table(words, ("level", "reason"), reasons),
        f"### {words('ask.options')}",
        "",
        *(f"- {line}" for line in _answers(words, stored, ready)),
        "",
        words("ask.quarantined"),
        "",
        *_two_people(words, hospital, stored),
        f"**{words('ask.deadline', deadline=f'{until:%Y-%m-%d %H:%M}', option=standard)}**",
        "",
        f"### {words('ask.feeds')}",
        *_table(words, ("feed", "ready", "quarantined", "concerned"), _feeds(words, stored, ready, quarantined)),
    ]
    if causes := counts.causes(connection, hospital.id, first, last):
        rows = [
            (getattr(BY_ID[cause.rule], words.language), cause.code, cause.local_name, f"{cause.events:,}")
            for cause in causes[:MOST_CAUSES]
        ]
        body += [
            f"### {words('ask.causes', most=MOST_CAUSES)}",
            *_table(words, ("cause", "code", "name", "events"), rows),
        ]
    command = f"python -m card_usage decide --hospital {hospital.id} --from {first} --to {last}"
    body.append(f"{words('ask.command')}: `{command}`")
    return Question(
        subject=words("ask.subject", hospital=hospital.label, window=str(stored.window)), body="\n".join(body)
    )


def _reasons(words: Words, stored: StoredVerdict) -> list[tuple[str, str]]:
    """Level and text of each reason. One that several feeds have is one line, which names them."""
    feeds_of: dict[tuple[str, str], list[str]] = {}
    for reason in stored.verdict.reasons:
        line = (words(f"gate.level.{reason.level}"), reason_text(reason, words.language))
        feeds_of.setdefault(line, []).extend(reason.feeds if reason.feed is None else ())
    return [
        (level, text + (words("ask.of_feeds", feeds=_named(words, feeds)) if feeds else ""))
        for (level, text), feeds in feeds_of.items()
    ]


def _named(words: Words, feeds: Iterable[str]) -> str:
    return words.list(words.known("feed", feed) for feed in sorted(set(feeds)))


def _by_feed(
    connection: Connection, hospital_id: str, stored: StoredVerdict
) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Open and quarantined events of the window, by feed."""
    query = (
        select(event.c.feed, event.c.status, func.count())
        .where(inside(hospital_id, stored.window), event.c.status.in_((*READY, "quarantined")))
        .group_by(event.c.feed, event.c.status)
    )
    ready: dict[str, int] = {}
    quarantined: dict[str, int] = {}
    for feed, status, events in connection.execute(query):
        into = quarantined if status == "quarantined" else ready
        into[feed] = into.get(feed, 0) + events
    return ready, quarantined


def _feeds(
    words: Words, stored: StoredVerdict, ready: Mapping[str, int], quarantined: Mapping[str, int]
) -> list[tuple[str, str, str, str]]:
    concerned = stored.verdict.concerned
    return [
        (
            words.known("feed", feed),
            f"{ready.get(feed, 0):,}",
            f"{quarantined.get(feed, 0):,}",
            words("ask.yes" if concerned is None or feed in concerned else "ask.no"),
        )
        for feed in sorted({*ready, *quarantined})
    ]


def _answers(words: Words, stored: StoredVerdict, ready: Mapping[str, int]) -> Iterable[str]:
    """What each answer would do, in the order of the form's buttons."""
    everything = sum(ready.values())
    concerned = stored.verdict.concerned
    clear = [feed for feed in sorted(ready) if concerned is not None and feed not in concerned]
    sent = sum(ready[feed] for feed in clear)
    named = _named(words, clear)
    for decision in DECISIONS:
        option = words(f"gate.decision.{decision}")
        if decision == "clean" and not clear:
            yield words("ask.no_clean", option=option)
        else:
            fields = {"ready": everything, "clean": sent, "feeds": named, "rest": everything - sent}
            yield words(f"ask.{decision}", option=option, **fields)


def _two_people(words: Words, hospital: Hospital, stored: StoredVerdict) -> Iterable[str]:
    limit = hospital.gate.second_person_above
    if limit is not None:
        yield words("ask.two_people", limit=f"{limit:.0%}")
        yield ""
    if limit is not None and stored.first is not None:
        option = words(f"gate.decision.{stored.first.decision}")
        yield f"**{words('ask.first', option=option, by=_plain(stored.first.by))}**"
        yield ""


def _table(words: Words, columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> list[str]:
    """Lines of a Markdown table. Local codes and names are the HIS's own text: nothing in them is markup."""
    head = "| " + " | ".join(words(f"ask.column.{column}") for column in columns) + " |"
    lines = ["| " + " | ".join(_plain(cell or "") for cell in row) + " |" for row in rows]
    return ["", head, "|" + "---|" * len(columns), *lines, ""]


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    marks = "\\`*_{}[]<>|#~"
    return "".join(f"\\{character}" if character in marks else character for character in unlinked(visible(text)))
