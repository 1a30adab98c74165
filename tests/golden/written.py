"""How the golden record is written down: of long lists the first rows, and a digest of each column."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "recorded"
_FIRST = 2
_SHORT = 4
_WIDEST = 300
_LONG = 10


@dataclass(frozen=True)
class Listing:
    """Rows of one form."""

    rows: list[dict[str, Any]]

    def summary(self) -> dict[str, Any]:
        """Fit to be read and compared: a change shows in which column it is."""
        columns = self.rows[0] if self.rows else {}
        first = self.rows if len(self.rows) <= _SHORT else self.rows[:_FIRST]
        return {
            "rows": len(self.rows),
            "sha256 of columns": {name: _digest([row[name] for row in self.rows]) for name in columns},
            "first": [text if len(text := _line(row)) <= _WIDEST else text[:_WIDEST] + " ..." for row in first],
        }


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _digest(values: list[Any]) -> str:
    return hashlib.sha256("\n".join(map(_line, values)).encode()).hexdigest()[:32]


def written(value: Any, *, full: bool = False) -> str:
    """As it lies in a file. `full`: nothing left out."""

    def plain(part: Any) -> Any:
        if isinstance(part, Listing):
            return list(map(_line, part.rows)) if full else part.summary()
        if isinstance(part, dict):
            return {str(name): plain(inner) for name, inner in part.items()}
        if isinstance(part, list | tuple):
            if len(part) >= _LONG and all(isinstance(one, dict) and one.keys() == part[0].keys() for one in part):
                return plain(Listing(list(part)))
            return [plain(inner) for inner in part]
        return part

    return json.dumps(plain(value), ensure_ascii=False, indent=1, default=str) + "\n"


def recorded(topic: str) -> str:
    """What is written down of a topic."""
    return (RECORDED / f"{topic}.json").read_text(encoding="utf-8")
