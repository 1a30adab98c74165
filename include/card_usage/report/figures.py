"""Figures: a day's report as one tree of plain values, the JSON file itself and all that the page shows.

Keys are documented in docs/report.md. Promises: counts, codes and names of codes only, nothing about a patient, no
source id; all figures are read in one consistent view of the ledger; the same ledger gives the same figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime

from sqlalchemy import Connection

from card_usage.config.hospital import Hospital
from card_usage.config.platform_address import is_gateway
from card_usage.delivery import binding
from card_usage.evidence import anchors, seal
from card_usage.ledger import counts
from card_usage.platform.outcome import REPEATED_CODE, Memory, meanings
from card_usage.quality.verdict_store import verdicts_in_force
from card_usage.quality.verdict_texts import reason_text
from card_usage.quality.verdicts import LEVELS, StoredVerdict
from card_usage.reconciliation import untimed
from card_usage.reconciliation.reconcile import Reconciliation, last_counts, weigh_day
from card_usage.reconciliation.watermark import verified_edges
from card_usage.report import destroyed, sent_to
from card_usage.report.actions import actions, quarantine_of
from card_usage.report.chart import Figures
from card_usage.report.day_uses import Use, of_day
from card_usage.report.sections import form_name, uses_sections
from card_usage.report.status import level, verdict
from card_usage.report.totals import named_hospital, stamp, totals_of, trend, verified_text
from card_usage.standard.code_tables import CodeTable, load_tables
from card_usage.standard.rules import BY_ID
from card_usage.warehouse.build import stored_sums
from card_usage.windows import day_window
from card_usage.words.catalogue import Language, Words


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
    stored = last_counts(connection, hospital.id, day)
    weighed = weigh_day(connection, hospital, day, stored.source, now=now, moved_here=stored.moved_here)
    gate = verdicts_in_force(connection, hospital.id, day_window(day))
    withheld = any(result.withholds for result in gate)
    totals = totals_of(weighed)
    quarantine = quarantine_of(counts.causes(connection, hospital.id, day, day), words)
    refusals = _refusals(counts.refusals(connection, hospital.id, day, day))
    return {
        "form": form_name("day"),
        "language": language,
        "hospital": named_hospital(hospital, language),
        "day": day.isoformat(),
        "made_at": stamp(now),
        "counted_at": None if stored.at is None else stamp(stored.at),
        "verified_through": verified_text(verified_edges(connection, [hospital])[hospital.id]),
        "evidence": _evidence(connection, hospital.id, day),
        "heads": anchors.summary(connection, [hospital.id]),
        "sent_to": sent_to.of_hospital(connection, hospital.id),
        "in_clear": _in_clear(connection, hospital),
        "destroyed": destroyed.days(connection, hospital.id, day),
        "verdict": verdict(
            level(weighed, for_people=totals["for_people"], withheld=withheld), "verdict.", totals, words
        ),
        "totals": totals,
        "classes": dict(weighed.classes),
        "held_by": dict(weighed.held),
        "named": dict(weighed.named),
        "differences": dict(weighed.differences),
        "equations": [*_equations(weighed), *_warehouse(connection, hospital.id, day, stored.at)],
        "feeds": [part.summary() for part in weighed.parts],
        "platform": _platform(weighed, tables, words),
        "actions": actions(
            weighed,
            quarantine,
            refusals,
            words,
            unproved=_unproved(connection, hospital.id, day, weighed),
            untimed=sum(untimed.stored(connection, hospital.id).values()),
        ),
        "quarantine": quarantine,
        "refusals": refusals,
        "warnings": _warnings(counts.warnings(connection, hospital.id, day, day), words),
        **uses_sections(
            "day",
            uses,
            words,
            issued_cards=hospital.report.issued_cards,
            scenes_by_hour=_scenes_by_hour(counts.hours(connection, hospital.id, day, day)),
        ),
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


def _in_clear(connection: Connection, hospital: Hospital) -> list[str]:
    """On which ways the hospital's file lets patients travel without TLS."""
    bound = binding.binding_of(connection, hospital.id)
    to_gateway = bound is not None and is_gateway(f"http://{bound.target.host}", hospital.platform)
    return [*(["his"] if hospital.his.tls == "optional" else []), *(["gateway"] if to_gateway else [])]


def _unproved(connection: Connection, hospital_id: str, day: date, weighed: Reconciliation) -> str:
    """What is known of the platform's memory, where its 10054 left events of the day unconfirmed; else empty."""
    if not weighed.classes["unconfirmed"] or not counts.unconfirmed_by(connection, hospital_id, day, REPEATED_CODE):
        return ""
    memory = binding.memory_of(connection, hospital_id).memory
    return "" if memory is Memory.ON_ACCEPTANCE else memory.value


def _equations(weighed: Reconciliation) -> list[Figures]:
    """The equations over all feeds; a gap of one feed is never hidden by another's."""
    return [dict(zip(("name", "left", "right", "gap"), equation, strict=True)) for equation in weighed.equations]


def _warehouse(connection: Connection, hospital_id: str, day: date, counted_at: datetime | None) -> list[Figures]:
    """The warehouse's facts against the ledger; none if they are older than the last count."""
    built = stored_sums(connection, hospital_id, day)
    if built is None or counted_at is None or built.at < counted_at:
        return []
    events = sum(cell.events for cell in counts.cells(connection, hospital_id, day, day))
    return [{"name": "warehouse", "left": events, "right": built.records, "gap": abs(events - built.records)}]


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


def _refusals(refused: Iterable[counts.RefusalCount]) -> list[Figures]:
    return [
        {
            "result_code": refusal.result_code,
            "meaning": meanings().get(refusal.result_code) if refusal.result_code is not None else None,
            "events": refusal.events,
        }
        for refusal in refused
    ]


def _warnings(warned: Iterable[counts.WarningCount], words: Words) -> list[Figures]:
    by_rule: dict[str, int] = {}
    for warning in warned:
        by_rule[warning.rule] = by_rule.get(warning.rule, 0) + warning.events
    return [
        {"rule": rule, "text": getattr(BY_ID[rule], words.language) if rule in BY_ID else rule, "events": events}
        for rule, events in sorted(by_rule.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def _scenes_by_hour(counted: Iterable[counts.HourCount]) -> list[dict[str, int]]:
    """Of each hour the uses by scene code; the empty code: not recognized."""
    scenes: list[dict[str, int]] = [{} for _ in range(24)]
    for hour in counted:
        if hour.hour is not None:
            scenes[hour.hour][hour.scene or ""] = hour.events
    return scenes


def _calls(counted: Iterable[counts.AnswerCount]) -> list[Figures]:
    by_answer: dict[str, int] = {}
    for answered in counted:
        by_answer[answered.answer] = by_answer.get(answered.answer, 0) + answered.calls
    ordered = sorted(by_answer.items(), key=lambda pair: (-pair[1], pair[0]))
    return [{"answer": answer, "calls": calls} for answer, calls in ordered]


def _gate(results: tuple[StoredVerdict, ...], words: Words) -> Figures:
    """The hardest verdict of the day's windows with all reasons; null where the day was never checked."""
    if not results:
        return {"verdict": None, "at": None, "decision": None, "reasons": []}
    worst = max(results, key=lambda result: (LEVELS.index(result.level), result.at))
    reasons = [
        {
            "window": result.verdict.window,
            "code": reason.code,
            "level": reason.level,
            "text": reason_text(reason, words.language),
        }
        for result in results
        for reason in result.verdict.reasons
    ]
    return {
        "verdict": worst.level,
        "at": stamp(worst.at),
        "decision": worst.decision,
        "reasons": reasons,
    }
