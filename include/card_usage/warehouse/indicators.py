"""Indicators: figures that people define, as formulas over measures, in a small TOML file.

A formula is read by Python's own parser and holds names of measures, numbers, + - * / and brackets, nothing else.
"""

from __future__ import annotations

import ast
import operator
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from card_usage.errors import QuestionRefused
from card_usage.warehouse.schema import MEASURES

SHIPPED_FILE: Final = Path(__file__).with_name("indicators.toml")
_MEASURES: Final = frozenset(measure.name for measure in MEASURES)
_OPERATORS: Final[Mapping[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_MOST_LETTERS: Final = 500

Format = Literal["count", "number", "share"]


class Indicator(BaseModel):
    """One indicator. `warn_below`, `warn_above`: what lies outside is marked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=64)
    name_en: str = Field(default="", max_length=64)
    formula: str = Field(min_length=1, max_length=_MOST_LETTERS)
    format: Format = "number"
    warn_below: float | None = None
    warn_above: float | None = None

    @property
    def measures(self) -> frozenset[str]:
        """Measures that the formula names."""
        return frozenset(node.id for node in ast.walk(_tree(self.formula)) if isinstance(node, ast.Name))

    def value(self, measures: Mapping[str, int | float]) -> float | None:
        """The figure of these sums; None where the formula divides by zero."""
        try:
            return _value(_tree(self.formula), measures)
        except ZeroDivisionError:
            return None

    def warns(self, value: float | None) -> bool:
        """Whether the figure lies outside of its limits."""
        if value is None:
            return False
        low, high = self.warn_below, self.warn_above
        return (low is not None and value < low) or (high is not None and value > high)


def load_indicators(own: Path | None = None) -> Mapping[str, Indicator]:
    """The indicators that ship, and those of a file of one's own. Raises QuestionRefused (file, indicator, reason)."""
    return _read(SHIPPED_FILE) | (_read(own) if own is not None else {})


def _read(path: Path) -> dict[str, Indicator]:
    def refuse(problem: str, there: str) -> QuestionRefused:
        return QuestionRefused(problem=f"{path.as_posix()}: {problem}", there=there)

    try:
        found = TypeAdapter(dict[str, Indicator]).validate_python(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise refuse(f"cannot be read, {error.strerror}", "name a file of indicators, or none") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise refuse("is no TOML in UTF-8", "the form is that of docs/warehouse.md") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "(file)"
        raise refuse(f"{where}: {first['msg']}", "the form is that of docs/warehouse.md") from None
    for name, indicator in found.items():
        if not name.isidentifier() or name in _MEASURES:
            raise refuse(f"'{name}' is no name for an indicator", "letters, digits and _, and not a measure's name")
        try:
            unknown = sorted(indicator.measures - _MEASURES)
            indicator.value(dict.fromkeys(_MEASURES, 1))
        except ValueError:
            there = "measures, numbers, + - * / and brackets"
            raise refuse(f"the formula of '{name}' cannot be read", f"it may hold {there}") from None
        if unknown:
            raise refuse(
                f"'{name}' names {unknown[0]}, which is no measure", f"there are: {', '.join(sorted(_MEASURES))}"
            )
    return found


def _tree(formula: str) -> ast.expr:
    try:
        return ast.parse(formula, mode="eval").body
    except (SyntaxError, MemoryError, RecursionError):
        raise ValueError("no formula") from None


def _value(node: ast.expr, measures: Mapping[str, int | float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.Name(id=name):
            return measures.get(name, 0)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, measures)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, measures), _value(right, measures))
    raise ValueError("no formula")
