"""Figures of a day's report: one tree of plain values, the JSON file itself and all that the page shows.

Keys are documented in docs/report.md. Promises: counts, codes and names of codes only, nothing about a patient, no
source id; all figures are read in one consistent view of the ledger; the same ledger gives the same figures.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection

from card_usage.codes import CodeTable, load_tables
from card_usage.events import CODE_TABLES
from card_usage.hospitals import Hospital
from card_usage.ledger import counts
from card_usage.outcome import RESULT_CODES
from card_usage.reconcile import Reconciliation, last_counts, weigh_day
from card_usage.rules import BY_ID
from card_usage.verdicts import LEVELS, Given, standing_verdicts
from card_usage.windows import day_window, local
from card_usage.words import Language, Words

FORM: Final = "card-usage-day/1"
"""Rises when a key changes its meaning or goes."""

Figures = dict[str, Any]

# What a person has to look at, beside quarantined events; the rest mends itself.
_FOR_PEOPLE: Final = (
    "unconfirmed",
    "moved_here",
    "vanished_from_source",
    "voided_after_delivery",
    "changed_after_delivery",
    "platform_missing",
    "platform_surplus",
)
_BY_ITSELF: Final = ("due", "unknown", "late_in_source", "provisional_window", "refunds_not_staged")
_WHO: Final = {
    "moved_here": "his",
    "vanished_from_source": "his",
    "voided_after_delivery": "his",
    "changed_after_delivery": "his",
}

# What holds ready events back, if not the quota -> the action that it asks for, and of whom.
_HELD: Final = {"approval": "withheld", "pause": "paused", "misconfigured": "misconfigured"}
_HELD_WHO: Final = {"approval": "mapping", "pause": "engineer", "misconfigured": "engineer"}


def figures(connection: Connection, hospital: Hospital, day: date, *, language: Language, now: datetime) -> Figures:
    """Everything the report says about one day. The HIS's counts are those of the last reconciliation."""
    words = Words(language)
    tables = load_tables()
    kept = last_counts(connection, hospital.id, day)
    weighed = weigh_day(connection, hospital, day, kept.source, now=now, moved_here=kept.moved_here)
    gate = standing_verdicts(connection, hospital.id, day_window(day))
    withheld = any(one.withholds for one in gate)
    totals = _totals(weighed)
    quarantine = _quarantine(counts.causes(connection, hospital.id, day, day), words)
    refusals = _refusals(counts.refusals(connection, hospital.id, day, day))
    return {
        "form": FORM,
        "language": language,
        "hospital": {
            "id": hospital.id,
            "name": hospital.name if language == "zh" else hospital.name_en or hospital.name,
            "platform_id": hospital.platform.hospital_id,
            "region": hospital.region,
        },
        "day": day.isoformat(),
        "made_at": _stamp(now),
        "counted_at": None if kept.at is None else _stamp(kept.at),
        "verdict": _verdict(weighed, totals, withheld, words),
        "totals": totals,
        "classes": dict(weighed.classes),
        "held_by": dict(weighed.held),
        "named": dict(weighed.named),
        "differences": dict(weighed.differences),
        "equations": _equations(weighed),
        "feeds": [part.summary() for part in weighed.parts],
        "platform": _platform(weighed, tables, words),
        "actions": _actions(weighed, quarantine, refusals, words),
        "quarantine": quarantine,
        "refusals": refusals,
        "warnings": _warnings(counts.warnings(connection, hospital.id, day, day), words),
        "uses": _uses(connection, hospital.id, day, tables, words),
        "calls": _calls(counts.answers(connection, hospital.id, day, day)),
        "gate": _gate(gate, words),
    }


def _stamp(instant: datetime) -> str:
    """Local time with its zone, whole minutes."""
    return f"{local(instant):%Y-%m-%dT%H:%M}+08:00"


def _totals(weighed: Reconciliation) -> Figures:
    classes, differences = weighed.classes, weighed.differences
    return {
        "source": weighed.source,
        "source_voided": weighed.source_voided,
        "staged": weighed.staged,
        "delivered": classes["delivered"],
        "to_report": weighed.staged - classes["voided"],
        "waiting": weighed.open + differences["late_in_source"] + differences["provisional_window"],
        "not_staged": sum(differences[name] for name in ("late_in_source", "provisional_window", "moved_here")),
        "for_people": classes["quarantined"]
        + classes["rejected"]
        + classes["unconfirmed"]
        + differences["vanished_from_source"]
        + differences["moved_here"]
        + differences["platform_missing"]
        + differences["platform_surplus"],
        "remainder": weighed.remainder,
    }


def _verdict(weighed: Reconciliation, totals: Figures, withheld: bool, words: Words) -> Figures:
    """The level and its sentence. The first that applies: what is wrong comes before what is unfinished."""
    if weighed.remainder:
        level = "broken"
    elif totals["source"] is None:
        level = "uncounted"
    elif withheld and weighed.open:
        level = "withheld"
    elif weighed.provisional:
        level = "provisional"
    elif not weighed.clean:
        level = "open"
    elif totals["source"] == 0 and totals["staged"] == 0:
        level = "empty"
    elif totals["for_people"]:
        level = "explained"
    else:
        level = "complete"
    text = words(
        f"verdict.{level}",
        source=totals["source"],
        staged=totals["staged"],
        delivered=totals["delivered"],
        due=totals["to_report"],
        rest=(totals["source"] or 0) - totals["delivered"],
        todo=totals["for_people"],
        open=totals["waiting"],
        remainder=totals["remainder"],
    )
    return {"level": level, "text": text}


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
        "as_of": _stamp(day.as_of),
        "told_apart": list(day.told_apart),
        "stated": day.stated,
        "proved": day.proved,
        "unanswered": day.unanswered,
        "missing": day.missing,
        "surplus": day.surplus,
        "by": {
            field: [gap(field, value, *figures) for value, figures in day.by(field).items()] for field in day.told_apart
        },
    }


def _quarantine(found: list[counts.CauseCount], words: Words) -> list[Figures]:
    """By rule, the most frequent first; rules about codes list the local codes that nobody mapped."""
    by_rule: dict[str, Figures] = {}
    for one in found:
        rule = BY_ID.get(one.rule)
        table = one.rule.partition(".")[0] if one.rule in counts.CODE_RULES else None
        known = f"todo.{one.rule}" if table is None else "todo.code"
        cause = by_rule.setdefault(
            one.rule,
            {
                "rule": one.rule,
                "text": one.rule if rule is None else getattr(rule, words.language),
                "events": 0,
                "table": table,
                "to_do": words(known, table=table or "") if words.has(known) else "",
                "codes": [],
            },
        )
        cause["events"] += one.events
        if table is not None:
            _add_code(cause["codes"], one)
    causes = sorted(by_rule.values(), key=lambda cause: (-cause["events"], cause["rule"]))
    for cause in causes:
        cause["codes"].sort(key=lambda code: (-code["events"], code["code"] or "", code["name"] or ""))
    return causes


def _add_code(codes: list[Figures], one: counts.CauseCount) -> None:
    for code in codes:
        if (code["code"], code["name"]) == (one.code, one.local_name):
            code["events"] += one.events
            return
    codes.append({"code": one.code, "name": one.local_name, "events": one.events})


@cache
def _meanings() -> Mapping[int, str]:
    """Result code -> what the document says (3.2.12), in Chinese."""
    with RESULT_CODES.open(encoding="utf-8", newline="") as lines:
        return {int(row["code"]): row["meaning"] for row in csv.DictReader(lines)}


def _refusals(found: list[counts.RefusalCount]) -> list[Figures]:
    return [
        {
            "result_code": one.result_code,
            "meaning": _meanings().get(one.result_code) if one.result_code is not None else None,
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


def _actions(
    weighed: Reconciliation, quarantine: list[Figures], refusals: list[Figures], words: Words
) -> list[Figures]:
    """What somebody has to do, the most affected first; then what the next run does by itself."""
    found = [
        {
            "what": cause["text"],
            "events": cause["events"],
            "to_do": cause["to_do"],
            "who": words("who.mapping" if cause["table"] else "who.his"),
            "kind": cause["rule"],
        }
        for cause in quarantine
    ]
    found += [
        {
            "what": " ".join(
                str(part)
                for part in (words("class.rejected"), refusal["result_code"], refusal["meaning"])
                if part is not None
            ),
            "events": refusal["events"],
            "to_do": words("todo.rejected"),
            "who": words("who.engineer"),
            "kind": "rejected",
        }
        for refusal in refusals
    ]
    standing = {**weighed.classes, **weighed.differences}
    found += [_action(name, standing[name], _WHO.get(name, "engineer"), words) for name in _FOR_PEOPLE]
    found.sort(key=lambda action: (-action["events"], action["kind"]))
    found += [_action(name, standing[name], "automatic", words) for name in _BY_ITSELF]
    held = weighed.held
    found.append(_action("held", held["quota"], "automatic", words))
    found[:0] = [_action(name, held[by], _HELD_WHO[by], words) for by, name in _HELD.items()]
    if weighed.remainder:
        remainder = _action("remainder", weighed.remainder, "engineer", words)
        found.insert(0, remainder)
    return [action for action in found if action["events"]]


def _action(name: str, events: int, who: str, words: Words) -> Figures:
    named = {"remainder": "head.difference", "withheld": "gate.withheld", "paused": "held.pause"}
    what = words({**named, "misconfigured": "held.misconfigured"}.get(name, f"class.{name}"))
    return {"what": what, "events": events, "to_do": words(f"todo.{name}"), "who": words(f"who.{who}"), "kind": name}


def _uses(
    connection: Connection, hospital_id: str, day: date, tables: Mapping[str, CodeTable], words: Words
) -> Figures:
    """Valid uses, told apart in every way the ledger knows. Names beside codes; an unknown code is null."""
    found = counts.uses(connection, hospital_id, day, day)
    by_hour: list[Figures] = [{"hour": hour, "events": 0, "scenes": {}} for hour in range(24)]
    unknown = 0
    for one in counts.hours(connection, hospital_id, day, day):
        if one.hour is None:
            unknown += one.events
            continue
        by_hour[one.hour]["events"] += one.events
        scene = one.scene or ""
        by_hour[one.hour]["scenes"][scene] = by_hour[one.hour]["scenes"].get(scene, 0) + one.events

    def shares(field: str) -> list[Figures]:
        unknown_name = words("value.no_department" if field == "department" else "value.unknown")
        return [
            {
                "code": code,
                "name": unknown_name if code is None else words.code(field, code, tables[field].names.get(code, code)),
                "events": events,
            }
            for code, events in counts.rolled_up(found, field).items()
        ]

    return {
        "events": sum(one.events for one in found),
        "hours": by_hour,
        "hour_unknown": unknown,
        **{f"{field}s": shares(field) for field in CODE_TABLES if field != "cost_type"},
    }


def _calls(found: list[counts.AnswerCount]) -> list[Figures]:
    by_answer: dict[str, int] = {}
    for one in found:
        by_answer[one.answer] = by_answer.get(one.answer, 0) + one.calls
    ordered = sorted(by_answer.items(), key=lambda pair: (-pair[1], pair[0]))
    return [{"answer": answer, "calls": calls} for answer, calls in ordered]


def _gate(given: tuple[Given, ...], words: Words) -> Figures:
    """The hardest verdict of the day's windows with all reasons; null where the day was never checked."""
    if not given:
        return {"verdict": None, "at": None, "decision": None, "reasons": []}
    worst = max(given, key=lambda one: (LEVELS.index(one.verdict.verdict), one.at))
    reasons = [
        {"window": one.verdict.window, "code": reason.code, "level": reason.level, "text": reason.text(words.language)}
        for one in given
        for reason in one.verdict.reasons
    ]
    return {
        "verdict": worst.verdict.verdict,
        "at": _stamp(worst.at),
        "decision": worst.decision,
        "reasons": reasons,
    }
