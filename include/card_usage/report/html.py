"""The pages: figures of a day, a month or the fleet in, one self-contained HTML text out. Form only, no new figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from card_usage.reconciliation.classes import CLASSES, DIFFERENCES
from card_usage.report import charts
from card_usage.report.charts import HALF, MOST_BARS, Figures
from card_usage.report.fleet import named
from card_usage.report.status import GOOD, LEVELS
from card_usage.report.svg import WIDE
from card_usage.words.catalogue import Words

HERE: Final = Path(__file__).parent
MOST_CODES: Final = 20
MOST_CAUSES: Final = 12
"""Of the fleet, on the page; sheets and JSON hold more."""

FEW_HOSPITALS: Final = 20
"""So many are all shown; of more, those that agree are folded away."""

MOST_HOSPITALS: Final = 60
"""Shown before the rest is folded away too."""


def render(figures: Figures) -> str:
    """The page of the figures' own form and language."""
    words = Words(figures["language"])
    name, more = _FORMS[figures["form"].partition("/")[0]]
    uses = figures["uses"]
    common: dict[str, Any] = {
        "f": figures,
        "w": words,
        "css": Markup((HERE / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        "flow": charts.flow(figures, words),
        "scenes": charts.shares(uses["scenes"], figures, words, words("section.scenes")),
        "channels": charts.shares(uses["channels"], figures, words, words("section.channels")),
        "card_types": charts.shares(uses["card_types"], figures, words, words("section.card_types")),
        "departments": charts.shares(uses["departments"], figures, words, words("section.departments", n=MOST_BARS)),
        "most_bars": MOST_BARS,
        "stamp": stamp,
        "through": words.through,
    }
    return environment().get_template(name).render(**common, **more(figures, words))


def _day(figures: Figures, words: Words) -> Mapping[str, Any]:
    return {
        **_titles(figures["hospital"]["name"], words("report.title"), words.day(date.fromisoformat(figures["day"]))),
        "hours": charts.hours_by_scene(figures, words),
        "trend": charts.trend(figures["trend"], words, words("section.trend")),
        "delays": charts.delays(figures, words, HALF),
        "classes": [name for name in CLASSES if figures["classes"][name]],
        "differences": [name for name in DIFFERENCES if figures["differences"][name]],
        "feed_columns": _feed_columns(figures),
        "most_codes": MOST_CODES,
    }


def _month(figures: Figures, words: Words) -> Mapping[str, Any]:
    before = figures["before"]
    return {
        **_titles(figures["hospital"]["name"], words("month.title"), words.month(date.fromisoformat(figures["first"]))),
        **_usage_pictures(figures, words),
        "trend": charts.trend(figures["days"], words, words("section.month"), every=1),
        "delays": charts.delays(figures, words, WIDE),
        "missing": words("head.comma").join(figures["missing_days"]),
        "before": ""
        if before is None
        else words("month.before", month=before["month"], days=before["days"], uses=before["uses"]),
    }


def _fleet(figures: Figures, words: Words) -> Mapping[str, Any]:
    listed = figures["hospitals"]
    shown = len(listed) if len(listed) <= FEW_HOSPITALS else min(_troubled(listed), MOST_HOSPITALS)
    return {
        **_titles(words("fleet.title"), words("fleet.kind", n=len(figures["hospitals"])), words.day(_day_of(figures))),
        **_usage_pictures(figures, words),
        "trend": charts.trend(figures["trend"], words, words("section.trend")),
        "delays": charts.delays(figures, words, HALF),
        "before": "",
        "shown": shown,
        "levels": [name for name in LEVELS if figures["levels"][name]],
        "rest_by_level": Counter(one["level"] for one in listed[shown:]),
        "causes": figures["causes"][:MOST_CAUSES],
        "left_out": len(figures["causes"][MOST_CAUSES:]),
        "named": lambda cause: named(cause, words),
    }


def _troubled(hospitals: list[Figures]) -> int:
    """How many of them somebody should look at: they come first."""
    return sum(one["level"] not in GOOD for one in hospitals)


_FORMS: Final = {
    "card-usage-day": ("day.html.jinja", _day),
    "card-usage-month": ("month.html.jinja", _month),
    "card-usage-fleet": ("fleet.html.jinja", _fleet),
}


def _day_of(figures: Figures) -> date:
    return date.fromisoformat(figures["day"])


def _titles(heading: str, kind: str, when: str) -> Mapping[str, str]:
    return {"heading": heading, "kind": kind, "when": when, "title": f"{heading} {kind} {when}"}


def _usage_pictures(figures: Figures, words: Words) -> Mapping[str, Markup]:
    usage = figures["usage"]
    return {
        "hours": charts.hours_by_card(figures, words),
        "card_groups": charts.shares(usage["card_groups"], figures, words, words("usage.card_groups")),
        "visit_kinds": charts.shares(usage["visit_kinds"], figures, words, words("usage.visit_kinds")),
    }


@cache
def environment() -> Environment:
    """Templates of this folder, everything escaped, nothing undefined."""
    return Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def stamp(text: str) -> str:
    """2026-03-06T09:30+08:00 as people write it."""
    return text[:16].replace("T", " ")


def _feed_columns(figures: Figures) -> list[str]:
    """Columns of the table of feeds: the legs always, classes and differences where any feed has one."""
    feeds = figures["feeds"]
    wanted = ["delivered", "quarantined", *(name for name in CLASSES if name not in ("delivered", "quarantined"))]
    wanted += [name for name in DIFFERENCES if not name.startswith(("platform_", "voided_", "changed_"))]
    always = ("delivered", "quarantined")
    return [name for name in wanted if name in always or any(feed[name] for feed in feeds)]
