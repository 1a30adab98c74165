"""Drawings: figures of a report as pictures, each for paper and screen and once more for phones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final

from markupsafe import Markup

from card_usage.reconciliation.classes import CLASSES
from card_usage.report import sankey, svg
from card_usage.report.chart import Figures
from card_usage.report.sankey import Node
from card_usage.report.svg import HEALTH_CARD, NARROW, PALETTE, REST, TONES, Category, Series, Share
from card_usage.report.usage import delay_name
from card_usage.standard.code_tables import load_tables
from card_usage.words.catalogue import Words

MOST_BARS: Final = 10


def _both(draw: Callable[[int], Markup], wide: int) -> Markup:
    """A chart for paper and screen, and one for phones; the style sheet shows the one that fits."""
    return Markup('<div class="wide">{}</div><div class="narrow">{}</div>').format(draw(wide), draw(NARROW))


def flow(figures: Figures, words: Words, label: str, wide: int) -> Markup:
    """The way from the HIS to the platform."""
    totals, differences = figures["totals"], figures["differences"]

    def node(kind: str, events: int, name: str) -> Node:
        return Node(kind, words(name), events)

    counted = totals["source"] is not None
    nodes = sankey.Flow(
        source=node("source", totals["source"], "leg.source") if counted else None,
        staged=node("staged", totals["staged"], "leg.staged"),
        late=node("late_in_source", totals["not_staged"], "class.late_in_source"),
        vanished=node("vanished_from_source", differences["vanished_from_source"], "class.vanished_from_source"),
        outcomes=[node(name, figures["classes"][name], f"class.{name}") for name in CLASSES],
    )
    return _both(lambda width: sankey.draw(nodes, words, width=width, label=label), wide)


def hours_by_scene(figures: Figures, words: Words, label: str, wide: int) -> Markup:
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
    return _hours(series, words, label, wide)


def hours_by_card(figures: Figures, words: Words, label: str, wide: int) -> Markup:
    """Health cards and all others."""
    hours = figures["uses"]["hours"]
    series = [
        Series(words("group.health"), tuple(hour["health_card"] for hour in hours), HEALTH_CARD),
        Series(words("group.all_others"), tuple(hour["events"] - hour["health_card"] for hour in hours), REST),
    ]
    return _hours(series, words, label, wide)


def _hours(series: Sequence[Series], words: Words, label: str, wide: int) -> Markup:
    drawn = _both(lambda width: svg.hours(series, words, width=width, label=label), wide)
    return svg.legend(series, words) + drawn


def shares(entries: Sequence[Mapping[str, Any]], total: int, words: Words, label: str, wide: int) -> Markup:
    """The most frequent ones as bars, all others as one. Entries have `name` and `events`."""
    bars = [Share(entry["name"], entry["events"]) for entry in entries[:MOST_BARS]]
    if rest := sum(entry["events"] for entry in entries[MOST_BARS:]):
        bars.append(Share(words("head.others"), rest, True))
    return _both(lambda width: svg.bars(bars, total, words, width=width, label=label), wide)


def delays(figures: Figures, words: Words, label: str, wide: int) -> Markup:
    """From the use to the platform's answer, without the empty ends."""
    bounds = figures["delays"]
    full = [at for at, bound in enumerate(bounds) if bound["events"]]
    shown = bounds[full[0] : full[-1] + 1] if full else bounds[:1]
    total = sum(bound["events"] for bound in bounds)
    bars = [Share(delay_name(bound["minutes"], words), bound["events"]) for bound in shown]
    return _both(lambda width: svg.bars(bars, total, words, width=width, label=label), wide)


def trend(key: str, *, every: int) -> Callable[[Figures, Words, str, int], Markup | None]:
    """Day by day: delivered, still moving, waiting for somebody. `key`: of the days; `every`: which dates are named."""

    def draw(figures: Figures, words: Words, label: str, wide: int) -> Markup | None:
        return _trend(figures[key], words, label, wide, every)

    return draw


_TREND: Final = (
    ("class.delivered", "delivered", "delivered"),
    ("head.waiting", "waiting", "due"),
    ("head.for_people", "for_people", "quarantined"),
)


def _trend(days: Sequence[Figures], words: Words, label: str, wide: int, every: int) -> Markup | None:
    """None where fewer than two days have figures."""
    if sum(day["staged"] is not None for day in days) < 2:
        return None
    dates = [date.fromisoformat(day["day"]) for day in days]

    def tick(day: date) -> str:
        """Where every day is named, there is no room for more than its number."""
        return str(day.day) if every == 1 else f"{day.month}/{day.day}"

    categories = [
        Category(
            words.day(day),
            tick(day) if (len(days) - 1 - at) % every == 0 else "",
            (len(days) - 1 - at) % 7 == 0,
        )
        for at, day in enumerate(dates)
    ]
    all_series = [
        Series(words(name), tuple(max(day[key] or 0, 0) for day in days), TONES[tone]) for name, key, tone in _TREND
    ]
    series = [line for line in all_series if any(line.values)]
    drawn = _both(lambda width: svg.columns(series, categories, words, width=width, label=label), wide)
    return svg.legend(series, words) + drawn
