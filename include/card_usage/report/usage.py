"""Usage figures: what the document asks for in 2.7.5 (use of cards) and 2.7.6 (behaviour), as far as the ledger knows.

FIGURES declares each with its formula; docs/usage-figures.md is written from it. All are computed from the sums by day
(`card_usage.report.day_uses`), so any range of days, hospitals and regions costs the same few rows a day. A visit is a
valid registration (docs/adr/, on visits without patients): nobody is recognized from one use to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from card_usage.ledger.counts import DELAYS
from card_usage.report.day_uses import Use
from card_usage.standard.code_tables import CodeTable
from card_usage.standard.visits import CARD_GROUPS, REGISTRATIONS, VISIT_KINDS, card_group, visit_kind
from card_usage.warehouse.dimensions import delay_name as bound_name
from card_usage.words.catalogue import Words

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


def numbers(uses: Iterable[Use], *, issued_cards: int | None) -> dict[str, Any]:
    """The figures that are one number or a few. `issued_cards`: health cards issued by the hospitals together."""
    sums = list(uses)
    hours = [use for use in sums if use.dimension == "hour"]
    total, of_health_card = _totals(hours)
    visits, health_card_visits = _totals(use for use in sums if use.dimension == "scene" and use.code in REGISTRATIONS)
    return {
        "uses": total,
        "health_card": of_health_card,
        "visits": visits,
        "health_card_visits": health_card_visits,
        "uses_per_visit": _ratio(total, visits),
        "issued_cards": issued_cards,
        "uses_per_issued_card": _ratio(of_health_card, issued_cards or 0),
        "peak_hours": peaks(hours),
    }


def missing(words: Words, *, issued_cards: int | None) -> list[dict[str, str]]:
    """Figures of the document that cannot be computed, each with the reason."""
    lacking = ["no"] if issued_cards else ["no", "configured"]
    return [
        {"figure": figure.id, "name": words(f"usage.{figure.id}"), "reason": words(f"missing.{figure.id}")}
        for figure in FIGURES
        if figure.computed in lacking
    ]


def by_code(uses: Iterable[Use], dimension: str, tables: Mapping[str, CodeTable], words: Words) -> list[dict[str, Any]]:
    """Uses by the codes of a dimension, the most frequent first, the unknown last."""

    def name(code: str | None) -> str:
        if code is None:
            return words("value.no_department" if dimension == "department" else "value.unknown")
        return words.code(dimension, code, tables[dimension].names.get(code, code))

    found = [use for use in uses if use.dimension == dimension]
    found.sort(key=lambda use: (use.code is None, -use.events, use.code or ""))
    return [
        {"code": use.code, "name": name(use.code), "events": use.events, "health_card": use.health_card}
        for use in found
    ]


def by_hour(uses: Iterable[Use], scenes: Sequence[Mapping[str, int]] | None = None) -> list[dict[str, Any]]:
    """24 hours with their uses; with `scenes`, each hour's uses by scene code too."""
    hours = {use.code: use for use in uses if use.dimension == "hour"}
    none = Use("hour", None, 0)
    listed: list[dict[str, Any]] = []
    for hour in range(24):
        use = hours.get(str(hour), none)
        listed.append({"hour": hour, "events": use.events, "health_card": use.health_card})
        if scenes is not None:
            listed[hour]["scenes"] = dict(scenes[hour])
    return listed


def hour_unknown(uses: Iterable[Use]) -> int:
    """Uses without a readable hour."""
    return sum(use.events for use in uses if use.dimension == "hour" and use.code is None)


def delays(uses: Iterable[Use]) -> list[dict[str, int | None]]:
    """Delivered events by how long they took, every bound from the quickest on; minutes null: longer than the last."""
    events = {use.code: use.events for use in uses if use.dimension == "delay"}
    bounds = [*map(str, DELAYS), None]
    return [{"minutes": None if bound is None else int(bound), "events": events.get(bound, 0)} for bound in bounds]


def delay_name(minutes: int | None, words: Words) -> str:
    """An upper bound of a delay in words; None: beyond all bounds."""
    if minutes is None:
        return words("delay.longer")
    return bound_name(minutes, words)


def peaks(hours: Iterable[Use]) -> list[int]:
    """The busiest hours, in the order of the clock."""
    busy = sorted((use for use in hours if use.code is not None and use.events), key=lambda use: -use.events)
    return sorted(int(use.code or 0) for use in busy[:PEAKS])


def card_groups(uses: Iterable[Use], words: Words) -> list[dict[str, Any]]:
    """Uses by kind of card."""
    return _groups(uses, "card_type", card_group, (*CARD_GROUPS, "other"), words)


def visit_kinds(uses: Iterable[Use], words: Words) -> list[dict[str, Any]]:
    """Uses by kind of visit; a scene that was not recognized is of none."""
    return _groups(uses, "scene", visit_kind, VISIT_KINDS, words)


def _groups(
    uses: Iterable[Use],
    dimension: str,
    group_of: Callable[[str | None], str | None],
    names: Iterable[str],
    words: Words,
) -> list[dict[str, Any]]:
    sums = dict.fromkeys(names, 0)
    for use in uses:
        if use.dimension == dimension and (name := group_of(use.code)) is not None:
            sums[name] += use.events
    return [{"code": name, "name": words(f"group.{name}"), "events": events} for name, events in sums.items()]


def _totals(uses: Iterable[Use]) -> tuple[int, int]:
    """Uses, and how many of them were made with a health card."""
    rows = list(uses)
    return sum(use.events for use in rows), sum(use.health_card for use in rows)


def _ratio(part: int, of: int) -> float | None:
    """Two decimals; None where there is nothing to divide by."""
    return round(part / of, 2) if of else None


def table() -> str:
    """FIGURES as a Markdown table, for docs/usage-figures.md."""
    said = {"yes": "yes", "configured": "when configured", "no": "no"}
    rows = ["| Document | Figure | Formula | Computed | In the JSON |", "| --- | --- | --- | --- | --- |"]
    rows += [
        f"| {figure.section} | {figure.document} | {figure.formula} | {said[figure.computed]}"
        f"{f'; needs {figure.needs}' if figure.needs else ''} | `{figure.key}` |"
        for figure in FIGURES
    ]
    return "\n".join(rows)
