"""Patients of a HIS are read in pages by their own key: everybody once, on every shape and database."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import planted
import pytest
import sqlglot
from card_usage.config.hospital import Hospital
from card_usage.errors import BadFeedFile, SourceDrift
from card_usage.source import patients
from card_usage.source.dialect_registry import dialect_named
from card_usage.source.feeds import SQL
from card_usage.source.patients import SourcePatient, patient_sql
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlglot import exp
from wire_stand import stand

SHAPES = sorted(path.parents[1].name for path in SQL.glob("*/upgrade/patient.sql"))
TABLES = {
    "winning": (
        (
            "SF_BRXXK (patid bigint, hzxm varchar(64), sex varchar(4), mzbm varchar(2), birth char(8),"
            " cardtype varchar(4), sfzh varchar(40), lxdz varchar(128), lxdh varchar(20))"
        ),
        "xt_brwx (brid bigint, openId varchar(32))",
    ),
    "trasen": (
        (
            "YY_BRXX (BRXXID varchar(36), BRXM varchar(64), XB varchar(4), MZ varchar(4), CSRQ varchar(20),"
            " SFZH varchar(40), JTDZ varchar(128), LXDH varchar(20))"
        ),
        "xt_brwx (brid varchar(36), openId varchar(32))",
    ),
    "card_use_view": (
        (
            "V_PATIENT (PATIENT_ID varchar(64), NAME varchar(64), GENDER varchar(4), NATION varchar(4),"
            " BIRTHDAY varchar(20), ID_TYPE varchar(4), ID_NUMBER varchar(40), ADDRESS varchar(128),"
            " PHONE1 varchar(20), PHONE2 varchar(20), OPEN_ID varchar(64))"
        ),
    ),
}
HOSPITAL = planted.hospital(his={"pause_seconds": 0})


def of_shape(shape: str) -> Hospital:
    return HOSPITAL.model_copy(update={"upgrade": HOSPITAL.upgrade.model_copy(update={"shape": shape})})


def rows_of(shape: str, key: object, name: str, open_id: str | None) -> list[tuple[str, tuple[object, ...]]]:
    """What the tables of a shape hold of one patient."""
    if shape == "winning":
        rows = [("SF_BRXXK", (key, name, "男", "01", "19900307", "SF", "x", "路", "138"))]
    elif shape == "trasen":
        rows = [("YY_BRXX", (key, name, "男", "01", "19900307", "x", "路", "138"))]
    else:
        return [("V_PATIENT", (key, name, "男", "01", "19900307", "01", "x", "路", "138", None, open_id))]
    return rows + ([("xt_brwx", (key, open_id))] if open_id else [])


def filled(url: str, shape: str, keys: list[object]) -> None:
    engine = create_engine(url, hide_parameters=True)
    with engine.begin() as connection:
        for table in TABLES[shape]:
            connection.exec_driver_sql(f"CREATE TABLE {table}")
        mark = "?" if engine.dialect.name == "sqlite" else "%s"
        for key in keys:
            for table, row in rows_of(shape, key, f"甲{key}", f"o-{key}"):
                connection.exec_driver_sql(f"INSERT INTO {table} VALUES ({', '.join([mark] * len(row))})", row)
    engine.dispose()


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def keys_of(shape: str, count: int) -> list[object]:
    if shape == "winning":
        return [number * 7 - 20 for number in range(count)]
    return [f"{number * 7919 % 100_000:08d}-0000-4000-8000-{number:012d}" for number in range(count)]


def read(url: str, shape: str, rows: int) -> list[list[SourcePatient]]:
    hospital = of_shape(shape)
    engine = connect(url, hospital.his)
    try:
        source = Source(engine, hospital)
        pages = list(source.patients(rows))
        assert source.count_patients() == sum(map(len, pages))
        return pages
    finally:
        engine.dispose()


def test_each_shape_with_patients_is_tested_here():
    assert set(SHAPES) == set(TABLES)


@pytest.mark.parametrize("rows", [1, 3, 10, 11, 1000])
def test_everybody_is_read_once_whatever_a_page_holds(tmp_path: Path, shape: str, rows: int):
    url = f"sqlite:///{tmp_path}/his.db"
    filled(url, shape, keys_of(shape, 10))
    pages = read(url, shape, rows)
    assert all(len(page) <= rows for page in pages)
    seen = [row.source_id for page in pages for row in page]
    assert sorted(seen) == sorted(str(key) for key in keys_of(shape, 10))
    assert {(row.name, row.open_id) for page in pages for row in page} == {
        (f"甲{key}", f"o-{key}") for key in keys_of(shape, 10)
    }


def test_a_patient_whom_the_side_table_knows_twice_is_one(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/his.db"
    filled(url, "winning", [1, 2])
    with closing(sqlite3.connect(tmp_path / "his.db")) as his, his:
        his.execute("INSERT INTO xt_brwx VALUES (1, 'o-9')")
        his.execute("DELETE FROM xt_brwx WHERE brid = 2")
    ((one, two),) = read(url, "winning", 10)
    assert (one.open_id, two.open_id) == ("o-9", None)


def test_the_contract_view_is_read_from_postgresql_too(postgres_url: str):
    keys = keys_of("card_use_view", 25)
    filled(postgres_url, "card_use_view", keys)
    pages = read(postgres_url, "card_use_view", 4)
    assert sorted(row.source_id for page in pages for row in page) == sorted(map(str, keys))


def test_sql_server_gives_its_pages_too(tmp_path: Path):
    with stand(tmp_path) as server:
        filled(server.admin, "winning", keys_of("winning", 25))
        pages = read(server.reader, "winning", 4)
    assert sorted(int(row.source_id) for page in pages for row in page) == keys_of("winning", 25)
    assert len(pages) == 7


def test_each_file_is_read_by_its_own_database(shape: str):
    dialects = {"mssql": "tsql"} if shape != "card_use_view" else {"mssql": "tsql", "postgresql": "postgres"}
    for name, reads in (dialects | ({"mysql": "mysql"} if shape == "card_use_view" else {})).items():
        page = str(patient_sql(shape, dialect_named(name), 500).page)
        (parsed,) = sqlglot.parse(re.sub(r":(\w+)", r"1", page.replace("OPTION (MAXDOP 1)", "")), read=reads)
        assert isinstance(parsed, exp.Select)
        assert parsed.args.get("limit") is not None


@given(st.sets(st.integers(-(2**62), 2**62), max_size=40), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_no_set_of_keys_loses_anybody_between_two_pages(keys: set[int], rows: int):
    hospital = of_shape("winning")
    engine = connect("sqlite://", hospital.his)
    with engine.begin() as connection:
        for table in TABLES["winning"]:
            connection.exec_driver_sql(f"CREATE TABLE {table}")
        for key in keys:
            connection.exec_driver_sql("INSERT INTO SF_BRXXK (patid) VALUES (?)", (key,))
    pages = list(Source(engine, hospital).patients(rows))
    assert [int(row.source_id) for page in pages for row in page] == sorted(keys)
    engine.dispose()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Callable[[str], Source]]:
    """A source whose shape has a text of one's own."""
    url = f"sqlite:///{tmp_path}/his.db"
    filled(url, "winning", [1])
    engine = connect(url, HOSPITAL.his)

    def opened(sql: str) -> Source:
        path = tmp_path / "sql" / "winning" / "upgrade" / "patient.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(sql, encoding="utf-8")
        patients._read.cache_clear()
        return Source(engine, of_shape("winning"), sql=tmp_path / "sql")

    yield opened
    engine.dispose()


def test_a_file_that_breaks_the_conventions_is_refused_by_name(own: Callable[[str], Source]):
    good = (SQL / "winning" / "upgrade" / "patient.sql").read_text(encoding="utf-8")
    for bad, says in (
        (good.replace("-- key: integer\n", "-- Patients\n"), "-- key: integer"),
        (good.replace("> :after", ">= :after"), "> :after"),
        (good.replace("ORDER BY p.patid", "ORDER BY source_id"), "ORDER BY"),
    ):
        with pytest.raises(BadFeedFile, match=r"upgrade/patient\.sql") as refused:
            list(own(bad).patients(10))
        assert says in str(refused.value)
    with pytest.raises(SourceDrift, match="open_id"):
        list(own(re.sub(r",\s+\(SELECT MAX.*open_id", "", good)).patients(10))
    with pytest.raises(SourceDrift, match="lxdh"):
        list(own(good.replace("p.lxdh", "p.lxdh2")).patients(10))


def test_a_shape_without_patients_says_which_to_name(tmp_path: Path):
    source = Source(connect("sqlite://", HOSPITAL.his), of_shape("bsoft"))
    with pytest.raises(BadFeedFile, match=r"\[upgrade\] shape"):
        list(source.patients(10))


def test_a_row_shows_nothing_of_a_patient():
    row = SourcePatient("P1", "张三", "男", "01", "19900307", "01", "11010119900307001X", "路", "138", None, "o-1")
    assert repr(row) == str([row])[1:-1] == "SourcePatient(...)"
