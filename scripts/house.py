"""Draws the layers of the domain from the import contract that holds them: docs/images/house.svg.

One box a package or module, one row a layer, in the order of `layers` in pyproject.toml; what stands in a box is the
first sentence of its docstring. So the picture cannot say anything that the contract and the code do not.
"""

from __future__ import annotations

import ast
import textwrap
import tomllib
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
PICTURE: Final = ROOT / "docs" / "images" / "house.svg"
PACKAGE: Final = "card_usage"

WIDTH: Final = 1200
MARGIN: Final = 16
GAP: Final = 10
HEAD: Final = 30
LINE: Final = 14
CHARACTER: Final = 6.1
"""Width of one character of the small text, in pixels, on average."""


class Room(NamedTuple):
    """A package or module of the domain: its name, what it is for, and whether it is a package."""

    name: str
    purpose: str
    package: bool


def layers(root: Path = ROOT) -> list[list[Room]]:
    """The rows of the picture, the top layer first."""
    contracts = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (declared,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    domain = root / "include" / PACKAGE
    return [[room(domain, name.strip()) for name in layer.split("|")] for layer in declared]


def room(domain: Path, name: str) -> Room:
    """A package or module by its name, with the first sentence of its docstring."""
    package = (domain / name).is_dir()
    file = domain / name / "__init__.py" if package else domain / f"{name}.py"
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    first = " ".join(docstring.split("\n\n")[0].split())
    _, colon, purpose = first.partition(": ")
    return Room(name, (purpose if colon else first).rstrip("."), package)


def draw(rows: list[list[Room]]) -> str:
    """The picture as SVG text."""
    boxes: list[str] = []
    top = MARGIN
    for row in rows:
        width = (WIDTH - 2 * MARGIN - GAP * (len(row) - 1)) / len(row)
        texts = [textwrap.wrap(each.purpose, int((width - 20) / CHARACTER)) for each in row]
        height = HEAD + LINE * max(map(len, texts)) + 8
        for place, (each, lines) in enumerate(zip(row, texts, strict=True)):
            boxes.append(_box(each, lines, MARGIN + place * (width + GAP), top, width, height))
        top += height + GAP
    title = "The layers of the domain: a package imports only what stands below it"
    return "\n".join(
        (
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + MARGIN - GAP:.0f}" role="img"'
                f' aria-label="{title}" font-family="system-ui, sans-serif" fill="#0f172a">'
            ),
            f"  <title>{title}</title>",
            f'  <rect width="{WIDTH}" height="{top + MARGIN - GAP:.0f}" fill="#ffffff"/>',
            *boxes,
            "</svg>\n",
        )
    )


def _box(each: Room, lines: list[str], left: float, top: float, width: float, height: float) -> str:
    fill, stroke = ("#eff6ff", "#3b82f6") if each.package else ("#f8fafc", "#64748b")
    name = f"{each.name}/" if each.package else f"{each.name}.py"
    texts = "".join(
        f'<text x="{left + 10:.0f}" y="{top + HEAD + 8 + number * LINE:.0f}" font-size="11.5" fill="#475569">'
        f"{escape(line)}</text>"
        for number, line in enumerate(lines)
    )
    return (
        f'  <rect x="{left:.0f}" y="{top:.0f}" width="{width:.0f}" height="{height:.0f}" rx="8" fill="{fill}"'
        f' stroke="{stroke}"/><text x="{left + 10:.0f}" y="{top + 21:.0f}" font-weight="600" font-size="14">'
        f"{escape(name)}</text>{texts}"
    )


def current() -> str:
    """The picture as it should be now."""
    return draw(layers())
