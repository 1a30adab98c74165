"""Replicas that are no SQL Server: a hospital's day over PostgreSQL and MariaDB, through what Airflow knows of them.

The contract view holds the same day on SQLite, PostgreSQL and MariaDB (in GBK); connections are Airflow's own types.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import demo_his
import ledgers
import mariadb
import planted
import pytest
import sqlglot
from card_usage import pipeline
from card_usage.config.connections import Connection, connection_from_environment
from card_usage.config.hospital import Hospital, load_hospital
from card_usage.config.settings import Settings
from card_usage.context import Context
from card_usage.errors import SourceDrift, SourceInterrupted, SourceUnreachable
from card_usage.events import SourceRow
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import open_ledger
from card_usage.ledger.schema import event
from card_usage.source.database_errors import is_transient, reason
from card_usage.source.dialect_registry import database_url, dialect_named
from card_usage.source.feeds import feed_sql
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from card_usage.staging.stage import stage
from card_usage.standard.aliases import load_aliases
from card_usage.standard.code_tables import load_tables
from card_usage.windows import day_window
from sqlalchemy import (
    Column,
    DateTime,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    insert,
    make_url,
    select,
    text,
)
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.dialects import oracle
from sqlalchemy.exc import DBAPIError

DAY = date(2026, 3, 2)
WINDOW = day_window(DAY)
NOW = datetime(2026, 3, 4, 1, tzinfo=UTC)
DEMO = load_hospital(SHIPPED / "hospitals", "demo_hospital")
FEEDS = ("registration", "payment", "dispensing", "examination", "laboratory")
ORACLE = dialect_named("oracle")
KINDS = ["postgres", "mysql"]


def hospital(**changes: object) -> Hospital:
    his = {"shape": "card_use_view", "feeds": FEEDS, "fetch_size": 50, "pause_seconds": 0}
    return planted.hospital(his=his | changes)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[SourceRow]]:
    """The demo hospital's rows by feed, their times as datetimes."""
    url = f"sqlite:///{tmp_path_factory.mktemp('his')}/his.db"
    demo_his.create(url, [DAY], 1200, 5)
    source = Source(connect(url), DEMO)
    return {
        feed: [
            row._replace(occurred_at=datetime.strptime(str(row.occurred_at), "%Y%m%d%H:%M:%S"))  # noqa: DTZ007
            for batch in source.rows(feed, WINDOW.start, WINDOW.end)
            for row in batch
        ]
        for feed in FEEDS
    }


def fill(url: str, day: dict[str, list[SourceRow]]) -> None:
    """V_CARD_USE as a table."""
    lower = make_url(url).get_backend_name() == "postgresql"
    text_columns = [name for name in SourceRow._fields if name not in {"occurred_at", "voided"}]
    names = ["feed", *SourceRow._fields]
    table = Table(
        "v_card_use" if lower else "V_CARD_USE",
        MetaData(),
        *(
            Column(
                name if lower else name.upper(),
                DateTime() if name == "occurred_at" else Integer() if name == "voided" else String(128),
            )
            for name in names
        ),
    )
    assert len(text_columns) == 10
    engine = create_engine(url)
    with engine.begin() as connection:
        table.create(connection)
        rows = [dict(zip(table.c.keys(), (feed, *row), strict=True)) for feed, rows in day.items() for row in rows]
        connection.execute(insert(table), rows)
    engine.dispose()


@pytest.fixture(scope="module")
def maria(maria_server: mariadb.Server, day: dict[str, list[SourceRow]]) -> mariadb.Server:
    maria_server.run("CREATE USER reader IDENTIFIED BY 'hush-hush'", "GRANT SELECT ON his.* TO reader")
    fill(f"mysql+pymysql://root@127.0.0.1:{maria_server.port}/his?charset=utf8mb4", day)
    return maria_server


@pytest.fixture
def replica(request: pytest.FixtureRequest, day: dict[str, list[SourceRow]]) -> Connection:
    """As it stands in AIRFLOW_CONN_REPLICA."""
    if request.param == "mysql":
        port = request.getfixturevalue("maria").port
        uri = f"mysql://reader:hush-hush@127.0.0.1:{port}/his"
    else:
        url = make_url(request.getfixturevalue("postgres_url"))
        fill(url.render_as_string(hide_password=False), day)
        uri = f"postgres://{url.username}@{url.host}:{url.port}/{url.database}"
    return connection_from_environment("replica", {"AIRFLOW_CONN_REPLICA": uri})


def source(replica: Connection | str, **changes: object) -> Source:
    ours = hospital(**changes)
    return Source(connect(replica, ours.his), ours, pause=lambda seconds: None)


def read(reading: Source, feed: str) -> list[SourceRow]:
    return [row for batch in reading.rows(feed, WINDOW.start, WINDOW.end) for row in batch]


def staged(folder: Path, name: str, reading: Source) -> list[tuple[object, ...]]:
    # One place of data keys, so that the same content has the same digest in both ledgers.
    ledger = open_ledger(ledgers.sqlite_url(folder, name), ledgers.KEYRING.with_folder(folder / "keys"))
    tables = load_tables()
    for feed in FEEDS:
        stage(
            reading.rows(feed, WINDOW.start, WINDOW.end),
            hospital=hospital(),
            feed=feed,
            window=WINDOW,
            ledger=ledger,
            tables=tables,
            aliases=load_aliases(SHIPPED / "code_aliases", DEMO.id, tables),
            backfill=False,
            now=NOW,
        )
    columns = [event.c[name] for name in ("key", "feed", "day", "status", "reason", "request_id", "digest")]
    with ledger.read() as connection:
        rows = [tuple(row) for row in connection.execute(select(*columns).order_by(event.c.key))]
    ledger.close()
    return rows


@pytest.mark.parametrize("replica", KINDS, indirect=True)
def test_a_day_staged_from_the_replica_equals_the_same_day_from_a_file(
    replica: Connection, day: dict[str, list[SourceRow]], tmp_path: Path
) -> None:
    fill(f"sqlite:///{tmp_path}/his.db", day)
    from_replica = staged(tmp_path, "replica", source(replica))
    assert from_replica == staged(tmp_path, "file", source(f"sqlite:///{tmp_path}/his.db"))
    assert len(from_replica) > 1200


@pytest.mark.parametrize("replica", KINDS, indirect=True)
def test_a_killed_session_goes_on_in_another(replica: Connection, request: pytest.FixtureRequest) -> None:
    whole = read(source(replica), "registration")
    rows: list[SourceRow] = []
    administrator = create_engine(
        database_url(replica)
        if replica.conn_type == "postgres"
        else f"mysql+pymysql://root@127.0.0.1:{request.getfixturevalue('maria').port}/his"
    )
    for number, batch in enumerate(source(replica, fetch_size=7).rows("registration", WINDOW.start, WINDOW.end)):
        rows += batch
        if number != 2:
            continue
        with administrator.connect() as connection:
            if replica.conn_type == "postgres":
                of_ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'card_usage'"
                assert True in connection.execute(text(of_ours)).scalars().all()
            else:
                of_ours = "SELECT id FROM information_schema.processlist WHERE user = 'reader'"
                for session in connection.execute(text(of_ours)).scalars().all():
                    connection.execute(text(f"KILL {session}"))
    administrator.dispose()
    assert Counter(rows) == Counter(whole)
    assert len(whole) > 300


@pytest.mark.parametrize("replica", KINDS, indirect=True)
def test_nothing_can_be_written_even_by_a_login_that_may(replica: Connection, request: pytest.FixtureRequest) -> None:
    if replica.conn_type == "mysql":
        request.getfixturevalue("maria").run("GRANT INSERT, DELETE ON his.* TO reader")
    with connect(replica, hospital().his).connect() as connection, pytest.raises(Exception, match=r"(?i)read.only"):
        connection.execute(text("DELETE FROM V_CARD_USE"))


@pytest.mark.parametrize("replica", KINDS, indirect=True)
def test_refusals_name_what_is_missing_and_no_password(replica: Connection, tmp_path: Path) -> None:
    (tmp_path / "card_use_view").mkdir()
    sql = (SHIPPED / "sql/card_use_view/payment.sql").read_text(encoding="utf-8")
    (tmp_path / "card_use_view/payment.sql").write_text(sql.replace("v.NAME", "v.XINGMING"), encoding="utf-8")
    ours = hospital()
    with pytest.raises(SourceDrift, match=r"(?i)xingming"):
        read(Source(connect(replica, ours.his), ours, sql=tmp_path), "payment")
    wrong = replace(replica, password="not-the-password", login="nobody-here")
    with pytest.raises(SourceUnreachable) as caught:
        read(source(wrong), "payment")
    assert "not-the-password" not in str(caught.value)


def test_a_silent_mysql_counts_as_lost_after_the_query_time_out(maria: mariadb.Server, tmp_path: Path) -> None:
    (tmp_path / "card_use_view").mkdir()
    sql = (SHIPPED / "sql/card_use_view/payment.sql").read_text(encoding="utf-8")
    slow = sql.replace("WHERE v.FEED", "WHERE SLEEP(3) = 0 AND v.FEED")
    (tmp_path / "card_use_view/payment.sql").write_text(slow, encoding="utf-8")
    replica = connection_from_environment(
        "replica", {"AIRFLOW_CONN_REPLICA": f"mysql://reader:hush-hush@127.0.0.1:{maria.port}/his"}
    )
    ours = hospital(query_timeout_seconds=1, tries=1)
    with pytest.raises(SourceInterrupted, match="2013"):
        read(Source(connect(replica, ours.his), ours, sql=tmp_path, pause=lambda seconds: None), "payment")


@pytest.mark.parametrize("file", sorted((SHIPPED / "sql").glob("[bn][se]*/*.sql")), ids=lambda file: file.stem)
def test_the_sql_for_oracle_is_oracles_and_says_that_it_is_untested(file: Path) -> None:
    head = file.read_text(encoding="utf-8")
    assert head.splitlines()[1].startswith("-- UNTESTED")
    query = feed_sql(file.parent.name, file.stem).select
    compiled = str(query.compile(dialect=oracle.dialect()))
    parsed = sqlglot.parse_one(compiled, read="oracle")
    assert [column.alias_or_name for column in parsed.selects] == list(SourceRow._fields)
    unknown = {table.name for table in parsed.find_all(sqlglot.exp.Table)} - set(re.findall(r"\w+(?=:)", head))
    assert unknown == set(), "every table stands under Reads"


class OracleError:
    """What oracledb raises its exceptions with."""

    def __init__(self, full_code: str) -> None:
        self.full_code = full_code
        self.message = f"{full_code}: near 110101199003070011"


@pytest.mark.parametrize(
    ("code", "passing"),
    [(code, True) for code in ORACLE.transient_errors]
    + [(code, False) for code in ("ORA-00904", "ORA-00942", "ORA-01017", "ORA-01722", "ORA-28000", "DPY-3015")],
)
def test_what_oracle_says_is_known_by_its_code_and_never_quoted(code: str, passing: bool) -> None:
    error = DBAPIError("SELECT 1", {}, Exception(OracleError(code)), hide_parameters=True)
    assert is_transient(error, ORACLE) is passing
    said = reason(error, ORACLE)
    assert code in said
    assert "1101" not in said


_ASKS = {
    "outside every day": re.compile(r"\) outside$"),
    "count by minute": re.compile(r"\) counted GROUP BY "),
    "keys": re.compile(r"^SELECT keyed\."),
    "rows": re.compile(r"ORDER BY occurred_at, source_id$"),
}


@pytest.mark.parametrize("replica", KINDS, indirect=True)
def test_a_day_is_read_as_often_as_the_contract_says(
    replica: Connection, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """docs/his-contract.md, Load: whoever adds a query to a run changes the figures there too."""
    ledger = open_ledger(ledgers.sqlite_url(tmp_path, "passes"), ledgers.KEYRING)
    settings = Settings(
        ledger_url="",
        keyring=ledgers.KEYRING,
        hospitals=SHIPPED / "hospitals",
        aliases=SHIPPED / "code_aliases",
        reports=tmp_path / "reports",
    )
    context = Context(hospital=hospital(), settings=settings, ledger=ledger, connection_of=lambda _: replica)
    asked: Counter[str] = Counter()
    server = make_url(database_url(replica)).port

    def note(connection: Engine, cursor: object, statement: str, *_: object) -> None:
        if connection.engine.url.port == server and re.search("v_card_use", statement, re.IGNORECASE):
            asked[next((name for name, shape in _ASKS.items() if shape.search(statement.strip())), "others")] += 1

    def costs(*steps: Callable[[], object]) -> dict[str, float]:
        asked.clear()
        for step in steps:
            step()
        return {name: count / len(FEEDS) for name, count in asked.items()}

    def reads(now: datetime) -> Iterator[Callable[[], object]]:
        for feed in FEEDS:
            yield partial(pipeline.stage, context, feed, WINDOW, now=now)
        yield partial(pipeline.check, context, WINDOW, now=now)

    sqlalchemy_event.listen(Engine, "before_cursor_execute", note)
    try:
        again = NOW + timedelta(days=1)
        assert costs(*reads(NOW)) == {"count by minute": 1, "rows": 1}
        first = costs(lambda: pipeline.reconcile(context, WINDOW, now=NOW))
        assert first == {"count by minute": 1, "outside every day": 1}
        assert costs(*reads(again)) == {"count by minute": 1, "rows": 1}
        assert costs(lambda: pipeline.reconcile(context, WINDOW, now=again)) == first
        assert costs(lambda: pipeline.reconcile(context, WINDOW, now=again + timedelta(hours=1))) == {
            "count by minute": 1
        }
    finally:
        sqlalchemy_event.remove(Engine, "before_cursor_execute", note)
        ledger.close()


@pytest.mark.parametrize("replica", KINDS, indirect=True)
def test_rows_without_a_usable_time_are_counted_on_a_server(
    replica: Connection, request: pytest.FixtureRequest
) -> None:
    url = (
        make_url(request.getfixturevalue("postgres_url"))
        if replica.conn_type == "postgres"
        else f"mysql+pymysql://root@127.0.0.1:{request.getfixturevalue('maria').port}/his?charset=utf8mb4"
    )
    table = "v_card_use" if replica.conn_type == "postgres" else "V_CARD_USE"
    engine = create_engine(url)
    with engine.begin() as connection:
        for key, at in (("no time", "NULL"), ("in 9999", "'9999-12-31 00:00:00'"), ("today", "'2026-03-04 08:00:00'")):
            values = f"('payment', '{key}', {at}, '010105', 0)"
            connection.execute(
                text(f"INSERT INTO {table} (feed, source_id, occurred_at, scene, voided) VALUES {values}")
            )
    at = datetime(2026, 3, 4, 9)  # noqa: DTZ001 - local time
    try:
        assert source(replica).untimed("payment", at, keys=9) == (2, ("in 9999", "no time"))
        assert source(replica).untimed("payment", at, keys=1) == (2, ("in 9999",))
        assert source(replica).untimed("registration", at, keys=9) == (0, ())
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DELETE FROM {table} WHERE source_id IN ('no time', 'in 9999', 'today')"))
        engine.dispose()
