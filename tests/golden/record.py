"""All topics of the golden record, computed; and how a computed topic differs from what is written down of it."""

from __future__ import annotations

import tempfile
from difflib import unified_diff
from pathlib import Path
from typing import Any

from golden import day, outcomes, trouble
from golden.written import recorded, written

_MOST_LINES = 120


def compute() -> dict[str, Any]:
    """By topic, what the code does now."""
    with tempfile.TemporaryDirectory(prefix="golden_") as folder:
        home = Path(folder)
        return outcomes.compute() | trouble.play(home / "trouble") | day.play(home / "day")


def difference(topic: str, value: Any) -> str:
    """Lines that differ, '' if none do."""
    lines = list(
        unified_diff(
            recorded(topic).splitlines(), written(value).splitlines(), "recorded", "computed", lineterm="", n=4
        )
    )
    more = len(lines) - _MOST_LINES
    return "\n".join(lines[:_MOST_LINES] + ([f"... and {more} lines more"] if more > 0 else []))
