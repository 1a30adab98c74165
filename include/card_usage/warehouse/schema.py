"""Schema: what the files of the warehouse hold. docs/warehouse.md is written from it; a change of it is a new VERSION.

`uses` has one row for each mix of dimensions that a hospital's day has. `cube` and `fleet` are sums of it made in
advance: a row belongs to one `grain`, the set of dimensions that it is told apart by; the others are null in it.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final, Literal, NamedTuple

from card_usage.standard.id_numbers import HEALTH_CARD
from card_usage.standard.visits import REGISTRATIONS

VERSION: Final = 1

OUTCOMES: Final = ("delivered", "waiting", "quarantined", "refused", "unconfirmed", "voided")
"""What became of a record: waiting is ready, held, in flight or without an answer; voided was never sent."""
LONGER: Final = "longer"
"""Delay band beyond the last bound."""


class Dimension(NamedTuple):
    """A column of `uses`. `type`: its type in Parquet; null: the HIS gives none, or nobody mapped it."""

    name: str
    type: str
    meaning: str


DIMENSIONS: Final = (
    Dimension("hour", "UTINYINT", "local hour of the use, 0 to 23"),
    Dimension("scene", "VARCHAR", "用卡环节, code of 3.3.1"),
    Dimension("department", "VARCHAR", "用卡科室, code of the standard departments"),
    Dimension("channel", "VARCHAR", "用卡渠道, code of 3.3.3"),
    Dimension("card_type", "VARCHAR", "证件类型, code of 3.3.2"),
    Dimension("cost_type", "VARCHAR", "用卡费别, code of 3.3.4"),
    Dimension("outcome", "VARCHAR", f"what became of the record: {', '.join(OUTCOMES)}"),
    Dimension(
        "delay",
        "VARCHAR",
        "of delivered records, the time from use to answer: up to so many minutes, `longer` beyond the last bound",
    ),
)
NAMES: Final = tuple(dimension.name for dimension in DIMENSIONS)


class Measure(NamedTuple):
    """A sum. `of_uses`: how it is computed from rows of `uses`; `cube` and `fleet` hold it as a column."""

    name: str
    of_uses: str
    meaning: str


def _valid(condition: str) -> str:
    return f"sum(uses) filter (where {condition})"


_HEALTH: Final = f"card_type = '{HEALTH_CARD}'"
_VISIT: Final = f"scene in ({', '.join(repr(code) for code in REGISTRATIONS)})"

MEASURES: Final = (
    Measure("records", "sum(records)", "records of the ledger, refunded ones too"),
    Measure("uses", "sum(uses)", "valid uses: records that were not refunded (用卡次数)"),
    Measure("health_card_uses", _valid(_HEALTH), "valid uses with an electronic health card (card type 11)"),
    Measure("visits", _valid(_VISIT), "valid registrations (挂号、预约挂号、当日挂号)"),
    Measure("health_card_visits", _valid(f"{_VISIT} and {_HEALTH}"), "valid registrations with a health card"),
    Measure("delivered", "sum(records) filter (where outcome = 'delivered')", "records that the platform accepted"),
)

Level = Literal["day", "month"]


class Grain(NamedTuple):
    """A set of dimensions that `cube` holds sums by. `level` day: for each day; month: `day` is the month's first."""

    level: Level
    dimensions: tuple[str, ...]

    @property
    def name(self) -> str:
        """As the column `grain` has it."""
        return grain_name(self.dimensions)


def grain_name(dimensions: tuple[str, ...]) -> str:
    """The name of a set of dimensions that stand in the order of DIMENSIONS."""
    return "+".join(dimensions) or "total"


MOST: Final[dict[Level, int]] = {"day": 2, "month": 3}
"""So many dimensions, beside hospital and time, are summed in advance."""


def grains(level: Level) -> tuple[Grain, ...]:
    """Every set of dimensions that is summed in advance."""
    return tuple(Grain(level, chosen) for size in range(MOST[level] + 1) for chosen in combinations(NAMES, size))


CUBE_COLUMNS: Final = (
    ("level", "VARCHAR"),
    ("grain", "VARCHAR"),
    ("hospital", "VARCHAR"),
    ("day", "DATE"),
    *((dimension.name, dimension.type) for dimension in DIMENSIONS),
    *((measure.name, "BIGINT") for measure in MEASURES),
)
USES_COLUMNS: Final = (
    ("hospital", "VARCHAR"),
    ("day", "DATE"),
    *((dimension.name, dimension.type) for dimension in DIMENSIONS),
    ("records", "INTEGER"),
    ("uses", "INTEGER"),
)


def tables() -> str:
    """Columns of the files as Markdown, for docs/warehouse.md."""
    rows = ["| Column | Type | What it is |", "| --- | --- | --- |"]
    rows += ["| `hospital` | VARCHAR | id of the hospital |", "| `day` | DATE | local day |"]
    rows += [f"| `{one.name}` | {one.type} | {one.meaning} |" for one in DIMENSIONS]
    rows += ["| `records` | INTEGER | records with these values |", "| `uses` | INTEGER | those not refunded |"]
    return "\n".join(rows)


def measures() -> str:
    """Measures as Markdown, for docs/warehouse.md."""
    rows = ["| Measure | From `uses` | What it counts |", "| --- | --- | --- |"]
    rows += [f"| `{one.name}` | `{one.of_uses}` | {one.meaning} |" for one in MEASURES]
    return "\n".join(rows)
