"""Usage figures: what the document asks for in 2.7.5 (use of cards) and 2.7.6 (behaviour), as far as the ledger knows.

FIGURES declares each with its formula; docs/usage-figures.md is written from it. All are computed from the sums by day
(`card_usage.report.day_uses`), so any range of days, hospitals and regions costs the same few rows a day. A visit is a
valid registration (docs/adr/, on visits without patients): nobody is recognized from one use to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

from card_usage.ledger.counts import DELAYS
from card_usage.report.day_uses import CODED, Use
from card_usage.standard.code_tables import CodeTable
from card_usage.standard.id_numbers import HEALTH_CARD
from card_usage.words.catalogue import Words

REGISTRATIONS: Final = ("010101", "0101011", "0101012")
"""Scenes that open a visit (document 2.7.4 asks for a department with exactly these)."""
INPATIENT: Final = ("0101053", "0101054", "0101056", "010109")
"""Scenes of people who stay: paying, topping up, being admitted."""
CONVENIENCE: Final = ("00000", "00001", "00002", "00003", "00004", "00005", "00006", "00007")
"""Scenes that are no visit: online, family doctor, other services."""
CARD_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "health": (HEALTH_CARD,),
    "treatment": ("10",),
    "insurance": ("09",),
    "resident_id": ("01",),
}
"""Card types (3.3.2) that reports set against each other; what is in none of them is `other`."""
PEAKS: Final = 3

Computed = Literal["yes", "configured", "no"]


class Figure(NamedTuple):
    """One figure of the document. `key`: where it stands in the JSON's `usage` or `uses`; `needs`: what is lacking."""

    id: str
    section: str
    document: str
    formula: str
    computed: Computed
    key: str
    needs: str = ""


FIGURES: Final = (
    Figure("uses", "2.7.5", "全省/各市用卡次数", "valid uses (refunds left out), by region", "yes", "usage.uses"),
    Figure("trend", "2.7.5", "全省/各市用卡趋势", "valid uses by day, 30 days or the month", "yes", "trend"),
    Figure(
        "issued_use_rate",
        "2.7.5",
        "已发放卡使用率",
        "different health cards used / cards issued",
        "no",
        "usage.missing",
        "a count of different cards: the ledger recognizes nobody from one use to the next",
    ),
    Figure(
        "uses_per_issued_card",
        "2.7.5",
        "已发放卡均使用次数",
        "uses with a health card / cards issued",
        "configured",
        "usage.uses_per_issued_card",
        "`issued_cards` in the hospital's file, table `report`",
    ),
    Figure(
        "card_groups",
        "2.7.5",
        "健康卡、诊疗卡使用占比",
        "uses by card type: health card, treatment card, insurance card, resident ID, others",
        "yes",
        "usage.card_groups",
    ),
    Figure(
        "card_visit_share",
        "2.7.5",
        "持卡就诊人群占比",
        "visits registered with a health card / visits; of visits, since people are not recognized",
        "yes",
        "usage.health_card_visits",
    ),
    Figure("uses_per_visit", "2.7.5", "就诊次均刷卡次数", "valid uses / visits", "yes", "usage.uses_per_visit"),
    Figure(
        "people",
        "2.7.6",
        "用卡人群占比统计",
        "card users by age and sex",
        "no",
        "usage.missing",
        "age and sex: the ledger keeps nothing about a patient once an event is settled",
    ),
    Figure("departments", "2.7.6", "用卡科室占比统计", "valid uses by standard department", "yes", "uses.departments"),
    Figure(
        "visit_kinds",
        "2.7.6",
        "就诊类型占比统计",
        "valid uses by kind of scene: outpatient, inpatient, convenience services",
        "yes",
        "usage.visit_kinds",
    ),
    Figure("operations", "2.7.6", "刷卡操作占比统计", "valid uses by scene (3.3.1)", "yes", "uses.scenes"),
    Figure("terminals", "2.7.6", "受理终端占比统计", "valid uses by channel (3.3.3)", "yes", "uses.channels"),
    Figure("hours", "2.7.6", "用卡时段（高峰）", "valid uses by hour; the three busiest", "yes", "usage.peak_hours"),
)


def usage(uses: Iterable[Use], words: Words, *, issued_cards: int | None) -> dict[str, Any]:
    """The figures that are one number or a few. `issued_cards`: health cards issued by the hospitals together."""
    found = list(uses)
    hours = [one for one in found if one.dimension == "hour"]
    visits = [one for one in found if one.dimension == "scene" and one.code in REGISTRATIONS]
    total, of_health_card = _sums(hours)
    visit_total, health_card_visits = _sums(visits)
    missing = [one for one in FIGURES if one.computed == "no" or (one.computed == "configured" and not issued_cards)]
    return {
        "uses": total,
        "health_card": of_health_card,
        "visits": visit_total,
        "health_card_visits": health_card_visits,
        "uses_per_visit": _ratio(total, visit_total),
        "issued_cards": issued_cards,
        "uses_per_issued_card": _ratio(of_health_card, issued_cards or 0),
        "peak_hours": peaks(hours),
        "card_groups": _groups(found, "card_type", _card_group, [*CARD_GROUPS, "other"], words),
        "visit_kinds": _groups(found, "scene", _visit_kind, ["outpatient", "inpatient", "convenience"], words),
        "missing": [
            {"figure": one.id, "name": words(f"usage.{one.id}"), "reason": words(f"missing.{one.id}")}
            for one in missing
        ],
    }


def by_dimension(uses: Iterable[Use], tables: Mapping[str, CodeTable], words: Words) -> dict[str, list[dict[str, Any]]]:
    """Uses by each coded dimension, `<dimension>s`, the most frequent first, the unknown last."""
    found = list(uses)

    def named(dimension: str, one: Use) -> dict[str, Any]:
        if one.code is None:
            name = words("value.no_department" if dimension == "department" else "value.unknown")
        else:
            name = words.code(dimension, one.code, tables[dimension].names.get(one.code, one.code))
        return {"code": one.code, "name": name, "events": one.events, "health_card": one.health_card}

    return {
        f"{dimension}s": [
            named(dimension, one)
            for one in sorted(
                (one for one in found if one.dimension == dimension),
                key=lambda one: (one.code is None, -one.events, one.code or ""),
            )
        ]
        for dimension in CODED
    }


def by_hour(uses: Iterable[Use]) -> tuple[list[dict[str, int]], int]:
    """24 hours with their uses, and the uses without a readable hour."""
    found = {one.code: one for one in uses if one.dimension == "hour"}
    none = Use("hour", None, 0)
    hours = [found.get(str(hour), none) for hour in range(24)]
    listed = [{"hour": at, "events": one.events, "health_card": one.health_card} for at, one in enumerate(hours)]
    return listed, found.get(None, none).events


def delays(uses: Iterable[Use]) -> list[dict[str, int | None]]:
    """Delivered events by how long they took, every bound from the quickest on; minutes null: longer than the last."""
    found = {one.code: one.events for one in uses if one.dimension == "delay"}
    bounds = [*map(str, DELAYS), None]
    return [{"minutes": None if bound is None else int(bound), "events": found.get(bound, 0)} for bound in bounds]


def delay_name(minutes: int | None, words: Words) -> str:
    """An upper bound of a delay in words; None: beyond all bounds."""
    if minutes is None:
        return words("delay.longer")
    for name, size in (("days", 1440), ("hours", 60)):
        if minutes >= size:
            return words(f"delay.{name}", n=minutes // size)
    return words("delay.minutes", n=minutes)


def peaks(hours: Iterable[Use]) -> list[int]:
    """The busiest hours, in the order of the clock."""
    busy = sorted((one for one in hours if one.code is not None and one.events), key=lambda one: -one.events)
    return sorted(int(one.code or 0) for one in busy[:PEAKS])


def _groups(found: list[Use], dimension: str, group_of: Any, names: list[str], words: Words) -> list[dict[str, Any]]:
    sums = dict.fromkeys(names, 0)
    for one in found:
        if one.dimension == dimension and (name := group_of(one.code)) is not None:
            sums[name] += one.events
    return [{"code": name, "name": words(f"group.{name}"), "events": events} for name, events in sums.items()]


def _card_group(code: str | None) -> str:
    return next((name for name, codes in CARD_GROUPS.items() if code in codes), "other")


def _visit_kind(code: str | None) -> str | None:
    if code is None:
        return None
    return "inpatient" if code in INPATIENT else "convenience" if code in CONVENIENCE else "outpatient"


def _sums(found: Iterable[Use]) -> tuple[int, int]:
    rows = list(found)
    return sum(one.events for one in rows), sum(one.health_card for one in rows)


def _ratio(part: int, of: int) -> float | None:
    """Two decimals; None where there is nothing to divide by."""
    return round(part / of, 2) if of else None


def table() -> str:
    """FIGURES as a Markdown table, for docs/usage-figures.md."""
    said = {"yes": "yes", "configured": "when configured", "no": "no"}
    rows = ["| Document | Figure | Formula | Computed | In the JSON |", "| --- | --- | --- | --- | --- |"]
    rows += [
        f"| {one.section} | {one.document} | {one.formula} | {said[one.computed]}"
        f"{f'; needs {one.needs}' if one.needs else ''} | `{one.key}` |"
        for one in FIGURES
    ]
    return "\n".join(rows)
