"""Figures of the fleet on one page: where each hospital stands after a day, who has to act, how cards were used.

Like a month's, they come from what was kept of the days. A hospital whose file cannot be read, or of which nothing was
kept for the day, is on the page all the more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, select

from card_usage.config.hospital import Hospital
from card_usage.ledger.schema import hold, report_file
from card_usage.quality.verdict_store import verdicts_in_force
from card_usage.reconciliation.watermark import verified_edges
from card_usage.report import day_uses
from card_usage.report.actions import BY_ITSELF, actions
from card_usage.report.day_uses import Sum
from card_usage.report.month import kept_causes, refusals_of
from card_usage.report.status import GOOD, LEVELS, Level, level, verdict
from card_usage.report.totals import TREND_DAYS, Kept, Standing, kept, stamp, totals_of, trend_day, verified_text
from card_usage.report.usage import by_dimension, by_hour, delays, usage
from card_usage.standard.code_tables import load_tables
from card_usage.windows import DAY, day_window
from card_usage.words.catalogue import Language, Words

FORM: Final = "card-usage-fleet/1"
"""Rises when a key changes its meaning or goes."""
FLEET: Final = "*"
"""In the place of a hospital's id, where a row of the ledger is about all of them."""
MOST_ACTIONS: Final = 40
MOST_NAMED: Final = 3
"""Hospitals that a cause names; all are counted."""

Figures = dict[str, Any]


def figures(
    connection: Connection,
    hospitals: Sequence[Hospital],
    day: date,
    *,
    broken: Mapping[str, str],
    language: Language,
    now: datetime,
) -> Figures:
    """Everything the page says. `broken`: hospital id -> what is wrong with its file."""
    words = Words(language)
    ids = [hospital.id for hospital in hospitals]
    first = day - timedelta(days=TREND_DAYS - 1)
    today: dict[str, list[Kept]] = {}
    open_days: Counter[str] = Counter()
    by_day: dict[date, list[Standing]] = {}
    for (of, when), group in groupby(kept(connection, ids, first, day), key=lambda one: (one.hospital, one.day)):
        rows = list(group)
        standing = Standing.of(rows)
        by_day.setdefault(when, []).append(standing)
        open_days[of] += _level(standing) not in GOOD
        if when == day:
            today[of] = rows
    used = day_uses.by_day(connection, ids, first, day)
    holds = _holds(connection, now)
    edges = verified_edges(connection, hospitals)
    newest = _newest_reports(connection)
    listed = []
    acts = []
    for hospital in hospitals:
        rows = today.get(hospital.id, [])
        standing = Standing.of(rows)
        entry = {
            **_hospital(hospital, rows, standing, _withheld(connection, hospital, day, standing), language),
            "open_days": open_days[hospital.id],
            "uses": used[hospital.id, day].events if (hospital.id, day) in used else None,
            "verified_through": verified_text(edges[hospital.id]),
            "holds": sorted({*holds.get(FLEET, ()), *holds.get(hospital.id, ())}),
            "newest_report": newest.get(hospital.id),
        }
        listed.append(entry)
        acts += [
            {"hospital": hospital.id, "hospital_name": entry["name"], **action}
            for action in actions(standing, kept_causes(standing, words), refusals_of(standing), words)
        ]
    by_hand = _most_urgent(acts)
    listed.sort(key=lambda one: (LEVELS.index(one["level"]), -(one["for_people"] or 0), one["id"]))
    standing = Standing.sum(by_day.get(day, []))
    totals = totals_of(standing)
    found = day_uses.kept(connection, ids, day, day)
    hours, unknown = by_hour(found)
    issued = [hospital.report.issued_cards for hospital in hospitals]
    return {
        "form": FORM,
        "language": language,
        "day": day.isoformat(),
        "made_at": stamp(now),
        "verified_through": _all_through(listed),
        "verdict": _verdict(listed, broken, totals, words),
        "totals": totals,
        "counted": _counted(listed),
        "levels": {name: sum(one["level"] == name for one in listed) for name in LEVELS},
        "classes": dict(standing.classes),
        "differences": dict(standing.differences),
        "hospitals": listed,
        "broken_files": [{"hospital": name, "problem": problem} for name, problem in sorted(broken.items())],
        "regions": _regions(hospitals, used, listed, day),
        "causes": _causes(by_hand),
        "actions": by_hand[:MOST_ACTIONS],
        "actions_left_out": max(0, len(by_hand) - MOST_ACTIONS),
        "uses": {
            "events": sum(hour["events"] for hour in hours) + unknown,
            "hours": hours,
            "hour_unknown": unknown,
            **by_dimension(found, load_tables(), words),
        },
        "usage": usage(found, words, issued_cards=None if None in issued else sum(filter(None, issued)) or None),
        "delays": delays(found),
        "trend": _trend(by_day, used, first),
    }


def _level(standing: Standing) -> Level:
    return level(standing, for_people=totals_of(standing)["for_people"])


def _withheld(connection: Connection, hospital: Hospital, day: date, standing: Standing) -> bool:
    """Whether the quality check holds the day back; asked only where something waits."""
    if not standing.open:
        return False
    return any(one.withholds for one in verdicts_in_force(connection, hospital.id, day_window(day)))


def _hospital(hospital: Hospital, rows: list[Kept], standing: Standing, withheld: bool, language: Language) -> Figures:
    totals = totals_of(standing)
    names = ("source", "staged", "delivered", "to_report", "waiting", "for_people", "remainder")
    return {
        "id": hospital.id,
        "name": hospital.name if language == "zh" else hospital.name_en or hospital.name,
        "region": hospital.region,
        "live": hospital.platform.live,
        "level": level(standing, for_people=totals["for_people"], withheld=withheld) if rows else "absent",
        **(dict.fromkeys(names) if not rows else {name: totals[name] for name in names}),
    }


def _verdict(listed: list[Figures], broken: Mapping[str, str], totals: Figures, words: Words) -> Figures:
    """The fleet stands where its worst hospital does; the sentence says how many stand well."""
    good = sum(one["level"] in GOOD for one in listed)
    under_way = sum(one["level"] in ("open", "provisional") for one in listed)
    worst: Level = min((one["level"] for one in listed), key=LEVELS.index, default="empty")
    if broken and worst != "broken":
        worst = "absent"
    if worst in ("uncounted", "withheld"):
        worst = "absent"
    if worst == "provisional":
        worst = "open"
    attention = len(listed) - good - under_way + len(broken)
    counted = {"all": len(listed) + len(broken), "good": good, "under_way": under_way, "attention": attention}
    return verdict(worst, "fleet.", totals, words, **counted)


def _most_urgent(acts: list[Figures]) -> list[Figures]:
    """Remainders first, then by records; what heals by itself is left to the hospitals' own reports."""
    by_hand = [one for one in acts if one["kind"] not in (*BY_ITSELF, "held")]
    by_hand.sort(key=lambda one: (one["kind"] != "remainder", -one["events"], one["hospital"], one["kind"]))
    return by_hand


def _regions(
    hospitals: Iterable[Hospital], used: Mapping[tuple[str, date], Sum], listed: list[Figures], day: date
) -> list[Figures]:
    """By city (the first four digits of the administrative division), the most uses first."""
    delivered = {one["id"]: one["delivered"] or 0 for one in listed}
    found: dict[str, Figures] = {}
    for hospital in hospitals:
        city = hospital.region[:4] + "00" if hospital.region else ""
        row = found.setdefault(city, {"region": city, "hospitals": 0, "uses": 0, "health_card": 0, "delivered": 0})
        one = used.get((hospital.id, day), Sum(0, 0))
        row["hospitals"] += 1
        row["uses"] += one.events
        row["health_card"] += one.health_card
        row["delivered"] += delivered[hospital.id]
    return sorted(found.values(), key=lambda row: (-row["uses"], row["region"]))


def _counted(listed: list[Figures]) -> Figures:
    """Of the hospitals that were counted at the HIS alone: one that was not leaves no total for all."""
    known = [one for one in listed if one["source"] is not None]
    return {"hospitals": len(known), **{name: sum(one[name] for one in known) for name in ("source", "staged")}}


def _causes(by_hand: list[Figures]) -> list[Figures]:
    """The same thing to do in many hospitals as one, in the order of `_most_urgent`."""
    found: dict[tuple[str, str], Figures] = {}
    for one in by_hand:
        cause = found.setdefault(
            (one["kind"], one["what"]),
            {**{name: one[name] for name in ("kind", "what", "to_do", "who")}, "events": 0, "hospitals": 0, "most": []},
        )
        cause["events"] += one["events"]
        cause["hospitals"] += 1
        if len(cause["most"]) < MOST_NAMED:
            cause["most"].append(one["hospital_name"])
    return sorted(
        found.values(), key=lambda one: (one["kind"] != "remainder", -one["events"], one["kind"], one["what"])
    )


def named(cause: Figures, words: Words) -> str:
    """The hospitals of a cause: some by their names."""
    names = words.list(cause["most"])
    more = cause["hospitals"] - len(cause["most"])
    return words("fleet.and_more", names=names, n=cause["hospitals"]) if more else names


def _trend(by_day: Mapping[date, list[Standing]], used: Mapping[tuple[str, date], Sum], first: date) -> list[Figures]:
    sums: Counter[date] = Counter()
    for (_, day), one in used.items():
        sums[day] += one.events
    days = (first + DAY * n for n in range(TREND_DAYS))
    return [trend_day(day, Standing.sum(by_day[day]) if day in by_day else None, sums.get(day)) for day in days]


def _holds(connection: Connection, now: datetime) -> dict[str, set[str]]:
    query = select(hold.c.hospital, hold.c.kind, hold.c.until)
    found: dict[str, set[str]] = {}
    for hospital, kind, until in connection.execute(query):
        if until is None or until > now:
            found.setdefault(hospital, set()).add(kind)
    return found


def _all_through(listed: list[Figures]) -> str | None:
    """Up to when all hospitals are accounted for."""
    found = [one["verified_through"] for one in listed]
    return None if None in found else min(found, default=None)


def _newest_reports(connection: Connection) -> dict[str, str]:
    """Each hospital's newest page of a day, by its name in the reports' folder."""
    query = select(report_file.c.hospital, report_file.c.path).where(report_file.c.kind == "html")
    return {hospital: path for hospital, path in connection.execute(query.order_by(report_file.c.day))}
