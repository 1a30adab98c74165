"""The published JSON Schemas of the reports' JSON: <form>.schema.json in this folder, and their keys for the documents.

New keys may come at any time; `form` changes when one goes or changes its meaning. Tests hold every JSON that is made
against its schema, with no key that the schema lacks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

FORMS: Final = ("day", "month", "fleet")


@cache
def schema(form: str) -> dict[str, Any]:
    """The schema of one of FORMS (JSON Schema 2020-12)."""
    path = Path(__file__).parent / f"{form}.schema.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def keys(part: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """(dotted key, meaning) of all below: `[]` is an element of a list, `*` a key that is itself a code."""
    for name, inner in part.get("properties", {}).items():
        yield from _key(f"{path}.{name}" if path else name, inner)
    if isinstance(inner := part.get("additionalProperties"), dict):
        yield from _key(f"{path}.*", inner)
    if isinstance(inner := part.get("items"), dict):
        yield from keys(inner, f"{path}[]")


def _key(path: str, part: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield path, part.get("description", "")
    yield from keys(part, path)


def day_keys() -> str:
    """For docs/report-json.md."""
    return _table("day")


def month_keys() -> str:
    """For docs/report-json.md."""
    return _table("month")


def fleet_keys() -> str:
    """For docs/report-json.md."""
    return _table("fleet")


def _table(form: str) -> str:
    rows = [f"| `{key}` | {meaning} |" for key, meaning in keys(schema(form))]
    return "\n".join(["| Key | Meaning |", "| --- | --- |", *rows])
