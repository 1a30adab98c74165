"""Figures of a day's report: one tree of plain values, the JSON file itself and all that the page shows.

Keys are documented in docs/report.md. Promises: counts, codes and names of codes only, nothing about a patient, no
source id; all figures are read in one consistent view of the ledger; the same ledger gives the same figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection

from card_usage.config.hospital import Hospital
from card_usage.evidence import seal
from card_usage.ledger import counts
from card_usage.platform.outcome import meanings
from card_usage.quality.verdict_store import verdicts_in_force
from card_usage.quality.verdict_texts import reason_text
from card_usage.quality.verdicts import LEVELS, StoredVerdict
from card_usage.reconciliation.reconcile import Reconciliation, last_counts, weigh_day
from card_usage.reconciliation.watermark import verified_edges
from card_usage.report.actions import actions, quarantine_of
from card_usage.report.day_uses import Use, of_day
from card_usage.report.status import level, verdict
from card_usage.report.totals import named_hospital, stamp, totals_of, trend, verified_text
from card_usage.report.usage import by_dimension, by_hour, delays, usage
from card_usage.standard.code_tables import CodeTable, load_tables
from card_usage.standard.rules import BY_ID
from card_usage.windows import day_window
from card_usage.words.catalogue import Language, Words

FORM: Final = "card-usage-day/1"
"""Rises when a key changes its meaning or goes."""

Figures = dict[str, Any]


def figures(
    connection: Connection,
    hospital: Hospital,
    day: date,
    *,
    language: Language,
    now: datetime,
    uses: list[Use] | None = None,
) -> Figures:
    """Everything the report says about one day. The HIS's counts are those of the last reconciliation.

    `uses`: the day's sums, where they were read already.
    """
    words = Words(language)
    tables = load_tables()
    uses = of_day(connection, hospital.id, day) if uses is None else uses
    kept = last_counts(connection, hospital.id, day)
    weighed = weigh_day(connection, hospital, day, kept.source, now=now, moved_here=kept.moved_here)
    gate = verdicts_in_force(connection, hospital.id, day_window(day))
    withheld = any(one.withholds for one in gate)
    totals = totals_of(weighed)
    quarantine = quarantine_of(counts.causes(connection, hospital.id, day, day), words)
    refusals = _refusals(counts.refusals(connection, hospital.id, day, day))
    return {
        "form": FORM,
        "language": language,
        "hospital": named_hospital(hospital, language),
        "day": day.isoformat(),
        "made_at": stamp(now),
        "counted_at": None if kept.at is None else stamp(kept.at),
        "verified_through": verified_text(verified_edges(connection, [hospital])[hospital.id]),
        "evidence": _evidence(connection, hospital.id, day),
        "verdict": verdict(
            level(weighed, for_people=totals["for_people"], withheld=withheld), "verdict.", totals, words
        ),
        "totals": totals,
        "classes": dict(weighed.classes),
        "held_by": dict(weighed.held),
        "named": dict(weighed.named),
        "differences": dict(weighed.differences),
        "equations": _equations(weighed),
        "feeds": [part.summary() for part in weighed.parts],
        "platform": _platform(weighed, tables, words),
        "actions": actions(weighed, quarantine, refusals, words),
        "quarantine": quarantine,
        "refusals": refusals,
        "warnings": _warnings(counts.warnings(connection, hospital.id, day, day), words),
        "uses": _uses(connection, hospital.id, day, uses, words),
        "usage": usage(uses, words, issued_cards=hospital.report.issued_cards),
        "delays": delays(uses),
        "trend": trend(connection, hospital.id, day),
        "calls": _calls(counts.answers(connection, hospital.id, day, day)),
        "gate": _gate(gate, words),
    }


def _evidence(connection: Connection, hospital_id: str, day: date) -> Figures | None:
    """The newest link of the chain that covers the day; null: not sealed. Its hash belongs on paper."""
    links = seal.links(connection, hospital_id, day)
    if not links:
        return None
    newest = links[-1]
    return {"link": newest.serial, "hash": newest.link, "events": newest.events, "sealed_at": stamp(newest.at)}


def _equations(weighed: Reconciliation) -> list[Figures]:
    """The equations over all feeds; a gap of one feed is never hidden by another's."""
    return [dict(zip(("name", "left", "right", "gap"), one, strict=True)) for one in weighed.equations]


def _platform(weighed: Reconciliation, tables: Mapping[str, CodeTable], words: Words) -> Figures | None:
    """The platform's own statement of the day against its answers; null where nobody imported one."""
    if not weighed.platform:
        return None
    (day,) = weighed.platform

    def gap(field: str, value: str | int | None, missing: int, surplus: int) -> Figures:
        name = "" if value is None else str(value)
        if field in tables and name:
            name = words.code(field, name, tables[field].names.get(name, name))
        return {"value": value, "name": name, "missing": missing, "surplus": surplus}

    return {
        "as_of": stamp(day.as_of),
        "told_apart": list(day.dimensions),
        "stated": day.stated,
        "proved": day.proved,
        "unanswered": day.unanswered,
        "missing": day.missing,
        "surplus": day.surplus,
        "by": {
            field: [gap(field, value, *figures) for value, figures in day.by(field).items()] for field in day.dimensions
        },
    }


def _refusals(found: list[counts.RefusalCount]) -> list[Figures]:
    return [
        {
            "result_code": one.result_code,
            "meaning": meanings().get(one.result_code) if one.result_code is not None else None,
            "events": one.events,
        }
        for one in found
    ]


def _warnings(found: list[counts.WarningCount], words: Words) -> list[Figures]:
    by_rule: dict[str, int] = {}
    for one in found:
        by_rule[one.rule] = by_rule.get(one.rule, 0) + one.events
    return [
        {"rule": rule, "text": getattr(BY_ID[rule], words.language) if rule in BY_ID else rule, "events": events}
        for rule, events in sorted(by_rule.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def _uses(connection: Connection, hospital_id: str, day: date, found: list[Use], words: Words) -> Figures:
    """Valid uses, told apart in every way the ledger knows. Names beside codes; an unknown code is null."""
    hours, unknown = by_hour(found)
    listed: list[Figures] = [{**hour, "scenes": {}} for hour in hours]
    for one in counts.hours(connection, hospital_id, day, day):
        if one.hour is not None:
            listed[one.hour]["scenes"][one.scene or ""] = one.events
    return {
        "events": sum(hour["events"] for hour in hours) + unknown,
        "hours": listed,
        "hour_unknown": unknown,
        **by_dimension(found, load_tables(), words),
    }


def _calls(found: list[counts.AnswerCount]) -> list[Figures]:
    by_answer: dict[str, int] = {}
    for one in found:
        by_answer[one.answer] = by_answer.get(one.answer, 0) + one.calls
    ordered = sorted(by_answer.items(), key=lambda pair: (-pair[1], pair[0]))
    return [{"answer": answer, "calls": calls} for answer, calls in ordered]


def _gate(given: tuple[StoredVerdict, ...], words: Words) -> Figures:
    """The hardest verdict of the day's windows with all reasons; null where the day was never checked."""
    if not given:
        return {"verdict": None, "at": None, "decision": None, "reasons": []}
    worst = max(given, key=lambda one: (LEVELS.index(one.level), one.at))
    reasons = [
        {
            "window": one.verdict.window,
            "code": reason.code,
            "level": reason.level,
            "text": reason_text(reason, words.language),
        }
        for one in given
        for reason in one.verdict.reasons
    ]
    return {
        "verdict": worst.level,
        "at": stamp(worst.at),
        "decision": worst.decision,
        "reasons": reasons,
    }
