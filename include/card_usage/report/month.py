"""Figures of a hospital's month: its days as they were last reconciled, and how its cards were used.

Everything comes from what was kept of the days (`report.standing`, `ledger.uses`), never from events: a month costs the
same whatever its events. A day of which nothing was kept is named as missing.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from card_usage.config.hospital import Hospital
from card_usage.ledger.counts import CauseCount
from card_usage.reconciliation.watermark import verified_edges
from card_usage.report import day_uses
from card_usage.report.actions import actions, quarantine_of
from card_usage.report.status import Level, level, verdict
from card_usage.report.totals import (
    Kept,
    Standing,
    kept,
    named_hospital,
    stamp,
    totals_of,
    trend_day,
    verified_text,
)
from card_usage.report.usage import by_dimension, by_hour, delays, usage
from card_usage.standard.code_tables import load_tables
from card_usage.windows import DAY, local
from card_usage.words.catalogue import Language, Words

FORM: Final = "card-usage-month/1"
"""Rises when a key changes its meaning or goes."""

Figures = dict[str, Any]


def month_of(day: date) -> tuple[date, date]:
    """First and last day of the day's month."""
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1) - DAY


def figures(connection: Connection, hospital: Hospital, month: date, *, language: Language, now: datetime) -> Figures:
    """Everything the report says about the month of the day `month`, up to the last day that has ended."""
    words = Words(language)
    first, end = month_of(month)
    last = min(end, local(now).date() - DAY)
    rows = list(kept(connection, [hospital.id], first, last)) if last >= first else []
    by_day: dict[date, list[Kept]] = {}
    for one in rows:
        by_day.setdefault(one.day, []).append(one)
    # A hospital that begins in the month has no days before its first.
    start = max(first, hospital.start or min(by_day, default=first))
    expected = [start + DAY * n for n in range((last - start).days + 1)]
    used = day_uses.by_day(connection, [hospital.id], first, last)
    found = day_uses.kept(connection, [hospital.id], first, last)
    standing = Standing.of(rows)
    totals = totals_of(standing)
    missing = [day for day in expected if day not in by_day]
    word = level(standing, for_people=totals["for_people"])
    if missing and word != "broken":
        word = "uncounted"
    elif last < end and word not in ("broken", "uncounted"):
        word = "provisional"
    quarantine = kept_causes(standing, words)
    hours, unknown = by_hour(found)
    return {
        "form": FORM,
        "language": language,
        "hospital": named_hospital(hospital, language),
        "month": f"{first:%Y-%m}",
        "first": start.isoformat(),
        "last": max(last, first).isoformat(),
        "made_at": stamp(now),
        "counted_at": None if standing.counted_at is None else stamp(standing.counted_at),
        "verified_through": verified_text(verified_edges(connection, [hospital])[hospital.id]),
        "verdict": verdict(word, "month.", totals, words, days=len(by_day), missing=len(missing)),
        "totals": totals,
        "classes": dict(standing.classes),
        "differences": dict(standing.differences),
        "days": [_day(day, by_day.get(day, []), used.get((hospital.id, day))) for day in expected],
        "missing_days": [day.isoformat() for day in missing],
        "days_without_uses": sum((hospital.id, day) not in used for day in expected),
        "actions": actions(standing, quarantine, refusals_of(standing), words),
        "quarantine": quarantine,
        "uses": {
            "events": sum(hour["events"] for hour in hours) + unknown,
            "hours": hours,
            "hour_unknown": unknown,
            **by_dimension(found, load_tables(), words),
        },
        "usage": usage(found, words, issued_cards=hospital.report.issued_cards),
        "delays": delays(found),
        "before": _before(connection, hospital, first, words),
    }


def _day(day: date, rows: list[Kept], used: day_uses.Sum | None) -> Figures:
    standing = Standing.of(rows)
    totals = totals_of(standing)
    word: Level = level(standing, for_people=totals["for_people"]) if rows else "absent"
    return {
        **trend_day(day, Standing.of(rows) if rows else None, None if used is None else used.events),
        "health_card": None if used is None else used.health_card,
        "remainder": standing.remainder,
        "level": word,
    }


def kept_causes(standing: Standing, words: Words) -> list[Figures]:
    """Quarantined events by rule; the codes themselves stand in the reports of days."""
    causes = [CauseCount("", rule, None, None, events) for rule, events in standing.causes.items()]
    return [
        {**cause, "codes": [], "to_do": words("todo.code_of_days", table=cause["table"])} if cause["table"] else cause
        for cause in quarantine_of(causes, words)
    ]


def refusals_of(standing: Standing) -> list[Figures]:
    """Refused events, all codes together: which code it was stands in the reports of days."""
    refused = standing.classes["rejected"]
    return [{"result_code": None, "meaning": None, "events": refused}] if refused else []


def _before(connection: Connection, hospital: Hospital, first: date, words: Words) -> Figures | None:
    """The month before, for comparison; None: nothing was kept of it."""
    start, end = month_of(first - DAY)
    found = day_uses.kept(connection, [hospital.id], start, end)
    if not found:
        return None
    figures = usage(found, words, issued_cards=None)
    return {
        "month": f"{start:%Y-%m}",
        "days": len(day_uses.by_day(connection, [hospital.id], start, end)),
        **{name: figures[name] for name in ("uses", "health_card", "visits")},
    }
