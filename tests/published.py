"""Holds a report's JSON against its published schema, and allows no key that the schema does not name."""

from __future__ import annotations

import copy
from typing import Any

from card_usage.report.schemas import schema
from jsonschema import Draft202012Validator


def strict(part: Any) -> Any:
    """The schema with every object closed: what is not named is an error."""
    if isinstance(part, list):
        return [strict(one) for one in part]
    if not isinstance(part, dict):
        return part
    found = {name: strict(inner) for name, inner in part.items()}
    if "properties" in found:
        found.setdefault("additionalProperties", False)
    return found


def assert_as_published(figures: dict[str, Any]) -> None:
    """One line for each place where they part."""
    form = figures["form"].removeprefix("card-usage-").partition("/")[0]
    validator = Draft202012Validator(strict(copy.deepcopy(schema(form))))
    faults = [f"{'.'.join(map(str, one.absolute_path))}: {one.message[:200]}" for one in validator.iter_errors(figures)]
    assert faults == []
