"""The page of a day's report: figures in, one self-contained HTML text out. It adds nothing to the figures but form."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from card_usage.balance import CLASSES, DIFFERENCES
from card_usage.codes import load_tables
from card_usage.report import charts
from card_usage.report.charts import NARROW, PALETTE, WIDE, Node, Series, Share
from card_usage.report.figures import Figures
from card_usage.words import Words

HERE: Final = Path(__file__).parent
MOST_CODES: Final = 20
MOST_BARS: Final = 10
HALF: Final = 420
"""Width in px of a chart that shares its row with another."""


def render(figures: Figures) -> str:
    """The page in the figures' own language."""
    words = Words(figures["language"])
    day = date.fromisoformat(figures["day"])
    template = _environment().get_template("day.html.jinja")
    return template.render(
        f=figures,
        w=words,
        day=words.day(day),
        css=Markup((HERE / "day.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        flow=_flow(figures, words),
        hours=_hours(figures, words),
        scenes=_shares(figures["uses"]["scenes"], figures, words, words("section.scenes")),
        channels=_shares(figures["uses"]["channels"], figures, words, words("section.channels")),
        card_types=_shares(figures["uses"]["card_types"], figures, words, words("section.card_types")),
        departments=_shares(figures["uses"]["departments"], figures, words, words("section.departments", n=MOST_BARS)),
        classes=[name for name in CLASSES if figures["classes"][name]],
        differences=[name for name in DIFFERENCES if figures["differences"][name]],
        feed_columns=_feed_columns(figures),
        most_codes=MOST_CODES,
        most_bars=MOST_BARS,
        stamp=_stamp,
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _stamp(text: str) -> str:
    """2026-03-06T09:30+08:00 as people write it."""
    return text[:16].replace("T", " ")


def _both(draw: Callable[[int], Markup], wide: int = WIDE) -> Markup:
    """A chart for paper and screen, and one for phones; the style sheet shows the one that fits."""
    return Markup('<div class="wide">{}</div><div class="narrow">{}</div>').format(draw(wide), draw(NARROW))


def _flow(figures: Figures, words: Words) -> Markup:
    totals, differences = figures["totals"], figures["differences"]

    def node(kind: str, events: int, name: str) -> Node:
        return Node(kind, words(name), events)

    source = None if totals["source"] is None else node("source", totals["source"], "leg.source")
    outcomes = [node(name, figures["classes"][name], f"class.{name}") for name in CLASSES]
    return _both(
        lambda width: charts.flow(
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


def _hours(figures: Figures, words: Words) -> Markup:
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
    label = words("section.hours")
    drawn = _both(lambda width: charts.hours(series, words, width=width, label=label))
    return charts.legend(series, words) + drawn


def _shares(found: list[Any], figures: Figures, words: Words, label: str) -> Markup:
    shares = [Share(one["name"], one["events"]) for one in found[:MOST_BARS]]
    if rest := sum(one["events"] for one in found[MOST_BARS:]):
        shares.append(Share(words("head.others"), rest, True))
    total = figures["uses"]["events"]
    return _both(lambda width: charts.bars(shares, total, words, width=width, label=label), HALF)


def _feed_columns(figures: Figures) -> list[str]:
    """Columns of the table of feeds: the legs always, classes and differences where any feed has one."""
    feeds = figures["feeds"]
    wanted = ["delivered", "quarantined", *(name for name in CLASSES if name not in ("delivered", "quarantined"))]
    wanted += [name for name in DIFFERENCES if not name.startswith(("platform_", "voided_", "changed_"))]
    always = ("delivered", "quarantined")
    return [name for name in wanted if name in always or any(feed[name] for feed in feeds)]
