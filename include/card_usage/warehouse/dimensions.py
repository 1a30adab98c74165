"""Dimensions: names and levels behind the codes of the facts, as tables beside them and for answers.

Tables are named for their dimension; `code` joins with the column of the facts. Names are those of the code tables, in
Chinese as the document prints them, with English ones where there are any.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select

from card_usage.files.store import Store
from card_usage.ledger.counts import DELAYS
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import warehouse_hospital
from card_usage.standard.code_tables import CodeTable, load_tables
from card_usage.standard.regions import load_regions, region_of
from card_usage.standard.visits import card_group, visit_kind
from card_usage.warehouse import schema
from card_usage.warehouse.engine import Engine
from card_usage.warehouse.layout import SCHEMA, dimension_file
from card_usage.warehouse.schema import CUBE_COLUMNS, DIMENSIONS, LONGER, MEASURES, OUTCOMES, USES_COLUMNS
from card_usage.words.catalogue import Words

Columns = tuple[tuple[str, str], ...]

_CODED: Final[Columns] = (("code", "VARCHAR"), ("name", "VARCHAR"), ("name_en", "VARCHAR"), ("parent", "VARCHAR"))
_HOSPITAL: Final[Columns] = tuple(
    (name, "VARCHAR")
    for name in (
        *("code", "name", "name_en", "region"),
        *("province_code", "province", "city_code", "city", "county_code", "county"),
    )
)
COLUMNS: Final[Mapping[str, Columns]] = {
    "hospital": _HOSPITAL,
    "scene": (*_CODED, ("visit_kind", "VARCHAR")),
    "department": _CODED,
    "channel": _CODED,
    "card_type": (*_CODED, ("card_group", "VARCHAR")),
    "cost_type": _CODED,
    "outcome": _CODED[:3],
    "delay": _CODED[:3],
}
"""Dimension -> columns of its table. `parent`: the code one level up, its own at the top."""


class Names(NamedTuple):
    """Rows of every table, as COLUMNS has their columns."""

    rows: Mapping[str, Sequence[tuple[Any, ...]]]

    @classmethod
    def read(cls, connection: Connection) -> Names:
        """Code tables from their files, hospitals as the ledger remembers them."""
        zh, en = Words("zh"), Words("en")
        rows: dict[str, Sequence[tuple[Any, ...]]] = {"hospital": list(_hospitals(connection))}
        for name, table in load_tables().items():
            rows[name] = list(_coded(name, table, en))
        rows["outcome"] = [(code, zh(f"outcome.{code}"), en(f"outcome.{code}")) for code in OUTCOMES]
        rows["delay"] = [(str(bound), delay_name(bound, zh), delay_name(bound, en)) for bound in DELAYS]
        rows["delay"] = [*rows["delay"], (LONGER, zh("delay.longer"), en("delay.longer"))]
        return cls(rows)

    def load(self, engine: Engine) -> None:
        """As temporary tables dim_<name> of the engine."""
        for name, columns in COLUMNS.items():
            engine.insert(f"dim_{name}", columns, self.rows[name])


def _coded(name: str, table: CodeTable, en: Words) -> Iterator[tuple[Any, ...]]:
    for code, text in table.names.items():
        further = {"scene": (visit_kind(code),), "card_type": (card_group(code),)}.get(name, ())
        yield (code, text, en.code(name, code, text), table.parent(code) or code, *further)


def _hospitals(connection: Connection) -> Iterator[tuple[str, ...]]:
    regions = load_regions()
    for of, name, name_en, region in connection.execute(select(warehouse_hospital)):
        yield (of, name, name_en, region, *region_of(region, regions))


def delay_name(minutes: int, words: Words) -> str:
    """An upper bound of a delay in words."""
    for name, size in (("days", 1440), ("hours", 60)):
        if minutes >= size:
            return words(f"delay.{name}", n=minutes // size)
    return words("delay.minutes", n=minutes)


def publish(ledger: Ledger, store: Store) -> None:
    """Write the tables and the schema into the store, for other programs."""
    with ledger.read() as connection:
        names = Names.read(connection)
    with Engine.open(store) as engine:
        names.load(engine)
        for name in COLUMNS:
            engine.export(f"select * from dim_{name} order by all", dimension_file(name))  # noqa: S608 - a name of ours
    store.write(SCHEMA, (json.dumps(_schema(), ensure_ascii=False, indent=1) + "\n").encode())


def _schema() -> dict[str, Any]:
    """What docs/warehouse.md says, for programs."""
    return {
        "version": schema.VERSION,
        "uses": dict(USES_COLUMNS),
        "cube": dict(CUBE_COLUMNS),
        "fleet": dict(CUBE_COLUMNS),
        "dimensions": {name: dict(columns) for name, columns in COLUMNS.items()},
        "grains": {level: [grain.name for grain in schema.grains(level)] for level in schema.MOST},
        "meanings": {one.name: one.meaning for one in (*DIMENSIONS, *MEASURES)},
    }
