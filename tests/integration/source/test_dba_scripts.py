"""Scripts for a hospital's DBA, run as they stand on PostgreSQL, MariaDB and the look-alike SQL Server of each release.

They make the contract view, the heartbeat and a login that reads both. What the view gives is compared with what the
same tables give without it; rows that a nightly job moves between tables stay in it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import mariadb
import pytest
import sqlglot
from card_usage.config.hospital import Hospital, load_hospital
from card_usage.files.shipped import SHIPPED
from card_usage.source.feeds import SQL, feed_sql
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from card_usage.standard.normalize import occurred_at
from needs import needed
from shape_tables import DAY, FIRST_ID, KNOWN_TWICE, NOON, SEEN, SHAPES, STRANGER, Shape
from sqlalchemy import NullPool, create_engine, make_url, text
from sqlglot import exp
from tds import RELEASES, LookAlike

DBA = SQL / "card_use_view" / "dba"
SCRIPTS = sorted(DBA.glob("*/*.sql"))
PASSWORD = "A-long-random-1'password"
_BEIJING = timezone(timedelta(hours=8))


def script(database: str, name: str) -> str:
    """A script as an editor reads it."""
    return (DBA / database / f"{name}.sql").read_text(encoding="utf-8-sig")


def hospital_of(shape: str, feeds: tuple[str, ...]) -> Hospital:
    demo = load_hospital(SHIPPED / "hospitals", "demo_hospital")
    return demo.model_copy(update={"his": demo.his.model_copy(update={"shape": shape, "feeds": feeds})})


def own_feeds(shape: Shape) -> dict[str, Any]:
    """Feeds of a shape that it keeps in tables of its own."""
    return {name: feed for name, feed in shape.feeds.items() if feed.table != "V_CARD_USE"}


def uses_of(shape: Shape, moment: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A row of every state, scene and patient that a feed knows, for each feed: table and row."""
    key = 1000
    for feed in own_feeds(shape).values():
        states: list[Mapping[str, Any]] = [feed.valid, feed.voided, *feed.ignored]
        states += [{**feed.valid, **scene} for scene in feed.other_scenes.values()]
        if feed.patient:
            states += [{**feed.valid, feed.patient: patient} for patient in (KNOWN_TWICE, STRANGER)]
        for state in states:
            key += 1
            yield feed.table, {**feed.row, feed.key: str(key), feed.at: moment, **state}


@dataclass(frozen=True, kw_only=True)
class Server:
    """A database with the tables of a shape. `reader`: URL of the login that login.sql makes."""

    admin: str
    reader: str

    def run(self, *statements: str | tuple[str, Mapping[str, Any]]) -> None:
        """As the administrator: statements, or a table and a row to insert."""
        engine = create_engine(self.admin, poolclass=NullPool)
        with engine.begin() as connection:
            for statement in statements:
                if isinstance(statement, str):
                    connection.exec_driver_sql(statement)
                else:
                    table, row = statement
                    holes = ", ".join(f":{name}" for name in row)
                    connection.execute(text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({holes})"), dict(row))

    def fill(self, shape: Shape, moment: str, kind: str) -> None:
        """Tables and views of the shape, its rows, and uses of every kind. `kind`: the type of a time."""
        times = re.compile(r"\bchar\(16\)|\bdatetime\b")
        self.run(
            *(times.sub(kind, statement) for statement in shape.statements() if "V_CARD_USE" not in statement),
            *((table, row) for table, rows in shape.rows.items() for row in rows),
            *uses_of(shape, moment),
        )

    def tables(self) -> set[str]:
        """Names of tables and views."""
        engine = create_engine(self.admin, poolclass=NullPool)
        with engine.connect() as connection:
            return set(connection.execute(text("SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES")).scalars())

    def read(self, shape: str, feed: str) -> list[tuple[Any, ...]]:
        ours = hospital_of(shape, (feed,))
        source = Source(connect(self.reader, ours.his), ours)
        rows = [row for batch in source.rows(feed, DAY.start, DAY.end) for row in batch]
        assert source.tally(feed, DAY.start, DAY.end).rows == len(rows)
        return sorted((str(row.source_id), occurred_at(row.occurred_at), *row[2:]) for row in rows)


def expected(folder: Path, shape: str) -> dict[str, list[tuple[Any, ...]]]:
    """What the shape's own SQL reads of the same tables, from a file."""
    url = f"sqlite:///{folder}/expected_{shape}.db"
    server = Server(admin=url, reader=url)
    kind = "char(16)" if shape == "winning" else "datetime"
    server.fill(SHAPES[shape], as_text(NOON, kind), kind)
    feeds = dict.fromkeys(name.partition(",")[0] for name in own_feeds(SHAPES[shape]))
    return {feed: server.read(shape, feed) for feed in feeds}


def as_text(moment: datetime, kind: str) -> str:
    return moment.strftime("%Y%m%d%H:%M:%S") if kind == "char(16)" else moment.isoformat(" ")


def client(server: str, words: list[str], sql: str) -> str:
    """A script through the database's own command line; its output. The first error ends it."""
    done = subprocess.run(words, input=sql, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise AssertionError(f"{server}: {done.stderr}")
    return done.stdout + done.stderr


# PostgreSQL and MariaDB, by their own command lines


@pytest.fixture
def postgres_his(postgres_url: str) -> Server:
    server = Server(
        admin=postgres_url, reader=make_url(postgres_url).set(username="card_usage_reader").render_as_string()
    )
    server.fill(SHAPES["winning"], NOON.isoformat(" "), "timestamp")
    return server


def psql(his: Server, name: str, *, user: str | None = None) -> str:
    url = make_url(his.admin)
    place = ["-h", str(url.host), "-p", str(url.port), "-U", user or str(url.username), "-d", str(url.database)]
    program = needed("psql", shutil.which("psql"))
    return client("psql", [program, "-X", "-v", "ON_ERROR_STOP=1", *place], script("postgresql", name))


@pytest.fixture
def maria_his(maria_server: mariadb.Server) -> Server:
    maria_server.run("DROP DATABASE IF EXISTS this4", "CREATE DATABASE this4 CHARACTER SET gbk")
    maria_server.run("DROP USER IF EXISTS card_usage_reader")
    place = f"127.0.0.1:{maria_server.port}/this4?charset=utf8mb4"
    quoted = PASSWORD.replace("'", "%27")
    server = Server(admin=f"mysql+pymysql://root@{place}", reader=f"mysql+pymysql://card_usage_reader:{quoted}@{place}")
    server.fill(SHAPES["winning"], NOON.isoformat(" "), "datetime")
    return server


def mysql(his: Server, name: str, *, user: str = "root", password: str | None = None) -> str:
    url = make_url(his.admin)
    words = ["--no-defaults", "-h", "127.0.0.1", "-P", str(url.port), "-u", user, "--default-character-set=utf8mb4"]
    sql = script("mysql", name)
    if password is not None:
        quoted = password.replace("'", "''")
        sql = sql.replace("/* 'password' */", f"'{quoted}'")
    program = needed("mariadb", shutil.which("mariadb") or shutil.which("mysql"))
    secret = [f"--password={PASSWORD}"] if user != "root" else []
    return client("mariadb", [program, *words, *secret], sql)


def run_all(his: Server, name: str, *, again: bool = False) -> None:
    """Heartbeat, view and login, in the order that the document says."""
    for _ in range(2 if again else 1):
        for step in ("heartbeat", "view", "login"):
            if name == "postgresql":
                psql(his, step)
            else:
                mysql(his, step, password=PASSWORD)


DATABASES = ["postgresql", "mysql"]


@pytest.fixture
def his(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue("postgres_his" if request.param == "postgresql" else "maria_his")


@pytest.fixture
def database(his: Server) -> str:
    return make_url(his.admin).get_backend_name()


@pytest.mark.parametrize("his", DATABASES, indirect=True)
def test_the_view_gives_what_is_read_without_it(his: Server, database: str, tmp_path: Path) -> None:
    run_all(his, database, again=True)
    wanted = expected(tmp_path, "winning")
    assert len(wanted) == 8
    for feed, rows in wanted.items():
        assert his.read("card_use_view", feed) == rows, feed
        assert {row[-1] for row in rows} == {0, 1}


NIGHTLY = SHAPES["winning"].views


def move(his: Server, current: str, history: str, where: str) -> None:
    """What a nightly job does: rows go to the year table and leave the current one."""
    his.run(f"INSERT INTO {history} SELECT * FROM {current} WHERE {where}")
    his.run(f"DELETE FROM {current} WHERE {where}")


@pytest.mark.parametrize("his", DATABASES, indirect=True)
def test_rows_that_are_moved_to_a_year_table_stay_in_the_view(his: Server, database: str, tmp_path: Path) -> None:
    run_all(his, database)
    wanted = expected(tmp_path, "winning")
    for current, history in NIGHTLY.values():
        key = "sjh" if current == "SF_BRJSK" else "xh"
        move(his, current, history, f"{key} IN (SELECT {key} FROM (SELECT MAX({key}) AS {key} FROM {current}) AS one)")
        assert {feed: his.read("card_use_view", feed) for feed in wanted} == wanted, f"some of {current} have moved"
        move(his, current, history, "1 = 1")
        assert {feed: his.read("card_use_view", feed) for feed in wanted} == wanted, f"all of {current} have moved"


@pytest.mark.parametrize("his", DATABASES, indirect=True)
def test_the_login_reads_the_view_and_the_heartbeat_and_nothing_else(his: Server, database: str) -> None:
    run_all(his, database)
    engine = create_engine(his.reader, poolclass=NullPool)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT COUNT(*) FROM V_CARD_USE")).scalar_one() > 20
        beat = connection.execute(text("SELECT beat_at FROM CARD_USAGE_HEARTBEAT")).scalar_one()
    for statement in (
        "SELECT * FROM SF_BRXXK",
        "DELETE FROM V_CARD_USE",
        "UPDATE CARD_USAGE_HEARTBEAT SET beat_at = NULL",
        "CREATE TABLE mine (id int)",
    ):
        with engine.connect() as connection, pytest.raises(Exception, match=r"(?i)denied|read.only|cannot"):
            connection.execute(text(statement))
    beijing = datetime.now(UTC).astimezone(_BEIJING).replace(tzinfo=None)
    assert abs(beijing - beat) < timedelta(minutes=5), "Beijing time, whatever the server's zone"


@pytest.mark.parametrize("his", DATABASES, indirect=True)
def test_login_before_view_and_heartbeat_says_so_or_grants_nothing(his: Server, database: str) -> None:
    if database == "postgresql":
        psql(his, "login")
    else:
        with pytest.raises(AssertionError, match=r"V_CARD_USE' doesn't exist"):
            mysql(his, "login", password=PASSWORD)
    run_all(his, database)


@pytest.mark.parametrize("his", DATABASES, indirect=True)
def test_a_window_of_a_feed_is_found_by_the_index_of_its_own_tables(his: Server, database: str) -> None:
    """The view is a union of ten branches: a query of one feed leaves the others alone and reads no table whole."""
    run_all(his, database)
    own = own_feeds(SHAPES["winning"])
    times = {(table, feed.at) for feed in own.values() for table in (feed.table, feed.history) if table}
    ddl = [f"CREATE INDEX ix_{table}_{at} ON {table} ({at})" for table, at in times]
    ddl += ["CREATE INDEX ix_xt_brxx_brid ON xt_brxx (brid)", "CREATE INDEX ix_xt_brxx_sfzh ON xt_brxx (sfzh)"]
    ddl.append("CREATE INDEX ix_zy_brsyk_syxh ON ZY_BRSYK (syxh)")
    # Old rows, so that an index is worth its while.
    many = "SELECT 1 AS one" + " UNION ALL SELECT 1" * 99
    old = {"postgresql": "TIMESTAMP '2020-01-01'", "mysql": "'2020-01-01'"}[database]
    for table, at in sorted(times):
        ddl.append(f"INSERT INTO {table} ({at}) SELECT {old} FROM ({many}) a, ({many}) b")
    ddl += [f"ANALYZE TABLE {table}" if database == "mysql" else f"ANALYZE {table}" for table, _ in sorted(times)]
    his.run(*ddl)
    engine = create_engine(his.admin, poolclass=NullPool)
    for name in dict.fromkeys(feed.partition(",")[0] for feed in own):
        tables = {
            table
            for feed, kept in own.items()
            for table in (kept.table, kept.history)
            if table and feed.partition(",")[0] == name
        }
        sql = str(feed_sql("card_use_view", name).select)
        for hole, edge in ((":start", DAY.start), (":end", DAY.end)):
            sql = sql.replace(hole, f"TIMESTAMP '{edge.isoformat(' ')}'")
        with engine.connect() as connection:
            if database == "postgresql":
                plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {sql}").scalars())
                used = re.findall(r"(Seq|Index|Bitmap Heap) Scan (?:using \S+ )?on (\w+)", plan)
                times_used = {table for table, _ in times if table.lower() in {found for _, found in used}}
                assert tables <= times_used <= tables | {"ZY_BRSYK"}, f"of other feeds, inpatients' stays only: {plan}"
                assert not {table.lower() for table, _ in times} & {found for how, found in used if how == "Seq"}, plan
            else:
                connection.exec_driver_sql("FLUSH STATUS")
                assert connection.exec_driver_sql(sql).fetchall()
                read = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'").fetchall()
                assert sum(int(number) for _, number in read) < 1000, "of 10,000 old rows in each table"


def test_a_mysql_login_without_a_password_is_not_made(maria_his: Server) -> None:
    with pytest.raises(AssertionError, match="You have an error in your SQL syntax"):
        mysql(maria_his, "login")


@pytest.mark.parametrize("his", DATABASES, indirect=True)
def test_the_check_runs_as_the_reader_and_shows_no_patient(his: Server, database: str) -> None:
    run_all(his, database)
    yesterday = {
        "postgresql": "CURRENT_DATE - 1 + TIME '09:30'",
        "mysql": "CURDATE() - INTERVAL 1 DAY + INTERVAL 570 MINUTE",
    }
    his.run(f"UPDATE GH_GHZDK SET ghrq = {yesterday[database]}")
    said = (
        psql(his, "check", user="card_usage_reader")
        if database == "postgresql"
        else mysql(his, "check", user="card_usage_reader")
    )
    assert re.search(r"registration\W+9\W+6\W+1\b", said), said
    assert re.search(r"admission\W+2\b", said), "two stays without a time"
    assert not re.search("甲|乙|QR1|11010", said)
    assert (
        len(
            re.findall(
                r"(?im)^\W*(feed|source_id|occurred_at|scene|department|department_name|card_type|channel|cost_type|id_number|name|qr_code_text|voided)\b",
                said,
            )
        )
        >= 13
    )


def test_no_script_is_run_in_the_servers_own_database(postgres_his: Server) -> None:
    aside = Server(admin=make_url(postgres_his.admin).set(database="postgres").render_as_string(), reader="")
    for name in ("heartbeat", "view", "login"):
        with pytest.raises(AssertionError, match="connect to the HIS database first"):
            psql(aside, name)


# SQL Server, each release as the look-alike plays it


@dataclass(frozen=True, kw_only=True)
class SqlServer(Server):
    """The look-alike of one release."""

    server: LookAlike

    def script(
        self, name: str, *, database: str | None = None, user: str = "sa", change: Callable[[str], str] = str
    ) -> tuple[list[tuple[Any, ...]], list[int]]:
        """A script as SSMS runs it: batch by batch on one connection, going on after an error. Rows and errors."""
        url = make_url(self.server.url(user, self.server.logins[user]))
        engine = create_engine(url.set(database=database) if database else url, poolclass=NullPool)
        rows: list[tuple[Any, ...]] = []
        errors: list[int] = []
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for batch in batches(change(script("sqlserver", name))):
                cursor = connection.connection.cursor()
                try:
                    cursor.execute(batch)
                    while True:
                        rows += cursor.fetchall() if cursor.description else []
                        if not cursor.nextset():
                            break
                except Exception as error:
                    errors.append(error.args[0])
                finally:
                    cursor.close()
        return rows, errors

    def run_all(self, view: str = "view") -> None:
        """The scripts in the order that the document says."""
        assert self.script("heartbeat")[1] == []
        assert self.script(view)[1] == []
        assert self.script("login", change=with_password)[1] == []


def batches(sql: str) -> list[str]:
    """Parts between lines of GO."""
    return [part for part in re.split(r"^GO\s*$", sql, flags=re.MULTILINE) if part.strip()]


def with_password(sql: str) -> str:
    quoted = PASSWORD.replace("'", "''")
    assert "SET @password = N'';" in sql
    return sql.replace("SET @password = N'';", f"SET @password = N'{quoted}';")


@contextmanager
def sql_server(folder: Path, release: str, shape: str) -> Iterator[SqlServer]:
    with LookAlike(folder / "THIS4.db", release=release) as server:
        place = make_url(server.url()).set(username="card_usage_reader", password=PASSWORD)
        his = SqlServer(admin=server.url(), reader=place.render_as_string(hide_password=False), server=server)
        kind = "char(16)" if shape == "winning" else "datetime"
        his.fill(SHAPES[shape], as_text(NOON, kind), kind)
        yield his


@pytest.fixture
def winning(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlServer]:
    with sql_server(tmp_path, getattr(request, "param", "2008 R2"), "winning") as his:
        yield his


every_release = pytest.mark.parametrize("winning", RELEASES, indirect=True)


@every_release
def test_the_view_of_every_release_gives_what_is_read_without_it(winning: SqlServer, tmp_path: Path) -> None:
    winning.run_all()
    winning.run_all()
    for feed, rows in expected(tmp_path, "winning").items():
        assert winning.read("card_use_view_char16", feed) == rows, feed


def test_the_view_with_datetimes_gives_what_is_read_without_it(tmp_path: Path) -> None:
    wanted = expected(tmp_path, "trasen")
    with sql_server(tmp_path, "2008 R2", "trasen") as his:
        his.run_all("view_datetime")
        his.run_all("view_datetime")
        assert len(wanted) == 4
        for feed, rows in wanted.items():
            assert his.read("card_use_view", feed) == rows, feed
        for current, history in SHAPES["trasen"].views.values():
            move(his, current, history, "1 = 1")
            assert {feed: his.read("card_use_view", feed) for feed in wanted} == wanted, f"all of {current} have moved"


def test_rows_that_are_moved_to_a_year_table_stay_in_the_view_of_sql_server(winning: SqlServer, tmp_path: Path) -> None:
    winning.run_all()
    wanted = expected(tmp_path, "winning")
    for current, history in NIGHTLY.values():
        move(winning, current, history, "1 = 1")
        seen = {feed: winning.read("card_use_view_char16", feed) for feed in wanted}
        assert seen == wanted, f"all of {current} have moved"


@pytest.mark.parametrize("name", ["heartbeat", "view", "view_datetime", "login"])
def test_a_wrong_database_name_or_none_leaves_everything_as_it_is(winning: SqlServer, name: str) -> None:
    """In master by mistake: USE fails, and what follows is not run."""
    before = winning.tables()
    _, errors = winning.script(
        name, database="master", change=lambda sql: with_password_if(sql).replace("USE [THIS4]", "USE [HIS_OF_ANOTHER]")
    )
    assert errors[:2] == [911, 50_000]
    assert len(errors) == 2
    assert winning.tables() == before
    assert "card_usage_reader" not in winning.server.logins
    assert winning.server.jobs == {}


def with_password_if(sql: str) -> str:
    return with_password(sql) if "@password" in sql else sql


def test_a_login_without_a_password_is_not_made(winning: SqlServer) -> None:
    winning.script("heartbeat")
    winning.script("view")
    assert winning.script("login")[1] == [50_000]
    assert "card_usage_reader" not in winning.server.logins


def test_login_before_view_and_heartbeat_grants_what_is_there(winning: SqlServer) -> None:
    assert winning.script("login", change=with_password)[1] == []
    assert winning.server.granted == set()
    winning.run_all()
    assert winning.server.granted == {
        ("card_usage_reader", "v_card_use"),
        ("card_usage_reader", "card_usage_heartbeat"),
    }


def test_the_job_of_the_heartbeat_writes_only_where_the_database_may_be_written(winning: SqlServer) -> None:
    winning.run_all()
    winning.run_all()
    (job,) = winning.server.jobs
    steps = winning.server.jobs[job]
    assert [step["procedure"] for step in steps] == [
        "sp_add_job",
        "sp_add_jobstep",
        "sp_add_jobschedule",
        "sp_add_jobserver",
    ]
    command = steps[1]["command"]
    assert command.startswith(
        "IF DATABASEPROPERTYEX(N'THIS4', 'Updateability') = 'READ_WRITE' EXEC (N'UPDATE [THIS4].dbo."
    )
    assert (steps[2]["freq_subday_type"], steps[2]["freq_subday_interval"]) == (4, 1), "every minute"


@every_release
def test_the_check_of_every_release_counts_and_shows_no_patient(winning: SqlServer) -> None:
    winning.run_all()
    yesterday = datetime.now() - timedelta(days=1)  # noqa: DTZ005 - the server's own
    winning.run(f"UPDATE GH_GHZDK SET ghrq = '{yesterday:%Y%m%d}09:30:00'")
    rows, errors = winning.script("check", user="card_usage_reader")
    assert errors == []
    assert [row[0] for row in rows[:13]] == ["FEED", "SOURCE_ID", "OCCURRED_AT", *SEEN, "VOIDED"]
    assert rows[2][1:3] == ("char", 16)
    assert ("registration", "09", 6, 1) in rows
    assert (1, 0, 0, 0) in rows, "rights"
    assert ("admission", 2) in rows, "two stays without a time"
    assert not {"甲", "乙", "QR1", FIRST_ID} & {value for row in rows for value in row}


@every_release
def test_what_is_looked_at_before_is_shown_by_every_release(winning: SqlServer) -> None:
    winning.run("CREATE INDEX ix_ghrq ON GH_GHZDK (ghrq)")
    rows, errors = winning.script("prerequisites")
    assert errors == []
    assert rows[0][0] == winning.server.release.product_version
    assert ("xt_brxx", "sfzh", "varchar", 40, "Chinese_PRC_CI_AS") in rows
    assert ("GH_GHZDK", "ghrq", "ix_ghrq") in rows


# All of them, as texts


def statements(path: Path) -> list[exp.Expression]:
    dialect = {"sqlserver": "tsql", "mysql": "mysql", "postgresql": "postgres"}[path.parent.name]
    text_ = path.read_text(encoding="utf-8-sig")
    parts = batches(text_) if dialect == "tsql" else [text_]
    return [one for part in parts for one in sqlglot.parse(part, dialect=dialect, error_level=None) if one is not None]


def as_code_page_936(data: bytes) -> str:
    """UTF-8 as a Windows tool reads it that takes it for GBK: a lead byte takes the next one, whatever that is."""
    text_, at = [], 0
    while at < len(data):
        wide = 0x81 <= data[at] <= 0xFE
        text_.append("?" if wide else chr(data[at]))
        at += 2 if wide else 1
    return "".join(text_)


def code(sql: str) -> str:
    """Without comments and blank lines."""
    return "\n".join(line for line in (re.sub(r"--.*", "", line).rstrip() for line in sql.splitlines()) if line)


EVERY_SQL = sorted(SQL.rglob("*.sql"))


@pytest.mark.parametrize("path", EVERY_SQL, ids=lambda path: "/".join(path.relative_to(SQL).parts))
def test_no_statement_is_lost_where_utf_8_is_read_as_code_page_936(path: Path) -> None:
    data = path.read_bytes()
    if path.parent.name == "sqlserver":
        assert data.startswith(b"\xef\xbb\xbf"), "SSMS and sqlcmd take a file without a mark for code page 936"
        data = data[3:]
    else:
        assert not data.startswith(b"\xef\xbb\xbf"), "mysql and psql are told the encoding"
    assert code(as_code_page_936(data)) == code(data.decode())


def test_a_statement_behind_a_chinese_end_of_line_would_be_found_lost() -> None:
    lost = "-- 读\nSELECT 1\n"
    assert "SELECT" not in code(as_code_page_936(lost.encode()))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_script_needs_nothing_newer_than_its_head_says_and_grants_nothing_but_reading(path: Path) -> None:
    sql = path.read_text(encoding="utf-8-sig")
    head = "\n".join(sql.splitlines()[:3])
    oldest = {"sqlserver": "SQL Server 2008 R2 or later", "mysql": "MySQL", "postgresql": "PostgreSQL 10 or later"}
    assert oldest[path.parent.name] in head
    assert not re.search(r"\bCREATE\s+OR\s+ALTER\b|\bTRY_CONVERT\b|\bIIF\b|\bDROP\b", code(sql), re.IGNORECASE)
    rights = re.findall(r"\bGRANT\s+(\w+)", code(sql), re.IGNORECASE)
    assert set(rights) <= {"SELECT", "CONNECT", "USAGE"}
    assert not re.search(r"ALTER\s+TABLE|GENERATED|PERSISTED|CREATE\s+INDEX", code(sql), re.IGNORECASE), "vendor tables"


@pytest.mark.parametrize("path", [path for path in SCRIPTS if path.stem.startswith("view")], ids=str)
def test_a_view_hands_times_on_as_they_are_and_asks_for_no_endless_texts(path: Path) -> None:
    (view,) = [one for one in statements(path) if one.find(exp.Union)]
    union = view.find(exp.Union)
    assert union is not None
    for select in union.find_all(exp.Select):
        by_name = {column.alias: column for column in select.selects}
        if "OCCURRED_AT" not in by_name:
            continue
        assert isinstance(by_name["OCCURRED_AT"].this, exp.Column)
        for name, column in by_name.items():
            for endless in column.find_all(exp.Replace, exp.Concat, exp.Stuff):
                assert endless.find_ancestor(exp.Cast), f"{name}: its type would be 8000 characters wide"
    for join in view.find_all(exp.Join):
        assert not join.find(exp.AggFunc), "a side table that is aggregated as a whole for each query"


def test_each_database_has_the_same_scripts() -> None:
    names = {place.name: {path.stem for path in place.glob("*.sql")} for place in DBA.iterdir()}
    assert set(names) == {"sqlserver", "mysql", "postgresql"}
    assert all(found >= {"heartbeat", "view", "login", "check"} for found in names.values())
