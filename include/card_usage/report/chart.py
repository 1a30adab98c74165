"""Chart: one picture of the reports as one declaration, with its figure, its words and the schema of its figure.

All charts are declared in `card_usage.report.charts`. What a declaration says once is used everywhere: its figure goes
into the JSON, its schema into the published schemas, its drawing and words onto the pages, its rows into the sheets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from markupsafe import Markup

from card_usage.report.day_uses import Use
from card_usage.standard.code_tables import CodeTable
from card_usage.words.catalogue import Texts, Words

Figures = dict[str, Any]
Schema = Mapping[str, Any]
"""JSON Schema of one key."""

Form = Literal["day", "month", "fleet"]
FORMS: Final[tuple[Form, ...]] = ("day", "month", "fleet")

COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
TEXT: Final[Schema] = {"type": "string"}


def form_of(figures: Figures) -> Form:
    """Which report these figures are of: `card-usage-day/1` is a day's."""
    name = figures["form"].partition("/")[0].removeprefix("card-usage-")
    (form,) = (form for form in FORMS if form == name)
    return form


def described(schema: Schema, description: str) -> Schema:
    """The same schema, with what the key means."""
    return {"description": description, **schema}


def list_of(description: str, **properties: Schema) -> Schema:
    """Schema of a list of objects that have exactly these keys."""
    item = {"type": "object", "required": list(properties), "properties": properties}
    return {"description": description, "type": "array", "items": item}


class Basis(NamedTuple):
    """What figures of charts are computed from: sums of valid uses. `scenes_by_hour`: of a day, uses by scene code."""

    uses: Sequence[Use]
    tables: Mapping[str, CodeTable]
    words: Words
    scenes_by_hour: Sequence[Mapping[str, int]] | None = None


class UseRow(NamedTuple):
    """A row of the sheet of uses: under which heading, which code and name, how many uses."""

    heading: str
    code: str | None
    name: str
    events: int
    health_card: int | None


def _no_fields(figures: Figures) -> Mapping[str, object]:
    return {}


def _no_text(figures: Figures, words: Words) -> str:
    return ""


def _no_rows(figures: Figures, words: Words) -> Sequence[UseRow]:
    return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """One chart. `fields` fill the places of title and note; `foot`: a line below the chart, empty: none.

    `draw` gets the figures, the words, the chart's title and its width in px; None: there is nothing to draw. `key`
    says where in the JSON its figure stands (dotted), `figure` computes it, `schema` describes it; a chart of figures
    that the report has anyway has none of the three. `rows`: what it adds to the sheet of uses.
    """

    title: Texts
    note: Texts | None = None
    fields: Callable[[Figures], Mapping[str, object]] = _no_fields
    foot: Callable[[Figures, Words], str] = _no_text
    draw: Callable[[Figures, Words, str, int], Markup | None]
    key: str = ""
    figure: Callable[[Basis], Any] | None = None
    schema: Schema | None = None
    rows: Callable[[Figures, Words], Sequence[UseRow]] = _no_rows


class Piece(NamedTuple):
    """A part of a page beside charts that is no chart: its template, which stands in this folder."""

    template: str


Cell = tuple[Chart | Piece, ...]
"""What stands below each other in one section of a page."""

Row = tuple[Cell, ...]
"""One section over the whole width of a page, or two beside each other."""


class Page(NamedTuple):
    """Charts of a page from above: the row that every page has, then those that need uses to show."""

    trend: Row
    usage: tuple[Row, ...]

    @property
    def charts(self) -> tuple[Chart, ...]:
        """All charts of the page."""
        rows = (self.trend, *self.usage)
        return tuple(part for row in rows for cell in row for part in cell if isinstance(part, Chart))


def value_at(figures: Figures, key: str) -> Any:
    """The value at a dotted key."""
    value: Any = figures
    for name in key.split("."):
        value = value[name]
    return value
