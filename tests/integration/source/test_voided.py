"""The column VOIDED as a bit or a boolean: read, counted and compared like a number, on PostgreSQL and MariaDB."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import mariadb
import planted
import pytest
from card_usage.errors import SourceDrift
from card_usage.events import SourceRow
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from card_usage.windows import day_window
from sqlalchemy import create_engine, make_url, text

DAY = day_window(date(2026, 3, 2))
OTHERS = sorted(set(SourceRow._fields) - {"occurred_at", "voided"})


def filled(url: str, kind: str, values: tuple[str, ...], name: str) -> Source:
    engine = create_engine(url)
    with engine.begin() as connection:
        columns = ", ".join(f"{column} varchar(64)" for column in ("feed", *OTHERS))
        connection.execute(text(f"CREATE TABLE {name} ({columns}, occurred_at timestamp NULL, voided {kind})"))
        for number, value in enumerate(values):
            connection.execute(
                text(
                    f"INSERT INTO {name} (feed, source_id, occurred_at, voided)"
                    f" VALUES ('payment', '{number}', '2026-03-02 09:00:0{number}', {value})"
                )
            )
    engine.dispose()
    hospital = planted.hospital(his={"shape": "card_use_view", "feeds": ("payment",)})
    return Source(connect(url, hospital.his), hospital)


def check(source: Source) -> None:
    rows = [row for batch in source.rows("payment", DAY.start, DAY.end) for row in batch]
    assert [row.voided for row in rows] == [0, 1, 0]
    assert all(type(row.voided) is int for row in rows)
    assert source.tally("payment", DAY.start, DAY.end) == (3, 1)
    assert sum(tally.voided for tally in source.minutes("payment", DAY.start, DAY.end)) == 1
    assert {key.source_id for key in source.keys("payment", DAY.start, DAY.end) if key.voided} == {"1"}


@pytest.mark.parametrize(
    ("kind", "values"),
    [("boolean", ("false", "true", "NULL")), ("integer", ("0", "1", "NULL")), ("numeric(3,1)", ("0", "1", "0"))],
)
def test_on_postgresql(postgres_url: str, kind: str, values: tuple[str, ...]) -> None:
    url = make_url(postgres_url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    check(filled(url, kind, values, "v_card_use"))


@pytest.mark.parametrize(
    ("kind", "values"),
    [("bit(1)", ("b'0'", "b'1'", "NULL")), ("boolean", ("false", "true", "NULL")), ("int", ("0", "1", "0"))],
)
def test_on_mariadb(maria_server: mariadb.Server, kind: str, values: tuple[str, ...]) -> None:
    maria_server.run("CREATE DATABASE bits")
    try:
        check(filled(f"mysql+pymysql://root@127.0.0.1:{maria_server.port}/bits", kind, values, "V_CARD_USE"))
    finally:
        maria_server.run("DROP DATABASE bits")


def test_a_value_of_a_wrong_kind_is_found_in_whatever_batch_it_comes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/his.db"
    columns = ", ".join(("feed", *SourceRow._fields))
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE V_CARD_USE ({columns})"))
        for n in range(9):
            name = "'张三'" if n < 8 else "5"
            row = f"('payment', '{n}', '2026-03-02 09:00:0{n}', {name}, 0)"
            connection.execute(
                text(f"INSERT INTO V_CARD_USE (feed, source_id, occurred_at, name, voided) VALUES {row}")
            )
    hospital = planted.hospital(his={"shape": "card_use_view", "feeds": ("payment",), "fetch_size": 2})
    source = Source(connect(url, hospital.his), hospital)
    with pytest.raises(SourceDrift, match="column 'name': it comes as a number"):
        assert [len(batch) for batch in source.rows("payment", DAY.start, DAY.end)] == []
