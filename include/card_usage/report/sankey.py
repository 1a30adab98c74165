"""Sankey: the flow of records from the HIS over the ledger to what became of them, as SVG.

Three columns: the HIS, the ledger, and the outcomes. What only one side has stands below the other side's column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from markupsafe import Markup

from card_usage.report.svg import REST, TONES, number, picture, tag, text
from card_usage.words.catalogue import Words


class Node(NamedTuple):
    """One place in the flow. `kind`: names its colour."""

    kind: str
    name: str
    events: int


class Flow(NamedTuple):
    """All places. `source` None: the HIS was not counted. Outcomes without events are left out of the drawing."""

    source: Node | None
    staged: Node
    late: Node
    vanished: Node
    outcomes: Sequence[Node]

    @property
    def whole(self) -> int:
        """Records that stand in the fuller of the first two columns."""
        source = self.source.events if self.source else 0
        return max(self.staged.events + self.late.events, source + self.vanished.events, 1)

    @property
    def common(self) -> int:
        """Records that both HIS and ledger have."""
        if self.source is None:
            return 0
        return min(self.source.events - self.late.events, self.staged.events - self.vanished.events)


_TOP = 46


@dataclass(slots=True)
class _Drawing:
    """What is drawn so far. `foot`: how far down it reaches; `scale`: px for one record."""

    words: Words
    width: int
    scale: float
    columns: tuple[int, int, int]
    box_width: int
    foot: float = 0.0
    parts: list[Markup] = field(default_factory=list)

    @property
    def roomy(self) -> bool:
        """Whether an outcome's name, figure and share fit on one line."""
        return self.width > 500

    def box(self, column: int, y: float, size: float, kind: str) -> None:
        """The bar of a node."""
        colour = TONES.get(kind, REST)
        self.parts.append(
            tag("rect", x=self.columns[column], y=y, width=self.box_width, height=size, rx=2, fill=colour)
        )

    def band(self, column: int, y1: float, size1: float, y2: float, size2: float, kind: str) -> None:
        """The curved band from a column to the next one."""
        x1, x2 = self.columns[column] + self.box_width, self.columns[column + 1]
        half = (x1 + x2) / 2
        upper = _points((half, y1), (half, y2), (x2, y2))
        lower = _points((half, y2 + size2), (half, y1 + size1), (x1, y1 + size1))
        path = f"M{_points((x1, y1))}C{upper}V{number(y2 + size2)}C{lower}Z"
        self.parts.append(tag("path", d=path, fill=TONES.get(kind, REST), class_="band"))

    def heading(self, column: int, node: Node) -> None:
        """Name and figure above a column."""
        self.parts.append(text(node.name, x=self.columns[column], y=14, class_="name"))
        self.parts.append(text(self.words.number(node.events), x=self.columns[column], y=35, class_="count"))

    def label(self, content: str, *, x: float, y: float, class_: str, anchor: str = "start") -> None:
        """Words beside a node."""
        self.parts.append(text(content, x=x, y=y, anchor=anchor, class_=class_))


def _points(*points: tuple[float, float]) -> str:
    return " ".join(f"{number(x)} {number(y)}" for x, y in points)


def draw(flow: Flow, words: Words, *, width: int, label: str) -> Markup:
    """The picture, drawn for a width in px."""
    roomy = width > 500
    drawing = _Drawing(
        words=words,
        width=width,
        scale=(150 if roomy else 170) / flow.whole,
        columns=(2, round(width * 0.34), round(width * (0.66 if roomy else 0.64))),
        box_width=14 if roomy else 12,
    )
    _source(drawing, flow)
    _staged(drawing, flow)
    if flow.source is not None:
        _late(drawing, flow, flow.source)
        _vanished(drawing, flow, flow.source)
    _outcomes(drawing, flow)
    return picture(width, round(drawing.foot), label, drawing.parts)


def _source(drawing: _Drawing, flow: Flow) -> None:
    """The first column, with a band to the ledger for all that both have."""
    if flow.source is None:
        return
    common = flow.common * drawing.scale
    drawing.heading(0, flow.source)
    drawing.box(0, _TOP, max(flow.source.events * drawing.scale, 2), "source")
    drawing.band(0, _TOP, common, _TOP, common, "source")


def _staged(drawing: _Drawing, flow: Flow) -> None:
    """The second column."""
    size = max(flow.staged.events * drawing.scale, 2)
    drawing.heading(1, flow.staged)
    drawing.box(1, _TOP, size, "staged")
    drawing.foot = _TOP + size


def _late(drawing: _Drawing, flow: Flow, source: Node) -> None:
    """What only the HIS has: below the ledger's column, under its own name, to the right where there is room."""
    late = flow.late
    if not late.events:
        return
    y, size = _below_columns(drawing, flow, source), max(late.events * drawing.scale, 4)
    drawing.box(1, y, size, late.kind)
    drawing.band(0, _TOP + flow.common * drawing.scale, late.events * drawing.scale, y, size, late.kind)
    _one_sided(drawing, late, x=drawing.columns[1] + drawing.box_width + 6, text_y=y + 6, end=y + size)


def _vanished(drawing: _Drawing, flow: Flow, source: Node) -> None:
    """What only the ledger has: below the HIS's column; a band leaves to its right, so its name stands below it."""
    vanished = flow.vanished
    if not vanished.events:
        return
    y, size = _below_columns(drawing, flow, source), max(vanished.events * drawing.scale, 4)
    events = vanished.events * drawing.scale
    drawing.box(0, y, size, vanished.kind)
    start = _TOP + (flow.staged.events - vanished.events) * drawing.scale
    drawing.band(0, y, size, start, events, vanished.kind)
    _one_sided(drawing, vanished, x=drawing.columns[0], text_y=y + size + 14, end=y + size)


def _below_columns(drawing: _Drawing, flow: Flow, source: Node) -> float:
    return _TOP + max(source.events, flow.staged.events) * drawing.scale + 26


def _one_sided(drawing: _Drawing, node: Node, *, x: float, text_y: float, end: float) -> None:
    drawing.label(node.name, x=x, y=text_y, class_="name over")
    drawing.label(drawing.words.number(node.events), x=x, y=text_y + 18, class_="small count over")
    drawing.foot = max(drawing.foot, end, text_y + 26)


def _outcomes(drawing: _Drawing, flow: Flow) -> None:
    """The third column: what became of the ledger's events, each with its figure and share."""
    least_height, gap = 20 if drawing.roomy else 36, 8
    y, start = float(_TOP), float(_TOP)
    for outcome in flow.outcomes:
        if not outcome.events:
            continue
        size = max(outcome.events * drawing.scale, 4)
        drawing.box(2, y, size, outcome.kind)
        drawing.band(1, start, outcome.events * drawing.scale, y, size, outcome.kind)
        _outcome_text(drawing, outcome, flow.staged.events, y)
        start += outcome.events * drawing.scale
        y += max(size, least_height) + gap
    drawing.foot = max(drawing.foot, y)


def _outcome_text(drawing: _Drawing, outcome: Node, staged: int, y: float) -> None:
    x = drawing.columns[2] + drawing.box_width + 8
    count, share = drawing.words.number(outcome.events), drawing.words.share(outcome.events, staged)
    if drawing.roomy:
        drawing.label(outcome.name, x=x, y=y + 14, class_="name")
        drawing.label(count, x=drawing.width - 62, y=y + 14, anchor="end", class_="small count")
        drawing.label(share, x=drawing.width - 2, y=y + 14, anchor="end", class_="name")
    else:
        drawing.label(outcome.name, x=x, y=y + 11, class_="name")
        drawing.label(f"{count} · {share}", x=x, y=y + 28, class_="small count")
