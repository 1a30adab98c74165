"""Charts of the report, drawn as SVG by ourselves: no script, no font and no picture from anywhere else.

Promises: colours are told apart with any colour vision (after Okabe and Ito) and never carry meaning alone; every
chart has its figures as text; the same figures give the same bytes. Each is drawn for the width that it is shown in
(a phone gets its own), so that letters stay readable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from markupsafe import Markup, escape

from card_usage.words.catalogue import Words

WIDE: Final = 880
NARROW: Final = 350
PALETTE: Final = ("#0072b2", "#e69f00", "#009e73", "#56b4e9", "#d55e00", "#cc79a7")
REST: Final = "#9aa5b1"
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
    "voided": "#9aa5b1",
    "late_in_source": "#d55e00",
    "vanished_from_source": "#d55e00",
}


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
    left, right, top, bottom = 50, 6, 22, 26
    roomy = width > 500
    height = 270 if roomy else 230
    plot_width, plot_height = width - left - right, height - top - bottom
    totals = [sum(one.values[at] for one in series) for at in range(len(categories))]
    peak = max(totals, default=0)
    step = _step(peak)
    ceiling = max(step, -(-peak // step) * step)
    scale = plot_height / ceiling
    room = plot_width / max(len(categories), 1)
    bar = room * 0.74
    parts = []
    for tick in range(0, ceiling + 1, step):
        y = top + plot_height - tick * scale
        parts.append(_tag("line", x1=left, x2=width - right, y1=y, y2=y, class_="grid" if tick else "axis"))
        parts.append(_text(words.number(tick), x=left - 7, y=y + 4, anchor="end", class_="tick"))
    for at, category in enumerate(categories):
        x = left + at * room + (room - bar) / 2
        base = float(top + plot_height)
        inside = []
        for position, one in enumerate(series):
            size = one.values[at] * scale
            if size <= 0:
                continue
            base -= size
            # A hair of white between two colours, so that they part without colour vision too.
            drawn = max(size - (0.8 if size > 3 else 0), 0.3)
            inside.append(_tag("rect", x=x, y=base, width=bar, height=drawn, fill=_colour(position, one)))
        if inside:
            lines = [f"{category.name}: {words.number(totals[at])}"]
            lines += [f"{one.name} {words.number(one.values[at])}" for one in series if one.values[at]]
            parts.append(_tag("g", _tag("title", escape("\n".join(lines))), *inside))
        if category.tick and (roomy or category.narrow):
            parts.append(_text(category.tick, x=x + bar / 2, y=height - 9, anchor="middle", class_="tick"))
        if peak and totals[at] == peak and totals.index(peak) == at:
            # Kept inside the picture at either end.
            middle = min(max(x + bar / 2, left + 18), width - right - 18)
            parts.append(_text(words.number(peak), x=middle, y=base - 6, anchor="middle", class_="peak"))
    return _svg(width, height, label, parts)


def legend(series: Sequence[Series], words: Words) -> Markup:
    """The colours of `hours` with their names and sums, as a list."""
    entries = [
        _tag(
            "li",
            _tag("span", class_="swatch", style=f"background:{_colour(position, one)}"),
            escape(one.name),
            _tag("b", escape(words.number(sum(one.values)))),
        )
        for position, one in enumerate(series)
    ]
    return _tag("ul", *entries, class_="legend")


def bars(shares: Sequence[Share], total: int, words: Words, *, width: int, label: str) -> Markup:
    """Shares as lying bars, each with its name, figure and percentage."""
    row, name_width, figure_width = 30, min(150, round(width * 0.36)), 104
    room = width - name_width - figure_width
    most = max((one.events for one in shares), default=0)
    parts = []
    for position, one in enumerate(shares):
        y = position * row
        size = max(room * one.events / most, 1.5) if one.events else 0
        figures = f"{words.number(one.events)} · {words.share(one.events, total)}"
        parts.append(_text(_shortened(one.name, name_width - 10), x=name_width - 10, y=y + 20, anchor="end"))
        bar = _tag(
            "rect", x=name_width, y=y + 6, width=size, height=row - 12, rx=2, fill=REST if one.rest else PALETTE[0]
        )
        parts.append(_tag("g", _tag("title", escape(f"{one.name}: {figures}")), bar))
        parts.append(_text(figures, x=name_width + size + 8, y=y + 20, class_="figure"))
    return _svg(width, max(row * len(shares), row), label, parts)


class Node(NamedTuple):
    """A place in the flow: its class, its name and its figure."""

    kind: str
    name: str
    events: int


def flow(
    source: Node | None,
    staged: Node,
    late: Node,
    vanished: Node,
    outcomes: Iterable[Node],
    words: Words,
    *,
    width: int,
    label: str,
) -> Markup:
    """The way of a day's records: HIS, ledger, and where each stands now. Heights are figures, never too thin to see.

    `source` None: the HIS was not counted. Outcomes without events are left out.
    """
    shown = [one for one in outcomes if one.events]
    roomy = width > 500
    body, top, node, gap = (150, 46, 14, 8) if roomy else (170, 46, 12, 8)
    row = 20 if roomy else 36
    whole = max(staged.events + late.events, (source.events if source else 0) + vanished.events, 1)
    scale = body / whole
    columns = (2, round(width * 0.34), round(width * (0.66 if roomy else 0.64)))
    parts: list[Markup] = []

    def box(column: int, y: float, size: float, kind: str) -> None:
        parts.append(_tag("rect", x=columns[column], y=y, width=node, height=size, rx=2, fill=TONES.get(kind, REST)))

    def band(column: int, y1: float, size1: float, y2: float, size2: float, kind: str) -> None:
        x1, x2 = columns[column] + node, columns[column + 1]
        half = (x1 + x2) / 2
        path = (
            f"M{_n(x1)} {_n(y1)}C{_n(half)} {_n(y1)} {_n(half)} {_n(y2)} {_n(x2)} {_n(y2)}V{_n(y2 + size2)}"
            f"C{_n(half)} {_n(y2 + size2)} {_n(half)} {_n(y1 + size1)} {_n(x1)} {_n(y1 + size1)}Z"
        )
        parts.append(_tag("path", d=path, fill=TONES.get(kind, REST), class_="band"))

    def heading(column: int, one: Node) -> None:
        parts.append(_text(one.name, x=columns[column], y=14, class_="name"))
        parts.append(_text(words.number(one.events), x=columns[column], y=35, class_="count"))

    staged_size = max(staged.events * scale, 2)
    common = min(source.events - late.events, staged.events - vanished.events) if source else 0
    if source:
        heading(0, source)
        box(0, top, max(source.events * scale, 2), "source")
        band(0, top, common * scale, top, common * scale, "source")
    heading(1, staged)
    box(1, top, staged_size, "staged")
    foot = top + staged_size
    for one, column in ((late, 1), (vanished, 0)):
        if not one.events or source is None:
            continue
        # What only one side has stands below the other side's column, under its own name.
        size = max(one.events * scale, 4)
        y = top + max(source.events, staged.events) * scale + 26
        box(column, y, size, one.kind)
        if column == 1:
            band(0, top + common * scale, late.events * scale, y, size, one.kind)
        else:
            band(0, y, size, top + (staged.events - one.events) * scale, one.events * scale, one.kind)
        # To the right there is room only beside the second column; a band leaves the first.
        x, below = (columns[1] + node + 6, y + 6) if column else (columns[0], y + size + 14)
        parts.append(_text(one.name, x=x, y=below, class_="name over"))
        parts.append(_text(words.number(one.events), x=x, y=below + 18, class_="small count over"))
        foot = max(foot, y + size, below + 26)
    y, start = float(top), float(top)
    for one in shown:
        size = max(one.events * scale, 4)
        box(2, y, size, one.kind)
        band(1, start, one.events * scale, y, size, one.kind)
        x = columns[2] + node + 8
        count, share = words.number(one.events), words.share(one.events, staged.events)
        if roomy:
            parts.append(_text(one.name, x=x, y=y + 14, class_="name"))
            parts.append(_text(count, x=width - 62, y=y + 14, anchor="end", class_="small count"))
            parts.append(_text(share, x=width - 2, y=y + 14, anchor="end", class_="name"))
        else:
            parts.append(_text(one.name, x=x, y=y + 11, class_="name"))
            parts.append(_text(f"{count} · {share}", x=x, y=y + 28, class_="small count"))
        start += one.events * scale
        y += max(size, row) + gap
    return _svg(width, round(max(foot, y)), label, parts)


def _colour(position: int, one: Series) -> str:
    return one.tone or PALETTE[position] if position < len(PALETTE) else REST


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


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _tag(name: str, *inside: Markup, **attributes: object) -> Markup:
    parts = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(_n(value) if isinstance(value, float) else value)}"'
        for key, value in attributes.items()
    ]
    # Every piece was escaped when it was made. Never self-closing: HTML knows that only of its empty elements.
    return Markup(f"<{name}{''.join(parts)}>{''.join(inside)}</{name}>")  # noqa: S704


def _text(text: str, *, x: float, y: float, anchor: str = "start", class_: str = "name") -> Markup:
    return _tag("text", escape(text), x=x, y=y, text_anchor=anchor, class_=class_)


def _svg(width: int, height: int, label: str, parts: Iterable[Markup]) -> Markup:
    return _tag(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=label,
    )
