"""Month: figures of a hospital's month: its days as they were last reconciled, and how its cards were used.

Everything comes from what is stored of the days (`.totals`, `.day_uses`), never from events: a month costs the same
however many events it has. A day of which nothing is stored is named as missing.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from card_usage.config.hospital import Hospital
from card_usage.ledger.counts import CauseCount
from card_usage.reconciliation.watermark import verified_edges
from card_usage.report import day_uses, sent_to, usage
from card_usage.report.actions import actions, quarantine_of
from card_usage.report.chart import Figures
from card_usage.report.sections import form_name, uses_sections
from card_usage.report.status import Level, level, verdict
from card_usage.report.totals import (
    Standing,
    StoredDay,
    load_days,
    named_hospital,
    stamp,
    totals_of,
    trend_day,
    verified_text,
)
from card_usage.windows import DAY, local
from card_usage.words.catalogue import Language, Words


def month_of(day: date) -> tuple[date, date]:
    """First and last day of the day's month."""
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1) - DAY


def figures(connection: Connection, hospital: Hospital, month: date, *, language: Language, now: datetime) -> Figures:
    """Everything the report says about the month of the day `month`, up to the last day that has ended."""
    words = Words(language)
    first, end = month_of(month)
    last = min(end, local(now).date() - DAY, hospital.end or end)
    rows = list(load_days(connection, [hospital.id], first, last)) if last >= first else []
    by_day: dict[date, list[StoredDay]] = {}
    for row in rows:
        by_day.setdefault(row.day, []).append(row)
    # A hospital that begins in the month has no days before its first.
    start = max(first, hospital.start or min(by_day, default=first))
    expected = [start + DAY * n for n in range((last - start).days + 1)]
    used = day_uses.by_day(connection, [hospital.id], first, last)
    uses = day_uses.load(connection, [hospital.id], first, last)
    standing = Standing.of(rows)
    totals = totals_of(standing)
    missing = [day for day in expected if day not in by_day]
    reached = _level(standing, missing, over=last == min(end, hospital.end or end))
    quarantine = stored_causes(standing, words)
    return {
        "form": form_name("month"),
        "language": language,
        "hospital": named_hospital(hospital, language),
        "month": f"{first:%Y-%m}",
        "first": start.isoformat(),
        "last": max(last, first).isoformat(),
        "made_at": stamp(now),
        "counted_at": None if standing.counted_at is None else stamp(standing.counted_at),
        "verified_through": verified_text(verified_edges(connection, [hospital])[hospital.id]),
        "sent_to": sent_to.of_hospital(connection, hospital.id),
        "verdict": verdict(reached, "month.", totals, words, days=len(by_day), missing=len(missing)),
        "totals": totals,
        "classes": dict(standing.classes),
        "differences": dict(standing.differences),
        "days": [_day(day, by_day.get(day, []), used.get((hospital.id, day))) for day in expected],
        "missing_days": [day.isoformat() for day in missing],
        "days_without_uses": sum((hospital.id, day) not in used for day in expected),
        "actions": actions(standing, quarantine, refusals_of(standing), words),
        "quarantine": quarantine,
        **uses_sections("month", uses, words, issued_cards=hospital.report.issued_cards),
        "before": _before(connection, hospital, first),
    }


def _level(standing: Standing, missing: list[date], *, over: bool) -> Level:
    """A month with days that are missing was not counted; one that is not over is provisional."""
    reached = level(standing, for_people=totals_of(standing)["for_people"])
    if missing and reached != "broken":
        return "uncounted"
    if not over and reached not in ("broken", "uncounted"):
        return "provisional"
    return reached


def _day(day: date, rows: list[StoredDay], used: day_uses.Sum | None) -> Figures:
    standing = Standing.of(rows)
    totals = totals_of(standing)
    reached: Level = level(standing, for_people=totals["for_people"]) if rows else "absent"
    return {
        **trend_day(day, Standing.of(rows) if rows else None, None if used is None else used.events),
        "health_card": None if used is None else used.health_card,
        "remainder": standing.remainder,
        "level": reached,
    }


def stored_causes(standing: Standing, words: Words) -> list[Figures]:
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


def _before(connection: Connection, hospital: Hospital, first: date) -> Figures | None:
    """The month before, for comparison; None: nothing is stored of it."""
    start, end = month_of(first - DAY)
    uses = day_uses.load(connection, [hospital.id], start, end)
    if not uses:
        return None
    figures = usage.numbers(uses, issued_cards=None)
    return {
        "month": f"{start:%Y-%m}",
        "days": len(day_uses.by_day(connection, [hospital.id], start, end)),
        **{name: figures[name] for name in ("uses", "health_card", "visits")},
    }
