"""Databases quote the value they stumble over: nothing of it leaves in an error, its chain or the log."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import mariadb
import planted
import pytest
from card_usage.config.hospital import Hospital
from card_usage.errors import SourceError
from card_usage.events import SourceRow
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from card_usage.windows import day_window
from sqlalchemy import NullPool, create_engine, text
from wire_stand import stand

WINDOW = day_window(date(2026, 3, 2))
NUMBER, NAME = "110101199003078515", "欧阳震华"
QUOTING = {
    "mssql": "CASE WHEN CONVERT(int, x.secret) > 0 THEN 1 ELSE 0 END",
    "postgresql": "CAST(x.secret AS integer)",
    "mysql": "EXTRACTVALUE('<a/>', CONCAT('//', x.secret, '['))",
}
"""An expression whose error text holds the value, as a DBA's own view may have one."""


def broken(folder: Path, database: str, secret: str) -> Hospital:
    """A hospital with a feed of its own, which stumbles over a patient's value."""
    columns = ", ".join(
        f"{QUOTING[database]} AS voided" if name == "voided" else f"x.occurred_at AS {name}"
        for name in SourceRow._fields
    )
    (folder / "own").mkdir()
    (folder / "own" / "registration.sql").write_text(
        f"-- bounds: char16\nSELECT {columns}\n"
        f"FROM (SELECT '2026030208:00:00' AS occurred_at, '{secret}' AS secret) x\n"
        "WHERE x.occurred_at >= CAST(:start AS char(16)) AND x.occurred_at < CAST(:end AS char(16))\n"
        "ORDER BY occurred_at, source_id\n",
        encoding="utf-8",
    )
    return planted.hospital(his={"shape": "own", "feeds": ("registration",), "pause_seconds": 0})


@pytest.fixture(params=list(QUOTING))
def replica(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The database's name and a URL that SQLAlchemy takes."""
    if request.param == "mssql":
        with stand(tmp_path) as server:
            yield "mssql", server.admin
    elif request.param == "postgresql":
        yield "postgresql", request.getfixturevalue("postgres_url")
    else:
        server_of: mariadb.Server = request.getfixturevalue("maria_server")
        yield "mysql", f"mysql+pymysql://root@127.0.0.1:{server_of.port}/his?charset=utf8mb4"


@pytest.mark.parametrize("secret", [NUMBER, NAME])
def test_what_a_database_quotes_stands_in_no_error_of_ours_and_in_no_log(
    replica: tuple[str, str], secret: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database, url = replica
    hospital = broken(tmp_path, database, secret)
    caplog.set_level(logging.DEBUG)
    with create_engine(url, poolclass=NullPool).connect() as connection:
        expression = QUOTING[database].replace("x.secret", f"'{secret}'")
        with pytest.raises(Exception, match=secret):
            connection.execute(text(f"SELECT {expression}")).all()
    reading = Source(connect(url), hospital, sql=tmp_path, pause=lambda seconds: None)
    with pytest.raises(SourceError) as raised:
        for _ in reading.rows("registration", WINDOW.start, WINDOW.end):
            pass
    told = "".join(traceback.format_exception(raised.value))
    assert "registration" in told
    assert secret not in told
    assert secret not in repr(raised.value.__dict__)
    assert secret not in caplog.text
