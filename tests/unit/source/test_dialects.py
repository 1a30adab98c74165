"""Dialects: a database is one file of `dialects/`, found by the connection type and by SQLAlchemy's name."""

import re
import sys
from pathlib import Path

import pytest
from card_usage.config.connections import Connection, connection_from_environment
from card_usage.errors import BadConnection
from card_usage.files.shipped import PACKAGE
from card_usage.source import dialects
from card_usage.source.database_errors import is_transient, reason
from card_usage.source.dialect import Dialect
from card_usage.source.dialect_registry import all_dialects, database_url, dialect_named
from card_usage.source.feeds import SQL, feed_sql
from sqlalchemy.exc import DBAPIError


def read(text: str) -> Connection:
    return connection_from_environment("his", {"AIRFLOW_CONN_HIS": text})


def test_every_file_of_dialects_is_found_under_all_its_names() -> None:
    files = {path.stem for path in Path(dialects.__path__[0]).glob("*.py")} - {"__init__"}
    assert len(all_dialects()) == len(files)
    assert files <= {name for dialect in all_dialects() for name in dialect.names}
    for dialect in all_dialects():
        assert all(dialect_named(name) is dialect for name in dialect.names)
        assert dialect.time_conversion_errors <= dialect.conversion_errors
    names = [name for dialect in all_dialects() for name in (*dialect.names, *dialect.conn_types)]
    assert len(names) - len(set(names)) == sum(len({*d.names} & {*d.conn_types}) for d in all_dialects())


# The ledger's own databases have nothing to do with those of a HIS.
OF_THE_LEDGER = ("ledger", "quality/gx.py", "staging/unchanged_hours.py")


def test_no_other_file_names_a_database_of_a_his() -> None:
    kinds = {name for dialect in all_dialects() for name in (*dialect.names, *dialect.conn_types)}
    naming = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(f'"{kind}"' in path.read_text(encoding="utf-8") for kind in kinds)
    }
    assert {name for name in naming if not name.startswith(("source/dialects/", *OF_THE_LEDGER))} == set()


def test_a_database_is_added_by_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "exasol.py").write_text(
        "from functools import partial\n"
        "from card_usage.source.dialect import Dialect, server_url\n"
        "DIALECT = Dialect(names=('exasol',), conn_types=('exa',), url=partial(server_url, 'exa+websocket'),"
        " transient_errors={-40404: 'connection lost'}, checksum='SUM(HASH(1))')\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(dialects, "__path__", [*dialects.__path__, str(tmp_path)])
    try:
        for cached in (all_dialects, dialect_named):
            cached.cache_clear()
        assert database_url(read("exa://u:p@db/his")).drivername == "exa+websocket"
        added = dialect_named("exasol")
        assert is_transient(DBAPIError("SELECT 1", {}, Exception(-40404)), added)
        shape, name = next(path.relative_to(SQL).with_suffix("").parts for path in sorted(SQL.glob("*/*.sql")))
        assert "SUM(HASH(1))" in str(feed_sql(shape, name).by_minute(added))
    finally:
        sys.modules.pop(f"{dialects.__name__}.exasol", None)
        for cached in (all_dialects, dialect_named):
            cached.cache_clear()


def test_a_database_that_nobody_described_is_read_with_plain_sql_and_never_retried() -> None:
    unknown = dialect_named("exasol")
    assert unknown == Dialect(names=("exasol",))
    shape, name = next(path.relative_to(SQL).with_suffix("").parts for path in sorted(SQL.glob("*/*.sql")))
    query = str(feed_sql(shape, name).by_minute(unknown))
    assert "NULL" in query
    assert query.count("GROUP BY SUBSTRING(") + query.count("GROUP BY EXTRACT(") == 1


def test_a_url_does_not_show_the_password() -> None:
    assert "s3cret" not in repr(database_url(read("mssql://u:s3cret@db/his")))


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("sqlite:////var/Lib/his.db", "/var/Lib/his.db"),
        ("sqlite:///var/his.db", "var/his.db"),
        ("sqlite://%2Fvar%2FLib%2Fhis.db", "/var/Lib/his.db"),
        ("sqlite:////srv/%E5%8C%BB%E9%99%A2%20a.db", "/srv/医院 a.db"),
    ],
)
def test_a_sqlite_connection_names_its_file(uri: str, path: str):
    assert database_url(read(uri)).database == path


def test_a_sql_server_connection_becomes_a_url_with_the_password_in_one_piece():
    url = database_url(read(f"mssql://reader:{'p%40ss%2Fword%3A%25'}@db:1433/THIS4"))
    assert (url.drivername, url.host, url.port, url.database) == ("mssql+pymssql", "db", 1433, "THIS4")
    assert (url.username, url.password, dict(url.query)) == ("reader", "p@ss/word:%", {"charset": "utf8"})
    assert database_url(read("mssql://db/THIS4?charset=cp936")).query["charset"] == "cp936"


@pytest.mark.parametrize(
    ("conn_type", "driver"),
    [
        ("postgres", "postgresql+psycopg"),
        ("postgresql", "postgresql+psycopg"),
        ("mysql", "mysql+pymysql"),
        ("oracle", "oracle+oracledb"),
    ],
)
def test_other_databases_are_a_connection_type_away(conn_type: str, driver: str):
    url = database_url(read(f"{conn_type}://u:p@db/his"))
    assert (url.drivername, dict(url.query)) == (driver, {})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http://u:p@h", "has type 'http', which is no database known here"),
        ("mssql:///THIS4", "names no host"),
        ("sqlite://", "names no database file"),
        ('{"host": "db"}', "has type '', which is no database known here"),
    ],
)
def test_a_connection_that_is_no_database_cannot_be_a_his(text: str, problem: str):
    with pytest.raises(BadConnection, match=problem):
        database_url(read(text))


@pytest.mark.parametrize("number", [701, 1204, 3958, 4060, 8628, 8645, 18401, 20002])
def test_what_passes_by_itself_on_sql_server_is_tried_again(number: int) -> None:
    assert is_transient(DBAPIError("SELECT 1", {}, Exception((number, b"..."))), dialect_named("mssql"))


@pytest.mark.parametrize("number", [300, 468, 916, 3952, 4413, 18456])
def test_what_somebody_has_to_mend_on_sql_server_is_said_with_its_meaning_and_not_tried_again(number: int) -> None:
    error = DBAPIError("SELECT 1", {}, Exception((number, b"...")))
    assert not is_transient(error, dialect_named("mssql"))
    assert re.fullmatch(rf"Exception {number}, \w.*", reason(error, dialect_named("mssql")))
