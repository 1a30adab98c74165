"""Answers: whatever is asked, over whatever state the files are in, the figures are those of the ledger's records."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
import ledgers
import planted
import pytest
import warehouses
from card_usage.errors import QuestionRefused
from card_usage.files.xlsx import workbook
from card_usage.ledger.counts import DELAYS
from card_usage.ledger.schema import event
from card_usage.standard.code_tables import load_tables
from card_usage.standard.regions import load_regions, region_of
from card_usage.standard.visits import REGISTRATIONS, card_group, visit_kind
from card_usage.warehouse import table
from card_usage.warehouse.answer import Answer, answer
from card_usage.warehouse.dimensions import Names
from card_usage.warehouse.engine import Engine
from card_usage.warehouse.facts import _OUTCOMES
from card_usage.warehouse.indicators import load_indicators
from card_usage.warehouse.question import ATTRIBUTES, COMPARISONS, ask
from card_usage.warehouse.schema import MEASURES
from card_usage.words.catalogue import Words
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from planted import NOW
from sqlalchemy import select

HOSPITALS = ("demo_hospital", "second", "third", "fourth")
INDICATORS = load_indicators()
TABLES, REGIONS = load_tables(), load_regions()


class World:
    """A ledger with its warehouse in three states: days alone, all compacted, and compacted with days changed since."""

    def __init__(self, folder: Path) -> None:
        self._opened = ledgers.sqlite(folder)
        self.ledger = self._opened.__enter__()
        warehouses.plant(self.ledger, hospitals=HOSPITALS, seed=3, count=6)
        self.stores = {}
        for state in ("days", "compacted", "changed"):
            built = warehouses.make(self.ledger, folder / state)
            # Of the day that changes later only the third knows.
            self.stores[state] = built.store
            built.build(*HOSPITALS, count=6) if state == "days" else self._again(built)
            if state != "days":
                built.compact()
            if state == "changed":
                with self.ledger.write() as connection:
                    for of in ("second", "fourth"):
                        planted.plant(connection, {"delivered": 9}, seed=8, day=warehouses.FIRST, hospital=of)
                built.build(*HOSPITALS, count=6)
        with self.ledger.read() as connection:
            self.records = [dict(row) for row in connection.execute(select(event).order_by(event.c.id)).mappings()]
            self.names = Names.read(connection)
        self.old = len(self.records) - 18

    def _again(self, built: warehouses.Built) -> None:
        from card_usage.warehouse.build import build, remember
        from card_usage.warehouse.layout import HospitalDay

        remember(self.ledger, map(warehouses.hospital, HOSPITALS))
        days = [HospitalDay(of, day) for of in HOSPITALS for day in warehouses.days(6)]
        assert build(self.ledger, built.store, days, now=NOW, again=True).failed == 0

    def records_of(self, state: str) -> list[dict[str, Any]]:
        return self.records if state == "changed" else self.records[: self.old]

    def ask(self, state: str, figures: str, by: str = "", **asked: Any) -> Answer:
        asked = {"first": date(2026, 2, 1), "last": date(2026, 3, 31), "where": [], **asked}
        question = ask(
            figures=figures.split(","),
            by=[name for name in by.split(",") if name],
            names=self.names,
            indicators=INDICATORS,
            **asked,
        )
        return answer(self.stores[state], question, self.names, INDICATORS)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world._opened.__exit__(None, None, None)


def value(name: str, record: dict[str, Any]) -> Any:
    """An attribute of a record, told apart from how the warehouse does it."""
    day: date = record["day"]
    region = region_of(warehouses.REGIONS[record["hospital"]], REGIONS)
    times = {
        "day": day,
        "week": day - timedelta(days=day.weekday()),
        "month": day.replace(day=1),
        "quarter": date(day.year, (day.month - 1) // 3 * 3 + 1, 1),
        "year": date(day.year, 1, 1),
        "weekday": str(day.isoweekday()),
        "province": region.province_code or None,
        "city": region.city_code or None,
        "county": region.county_code or None,
        "hour": None if record["occurred_at"] is None else record["occurred_at"].hour,
        "outcome": _OUTCOMES.get(record["status"], record["status"]),
        "delay": _delay(record),
        "visit_kind": visit_kind(record["scene"]),
        "card_group": card_group(record["card_type"]),
    }
    if name in times:
        return times[name]
    if name.endswith("_parent"):
        code = record[column := name.removesuffix("_parent")]
        return None if code is None else TABLES[column].parent(code) or code
    return record[name]


def _delay(record: dict[str, Any]) -> str | None:
    at, settled = record["occurred_at"], record["settled_at"]
    if record["status"] != "delivered" or at is None or settled is None:
        return None
    seconds = (settled.replace(tzinfo=None) - (at - timedelta(hours=8))).total_seconds()
    return next((str(bound) for bound in DELAYS if seconds <= bound * 60), "longer")


def counted(records: list[dict[str, Any]]) -> dict[str, int]:
    valid = [record for record in records if record["voided_at"] is None]
    visits = [record for record in valid if record["scene"] in REGISTRATIONS]
    return {
        "records": len(records),
        "uses": len(valid),
        "health_card_uses": sum(record["card_type"] == "11" for record in valid),
        "visits": len(visits),
        "health_card_visits": sum(record["card_type"] == "11" for record in visits),
        "delivered": sum(record["status"] == "delivered" for record in records),
    }


PERIODS = st.one_of(
    st.tuples(st.dates(date(2026, 2, 25), date(2026, 3, 5)), st.dates(date(2026, 2, 25), date(2026, 3, 5))).map(sorted),
    st.sampled_from(
        [
            [date(2026, 2, 1), date(2026, 2, 28)],
            [date(2026, 2, 1), date(2026, 3, 31)],
            [date(2026, 2, 10), date(2026, 3, 31)],
            [date(2026, 1, 1), date(2026, 12, 31)],
        ]
    ),
)


@given(
    state=st.sampled_from(["days", "compacted", "changed"]),
    by=st.lists(st.sampled_from(sorted(ATTRIBUTES)), max_size=4, unique=True),
    filtered=st.lists(
        st.sampled_from(sorted(ATTRIBUTES.keys() - {"day", "week", "month", "quarter", "year", "weekday"})),
        max_size=2,
        unique=True,
    ),
    period=PERIODS,
    draw=st.randoms(use_true_random=False),
)
@settings(max_examples=120)
def test_any_question_has_the_figures_of_the_ledger(
    world: World, state: str, by: list[str], filtered: list[str], period: list[date], draw: Any
) -> None:
    first, last = period
    of_period = [record for record in world.records_of(state) if first <= record["day"] <= last]
    conditions = []
    for name in filtered:
        there = sorted({str(value(name, record) or "unknown") for record in world.records})
        if name == "hour":
            there = [*sorted({str(of) for r in world.records if (of := value(name, r)) is not None}), "unknown"]
        chosen = draw.sample(there, draw.randrange(1, min(4, len(there)) + 1))
        conditions.append(f"{name}={','.join(chosen)}")
        wanted = {None if code == "unknown" else code for code in chosen}
        of_period = [
            record
            for record in of_period
            if (None if value(name, record) is None else str(value(name, record))) in wanted
        ]
    measures = [measure.name for measure in MEASURES]
    found = world.ask(state, ",".join(measures), ",".join(by), where=conditions, first=first, last=last)
    expected: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for record in of_period:
        expected.setdefault(tuple(value(name, record) for name in by), []).append(record)
    assert {row.key: dict(row.figures) for row in found.rows} == {key: counted(of) for key, of in expected.items()}
    assert dict(found.total.figures) == counted(of_period)


@given(
    state=st.sampled_from(["compacted", "changed"]),
    by=st.lists(st.sampled_from(["channel", "city", "hour", "scene", "weekday"]), max_size=3, unique=True),
    period=PERIODS,
    compare=st.sampled_from(COMPARISONS),
)
@settings(max_examples=40)
def test_a_comparison_has_the_figures_of_the_other_period(
    world: World, state: str, by: list[str], period: list[date], compare: Any
) -> None:
    by = [name for name in by if name != "weekday"]
    first, last = period
    found = world.ask(state, "uses", ",".join(by), first=first, last=last, compare=compare)
    length = (last - first).days + 1
    if compare == "year":
        start, end = first.replace(year=2025), last.replace(year=2025)
    elif first.day == 1 and (last + timedelta(days=1)).day == 1:
        start, end = first, first - timedelta(days=1)
        for _ in range((last.month - first.month) + 1):
            start = (start - timedelta(days=1)).replace(day=1)
    else:
        start, end = first - timedelta(days=length), first - timedelta(days=1)
    before = [record for record in world.records_of(state) if start <= record["day"] <= end]
    sums = Counter(tuple(value(name, record) for name in by) for record in before if record["voided_at"] is None)
    assert {row.key: row.before["uses"] for row in found.rows if row.before["uses"]} == dict(sums)
    assert found.total.before["uses"] == sum(sums.values())


def test_a_month_before_stands_beside_its_month(world: World) -> None:
    found = world.ask("changed", "uses", "month", first=date(2026, 3, 1), last=date(2026, 3, 31), compare="previous")
    (row,) = found.rows
    assert row.key == (date(2026, 3, 1),)
    assert row.before["uses"] == world.ask("changed", "uses", last=date(2026, 2, 28)).total.figures["uses"]


def test_the_top_ones_are_the_largest_and_the_total_is_of_all(world: World) -> None:
    every = world.ask("compacted", "uses", "scene")
    top = world.ask("compacted", "uses", "scene", top=2)
    assert [row.key for row in top.rows] == [row.key for row in every.rows][:2]
    assert top.total == every.total
    assert top.left_out == len(every.rows) - 2
    uses = [row.figures["uses"] for row in every.rows]
    assert uses == sorted(uses, reverse=True)


def test_an_indicator_is_computed_from_sums_and_not_from_ratios(world: World) -> None:
    found = world.ask("compacted", "uses_per_visit,uses,visits", "city")
    for row in [*found.rows, found.total]:
        uses, visits = row.figures["uses"], row.figures["visits"]
        assert row.figures["uses_per_visit"] == (uses / visits if visits else None)  # type: ignore[operator]


def test_one_s_own_indicators_go_before_those_that_ship(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        '[uses_per_visit]\nname="甲"\nformula="(uses - visits) / visits * 100"\nwarn_below = 50\n'
        '[lost]\nname="乙"\nformula="records - delivered"\nformat="count"\n'
    )
    found = load_indicators(own)
    assert found["uses_per_visit"].value({"uses": 30, "visits": 20}) == 50
    assert found["uses_per_visit"].warns(49)
    assert not found["uses_per_visit"].warns(50)
    assert found["uses_per_visit"].value({"uses": 30, "visits": 0}) is None
    assert found["lost"].value({"records": 9, "delivered": 4}) == 5
    assert "health_card_share" in found


@pytest.mark.parametrize(
    "formula",
    ["__import__('os')", "uses ** 99999", "uses if visits else 0", "uses.real", "[uses]", "uses; visits", "'a'", "True",
     "lambda: 1", "uses /", "(" * 300 + "uses" + ")" * 100],
)  # fmt: skip
def test_a_formula_that_is_more_than_arithmetic_is_refused_with_its_file_and_name(tmp_path: Path, formula: str) -> None:
    own = tmp_path / "own.toml"
    own.write_text(f'[mine]\nname="甲"\nformula={json.dumps(formula)}\n')
    with pytest.raises(QuestionRefused, match=r"own\.toml: .*mine"):
        load_indicators(own)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"figures": "usse"}, "'usse' is no measure and no indicator (there are: records, uses"),
        ({"by": "chanel"}, "'chanel' is nothing to ask by (there are: day, week"),
        (
            {"where": ["channel=Window; drop table"]},
            "'Window; drop table' is no channel (there are: 0000 其他, 0100 人工窗口",
        ),
        ({"where": ["channel"]}, "'channel' is no condition"),
        ({"where": ["day=2026-03-01"]}, "'day' is nothing to filter by (there are: hospital"),
        ({"where": ["hour=24"]}, "'24' is no hour (there are: 0 to 23)"),
        ({"where": ["city=巴黎"]}, "'巴黎' is no city (there are: 110100 北京市"),
        ({"by": "scene,scene"}, "asked by twice"),
        ({"first": date(2026, 3, 2), "last": date(2026, 3, 1)}, "ends (2026-03-01) before it begins (2026-03-02)"),
    ],
)
def test_a_bad_question_gets_one_line_that_names_what_is_there(
    world: World, changes: dict[str, Any], says: str
) -> None:
    asked = {"figures": "uses", "by": "", **changes}
    with pytest.raises(QuestionRefused) as refused:
        world.ask("days", asked.pop("figures"), asked.pop("by"), **asked)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_names_in_either_language_mean_the_codes(world: World) -> None:
    by_code = world.ask("compacted", "uses", where=["card_type=11"])
    assert by_code.total.figures["uses"]
    assert world.ask("compacted", "uses", where=["card_group=健康卡"]).total == by_code.total
    assert world.ask("compacted", "uses", where=["card_group=Health Card"]).total == by_code.total
    city = world.ask("compacted", "uses", where=["city=深圳市"])
    assert city.total == world.ask("compacted", "uses", where=["hospital=demo_hospital"]).total


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_form_says_the_same(world: World, tmp_path: Path, language: Any) -> None:
    words = Words(language)
    found = world.ask(
        "compacted", "uses,health_card_share", "city,channel,hour,card_group,month", compare="previous", share=True
    )
    of = (found, world.names, INDICATORS, words)
    rows = table.plain(*of)["rows"]
    assert rows
    sheet = table.sheet(*of)
    assert len(sheet.rows) == len(rows)
    # City and channel with codes and names, hour, kind of card with both, month.
    assert [row[8] for row in sheet.rows] == [row["uses"] for row in rows]
    book = load_workbook(BytesIO(workbook([sheet], title="t", made_at=datetime(2026, 3, 5))))  # noqa: DTZ001
    assert [row[8].value for row in book.worksheets[0].iter_rows(min_row=2)] == [row["uses"] for row in rows]
    with Engine.open(world.stores["compacted"]) as engine:
        file = tmp_path / "answer.parquet"
        file.write_bytes(table.parquet(*of, engine))
    read = duckdb.connect().execute("select uses, uses_share, city_name from read_parquet(?)", [str(file)]).fetchall()
    assert Counter(read) == Counter((row["uses"], row["uses_share"], row["city_name"]) for row in rows)
    assert sum(row["uses_share"] for row in rows) == pytest.approx(1, abs=0.01 * len(rows))
    assert not [secret for secret in planted.SECRETS if secret in repr(rows)]
