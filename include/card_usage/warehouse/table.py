"""Table: an answer as columns and rows with names, for people, spreadsheets and programs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from card_usage.files.xlsx import Column, Kind, Sheet, Value
from card_usage.warehouse.answer import Answer, Row
from card_usage.warehouse.dimensions import Names
from card_usage.warehouse.engine import Engine
from card_usage.warehouse.indicators import Indicator
from card_usage.warehouse.question import UNKNOWN, Attribute, levels
from card_usage.words.catalogue import Words

_CODED_TIMES = ("hour", "weekday")


class Labels:
    """Names of attributes' values and of figures in one language."""

    def __init__(self, names: Names, indicators: Mapping[str, Indicator], words: Words) -> None:
        self._names, self._indicators, self._words = names, indicators, words
        self._known: dict[str, dict[str, str]] = {}

    def attribute(self, attribute: Attribute) -> str:
        """What it is called."""
        return self._words(f"dimension.{attribute.name}")

    def value(self, attribute: Attribute, value: Any) -> str:
        """What one of its values is called."""
        if value is None:
            return self._words("ask.unknown")
        if isinstance(value, date):
            return f"{value:%Y-%m}" if attribute.name == "month" else value.isoformat()
        if attribute.name == "weekday":
            return self._words(f"weekday.{value}")
        if attribute.name == "hour":
            return self._words.hour(value)
        known = self._known.get(attribute.name)
        if known is None:
            at = 0 if self._words.language == "zh" else 1
            found = list(levels(attribute, self._names))
            known = {
                of: texts[min(at, len(texts) - 1)] or texts[0] for _, of, texts in found if of is not None and texts
            }
            if attribute.name == "card_group":
                known["other"] = self._words("group.other")
            self._known[attribute.name] = known
        return known.get(value, str(value))

    def figure(self, name: str) -> str:
        """What a measure or an indicator is called."""
        if name in self._indicators:
            indicator = self._indicators[name]
            return indicator.name if self._words.language == "zh" else indicator.name_en or indicator.name
        return self._words(f"measure.{name}")

    def kind(self, name: str) -> Kind:
        """How a figure is written."""
        return self._indicators[name].format if name in self._indicators else "count"


def sheet(answer: Answer, names: Names, indicators: Mapping[str, Indicator], words: Words) -> Sheet:
    """One row for each row of the answer: name and, where it has one, code of each attribute; then the figures."""
    labels = Labels(names, indicators, words)
    question = answer.question
    columns: list[Column] = []
    for attribute in question.by:
        columns.append(Column(labels.attribute(attribute), "day" if attribute.name == "day" else "text"))
        if _has_code(attribute):
            columns.append(Column(f"{labels.attribute(attribute)} {words('head.code')}", "code"))
    for name in question.figures:
        columns += _figure_columns(name, answer, labels, words)
    rows = [[*_named(row, question.by, labels), *_figures(row, answer, indicators)] for row in answer.rows]
    return Sheet(title=words("ask.title"), columns=tuple(columns), rows=rows)


def total_row(answer: Answer, indicators: Mapping[str, Indicator]) -> list[Value]:
    """The figures of all rows together, below those of the sheet."""
    return _figures(answer.total, answer, indicators)


def _has_code(attribute: Attribute) -> bool:
    return attribute.column != "day" and attribute.name != "hour"


def _named(row: Row, by: tuple[Attribute, ...], labels: Labels) -> list[Value]:
    cells: list[Value] = []
    for attribute, value in zip(by, row.key, strict=True):
        cells.append(value if attribute.name == "day" else labels.value(attribute, value))
        if _has_code(attribute):
            cells.append("" if value is None else str(value))
    return cells


def _figure_columns(name: str, answer: Answer, labels: Labels, words: Words) -> list[Column]:
    label, kind = labels.figure(name), labels.kind(name)
    columns = [Column(label, kind)]
    if answer.question.share and kind == "count":
        columns.append(Column(words("ask.share", name=label), "share"))
    if answer.question.compare is not None:
        columns += [Column(words("ask.before", name=label), kind), Column(words("ask.change", name=label), "share")]
    return columns


def _figures(row: Row, answer: Answer, indicators: Mapping[str, Indicator]) -> list[Value]:
    cells: list[Value] = []
    for name in answer.question.figures:
        figure = row.figures[name]
        cells.append(_rounded(figure))
        if answer.question.share and (name not in indicators or indicators[name].format == "count"):
            cells.append(_ratio(figure, answer.total.figures[name]))
        if answer.question.compare is not None:
            before = row.before[name]
            change = None if figure is None or before is None else figure - before
            cells += [_rounded(before), _ratio(change, before)]
    return cells


def _rounded(figure: float | None) -> int | float | None:
    return figure if figure is None or isinstance(figure, int) else round(figure, 4)


def _ratio(part: float | None, of: float | None) -> float | None:
    return round(part / of, 4) if part is not None and of else None


def outside(row: Row, indicators: Mapping[str, Indicator]) -> list[str]:
    """Indicators of the row that lie outside of their limits."""
    return [name for name, figure in row.figures.items() if name in indicators and indicators[name].warns(figure)]


def plain(answer: Answer, names: Names, indicators: Mapping[str, Indicator], words: Words) -> dict[str, Any]:
    """The answer for programs: codes and names of each row's values, figures under their own names."""
    labels = Labels(names, indicators, words)
    question = answer.question

    def figures(row: Row) -> dict[str, Any]:
        found: dict[str, Any] = {name: _rounded(figure) for name, figure in row.figures.items()}
        if question.share:
            shares = {
                f"{name}_share": _ratio(row.figures[name], answer.total.figures[name])
                for name in question.figures
                if name not in indicators or indicators[name].format == "count"
            }
            found |= shares
        if question.compare is not None:
            found |= {f"{name}_before": _rounded(figure) for name, figure in row.before.items()}
        marked = outside(row, indicators)
        return found | ({"outside": marked} if marked else {})

    rows = []
    for row in answer.rows:
        values: dict[str, Any] = {}
        for attribute, value in zip(question.by, row.key, strict=True):
            code = value.isoformat() if isinstance(value, date) else UNKNOWN if value is None else value
            values |= {attribute.name: code, f"{attribute.name}_name": labels.value(attribute, value)}
        rows.append(values | figures(row))
    return {
        "first": question.first.isoformat(),
        "last": question.last.isoformat(),
        "compare": question.compare,
        "rows": rows,
        "rows_left_out": answer.left_out,
        "total": figures(answer.total),
    }


def parquet(answer: Answer, names: Names, indicators: Mapping[str, Indicator], words: Words, engine: Engine) -> bytes:
    """The rows as a Parquet file; columns are called as in JSON."""
    kinds = {"count": "BIGINT", "number": "DOUBLE", "share": "DOUBLE"}
    question = answer.question
    columns: list[tuple[str, str]] = []
    for attribute in question.by:
        columns += [(attribute.name, "VARCHAR"), (f"{attribute.name}_name", "VARCHAR")]
    for name in question.figures:
        kind = kinds[indicators[name].format] if name in indicators else "BIGINT"
        columns.append((name, "DOUBLE" if name in indicators else kind))
        if question.share and (name not in indicators or indicators[name].format == "count"):
            columns.append((f"{name}_share", "DOUBLE"))
        if question.compare is not None:
            columns.append((f"{name}_before", "DOUBLE"))
    rows = plain(answer, names, indicators, words)["rows"]
    engine.insert(
        "answer", columns, [[row[name] if row[name] is None else str(row[name]) for name, _ in columns] for row in rows]
    )
    return engine.spooled("from answer").read_bytes()
