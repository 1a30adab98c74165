"""Schemas: the published JSON Schemas of the reports' JSON, <form>.schema.json in this folder, and their keys for docs.

What charts say of themselves (`card_usage.report.charts`) is written into the files by `make docs`, with a comment that
says so; all else is written by hand. New keys may come at any time; `form` changes when one goes or changes its
meaning. Tests hold every JSON that is made against its schema, with no key that the schema lacks.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from card_usage.report.chart import Form
from card_usage.report.charts import charts_of

HERE: Final = Path(__file__).parent
GENERATED: Final = "declared in card_usage.report.charts"


def path_of(form: Form) -> Path:
    """The published file."""
    return HERE / f"{form}.schema.json"


@cache
def schema(form: Form) -> dict[str, Any]:
    """The schema of a report's JSON (JSON Schema 2020-12)."""
    published: dict[str, Any] = json.loads(path_of(form).read_text(encoding="utf-8"))
    return published


def assembled(form: Form) -> str:
    """The published file as it must be: what is written by hand, with the schemas of all charts that are declared."""
    whole = copy.deepcopy(schema(form))
    declared: dict[str, dict[str, Any]] = {}
    for key, chart in charts_of(form).items():
        above, _, name = key.rpartition(".")
        declared.setdefault(above, {})[name] = {"$comment": GENERATED, **(chart.schema or {})}
    for parent in ("", "uses", "usage"):
        _replace_generated(whole["properties"][parent] if parent else whole, declared.get(parent, {}))
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def _replace_generated(parent: dict[str, Any], declared: dict[str, dict[str, Any]]) -> None:
    """Put these in the place of all generated keys; those that stay keep their place."""
    properties, required = parent["properties"], parent["required"]
    for name in [name for name, part in properties.items() if part.get("$comment") == GENERATED]:
        if name not in declared:
            del properties[name]
            required.remove(name)
    properties |= declared
    required += [name for name in declared if name not in required]


def refresh(form: Form, *, write: bool) -> Path | None:
    """The published file if it was not as it must be, else None. `write`: it is now."""
    path, text = path_of(form), assembled(form)
    if path.read_text(encoding="utf-8") == text:
        return None
    if write:
        path.write_text(text, encoding="utf-8")
        schema.cache_clear()
    return path


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


def _table(form: Form) -> str:
    rows = [f"| `{key}` | {meaning} |" for key, meaning in keys(schema(form))]
    return "\n".join(["| Key | Meaning |", "| --- | --- |", *rows])
