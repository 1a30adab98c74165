"""Every shape's SQL over small hand-made tables: what counts as a use, refunds, exact edges, side tables, duplicates.

The tables are SQLite's, named as the shape's HIS names them (shape_tables.py); that SQL Server would read the same text
is held by parsing each file as T-SQL. Scripts that make the contract view are run in test_dba_scripts.py.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from card_usage.config.hospital import Hospital, load_hospital
from card_usage.events import SourceRow
from card_usage.files.shipped import SHIPPED
from card_usage.source.feeds import SQL, feed_sql
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from card_usage.standard.code_tables import load_tables
from card_usage.words.catalogue import Words
from shape_tables import (
    DAY,
    EVERY,
    FEEDS,
    FILES,
    FIRST_ID,
    KNOWN_TWICE,
    NO_ID_NUMBERS,
    NO_PATIENTS,
    NOON,
    SECOND_ID,
    SHAPES,
    STRANGER,
    UNTESTED,
)
from sqlglot import exp

SCRIPTS = sorted(SQL.glob("*/dba/*/view*.sql"))
DIALECTS = {"sqlserver": "tsql", "mysql": "mysql", "postgresql": "postgres"}


def hospital_of(shape: str) -> Hospital:
    """The demo hospital's file, for another shape with all of its feeds."""
    demo = load_hospital(SHIPPED / "hospitals", "demo_hospital")
    feeds = tuple(sorted(name for of, name in FILES if of == shape))
    return demo.model_copy(update={"his": demo.his.model_copy(update={"shape": shape, "feeds": feeds})})


class His:
    """A HIS of one shape, and one of its feeds to put uses into and to read."""

    def __init__(self, path: Path, shape: str, name: str) -> None:
        tables = SHAPES[shape]
        self.shape, self.feed, self.name = shape, tables.feeds[name], name.partition(",")[0]
        self.bounds = feed_sql(shape, self.name).bounds
        self._connection = sqlite3.connect(path)
        self._connection.executescript(";".join(tables.statements()))
        for table, rows in tables.rows.items():
            for row in rows:
                self._insert(table, row)
        self._source = Source(connect(f"sqlite:///{path}"), hospital_of(shape))

    def put(self, key: str, at: datetime, state: Mapping[str, Any], *, table: str | None = None, **over: Any) -> None:
        moment = at.strftime("%Y%m%d%H:%M:%S") if self.bounds == "char16" else at.isoformat(" ", "microseconds")
        row = {**self.feed.row, self.feed.key: key, self.feed.at: moment, **state, **over}
        self._insert(table or self.feed.table, row)

    def _insert(self, table: str, row: Mapping[str, Any]) -> None:
        holes = ", ".join("?" * len(row))
        with self._connection:
            self._connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({holes})", tuple(row.values()))

    def move(self, where: str) -> None:
        """What a nightly job does with old rows."""
        with self._connection:
            self._connection.execute(f"INSERT INTO {self.feed.history} SELECT * FROM {self.feed.table} WHERE {where}")
            self._connection.execute(f"DELETE FROM {self.feed.table} WHERE {where}")

    def know_patient(self, patient: int, id_number: str) -> None:
        """A patient of the master tables, outpatients' and inpatients', and an inpatient's stay."""
        if self.shape == "trasen":
            self._insert("YY_BRXX", {"BRXXID": patient, "BRXM": "丙", "SFZH": id_number})
            return
        for table in ("SF_BRXXK", "ZY_BRXXK"):
            self._insert(table, {"patid": patient, "hzxm": "丙", "sfzh": id_number})
        if self.feed.table != "ZY_BRSYK":
            self._insert("ZY_BRSYK", {"syxh": patient, "patid": patient})

    def know_card(self, patient: object, id_number: str, qr_code_text: str) -> None:
        """A line of the health cards' side table."""
        number = {"sfzh": id_number} if self.shape == "winning" else {}
        self._insert("xt_brxx", {"brid": patient, "qrCodeText": qr_code_text, **number})

    def read(self, start: datetime = DAY.start, end: datetime = DAY.end) -> list[SourceRow]:
        rows = [row for batch in self._source.rows(self.name, start, end) for row in batch]
        assert self._source.tally(self.name, start, end).rows == len(rows)
        return rows

    def seen(self, start: datetime = DAY.start, end: datetime = DAY.end) -> dict[str, int]:
        """Key -> voided, every key once."""
        rows = self.read(start, end)
        voided = {row.source_id: int(row.voided) for row in rows}
        assert len(voided) == len(rows)
        return voided

    def key(self, number: int) -> str:
        return f"{self.feed.prefix}{number}"

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def his(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[His]:
    made = His(tmp_path / "his.db", *request.param)
    yield made
    made.close()


every_feed = pytest.mark.parametrize("his", EVERY, indirect=True, ids=["/".join(names) for names in EVERY])


def test_every_shape_has_every_feed_and_each_is_tested_here() -> None:
    assert {(shape, name.partition(",")[0]) for shape, name in EVERY} == set(FILES) - UNTESTED
    for shape in SHAPES:
        assert {name for of, name in FILES if of == shape} == set(FEEDS)


def test_every_scene_of_the_document_belongs_to_one_feed_of_the_contract_view() -> None:
    scenes = [code for code in load_tables()["scene"].codes]
    for shape in ("card_use_view", "card_use_view_char16"):
        named = []
        for feed in FEEDS:
            head = (SQL / shape / f"{feed}.sql").read_text(encoding="utf-8").splitlines()[1]
            named += re.findall(r"\b\d{5,7}\b", head)
        assert sorted(named) == sorted(scenes)


def test_every_feed_has_a_name_in_both_languages() -> None:
    for feed in FEEDS:
        assert Words("zh").known("feed", feed) != feed
        assert Words("en").known("feed", feed)


def test_what_reads_the_contract_view_differs_in_feed_and_kind_of_time_only() -> None:
    """In every shape: a copy that was mended alone would be found."""
    seen = set()
    for shape, feed in FILES:
        lines = (SQL / shape / f"{feed}.sql").read_text(encoding="utf-8").splitlines()
        statement = "\n".join(line for line in lines if not line.startswith("--"))
        if "V_CARD_USE" in statement:
            plain = re.sub(r"CAST\((:\w+) AS char\(16\)\)", r"\1", statement)
            assert ("CAST" in statement) == (lines[0] == "-- bounds: char16")
            seen.add(plain.replace(f"FEED = '{feed}'", "FEED = '?'"))
    assert len(seen) == 1


@every_feed
def test_valid_uses_are_read_refunded_ones_are_marked_and_reversals_and_failures_are_none(his: His) -> None:
    his.put("1", NOON, his.feed.valid)
    his.put("2", NOON, his.feed.voided)
    for number, state in enumerate(his.feed.ignored, start=3):
        his.put(str(number), NOON, state)
    assert his.seen() == {his.key(1): 0, his.key(2): 1}


@every_feed
def test_a_refund_after_the_first_reading_is_seen_under_the_same_key(his: His, tmp_path: Path) -> None:
    his.put("1", NOON, his.feed.valid)
    before = his.read()
    with sqlite3.connect(tmp_path / "his.db") as connection:
        columns = ", ".join(f"{name} = ?" for name in his.feed.voided)
        changed = connection.execute(f"UPDATE {his.feed.table} SET {columns}", tuple(his.feed.voided.values()))
        assert changed.rowcount
    connection.close()
    assert his.read() == [before[0]._replace(voided=1)]


@every_feed
def test_the_start_belongs_to_a_window_and_the_end_to_the_next_one(his: His) -> None:
    second, hour = timedelta(seconds=1), timedelta(hours=1)
    moments = [DAY.start - second, DAY.start, NOON - second, NOON, NOON + hour, DAY.end - second, DAY.end]
    if his.bounds == "datetime":
        moments.append(DAY.end - timedelta(milliseconds=3))  # the last moment that SQL Server's datetime can tell
    for number, moment in enumerate(moments):
        his.put(str(number), moment, his.feed.valid)
    inside = {his.key(n) for n, moment in enumerate(moments) if moment in DAY}
    assert set(his.seen()) == inside
    assert len(inside) == (6 if his.bounds == "datetime" else 5)
    assert set(his.seen(NOON, NOON + hour)) == {his.key(3)}
    hours = [his.seen(start, end) for start, end in pairwise(DAY.start + hour * n for n in range(25))]
    assert [key for part in hours for key in part] == list(his.seen())
    assert set(his.seen(DAY.end, DAY.end + hour)) == {his.key(6)}


@every_feed
def test_patient_health_card_and_department_are_joined_and_a_stranger_is_no_reason_to_lose_the_row(his: His) -> None:
    his.put("1", NOON, his.feed.valid)
    (row,) = his.read()
    assert (row.name, row.id_number, row.qr_code_text) == ("甲", FIRST_ID, "QR1")
    assert row.department == his.feed.department
    assert row.department_name == ("内科" if his.feed.department else None)
    assert row.scene == his.feed.scene
    assert row.card_type
    assert row.channel
    if his.feed.patient:
        his.put("2", NOON, his.feed.valid, **{his.feed.patient: STRANGER})
        assert his.read()[1][8:11] == (None, None, None)


of_patients = pytest.mark.parametrize(
    "his", [(shape, name) for shape, name in EVERY if SHAPES[shape].feeds[name].patient], indirect=True
)


@of_patients
def test_a_blank_or_placeholder_instead_of_an_id_number_finds_no_strangers_health_card(his: His) -> None:
    for number, placeholder in enumerate(NO_ID_NUMBERS, start=1000):
        his.know_patient(number, placeholder)
        his.know_card(10_000 + number, placeholder, "QR-STRANGER")
        his.put(str(number), NOON, his.feed.valid, **{his.feed.patient: number})
    rows = his.read()
    assert [row.id_number for row in rows] == list(NO_ID_NUMBERS)
    assert {row.qr_code_text for row in rows} == {None}


@of_patients
def test_a_blank_or_placeholder_instead_of_a_patient_finds_no_strangers_health_card(his: His) -> None:
    for number, placeholder in enumerate(NO_PATIENTS):
        his.know_card(placeholder, SECOND_ID, "QR-STRANGER")
        his.put(str(number), NOON, his.feed.valid, **{his.feed.patient: placeholder})
    rows = his.read()
    assert len(rows) == len(NO_PATIENTS)
    assert {row[8:11] for row in rows} == {(None, None, None)}


@of_patients
def test_a_patient_whom_the_side_table_knows_twice_is_read_once(his: His) -> None:
    his.put("1", NOON, his.feed.valid, **{his.feed.patient: KNOWN_TWICE})
    (row,) = his.read()
    assert row.qr_code_text == "QR2b"


@pytest.mark.parametrize(
    "his", [(shape, name) for shape, name in EVERY if SHAPES[shape].feeds[name].history], indirect=True
)
def test_current_and_history_table_are_one_and_a_refund_in_either_copy_counts(his: His) -> None:
    for number, (here, there) in enumerate([("valid", "valid"), ("voided", "valid"), ("valid", "voided")]):
        his.put(str(number), NOON, getattr(his.feed, here))
        his.put(str(number), NOON, getattr(his.feed, there), table=his.feed.history)
    his.put("3", NOON, his.feed.valid, table=his.feed.history)
    assert his.seen() == {his.key(0): 0, his.key(1): 1, his.key(2): 1, his.key(3): 0}


@pytest.mark.parametrize(
    "his", [(shape, name) for shape, name in EVERY if SHAPES[shape].feeds[name].history], indirect=True
)
def test_rows_that_a_nightly_job_moves_to_the_year_table_are_read_as_before(his: His) -> None:
    for number in range(6):
        his.put(str(number), NOON, his.feed.voided if number % 3 == 0 else his.feed.valid)
    before = his.read()
    assert len(before) == 6
    for where in (f"{his.feed.key} IN (1, 3)", "1 = 1"):
        his.move(where)
        assert his.read() == before


@pytest.mark.parametrize(
    "his", [(shape, name) for shape, name in EVERY if SHAPES[shape].feeds[name].other_scenes], indirect=True
)
def test_kinds_of_registration_are_scenes_of_their_own(his: His) -> None:
    for number, (_, over) in enumerate(his.feed.other_scenes.items()):
        his.put(str(number), NOON, his.feed.valid, **over)
    assert [row.scene for row in his.read()] == list(his.feed.other_scenes)


@pytest.mark.parametrize("his", [("trasen", "registration")], indirect=True)
def test_a_trasen_department_without_a_standard_code_comes_under_its_own(his: His) -> None:
    his.put("1", NOON, his.feed.valid, GHKS=6)
    assert [(row.department, row.department_name) for row in his.read()] == [("6", "互联网门诊")]


@pytest.mark.parametrize("his", [("trasen", "dispensing")], indirect=True)
def test_drugs_that_were_brought_back_are_voided(his: His) -> None:
    his.put("1", NOON, {"BFYBZ": 0, "BSCBZ": 0})
    assert his.seen() == {"1": 1}


@pytest.mark.parametrize("his", [("card_use_view", "payment")], indirect=True)
def test_a_line_that_the_view_has_twice_is_read_once_and_voided_if_either_is(his: His) -> None:
    his.put("1", NOON, his.feed.valid)
    his.put("1", NOON, his.feed.voided)
    assert his.seen() == {"1": 1}


def statements(path: Path) -> list[exp.Expression]:
    """The statements of a feed (as T-SQL), or of a script, batch by batch as GO parts it."""
    batches = re.split(r"^GO\s*$", path.read_text(encoding="utf-8-sig"), flags=re.MULTILINE)
    dialect = DIALECTS.get(path.parent.name, "tsql")
    return [found for batch in batches for found in sqlglot.parse(batch, dialect=dialect) if found is not None]


@pytest.mark.parametrize(("shape", "feed"), FILES)
def test_sql_server_would_read_every_feed(shape: str, feed: str) -> None:
    (statement,) = statements(SQL / shape / f"{feed}.sql")
    assert isinstance(statement, exp.Query)
    bound = [hole.name for hole in statement.find_all(exp.Placeholder)]
    assert set(bound) == {"start", "end"}
    # Half-open: at or after the start, before the end, the bare column on the other side.
    for comparison in statement.find_all(exp.GTE, exp.LT):
        if comparison.find(exp.Placeholder):
            assert isinstance(comparison.this, exp.Column)
            edge = comparison.expression.find(exp.Placeholder).name
            assert edge == ("start" if isinstance(comparison, exp.GTE) else "end")
    assert not list(statement.find_all(exp.Between, exp.Star))


ID_COLUMNS = {
    column.this.name.lower()
    for shape, feed in FILES
    for select in statements(SQL / shape / f"{feed}.sql")[0].find_all(exp.Select)
    for column in select.selects
    if column.alias == "id_number" and isinstance(column.this, exp.Column)
}
"""Columns that any feed reads an ID number from."""
VALID_ID = (
    "RTRIM({0}) LIKE '__________________'",
    "SUBSTRING({0}, 1, 1) IN ('1', '2', '3', '4', '5', '6', '7', '8')",
    "SUBSTRING({0}, 7, 2) IN ('18', '19', '20')",
    "SUBSTRING({0}, 11, 2) IN ('01', '02', '03', '04', '05', '06', '07', '08', '09', '10', '11', '12')",
    "SUBSTRING({0}, 13, 1) IN ('0', '1', '2', '3')",
)
"""A resident ID number, as far as a database tells without computing its check digit."""


def unguarded(statement: exp.Expression) -> list[str]:
    """Comparisons of an ID number with another column that do not demand a valid one beside it."""
    open_joins = []
    for equality in statement.find_all(exp.EQ):
        sides = [side for side in (equality.left, equality.right) if isinstance(side, exp.Column)]
        if len(sides) < 2 or not any(side.name.lower() in ID_COLUMNS for side in sides):
            continue
        whole: exp.Expression = equality
        while isinstance(whole.parent, exp.And | exp.Paren):
            whole = whole.parent
        demanded = {condition.sql() for condition in whole.flatten()} if isinstance(whole, exp.And) else set()
        guards = [{sqlglot.parse_one(line.format(side.sql())).sql() for line in VALID_ID} for side in sides]
        if not any(guard <= demanded for guard in guards):
            open_joins.append(equality.sql())
    return open_joins


@pytest.mark.parametrize(("shape", "feed"), FILES)
def test_no_feed_joins_on_an_id_number_without_demanding_a_valid_one(shape: str, feed: str) -> None:
    assert {"sfzh", "idenno", "id_number"} <= ID_COLUMNS
    (statement,) = statements(SQL / shape / f"{feed}.sql")
    assert unguarded(statement) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: f"{script.parent.name}/{script.name}")
def test_no_script_for_the_dba_joins_on_an_id_number_without_demanding_a_valid_one(script: Path) -> None:
    assert [
        equality
        for statement in statements(script)
        for equality in statement.find_all(exp.EQ)
        if equality.right.name == "sfzh" or script.stem == "view_datetime"
    ]
    assert [join for statement in statements(script) for join in unguarded(statement)] == []


def test_a_join_on_a_bare_id_number_would_be_found() -> None:
    (admission,) = statements(SQL / "winning" / "admission.sql")
    bare = sqlglot.parse_one("SELECT 1 FROM a JOIN b ON a.sfzh = b.SFZH AND a.x = b.x", dialect="tsql")
    assert unguarded(bare) == ["a.sfzh = b.SFZH"]
    assert any(equality.left.name == "sfzh" for equality in admission.find_all(exp.EQ))


@pytest.mark.parametrize(("shape", "feed"), FILES)
def test_no_column_of_a_feed_is_as_wide_as_a_type_can_be(shape: str, feed: str) -> None:
    """REPLACE, CONCAT and STUFF make varchar(8000): a sort reserves memory for half of that, row by row."""
    (statement,) = statements(SQL / shape / f"{feed}.sql")
    for endless in statement.find_all(exp.Replace, exp.Concat, exp.DPipe, exp.Stuff):
        cast = endless.find_ancestor(exp.Cast)
        assert cast is not None
        assert cast.to.expressions, "a length"


HEADER = re.compile(r"(\w+)(?: \([^)]*\))?: (\w+(?:, \w+)*)")


@pytest.mark.parametrize(("shape", "feed"), FILES)
def test_the_head_of_each_file_names_exactly_the_tables_and_columns_that_it_reads(shape: str, feed: str) -> None:
    path = SQL / shape / f"{feed}.sql"
    head = path.read_text(encoding="utf-8").split("-- Reads", 1)[1].split("-- Rights", 1)[0]
    named: dict[str, set[str]] = {}
    for table, columns in HEADER.findall(head):
        named.setdefault(table, set()).update(columns.split(", "))
    used: dict[str, set[str]] = {}
    (statement,) = statements(path)
    for select in statement.find_all(exp.Select):
        tables = {source.alias: source.name for source in select.find_all(exp.Table)}
        for name in tables.values():
            used.setdefault(name, set())
        for column in select.find_all(exp.Column):
            if column.table:
                used[tables[column.table]].add(column.name)
    assert named == used


def test_scripts_for_the_dba_are_no_feeds_of_the_shape() -> None:
    raw = hospital_of("card_use_view").his.model_dump() | {"feeds": ("view",)}
    with pytest.raises(ValueError, match=r"has no feed view \(it has: admission, checkup"):
        type(hospital_of("card_use_view").his).model_validate(raw)
