"""Schema drift by type: a column that changed its kind stops a feed before its first row, and is named."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import planted
import pytest
from card_usage.errors import SourceDrift
from card_usage.events import SourceRow
from card_usage.source.dialect_registry import dialect_named
from card_usage.source.drift import declared_drift, value_drift
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from card_usage.windows import day_window
from sqlalchemy import create_engine, text

MSSQL, SQLITE = dialect_named("mssql"), dialect_named("sqlite")
DAY = day_window(date(2026, 11, 20))
ROW = SourceRow("1", datetime(2026, 11, 20, 8), "010103", "K1", "内科", "JK", "ZZ", None, "N1", "甲", None, 0)  # noqa: DTZ001
TEXTS = ("scene", "department", "department_name", "card_type", "channel", "cost_type", "id_number", "name")
VIEW_COLUMNS = (
    "source_id {id}, occurred_at {at}, scene {t}, department {t}, department_name {t}, card_type {t}, "
    "channel {t}, cost_type {t}, id_number {t}, name {t}, qr_code_text {t}, voided {v}, feed {t}"
)


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        *((column, 301, "a number") for column in TEXTS),
        ("department", Decimal("301"), "a number"),
        ("name", datetime(2026, 1, 1), "a date and time"),  # noqa: DTZ001 - as drivers give it
        ("occurred_at", "2026112008:00:00", "text"),
        ("occurred_at", date(2026, 11, 20), "a date without time of day"),
        ("occurred_at", 20261120, "a number"),
        ("source_id", date(2026, 11, 20), "a date without time of day"),
        ("voided", "0", "text"),
    ],
)
def test_a_value_of_a_wrong_kind_names_its_column(column: str, value: Any, kind: str) -> None:
    rows = [ROW, ROW._replace(**{column: value}), ROW]
    assert value_drift(rows, MSSQL, "datetime") == (column, kind)


def test_rows_as_drivers_give_them_are_in_order() -> None:
    guid = UUID(int=5)
    for row in (ROW, ROW._replace(source_id=5), ROW._replace(source_id=guid), ROW._replace(name=b"\xbc\xd7"), ROW[:1]):
        if len(row) == len(SourceRow._fields):
            assert value_drift([SourceRow._make(row)], MSSQL, "datetime") is None
    nothing = SourceRow(*("1", None, *[None] * 9, 1))
    assert value_drift([nothing], MSSQL, "datetime") is None
    assert value_drift([ROW._replace(occurred_at="2026112008:00:00")], MSSQL, "char16") is None
    assert value_drift([ROW], MSSQL, "char16") == ("occurred_at", "a date and time")
    assert value_drift([ROW._replace(occurred_at="2026-11-20 08:00:00.000000")], SQLITE, "datetime") is None


def described(**changed: int) -> list[tuple[Any, ...]]:
    codes = dict.fromkeys(SourceRow._fields, 1) | {"occurred_at": 4, "voided": 3} | changed
    return [(name, code, None, None, None, None, None) for name, code in codes.items()]


def test_what_the_driver_declares_counts_before_the_first_row() -> None:
    assert declared_drift(described(), MSSQL, "datetime") is None
    assert declared_drift(described(cost_type=3), MSSQL, "datetime") is None, "a constant NULL is declared as a number"
    assert declared_drift(described(occurred_at=2), MSSQL, "datetime") is None, "datetime2 comes as binary"
    assert declared_drift(described(occurred_at=1), MSSQL, "datetime") == ("occurred_at", "text")
    assert declared_drift(described(), MSSQL, "char16") == ("occurred_at", "a date and time")
    assert declared_drift(described(name=4), MSSQL, "datetime") == ("name", "a date and time")
    assert declared_drift(None, MSSQL, "datetime") is None
    assert declared_drift([("occurred_at", None)], SQLITE, "datetime") is None


def hospital(shape: str = "card_use_view") -> Any:
    return planted.hospital(his={"shape": shape, "feeds": ("payment",), "tries": 0})


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Iterator[Any]:
    engines = []

    def made(kinds: dict[str, str], row: str | None = None, backend: str = "postgresql") -> Source:
        url = request.getfixturevalue("postgres_url")
        engine = create_engine(url)
        engines.append(engine)
        with engine.begin() as connection:
            connection.execute(text(f"CREATE TABLE v_card_use ({VIEW_COLUMNS.format(**kinds)})"))
            if row:
                connection.execute(text(f"INSERT INTO v_card_use VALUES ({row})"))
        return Source(connect(url), hospital())

    yield made
    for engine in engines:
        engine.dispose()


RIGHT = {"id": "text", "at": "timestamp", "t": "text", "v": "int"}
VALUES = "'1', '2026-11-20 08:00', '0101051', 'K1', 'n', 'JK', 'ZZ', '1', 'N1', 'x', 'q', 0, 'payment'"


def test_postgresql_columns_of_the_right_kinds_are_read(make: Any) -> None:
    source = make(RIGHT, VALUES)
    assert [row.source_id for batch in source.rows("payment", DAY.start, DAY.end) for row in batch] == ["1"]


@pytest.mark.parametrize(
    ("at", "column"),
    [("text", "occurred_at"), ("date", "occurred_at"), ("bigint", "occurred_at")],
)
def test_a_time_that_became_something_else_on_postgresql_is_named_even_for_an_empty_window(
    make: Any, at: str, column: str
) -> None:
    source = make(RIGHT | {"at": at})
    with pytest.raises(SourceDrift) as caught:
        next(source.rows("payment", DAY.start, DAY.end))
    assert caught.value.details["column"] == column
    assert caught.value.details["feed"] == "payment"


def test_a_char16_column_that_became_a_datetime_is_named(tmp_path: Path, postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        for statement in (
            "CREATE TABLE VW_MZBRJSK (sjh text, patid int, sfrq timestamp, sfksdm text, ybjszt int, jlzt int)",
            "ALTER TABLE VW_MZBRJSK ADD ghsfbz int, ADD cardtype text, ADD qdlx text, ADD ybdm text",
            "CREATE TABLE YY_JZBRYJK (xh int, patid int, lrrq char(16), jlzt int, cardtype text, qdlx text, ybdm text)",
            "CREATE TABLE SF_BRXXK (patid int, hzxm text, sfzh text)",
            "CREATE TABLE YY_KSBMK (id text, name text)",
            "CREATE TABLE xt_brxx (brid int, qrCodeText text)",
        ):
            connection.execute(text(statement))
    engine.dispose()
    source = Source(connect(postgres_url), hospital("winning"))
    for reading in (
        source.rows("payment", DAY.start, DAY.end).__next__,
        lambda: source.tally("payment", DAY.start, DAY.end).rows,
    ):
        with pytest.raises(SourceDrift, match="its type has changed") as caught:
            reading()
        assert caught.value.details["column"] == "occurred_at"


def test_a_code_that_became_a_number_stops_the_feed_before_its_first_row(tmp_path: Path) -> None:
    path = tmp_path / "his.db"
    with sqlite3.connect(path) as connection:
        kinds = {"id": "TEXT", "at": "DATETIME", "t": "TEXT", "v": "INT"}
        columns = VIEW_COLUMNS.format(**kinds).replace("channel TEXT", "channel INT")
        connection.execute(f"CREATE TABLE V_CARD_USE ({columns})")
        connection.execute(f"INSERT INTO V_CARD_USE VALUES ({VALUES.replace(chr(39) + 'ZZ' + chr(39), '7')})")
    connection.close()
    with pytest.raises(SourceDrift, match="column 'channel': it comes as a number"):
        next(Source(connect(f"sqlite:///{path}"), hospital()).rows("payment", DAY.start, DAY.end))
