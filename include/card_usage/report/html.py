"""HTML: figures of a day, a month or the fleet in, one self-contained HTML text out. Form only, no new figures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from card_usage.reconciliation.classes import CLASSES, DIFFERENCES
from card_usage.report.chart import Chart, Figures, Form, Piece, Row, form_of
from card_usage.report.charts import FLOW, HALF, PAGES
from card_usage.report.fleet import named, title
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


class Part(NamedTuple):
    """A chart or a piece as the templates set it. A piece brings its own title."""

    content: Markup
    title: str = ""
    note: str = ""
    foot: str = ""


ShownRow = list[list[Part]]
"""Sections beside each other, each with its parts below each other; empty: nothing to show."""


def render(figures: Figures) -> str:
    """The page of the figures' own form and language."""
    words = Words(figures["language"])
    form = form_of(figures)
    page = PAGES[form]
    common: dict[str, Any] = {
        "f": figures,
        "w": words,
        "form": form,
        "css": Markup((HERE / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        "stamp": stamp,
        "through": words.through,
        "whole": whole,
        **_OF_FORM[form](figures, words),
    }
    charts = {
        "flow": _row(((FLOW,),), common),
        "trend": _row(page.trend, common),
        "usage": [_row(row, common) for row in page.usage],
    }
    return environment().get_template(f"{form}.html.jinja").render(**common, **charts)


def whole(sentence: str) -> str:
    """The sentence with each figure and its measure kept on one line: 683 笔, 平台已接收 19,497 笔."""
    return re.sub(r"(?<=\d) (?=[\u4e00-\u9fff])|(?<=[\u4e00-\u9fff]) (?=\d)", "\u00a0", sentence)


def _row(row: Row, common: Mapping[str, Any]) -> ShownRow:
    wide = WIDE if len(row) == 1 else HALF
    cells = [[shown for part in cell if (shown := _part(part, common, wide)) is not None] for cell in row]
    return [cell for cell in cells if cell]


def _part(part: Chart | Piece, common: Mapping[str, Any], wide: int) -> Part | None:
    """None: a chart that has nothing to draw."""
    if isinstance(part, Piece):
        # Escaped by the template itself.
        return Part(Markup(environment().get_template(part.template).render(**common)))  # noqa: S704
    figures, words = common["f"], common["w"]
    fields = part.fields(figures)
    title = words.text(part.title, **fields)
    drawn = part.draw(figures, words, title, wide)
    if drawn is None:
        return None
    note = "" if part.note is None else words.text(part.note, **fields)
    return Part(drawn, title, note, part.foot(figures, words))


def _day(figures: Figures, words: Words) -> Mapping[str, Any]:
    day = date.fromisoformat(figures["day"])
    return {
        **_titles(figures["hospital"]["name"], words("report.title"), words.day(day)),
        "before": "",
        "classes": [name for name in CLASSES if figures["classes"][name]],
        "differences": [name for name in DIFFERENCES if figures["differences"][name]],
        "feed_columns": _feed_columns(figures),
        "most_codes": MOST_CODES,
    }


def _month(figures: Figures, words: Words) -> Mapping[str, Any]:
    before = figures["before"]
    first = date.fromisoformat(figures["first"])
    return {
        **_titles(figures["hospital"]["name"], words("month.title"), words.month(first)),
        "missing": words("head.comma").join(figures["missing_days"]),
        "before": ""
        if before is None
        else words("month.before", month=before["month"], days=before["days"], uses=before["uses"]),
    }


def _fleet(figures: Figures, words: Words) -> Mapping[str, Any]:
    listed = figures["hospitals"]
    shown = len(listed) if len(listed) <= FEW_HOSPITALS else min(_troubled(listed), MOST_HOSPITALS)
    day = date.fromisoformat(figures["day"])
    return {
        **_titles(title(figures, words), words("fleet.kind", n=len(listed)), words.day(day)),
        "before": "",
        "shown": shown,
        "levels": [name for name in LEVELS if figures["levels"][name]],
        "rest_by_level": Counter(hospital["level"] for hospital in listed[shown:]),
        "causes": figures["causes"][:MOST_CAUSES],
        "left_out": len(figures["causes"][MOST_CAUSES:]),
        "named": lambda cause: named(cause, words),
    }


def _troubled(hospitals: list[Figures]) -> int:
    """How many of them somebody should look at: they come first."""
    return sum(hospital["level"] not in GOOD for hospital in hospitals)


_OF_FORM: Final[Mapping[Form, Callable[[Figures, Words], Mapping[str, Any]]]] = {
    "day": _day,
    "month": _month,
    "fleet": _fleet,
}


def _titles(heading: str, kind: str, when: str) -> Mapping[str, str]:
    return {"heading": heading, "kind": kind, "when": when, "title": f"{heading} {kind} {when}"}


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
