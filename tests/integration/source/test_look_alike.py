"""The look-alike SQL Server itself: what each release refuses, CONVERT, and that a day reads alike from all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import demo_his
import pytest
from card_usage.config.hospital import load_hospital
from card_usage.files.shipped import SHIPPED
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from card_usage.windows import day_window
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import DBAPIError
from tds import RELEASES, Drop, Fails, LookAlike
from tds.faults import KILLED

DAY = date(2026, 3, 2)
WINDOW = day_window(DAY)
HOSPITAL = load_hospital(SHIPPED / "hospitals", "demo_hospital")

NEWER = {
    "CREATE OR ALTER VIEW dbo.V AS SELECT 1 AS one": ("2016", {156}),
    "SELECT TRY_CONVERT(datetime, '20260302') AS one": ("2012", {195}),
    "SELECT IIF(1 = 1, 1, 2) AS one": ("2012", {195}),
    "SELECT CONCAT('a', 'b') AS one": ("2012", {195}),
    "SELECT TRIM(' a ') AS one": ("2017", {195}),
    "SELECT GREATEST(1, 2) AS one": ("2022", {195}),
    "DROP VIEW IF EXISTS V": ("2016 RTM", {156}),
    "SELECT is_primary_replica FROM sys.dm_hadr_database_replica_states": ("2014", {207, 208}),
    "SELECT COUNT(*) FROM sys.dm_hadr_database_replica_states": ("2012", {208}),
}
"""A batch, the release that knows it first, and the errors of those before."""
ORDER = list(RELEASES)


@contextmanager
def asking(folder: Path, release: str) -> Iterator[Any]:
    with LookAlike(folder / "THIS4.db", release=release) as server:
        engine = create_engine(server.url(), poolclass=NullPool)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection


def error(connection: Any, batch: str) -> int | None:
    try:
        connection.exec_driver_sql(batch)
    except DBAPIError as raised:
        return int(getattr(raised.orig, "args", (0,))[0])
    return None


@pytest.mark.parametrize("release", RELEASES)
def test_a_release_refuses_what_is_newer_and_nothing_else(release: str, tmp_path: Path) -> None:
    with asking(tmp_path, release) as connection:
        for batch, (first, numbers) in NEWER.items():
            told = error(connection, batch)
            if ORDER.index(release) < ORDER.index(first):
                assert told in numbers, batch
            else:
                assert told not in {195, 156, 207}, batch
            assert error(connection, f"SELECT '{batch.replace(chr(39), '')}' AS one -- {batch}") is None, "as a text"


def test_a_release_says_what_it_is(tmp_path: Path) -> None:
    for name, release in RELEASES.items():
        with asking(tmp_path, name) as connection:
            said = connection.exec_driver_sql("SELECT SERVERPROPERTY('ProductVersion') AS v, @@VERSION AS w").one()
            assert said[0] == release.product_version
            assert name in said[1]


def test_a_release_without_tds_7_4_speaks_7_3(tmp_path: Path) -> None:
    import pymssql._mssql as driver

    for name, version in (("2008 R2", 7.3), ("2012", 7.4)):
        with LookAlike(tmp_path / "THIS4.db", release=name) as server:
            password = server.logins["sa"]
            connection = driver.connect(
                server="127.0.0.1", port=str(server.port), user="sa", password=password, database="THIS4"
            )
            assert connection.tds_version == version
            connection.close()


CONVERTED = {
    "CONVERT(char(8), CAST('2026-03-02T09:05:07' AS datetime), 112)": "20260302",
    "CONVERT(char(8), CAST('2026-03-02T09:05:07' AS datetime), 108)": "09:05:07",
    "CONVERT(varchar(20), CAST('2026-03-02T09:05:07' AS datetime), 120)": "2026-03-02 09:05:07",
    "CONVERT(varchar(30), CAST('2026-03-02T09:05:07' AS datetime), 126)": "2026-03-02T09:05:07.000",
    "CONVERT(varchar(30), CAST('2026-03-02T09:05:07' AS datetime))": "Mar  2 2026  9:05AM",
    "CONVERT(varchar(10), '2026030209:05:07', 120)": "2026030209",
    "CONVERT(datetime, '20260302 09:05:07')": datetime(2026, 3, 2, 9, 5, 7),  # noqa: DTZ001
    "CONVERT(datetime, STUFF('2026030209:05:07', 9, 0, ' '), 112)": datetime(2026, 3, 2, 9, 5, 7),  # noqa: DTZ001
    "TRY_CONVERT(datetime, '2026023009:05:07', 112)": None,
    "CONVERT(int, '42')": 42,
    "DATEADD(day, -1, CAST('2026-03-01T00:00:00' AS datetime))": datetime(2026, 2, 28),  # noqa: DTZ001
    "SUBSTRING('2026030209:05:07', CHARINDEX(':', '2026030209:05:07') - 2, 2)": "09",
    "LEFT('abc', 2) + RIGHT('abc', 1)": "abc",
    "QUOTENAME(N'a]b')": "[a]]b]",
}


def test_convert_writes_and_reads_in_the_style_that_is_named(tmp_path: Path) -> None:
    with asking(tmp_path, "2019") as connection:
        for expression, wanted in CONVERTED.items():
            assert connection.exec_driver_sql(f"SELECT {expression} AS one").scalar_one() == wanted, expression
        assert error(connection, "SELECT CONVERT(datetime, 'yesterday') AS one") == 241
        assert error(connection, "SELECT CONVERT(int, 'many') AS one") == 245
        assert error(connection, "SELECT CONVERT(varchar(20), CAST('20260302' AS datetime), 99) AS one") == 281


def test_a_batch_branches_keeps_values_and_runs_texts(tmp_path: Path) -> None:
    with asking(tmp_path, "2008 R2") as connection:
        batch = (
            "DECLARE @name nvarchar(20), @sql nvarchar(100); SET @name = N'it''s';\n"
            "IF OBJECT_ID(N'dbo.T', N'U') IS NULL CREATE TABLE dbo.T (word nvarchar(20));\n"
            "IF NOT EXISTS (SELECT 1 FROM dbo.T) BEGIN SET @sql = N'INSERT INTO dbo.T (word) VALUES (N'\n"
            " + QUOTENAME(@name, N'''') + N')'; EXEC (@sql); END;"
        )
        for _ in range(2):
            connection.exec_driver_sql(batch)
        assert connection.exec_driver_sql("SELECT word FROM T").scalars().all() == ["it's"]
        assert error(connection, "IF 1 = 1 BEGIN RAISERROR(N'no', 16, 1); SET NOEXEC ON; END;") == 50_000
        assert error(connection, "DROP TABLE T") is None, "read, and not run"
        connection.exec_driver_sql("SET NOEXEC OFF")
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM T").scalar_one() == 1


REFUSED = {
    "USE [ANOTHER]": 911,
    "GRANT SELECT ON dbo.NOWHERE TO reader": 15151,
    "GRANT SELECT ON dbo.T TO nobody": 15151,
    "CREATE USER ghost FOR LOGIN ghost": 15007,
    "CREATE LOGIN reader WITH PASSWORD = N'x'": 15025,
    "ALTER VIEW dbo.NOWHERE AS SELECT 1 AS one": 208,
    "CREATE VIEW dbo.V AS SELECT 1 AS one": 2714,
    "SELECT 1 AS one; CREATE VIEW dbo.W AS SELECT 1 AS one": 111,
    "EXEC msdb.dbo.sp_add_jobstep @job_name = N'none', @step_name = N'x'": 14261,
    "EXEC msdb.dbo.sp_add_job @job = N'x'": 8145,
}


def test_a_script_that_assumes_too_much_is_refused_with_the_servers_own_number(tmp_path: Path) -> None:
    with asking(tmp_path, "2019") as connection:
        connection.exec_driver_sql("CREATE TABLE T (word nvarchar(20))")
        connection.exec_driver_sql("CREATE VIEW dbo.V AS SELECT 1 AS one")
        assert {batch: error(connection, batch) for batch in REFUSED} == REFUSED


def test_a_login_reads_what_it_is_granted_and_no_table_behind_a_view(tmp_path: Path) -> None:
    with LookAlike(tmp_path / "THIS4.db") as server:
        admin = create_engine(server.url(), poolclass=NullPool)
        with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in (
                "CREATE TABLE T (word nvarchar(20))",
                "CREATE VIEW dbo.V AS SELECT word FROM T",
                "CREATE LOGIN somebody WITH PASSWORD = N'Some-1-body'",
            ):
                connection.exec_driver_sql(statement)
            somebody = create_engine(server.url("somebody"), poolclass=NullPool)
            with pytest.raises(DBAPIError, match="4060"):
                somebody.connect()
            connection.exec_driver_sql("CREATE USER somebody FOR LOGIN somebody")
            connection.exec_driver_sql("GRANT SELECT ON dbo.V TO somebody")
        with somebody.connect() as connection:
            assert connection.exec_driver_sql("SELECT COUNT(*) FROM V").scalar_one() == 0
            assert error(connection, "SELECT COUNT(*) FROM T") == 229


@pytest.mark.parametrize("release", RELEASES)
def test_a_hospitals_day_reads_alike_from_every_release(release: str, tmp_path: Path) -> None:
    demo_his.create(f"sqlite:///{tmp_path}/his.db", [DAY], 200, 5)
    wanted = Source(connect(f"sqlite:///{tmp_path}/his.db"), HOSPITAL)
    with LookAlike(tmp_path / "THIS4.db", release=release) as server:
        demo_his.create(server.url(), [DAY], 200, 5)
        reading = Source(connect(server.url("reader"), HOSPITAL.his), HOSPITAL)
        for feed in HOSPITAL.his.feeds:
            rows = [row for batch in reading.rows(feed, WINDOW.start, WINDOW.end) for row in batch]
            assert rows == [row for batch in wanted.rows(feed, WINDOW.start, WINDOW.end) for row in batch]
            assert reading.tally(feed, WINDOW.start, WINDOW.end) == wanted.tally(feed, WINDOW.start, WINDOW.end)


# TLS


def test_a_stream_over_tls_goes_on_where_it_broke(tmp_path: Path) -> None:
    with LookAlike(tmp_path / "THIS4.db", tls="TLSv1.2") as server:
        demo_his.create(server.url(), [DAY], 400, 5)
        ours = HOSPITAL.his.model_copy(update={"pause_seconds": 0, "fetch_size": 50})
        hospital = HOSPITAL.model_copy(update={"his": ours})
        reading = Source(connect(server.url("reader"), ours), hospital)

        def read() -> list[Any]:
            return [row for batch in reading.rows("registration", WINDOW.start, WINDOW.end) for row in batch]

        whole = read()
        assert {said.tls for said in server.sessions} == {"TLSv1.2"}
        assert len(whole) > 100
        for fault in (Drop(after_rows=60, times=2), Fails(error=KILLED, after_rows=90)):
            server.faults.add(fault)
            assert read() == whole
            assert fault.struck


CONNECT = """
import pymssql, sys
try:
    pymssql.connect(server="127.0.0.1", port=sys.argv[1], user="sa", password=sys.argv[2], login_timeout=5)
except pymssql.Error as error:
    print(error.args)
else:
    print("connected")
"""


def test_a_server_of_tls_1_0_needs_a_freetds_conf_that_allows_it(tmp_path: Path) -> None:
    (tmp_path / "freetds.conf").write_text("[global]\n    enable tls v1 = yes\n")
    with LookAlike(tmp_path / "THIS4.db", tls="TLSv1") as server:
        words = [sys.executable, "-c", CONNECT, str(server.port), server.logins["sa"]]
        plain = {name: value for name, value in os.environ.items() if name != "FREETDSCONF"}
        refused = subprocess.run(words, env=plain, capture_output=True, text=True, check=True).stdout
        assert "20002" in refused
        assert any(said.startswith("TLS") for said in server.refused)
        allowed = plain | {"FREETDSCONF": str(tmp_path / "freetds.conf")}
        assert "connected" in subprocess.run(words, env=allowed, capture_output=True, text=True, check=True).stdout
        assert server.sessions[-1].tls == "TLSv1"
