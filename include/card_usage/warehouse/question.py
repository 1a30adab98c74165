"""Question: measures by attributes, filtered, of a period, compared, with shares; checked when it is made.

What may be asked by is declared in ATTRIBUTES: a column of the facts, a level above it, or a part of the date. Names
that a person types are looked up there; what he filters by becomes codes of columns. Nothing he types becomes SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, NamedTuple

from card_usage.errors import QuestionRefused
from card_usage.warehouse.dimensions import COLUMNS, Names
from card_usage.warehouse.indicators import Indicator
from card_usage.warehouse.schema import MEASURES, NAMES
from card_usage.words.catalogue import Words

Unit = Literal["day", "month"]
Comparison = Literal["previous", "year"]

UNKNOWN: Final = "unknown"
"""What filters by, and JSON calls, a value that the HIS does not give or nobody mapped."""


class Attribute(NamedTuple):
    """Something to ask by. `column`: the facts' column it is of, or `day`; `level`: the column of the dimension's table
    that it is, `code` for the column itself; `part`: the part of the date, as an expression of `day`."""

    name: str
    column: str
    level: str = "code"
    part: str = ""

    @property
    def unit(self) -> Unit:
        """Whether sums of months are enough to ask by it."""
        return "day" if self.name in ("day", "week", "weekday") else "month"


ATTRIBUTES: Final[Mapping[str, Attribute]] = {
    attribute.name: attribute
    for attribute in (
        Attribute("day", "day", part="day"),
        Attribute("week", "day", part="date_trunc('week', day)::DATE"),
        Attribute("month", "day", part="date_trunc('month', day)::DATE"),
        Attribute("quarter", "day", part="date_trunc('quarter', day)::DATE"),
        Attribute("year", "day", part="date_trunc('year', day)::DATE"),
        Attribute("weekday", "day", part="isodow(day)::VARCHAR"),
        Attribute("hospital", "hospital"),
        Attribute("province", "hospital", "province_code"),
        Attribute("city", "hospital", "city_code"),
        Attribute("county", "hospital", "county_code"),
        *(Attribute(name, name) for name in NAMES),
        Attribute("scene_parent", "scene", "parent"),
        Attribute("visit_kind", "scene", "visit_kind"),
        Attribute("department_parent", "department", "parent"),
        Attribute("card_group", "card_type", "card_group"),
    )
}
TIMES: Final = tuple(name for name, attribute in ATTRIBUTES.items() if attribute.column == "day")
COMPARISONS: Final[tuple[Comparison, ...]] = ("previous", "year")
_MEASURES: Final = frozenset(measure.name for measure in MEASURES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked. `figures`: measures and indicators; `codes`: column of the facts -> values that count.

    A code None stands for what is not known. Days are local, both included.
    """

    figures: tuple[str, ...]
    by: tuple[Attribute, ...]
    codes: Mapping[str, frozenset[str | None]]
    first: date
    last: date
    compare: Comparison | None = None
    top: int | None = None
    share: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Dimensions that have to be told apart, in the order of the facts."""
        wanted = {attribute.column for attribute in self.by} | self.codes.keys()
        return tuple(name for name in NAMES if name in wanted)

    @property
    def of_hospitals(self) -> bool:
        """Whether hospitals have to be told apart."""
        return "hospital" in self.codes or any(attribute.column == "hospital" for attribute in self.by)

    @property
    def unit(self) -> Unit:
        """Days, or whole months where there are any."""
        return "day" if any(attribute.unit == "day" for attribute in self.by) else "month"


def ask(
    *,
    figures: Sequence[str],
    by: Sequence[str],
    where: Sequence[str],
    first: date,
    last: date,
    names: Names,
    indicators: Mapping[str, Indicator],
    compare: Comparison | None = None,
    top: int | None = None,
    share: bool = False,
) -> Question:
    """A question of what a person typed; `where` are conditions `attribute=value,value`. Raises QuestionRefused."""
    known = [*(measure.name for measure in MEASURES), *indicators]
    for figure in figures:
        _require(figure in known, f"'{figure}' is no measure and no indicator", known)
    _require(bool(figures), "nothing is asked for", known)
    for name in by:
        _require(name in ATTRIBUTES, f"'{name}' is nothing to ask by", ATTRIBUTES)
    _require(len(set(by)) == len(by), "something is asked by twice", by)
    _require(len(set(figures)) == len(figures), "a figure is asked for twice", figures)
    _require(first <= last, f"the period ends ({last}) before it begins ({first})", ["put --from before --to"])
    codes: dict[str, frozenset[str | None]] = {}
    for condition in where:
        column, chosen = _condition(condition, names)
        codes[column] = codes[column] & chosen if column in codes else chosen
    attributes = tuple(ATTRIBUTES[name] for name in by)
    return Question(
        figures=tuple(figures),
        by=attributes,
        codes=codes,
        first=first,
        last=last,
        compare=compare,
        top=top,
        share=share,
    )


def _condition(condition: str, names: Names) -> tuple[str, frozenset[str | None]]:
    """The column that a condition is about, and the values of it that fulfil it."""
    name, equals, values = condition.partition("=")
    filters = [one for one in ATTRIBUTES if one not in TIMES]
    _require(bool(equals and values), f"'{condition}' is no condition", ["write it as channel=0401,0402"])
    _require(name in filters, f"'{name}' is nothing to filter by", filters)
    attribute = ATTRIBUTES[name]
    chosen: set[str | None] = set()
    for value in values.split(","):
        chosen |= _values(attribute, value.strip(), names)
    return attribute.column, frozenset(chosen)


def _values(attribute: Attribute, value: str, names: Names) -> Set[str | None]:
    """Values of the attribute's column that have this value, given as a code or a name."""
    if value == UNKNOWN:
        known = {code for code, of, _ in levels(attribute, names) if of is not None}
        unknown = {code for code, of, _ in levels(attribute, names) if of is None}
        return {None} | (unknown - known)
    if attribute.name == "hour":
        right = value.isascii() and value.isdigit() and int(value[:3]) < 24
        _require(right, f"'{value}' is no hour", ["0 to 23"])
        return {str(int(value))}
    wanted = value.casefold()
    found: set[str | None] = {
        code
        for code, of, texts in levels(attribute, names)
        if of is not None and wanted in (of.casefold(), *(text.casefold() for text in texts))
    }
    if attribute.name == "card_group" and "other" in {of for code, of, _ in levels(attribute, names) if code in found}:
        found.add(None)
    there = sorted({f"{of} {texts[0]}" for _, of, texts in levels(attribute, names) if of is not None})
    _require(bool(found), f"'{value}' is no {attribute.name}", there)
    return found


def levels(attribute: Attribute, names: Names) -> Iterable[tuple[str, str | None, tuple[str, ...]]]:
    """(code of the column, value of the attribute or None, names of that value: Chinese, English)."""
    if attribute.column not in COLUMNS:
        return
    columns = [name for name, _ in COLUMNS[attribute.column]]
    at = columns.index(attribute.level)
    own = {row[0]: (row[1], row[2]) for row in names.rows[attribute.column]}
    for row in names.rows[attribute.column]:
        of = row[at] or None
        if attribute.column == "hospital" and attribute.level != "code":
            text = row[columns.index(attribute.level.removesuffix("_code"))]
            yield row[0], of, (text,)
        elif attribute.level in ("visit_kind", "card_group"):
            key = f"group.{of}"
            yield row[0], of, (Words("zh")(key), Words("en")(key)) if of else ()
        else:
            yield row[0], of, own.get(of, (of or "",))


def _require(holds: bool, problem: str, there: Iterable[str]) -> None:
    """Raises QuestionRefused with what there is; of long lists the first ones."""
    if not holds:
        listed = list(there)
        more = f", ... {len(listed) - _MOST_NAMED} more" if len(listed) > _MOST_NAMED else ""
        raise QuestionRefused(problem=problem, there=f"there are: {', '.join(listed[:_MOST_NAMED])}{more}")


_MOST_NAMED: Final = 30
