"""Time zones: a server set to UTC shows and bounds instants in the hospital's time, on PostgreSQL and MariaDB."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import ledgers
import mariadb
import planted
import pytest
from card_usage.config.connections import connection_from_environment
from card_usage.config.settings import Settings
from card_usage.context import Context
from card_usage.events import SourceRow
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import Ledger
from card_usage.onboarding.readiness import check_readiness
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from card_usage.standard.normalize import occurred_at
from card_usage.windows import day_window
from sqlalchemy import create_engine, make_url, text

DAY = day_window(date(2026, 3, 2))
LOCAL = {
    "before": DAY.start - timedelta(seconds=1),
    "midnight": DAY.start,
    "morning": DAY.start + timedelta(hours=7, minutes=59),
    "eight": DAY.start + timedelta(hours=8),
    "last": DAY.end - timedelta(seconds=1),
    "after": DAY.end,
}
INSIDE = {"midnight", "morning", "eight", "last"}


def fill(url: str, kind: str, instant: str) -> None:
    """V_CARD_USE with a column of instants, written by a HIS whose own sessions say their zone."""
    engine = create_engine(url)
    text_columns = set(SourceRow._fields) - {"source_id", "occurred_at", "voided"}
    with engine.begin() as connection:
        columns = ", ".join(f"{name} varchar(128)" for name in ("feed", "source_id", *sorted(text_columns)))
        name = "v_card_use" if kind == "timestamptz" else "V_CARD_USE"
        connection.execute(text(f"CREATE TABLE {name} ({columns}, occurred_at {kind} NULL, voided int)"))
        for source_id, moment in LOCAL.items():
            utc = moment - timedelta(hours=8)
            connection.execute(
                text(
                    f"INSERT INTO {name} (feed, source_id, scene, occurred_at, voided)"
                    f" VALUES ('payment', :id, '010105', {instant.format(utc)}, 0)"
                ),
                {"id": source_id},
            )
    engine.dispose()


@pytest.fixture
def on_maria(maria_server: mariadb.Server) -> Iterator[str]:
    """MariaDB set to UTC."""
    maria_server.run("SET GLOBAL time_zone = '+00:00'", "CREATE DATABASE zoned")
    url = f"mysql+pymysql://root@127.0.0.1:{maria_server.port}/zoned?charset=utf8mb4"
    fill(url, "timestamp", "'{}'")
    yield url
    maria_server.run("DROP DATABASE zoned")


@pytest.fixture
def on_postgresql(postgres_url: str) -> str:
    """PostgreSQL with a database set to UTC."""
    url = make_url(postgres_url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"ALTER DATABASE \"{engine.url.database}\" SET timezone = 'UTC'"))
    engine.dispose()
    fill(url, "timestamptz", "'{}+00'")
    return url


@pytest.fixture(params=["maria", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(f"on_{request.param}")
    return found


def source(url: str) -> Source:
    hospital = planted.hospital(his={"shape": "card_use_view", "feeds": ("payment",)})
    return Source(connect(url, hospital.his), hospital)


def test_a_day_is_the_hospitals_day_whatever_zone_the_server_is_set_to(url: str) -> None:
    reading = source(url)
    rows = [row for batch in reading.rows("payment", DAY.start, DAY.end) for row in batch]
    assert {row.source_id: occurred_at(row.occurred_at) for row in rows} == {
        source_id: moment for source_id, moment in LOCAL.items() if source_id in INSIDE
    }
    assert reading.tally("payment", DAY.start, DAY.end).rows == len(INSIDE)
    assert {key.source_id for key in reading.keys("payment", DAY.start, DAY.end)} == INSIDE
    assert occurred_at(reading.newest("payment", DAY.start, DAY.end)) == LOCAL["last"]


def test_minutes_are_counted_in_the_hospitals_time(url: str) -> None:
    assert {tally.minute for tally in source(url).minutes("payment", DAY.start, DAY.end)} == {0, 479, 480, 1439}


@pytest.fixture
def context(url: str, embedded: Ledger) -> Context:
    hospital = planted.hospital(his={"shape": "card_use_view", "feeds": ("payment",)})
    kind = {"mysql": "mysql", "postgresql": "postgres"}[make_url(url).get_backend_name()]
    uri = make_url(url).set(drivername=kind, query={}).render_as_string(hide_password=False)
    environment = {
        "CARD_USAGE_LEDGER_URL": str(embedded.engine.url),
        "CARD_USAGE_KEY": ledgers.KEY,
        "CARD_USAGE_HOSPITALS": str(SHIPPED / "hospitals"),
        "AIRFLOW_CONN_DEMO_HIS": uri,
    }
    return Context(
        hospital=hospital,
        settings=Settings.from_environment(environment),
        ledger=embedded,
        connection_of=lambda conn_id: connection_from_environment(conn_id, environment),
    )


@pytest.mark.parametrize(
    ("ahead", "says"),
    [
        (timedelta(), "北京时间"),
        (timedelta(minutes=25), "相差 25 分钟"),
        (timedelta(hours=8), "别的时区"),
    ],
    ids=["the same", "a clock that is wrong", "another zone"],
)
def test_the_check_proves_the_zone_with_the_servers_own_clock(context: Context, ahead: timedelta, says: str) -> None:
    now = datetime.now(UTC)
    (found,) = [one for one in check_readiness(context, now=now, clock=lambda: now + ahead) if one.check == "clock"]
    assert found.state == ("warn" if ahead else "ok")
    assert says in found.text


def test_a_file_has_no_clock_and_nothing_is_said_of_one() -> None:
    assert source("sqlite://").dialect.clock is None
