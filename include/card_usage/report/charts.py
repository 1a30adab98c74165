"""Which figures become which chart: the flow, hours, shares, trend and delays of a report."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, Final

from markupsafe import Markup

from card_usage.reconciliation.classes import CLASSES
from card_usage.report import svg
from card_usage.report.svg import NARROW, PALETTE, REST, TONES, WIDE, Category, Node, Series, Share
from card_usage.report.usage import delay_name
from card_usage.standard.code_tables import load_tables
from card_usage.words.catalogue import Words

Figures = dict[str, Any]
MOST_BARS: Final = 10
HALF: Final = 420
"""Width in px of a chart that shares its row with another."""


def _both(draw: Callable[[int], Markup], wide: int = WIDE) -> Markup:
    """A chart for paper and screen, and one for phones; the style sheet shows the one that fits."""
    return Markup('<div class="wide">{}</div><div class="narrow">{}</div>').format(draw(wide), draw(NARROW))


def flow(figures: Figures, words: Words) -> Markup:
    """The way from the HIS to the platform."""
    totals, differences = figures["totals"], figures["differences"]

    def node(kind: str, events: int, name: str) -> Node:
        return Node(kind, words(name), events)

    source = None if totals["source"] is None else node("source", totals["source"], "leg.source")
    outcomes = [node(name, figures["classes"][name], f"class.{name}") for name in CLASSES]
    return _both(
        lambda width: svg.flow(
            source,
            node("staged", totals["staged"], "leg.staged"),
            node("late_in_source", totals["not_staged"], "class.late_in_source"),
            node("vanished_from_source", differences["vanished_from_source"], "class.vanished_from_source"),
            outcomes,
            words,
            width=width,
            label=words("section.flow"),
        )
    )


def hours_by_scene(figures: Figures, words: Words) -> Markup:
    """Scenes are drawn under their topmost scene; the rarest share one colour."""
    table = load_tables()["scene"]
    sums: dict[str, list[int]] = {}
    for hour in figures["uses"]["hours"]:
        for scene, events in hour["scenes"].items():
            root = scene
            while parent := table.parent(root):
                root = parent
            name = words.code("scene", root, table.names.get(root, root)) if root else words("value.unknown")
            sums.setdefault(name, [0] * 24)[hour["hour"]] += events
    ordered = sorted(sums.items(), key=lambda pair: (-sum(pair[1]), pair[0]))
    series = [Series(name, tuple(values)) for name, values in ordered[: len(PALETTE)]]
    if rest := ordered[len(PALETTE) :]:
        series.append(Series(words("head.others"), tuple(map(sum, zip(*(values for _, values in rest), strict=True)))))
    return _hours(series, words)


def hours_by_card(figures: Figures, words: Words) -> Markup:
    """Health cards and all others."""
    hours = figures["uses"]["hours"]
    series = [
        Series(words("group.health"), tuple(hour["health_card"] for hour in hours), PALETTE[2]),
        Series(words("group.all_others"), tuple(hour["events"] - hour["health_card"] for hour in hours), REST),
    ]
    return _hours(series, words)


def _hours(series: list[Series], words: Words) -> Markup:
    label = words("section.hours")
    drawn = _both(lambda width: svg.hours(series, words, width=width, label=label))
    return svg.legend(series, words) + drawn


def shares(found: list[Any], figures: Figures, words: Words, label: str) -> Markup:
    """The most frequent ones as bars, all others as one."""
    named = [Share(one["name"], one["events"]) for one in found[:MOST_BARS]]
    if rest := sum(one["events"] for one in found[MOST_BARS:]):
        named.append(Share(words("head.others"), rest, True))
    total = figures["uses"]["events"]
    return _both(lambda width: svg.bars(named, total, words, width=width, label=label), HALF)


def trend(days: list[Figures], words: Words, label: str, every: int = 2) -> Markup | None:
    """Day by day: delivered, still moving, waiting for somebody. None where fewer than two days have figures."""
    if sum(day["staged"] is not None for day in days) < 2:
        return None
    dates = [date.fromisoformat(day["day"]) for day in days]
    categories = [
        Category(
            words.day(day),
            _tick(day) if (len(days) - 1 - at) % every == 0 else "",
            (len(days) - 1 - at) % 7 == 0,
        )
        for at, day in enumerate(dates)
    ]
    series = [
        Series(words(name), tuple(max(day[key] or 0, 0) for day in days), TONES[tone])
        for name, key, tone in (
            ("class.delivered", "delivered", "delivered"),
            ("head.waiting", "waiting", "due"),
            ("head.for_people", "for_people", "quarantined"),
        )
    ]
    series = [one for one in series if any(one.values)]
    drawn = _both(lambda width: svg.columns(series, categories, words, width=width, label=label))
    return svg.legend(series, words) + drawn


def _tick(day: date) -> str:
    return f"{day.month}/{day.day}"


def delays(figures: Figures, words: Words, width: int) -> Markup:
    """From the use to the platform's answer, without the empty ends."""
    found = figures["delays"]
    full = [at for at, one in enumerate(found) if one["events"]]
    shown = found[full[0] : full[-1] + 1] if full else found[:1]
    total = sum(one["events"] for one in found)
    bars = [Share(delay_name(one["minutes"], words), one["events"]) for one in shown]
    label = words("section.delays")
    return _both(lambda at: svg.bars(bars, total, words, width=at, label=label), width)
