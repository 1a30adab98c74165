"""SVG: columns, bars and legends of the report, drawn by ourselves: no script, no font, no picture from anywhere else.

Promises: colours are told apart with any colour vision (after Okabe and Ito, and Tol), mean one thing each on every
page of the reports, and never carry meaning alone; every chart has its figures as text; the same figures give the same
bytes. Each is drawn for the width that it is shown in (a phone gets its own), so that letters stay readable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from markupsafe import Markup, escape

from card_usage.words.catalogue import Words

WIDE: Final = 880
NARROW: Final = 350
PALETTE: Final = ("#0072b2", "#cc79a7", "#332288", "#b5a8d5", "#882255", "#999933")
"""Colours of kinds, such as scenes. None of them is a colour of TONES: those say what became of a record."""
HEALTH_CARD: Final = "#aa4499"
BAR: Final = "#5f7d9c"
"""Bars of shares, where a colour tells nothing apart."""
REST: Final = "#9aa5b1"
"""All that is not listed."""
TONES: Final[Mapping[str, str]] = {
    "source": "#33475b",
    "staged": "#33475b",
    "delivered": "#009e73",
    "quarantined": "#e69f00",
    "rejected": "#d55e00",
    "unconfirmed": "#d55e00",
    "due": "#56b4e9",
    "held": "#56b4e9",
    "in_flight": "#56b4e9",
    "unknown": "#56b4e9",
    "voided": "#8c6d46",
    "late_in_source": "#d55e00",
    "vanished_from_source": "#d55e00",
}


_FIGURE: Final = 7
"""Room for a digit in px, at most."""


class Series(NamedTuple):
    """One colour of a stacked chart: its name and a figure for each column. `tone`: its colour, if not the next one."""

    name: str
    values: tuple[int, ...]
    tone: str = ""


class Category(NamedTuple):
    """A column of a chart: its name in full, and what stands below it (nothing: no room, or not needed)."""

    name: str
    tick: str
    narrow: bool = True


class Share(NamedTuple):
    """One bar: a name and its figure. `rest`: not one thing but all that is not listed."""

    name: str
    events: int
    rest: bool = False


def hours(series: Sequence[Series], words: Words, *, width: int, label: str) -> Markup:
    """Uses by hour, stacked. `series` from the bottom up; at most as many as the palette has, and one for the rest."""
    categories = [Category(words.hour(hour), str(hour), hour % 3 == 0) for hour in range(24)]
    return columns(series, categories, words, width=width, label=label)


def columns(
    series: Sequence[Series], categories: Sequence[Category], words: Words, *, width: int, label: str
) -> Markup:
    """Standing columns, stacked from the bottom up; a figure for each category. The highest says its sum."""
    right, top, bottom = 6, 22, 26
    roomy = width > 500
    height = 270 if roomy else 230
    totals = [sum(layer.values[at] for layer in series) for at in range(len(categories))]
    peak = max(totals, default=0)
    step = _step(peak)
    ceiling = max(step, -(-peak // step) * step)
    left = max(50, _FIGURE * len(words.number(ceiling)) + 10)
    plot_width, plot_height = width - left - right, height - top - bottom
    scale = plot_height / ceiling
    room = plot_width / max(len(categories), 1)
    bar = room * 0.74
    parts = []
    for tick in range(0, ceiling + 1, step):
        y = top + plot_height - tick * scale
        parts.append(tag("line", x1=left, x2=width - right, y1=y, y2=y, class_="grid" if tick else "axis"))
        parts.append(text(words.number(tick), x=left - 7, y=y + 4, anchor="end", class_="tick"))
    for at, category in enumerate(categories):
        x = left + at * room + (room - bar) / 2
        base = float(top + plot_height)
        inside = []
        for position, layer in enumerate(series):
            size = layer.values[at] * scale
            if size <= 0:
                continue
            base -= size
            # A hair of white between two colours, so that they part without colour vision too.
            drawn = max(size - (0.8 if size > 3 else 0), 0.3)
            inside.append(tag("rect", x=x, y=base, width=bar, height=drawn, fill=_colour(position, layer)))
        if inside:
            lines = [f"{category.name}: {words.number(totals[at])}"]
            lines += [f"{layer.name} {words.number(layer.values[at])}" for layer in series if layer.values[at]]
            parts.append(tag("g", tag("title", escape("\n".join(lines))), *inside))
        if category.tick and (roomy or category.narrow):
            parts.append(text(category.tick, x=x + bar / 2, y=height - 9, anchor="middle", class_="tick"))
        if peak and totals[at] == peak and totals.index(peak) == at:
            # Kept inside the picture at either end.
            half = max(18, _FIGURE * len(words.number(peak)) / 2)
            middle = min(max(x + bar / 2, left + half), width - right - half)
            parts.append(text(words.number(peak), x=middle, y=base - 6, anchor="middle", class_="peak"))
    return picture(width, height, label, parts)


def legend(series: Sequence[Series], words: Words) -> Markup:
    """The colours of `hours` with their names and sums, as a list."""
    entries = [
        tag(
            "li",
            tag("span", class_="swatch", style=f"background:{_colour(position, layer)}"),
            escape(layer.name),
            tag("b", escape(words.number(sum(layer.values)))),
        )
        for position, layer in enumerate(series)
    ]
    return tag("ul", *entries, class_="legend")


def bars(shares: Sequence[Share], total: int, words: Words, *, width: int, label: str) -> Markup:
    """Shares as lying bars, each with its name, figure and percentage."""
    written = [f"{words.number(share.events)} · {words.share(share.events, total)}" for share in shares]
    row, name_width = 30, min(150, round(width * 0.36))
    figure_width = max(104, _FIGURE * max(map(len, written), default=0) + 12)
    room = width - name_width - figure_width
    most = max((share.events for share in shares), default=0)
    parts = []
    for position, share in enumerate(shares):
        y = position * row
        size = max(room * share.events / most, 1.5) if share.events else 0
        figures = written[position]
        parts.append(text(_shortened(share.name, name_width - 10), x=name_width - 10, y=y + 20, anchor="end"))
        bar = tag("rect", x=name_width, y=y + 6, width=size, height=row - 12, rx=2, fill=REST if share.rest else BAR)
        parts.append(tag("g", tag("title", escape(f"{share.name}: {figures}")), bar))
        parts.append(text(figures, x=name_width + size + 8, y=y + 20, class_="figure"))
    return picture(width, max(row * len(shares), row), label, parts)


def _colour(position: int, layer: Series) -> str:
    return layer.tone or PALETTE[position] if position < len(PALETTE) else REST


def _step(peak: int) -> int:
    """A round distance between grid lines that gives three to five of them."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if peak <= step * factor * 5:
                return step * factor
        step *= 10


def _shortened(name: str, room: float) -> str:
    """The name, cut to the room in px at 13 px letters; Latin letters take about half of a Chinese one."""
    used = 0.0
    for position, letter in enumerate(name):
        used += 13 if ord(letter) > 0x2E7F else 7.2
        if used > room:
            return name[: max(position - 1, 1)] + "…"
    return name


def number(value: float) -> str:
    """A length in px, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def tag(name: str, *inside: Markup, **attributes: object) -> Markup:
    """An element; `class_` is its class, other underscores are hyphens."""
    parts = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(number(value) if isinstance(value, float) else value)}"'
        for key, value in attributes.items()
    ]
    # Every piece was escaped when it was made. Never self-closing: HTML knows that only of its empty elements.
    return Markup(f"<{name}{''.join(parts)}>{''.join(inside)}</{name}>")  # noqa: S704


def text(content: str, *, x: float, y: float, anchor: str = "start", class_: str = "name") -> Markup:
    """Words at a point of the picture."""
    return tag("text", escape(content), x=x, y=y, text_anchor=anchor, class_=class_)


def picture(width: int, height: int, label: str, parts: Iterable[Markup]) -> Markup:
    """The whole drawing; `label` says what it shows to those who cannot see it."""
    return tag(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=label,
    )
