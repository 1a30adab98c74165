"""SQL Server over the wire: the real pymssql and FreeTDS against TDS, from a look-alike or from a real SQL Server.

By default the look-alike of tests/tds. With HIS_MSSQL_URL set the same tests run on that server (docker compose profile
sqlserver; tests/wire_stand.py says how); those that break the wire on purpose are skipped there, as only the look-alike
can. What neither covers: docs/his-over-the-wire.md.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import demo_his
import ledgers
import planted
import pytest
from card_usage.config.hospital import Hospital, load_hospital
from card_usage.errors import SourceDrift, SourceInterrupted, SourceUnreachable
from card_usage.events import SourceRow
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import Ledger, open_ledger
from card_usage.ledger.schema import event, feed_window, finding
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from card_usage.staging.stage import Staged, stage
from card_usage.standard.aliases import load_aliases
from card_usage.standard.code_tables import load_tables
from card_usage.windows import Window, day_window
from demo_his.__main__ import main as load
from sqlalchemy import NullPool, create_engine, make_url, select, text
from sqlalchemy.exc import DBAPIError
from tds import Drop, Fails, Slow, Stalls
from tds.faults import (
    DEADLOCK,
    KILLED,
    LOCK_TIMEOUT,
    LOGIN,
    NO_LOCKS,
    NO_MEMORY,
    NO_MEMORY_GRANT,
    NO_PLAN,
    NO_VERSION,
    OPENING,
    OVERFLOW,
    SHUTDOWN,
    UPGRADING,
)
from wire_stand import Stand, stand

DAY = date(2026, 3, 2)
WINDOW = day_window(DAY)
NOW = datetime(2026, 3, 4, 1, tzinfo=UTC)
HOSPITAL = load_hospital(SHIPPED / "hospitals", "demo_hospital")
FEEDS = ("registration", "payment", "dispensing", "examination", "laboratory")
TABLES = load_tables()
ALIASES = load_aliases(SHIPPED / "code_aliases", HOSPITAL.id, TABLES)
USES, SEED = 1200, 5


@pytest.fixture(scope="module")
def his(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """The demo hospital on the server, loaded over the wire by the same program as in production."""
    with stand(tmp_path_factory.mktemp("tds")) as server:
        demo_his.create(server.admin, [DAY], USES, SEED)
        yield server


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same hospital in a file."""
    url = f"sqlite:///{tmp_path_factory.mktemp('his')}/his.db"
    demo_his.create(url, [DAY], USES, SEED)
    return url


@pytest.fixture(autouse=True)
def _whole(his: Stand) -> Iterator[None]:
    yield
    if his.server:
        his.server.faults.clear()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with ledgers.sqlite(tmp_path) as opened:
        yield opened


def hospital(**changes: Any) -> Hospital:
    return planted.hospital(his={"pause_seconds": 0, "fetch_size": 100, "feeds": FEEDS} | changes)


def source(url: str, *, pauses: list[float] | None = None, sql: Path | None = None, **changes: Any) -> Source:
    ours = hospital(**changes)
    engine = connect(url, ours.his)
    folder = {"sql": sql} if sql else {}
    return Source(engine, ours, pause=pauses.append if pauses is not None else lambda seconds: None, **folder)


def read(reading: Source, feed: str, window: Window = WINDOW) -> list[SourceRow]:
    return [row for batch in reading.rows(feed, window.start, window.end) for row in batch]


def stage_feed(reading: Source, ledger: Ledger, feed: str) -> Staged:
    return stage(
        reading.rows(feed, WINDOW.start, WINDOW.end),
        hospital=hospital(),
        feed=feed,
        window=WINDOW,
        ledger=ledger,
        tables=TABLES,
        aliases=ALIASES,
        backfill=False,
        now=NOW,
    )


# A hospital's day


def test_a_day_staged_over_the_wire_equals_the_same_day_staged_from_a_file(
    his: Stand, on_sqlite: str, tmp_path: Path
) -> None:
    columns = [event.c[name] for name in ("key", "feed", "day", "status", "reason", "request_id", "digest", "scene")]
    contents = []
    for name, url in (("wire", his.reader), ("file", on_sqlite)):
        # One place of data keys, so that the same content has the same digest in both ledgers.
        ledger = open_ledger(ledgers.sqlite_url(tmp_path, name), ledgers.KEYRING.with_folder(tmp_path / "keys"))
        staged = [stage_feed(source(url), ledger, feed) for feed in FEEDS]
        with ledger.read() as connection:
            events = connection.execute(select(*columns).order_by(event.c.key)).all()
            findings = connection.execute(
                select(event.c.key, finding.c.rule, finding.c.code)
                .join(event, event.c.id == finding.c.event_id)
                .order_by(event.c.key, finding.c.rule)
            ).all()
        ledger.close()
        contents.append(([{**result.summary(), "seconds": 0} for result in staged], events, findings))
    assert contents[0] == contents[1]
    assert len(contents[0][1]) > USES
    assert contents[0][2], "the demo has rows with findings"


def test_the_loader_makes_days_and_lets_late_rows_arrive_and_repeats_nothing(
    his: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    another = DAY + timedelta(days=40)
    words = ["--url", his.admin, "--from", str(another), "--to", str(another), "--uses", "300"]
    said = []
    for more in ([], [], ["--late"], ["--late"]):
        assert load([*words, *more]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != said[2] == said[3]
    rows = read(source(his.reader), "registration", day_window(another))
    assert len({row.source_id for row in rows}) == len(rows) > 50


def test_hours_are_counted_by_the_server(his: Stand, on_sqlite: str) -> None:
    for feed in FEEDS:
        counted = source(his.reader).minutes(feed, WINDOW.start, WINDOW.end)
        wanted = source(on_sqlite).minutes(feed, WINDOW.start, WINDOW.end)
        assert {tally[:3] for tally in counted} == {tally[:3] for tally in wanted}


@pytest.mark.parametrize("feed", FEEDS)
def test_every_row_comes_as_from_a_file_and_is_counted(his: Stand, on_sqlite: str, feed: str) -> None:
    rows = read(source(his.reader), feed)
    assert Counter(rows) == Counter(read(source(on_sqlite), feed))
    assert [row.occurred_at for row in rows] == sorted(row.occurred_at for row in rows)  # type: ignore[type-var]
    tally = source(his.reader).tally(feed, WINDOW.start, WINDOW.end)
    assert tally == (len(rows), sum(bool(row.voided) for row in rows))


def test_hours_tile_the_day_exactly(his: Stand) -> None:
    reading = source(his.reader)
    hours = [WINDOW.start + timedelta(hours=hour) for hour in range(25)]
    tiled = [row for start, end in pairwise(hours) for row in read(reading, "registration", Window(start, end))]
    assert tiled == read(reading, "registration")
    assert tiled[0].occurred_at == "2026030200:00:00"
    assert tiled[-1].occurred_at == "2026030223:59:59"


def test_feeds_may_be_read_at_the_same_time(his: Stand) -> None:
    reading = source(his.reader)
    alone = {feed: read(reading, feed) for feed in FEEDS}
    with ThreadPoolExecutor(len(FEEDS)) as pool:
        together = dict(zip(FEEDS, pool.map(lambda feed: read(reading, feed), FEEDS), strict=True))
    assert together == alone


# Manners


def test_a_session_says_who_it_is_and_never_waits_long(his: Stand) -> None:
    ours = hospital(isolation="snapshot", lock_timeout_seconds=2.5)
    engine = connect(his.reader, ours.his)
    asked = "SELECT program_name, transaction_isolation_level, lock_timeout FROM sys.dm_exec_sessions"
    with engine.connect() as connection:
        row = connection.execute(text(f"{asked} WHERE session_id = @@SPID")).one()
    assert tuple(row) == ("card_usage", 5, 2500)
    engine.dispose()


def test_read_committed_is_the_default(his: Stand) -> None:
    engine = connect(his.reader, HOSPITAL.his)
    with engine.connect() as connection:
        level = "SELECT transaction_isolation_level FROM sys.dm_exec_sessions WHERE session_id = @@SPID"
        assert connection.execute(text(level)).scalar_one() == 2
    engine.dispose()


def test_a_session_announces_that_it_only_reads(his: Stand) -> None:
    server = his.look_alike()
    with connect(his.reader, HOSPITAL.his).connect() as connection:
        connection.execute(text("SELECT 1"))
    said = server.sessions[-1]
    assert said.login.read_only
    assert said.login.application == "card_usage"
    assert said.lock_timeout == 30_000
    assert said.options["DEADLOCK_PRIORITY"] == "LOW"
    assert said.options["DATEFORMAT"] == "YMD"


def test_no_session_waits_in_the_pool_with_a_transaction_open(his: Stand) -> None:
    server = his.look_alike()
    reading = source(his.reader)
    for _ in range(2):
        assert read(reading, "payment")
        assert reading.tally("payment", WINDOW.start, WINDOW.end).rows
        said = server.sessions[-1]
        assert said.open, "it waits in the pool"
        assert not said.in_transaction
        assert not any("BEGIN TRAN" in batch for batch in said.batches)


def test_every_query_about_a_feed_takes_one_core(his: Stand) -> None:
    server = his.look_alike()
    reading = source(his.reader)
    read(reading, "payment")
    for ask in (reading.tally, reading.minutes, reading.keys, reading.newest):
        assert ask("payment", WINDOW.start, WINDOW.end)
    asked = [batch for batch in server.sessions[-1].batches if "BRJSK" in batch]
    assert len(asked) == 5
    assert all(batch.rstrip("; ").endswith("OPTION (MAXDOP 1)") for batch in asked)


def test_the_edges_of_a_window_are_bound_as_the_type_of_their_column(his: Stand) -> None:
    server = his.look_alike()
    read(source(his.reader), "dispensing")
    (query,) = [sql for sql in server.sessions[-1].batches if "ORDER BY occurred_at" in sql]
    assert "f.fyrq >= CAST(N'2026030200:00:00' AS char(16))" in query


# Streams that break


BREAKS = {
    "the connection ends": Drop(),
    "the connection is reset": Drop(reset=True),
    "deadlock victim": Fails(error=DEADLOCK),
    "lock time-out": Fails(error=LOCK_TIMEOUT),
    "session killed": Fails(error=KILLED),
    "server shuts down": Fails(error=SHUTDOWN),
    "no grant of memory": Fails(error=NO_MEMORY_GRANT),
    "no memory": Fails(error=NO_MEMORY),
    "no locks": Fails(error=NO_LOCKS),
    "no time to plan": Fails(error=NO_PLAN),
    "row version gone": Fails(error=NO_VERSION),
}


@pytest.mark.parametrize("what", BREAKS)
@pytest.mark.parametrize("after", [0, 1, 99, 100, 101, 250])
def test_a_stream_that_breaks_goes_on_without_a_gap_or_a_double(his: Stand, what: str, after: int) -> None:
    whole = read(source(his.reader), "registration")
    fault = type(BREAKS[what])(
        **{**{k: v for k, v in vars(BREAKS[what]).items() if k != "struck"}, "after_rows": after, "times": 3}
    )
    his.breaks(fault)
    pauses: list[float] = []
    assert read(source(his.reader, pauses=pauses), "registration") == whole
    assert fault.struck == 3
    assert len(pauses) == 3


AT_LOGIN = {
    "4060": Fails(error=OPENING, match=LOGIN, times=2),
    "18401": Fails(error=UPGRADING, match=LOGIN, times=2),
    "2(0002|0017)": Drop(match=LOGIN, times=2),
}


# In a process of its own: pymssql keeps the number of the gravest login failure that it has ever seen.
READER = """
import sys
import planted
from card_usage.errors import SourceUnreachable
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from card_usage.windows import day_window
from datetime import date

ours = planted.hospital(his={"pause_seconds": 0, "fetch_size": 100})
pauses = []
source = Source(connect(sys.argv[1], ours.his), ours, pause=pauses.append)
day = day_window(date.fromisoformat(sys.argv[2]))
try:
    source.tally("registration", day.start, day.end)
    print("connected", flush=True)
    input()
    rows = sum(map(len, source.rows("registration", day.start, day.end)))
    print(rows, len(pauses))
except SourceUnreachable as refused:
    print(len(pauses), refused)
"""


def reading_apart(his: Stand) -> subprocess.Popen[str]:
    paths = os.pathsep.join(map(str, (Path(planted.__file__).parent, SHIPPED)))
    return subprocess.Popen(
        [sys.executable, "-c", READER, his.reader, DAY.isoformat()],
        env=os.environ | {"PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", AT_LOGIN)
def test_a_server_that_refuses_logins_while_it_comes_back_is_waited_for(his: Stand, number: str) -> None:
    whole = read(source(his.reader), "registration")
    refusing = replace(AT_LOGIN[number])
    with reading_apart(his) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "connected\n"
        his.breaks(Drop(after_rows=120))
        his.breaks(refusing)
        said, _ = child.communicate("go on\n", timeout=60)
    assert said == f"{len(whole)} 3\n", "the line that broke, and two logins"
    assert refusing.struck == 2


@pytest.mark.parametrize("number", AT_LOGIN)
def test_a_server_that_refuses_the_first_login_is_said_at_once_with_what_it_means(his: Stand, number: str) -> None:
    his.breaks(replace(AT_LOGIN[number], times=99))
    with reading_apart(his) as child:
        said, _ = child.communicate(timeout=60)
    meanings = "the login may not|server upgrades|the server ended|connection lost"
    assert re.fullmatch(rf"0 .*{number}, ({meanings}).*\n", said)


INTRODUCTION = (
    *("@@version", "schema_name", "system_views", "WHEN 5 THEN 'SNAPSHOT'", "test max support"),
    *("fn_listextendedproperty", "SET LOCK_TIMEOUT", "SET DATEFORMAT"),
)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("question", INTRODUCTION)
def test_a_line_that_drops_while_the_driver_introduces_itself_is_a_lost_connection(
    his: Stand, question: str, reset: bool
) -> None:
    whole = read(source(his.reader), "laboratory")
    fault = Drop(match=question, reset=reset, times=2)
    his.breaks(fault)
    pauses: list[float] = []
    assert read(source(his.reader, pauses=pauses), "laboratory") == whole
    assert fault.struck
    assert len(pauses) <= fault.struck


def test_a_killed_session_goes_on_in_another(his: Stand) -> None:
    whole = read(source(his.reader), "registration")
    reading = source(his.reader, fetch_size=50)
    rows: list[SourceRow] = []
    for number, batch in enumerate(reading.rows("registration", WINDOW.start, WINDOW.end)):
        rows += batch
        if number == 2:
            kill_readers(his)
    assert rows == whole


def kill_readers(his: Stand) -> None:
    name = make_url(his.reader).username
    engine = create_engine(his.admin, poolclass=NullPool)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        asked = text("SELECT session_id FROM sys.dm_exec_sessions WHERE login_name = :name")
        names = connection.execute(asked, {"name": name}).scalars().all()
        assert names
        for session in names:
            connection.exec_driver_sql(f"KILL {session}")


def test_a_server_that_falls_silent_counts_as_lost_after_the_query_time_out(his: Stand) -> None:
    whole = read(source(his.reader), "laboratory")
    his.breaks(Stalls(after_rows=30))
    pauses: list[float] = []
    assert read(source(his.reader, pauses=pauses, query_timeout_seconds=1), "laboratory") == whole
    assert len(pauses) == 1


def test_slow_rows_are_not_silence(his: Stand) -> None:
    his.breaks(Slow(rows=20, seconds=0.1))
    pauses: list[float] = []
    assert read(source(his.reader, pauses=pauses, query_timeout_seconds=1), "examination")
    assert pauses == []


@pytest.mark.parametrize("kind", ["char16", "datetime"])
def test_rows_of_one_instant_are_neither_lost_nor_doubled_wherever_the_stream_breaks(
    his: Stand, tmp_path: Path, kind: str
) -> None:
    at = [0, 0, 0, 1, 1, 1, 1, 1, 2, 3, 3, 3]
    visits = [(f"K{number:02d}", WINDOW.start + timedelta(hours=9, seconds=second)) for number, second in enumerate(at)]
    visits.append(visits[5])  # the HIS has this key twice, of one instant
    shape = visit_table(his, tmp_path, kind)
    plant(his, kind, visits)
    whole = read(source(his.reader, sql=shape, shape="visits"), "payment")
    assert len(whole) == len(visits)
    for size in (1, 3, 5):
        for after in range(len(visits) + 1):
            his.breaks(Drop(after_rows=after, times=2))
            again = read(source(his.reader, sql=shape, shape="visits", fetch_size=size), "payment")
            assert Counter(again) == Counter(whole), (size, after)
            his.look_alike().faults.clear()


def visit_table(his: Stand, folder: Path, kind: str, name: str = "varchar(8000)") -> Path:
    """A table of visits and a shape that reads it; `kind`: of the time's column."""
    column = "char(16)" if kind == "char16" else kind
    table = f"V_{kind.upper().partition('(')[0]}"
    existing = "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'dbo'"
    engine = create_engine(his.admin, poolclass=NullPool)
    with engine.connect() as connection:
        there = set(connection.execute(text(existing)).scalars())
    if table in there:
        his.run(f"DROP TABLE {table}")
    his.run(f"CREATE TABLE {table} (ID varchar(40) NULL, MOMENT {column} NULL, NAME {name} NULL)")
    bound = ["CAST(:start AS char(16))", "CAST(:end AS char(16))"] if kind == "char16" else [":start", ":end"]
    sql = (
        f"-- bounds: {'char16' if kind == 'char16' else 'datetime'}\n"
        "SELECT v.ID AS source_id, v.MOMENT AS occurred_at, '0101051' AS scene, NULL AS department,\n"
        "NULL AS department_name, '10' AS card_type, '0100' AS channel, NULL AS cost_type,\n"
        "'11010119900307001X' AS id_number, v.NAME AS name, NULL AS qr_code_text, 0 AS voided\n"
        f"FROM {table} v WHERE v.MOMENT >= {bound[0]} AND v.MOMENT < {bound[1]}\n"
        "ORDER BY occurred_at, source_id\n"
    )
    (folder / "visits").mkdir(exist_ok=True)
    (folder / "visits" / "payment.sql").write_text(sql, encoding="utf-8")
    return folder


def plant(his: Stand, kind: str, visits: list[tuple[str, datetime]]) -> None:
    table = f"V_{kind.upper().partition('(')[0]}"
    form = "%Y%m%d%H:%M:%S" if kind == "char16" else "%Y-%m-%dT%H:%M:%S.%f"
    digits = {"char16": None, "datetime": -3}.get(kind)
    his.run(
        *(
            f"INSERT INTO {table} (ID, MOMENT, NAME) VALUES ('{key}', '{moment.strftime(form)[:digits]}', N'张三')"
            for key, moment in visits
        )
    )


@pytest.mark.parametrize("kind", ["datetime", "datetime2(7)", "smalldatetime"])
def test_fractions_of_a_second_survive_a_resumption(his: Stand, tmp_path: Path, kind: str) -> None:
    visits = [(f"K{n:02d}", WINDOW.start + timedelta(seconds=30, microseconds=n * 3_700)) for n in range(60)]
    shape = visit_table(his, tmp_path, kind)
    plant(his, kind, visits)
    whole = read(source(his.reader, sql=shape, shape="visits"), "payment")
    assert sorted(row.source_id for row in whole) == [key for key, _ in visits]
    for after in (1, 17, 30, 59):
        his.breaks(Drop(after_rows=after))
        again = read(source(his.reader, sql=shape, shape="visits", fetch_size=4), "payment")
        assert Counter(again) == Counter(whole), after


def test_tries_that_bring_nothing_end_with_hospital_feed_position_and_reason(his: Stand) -> None:
    server = his.look_alike()
    server.faults.add(Drop(after_rows=150))
    server.faults.add(Drop(after_rows=0, times=99))
    pauses: list[float] = []
    reading = source(his.reader, pauses=pauses, tries=4, pause_seconds=3, fetch_size=50)
    came: list[SourceRow] = []
    batches = reading.rows("registration", WINDOW.start, WINDOW.end)
    with pytest.raises(SourceInterrupted) as caught:
        came.extend(row for batch in batches for row in batch)
    details = caught.value.details
    assert (details["hospital"], details["feed"], details["tries"]) == ("demo_hospital", "registration", 4)
    assert details["position"] == f"{came[-1].occurred_at}, key {came[-1].source_id}"
    assert "connection lost" in str(details["reason"])
    assert pauses == [3, 6, 12, 24], "each pause twice the one before"
    assert len(came) >= 100, "what had come before the break was handed on"
    assert not any(row.name in str(caught.value) for row in came if row.name and row.name[0] > "\u4e00")


def test_a_row_in_between_gives_the_tries_back(his: Stand) -> None:
    whole = read(source(his.reader), "registration")
    fault = Drop(after_rows=120, times=3)
    his.breaks(fault)
    assert read(source(his.reader, tries=1), "registration") == whole
    assert fault.struck == 3


def test_an_error_that_does_not_pass_is_not_tried_again(his: Stand) -> None:
    his.breaks(Fails(error=OVERFLOW, after_rows=150, times=99))
    pauses: list[float] = []
    with pytest.raises(SourceInterrupted, match="8115"):
        read(source(his.reader, pauses=pauses), "registration")
    assert pauses == []


def test_counting_is_tried_again_too(his: Stand) -> None:
    count = source(his.reader).tally("payment", WINDOW.start, WINDOW.end).rows
    his.breaks(Fails(error=DEADLOCK, match=r"COUNT\(\*\)", times=2))
    assert source(his.reader).tally("payment", WINDOW.start, WINDOW.end).rows == count > 0


def test_the_server_is_held_back_by_a_reader_that_takes_its_time(his: Stand, tmp_path: Path) -> None:
    server = his.look_alike()
    shape = visit_table(his, tmp_path, "char16")
    many = ", ".join(f"('{n}', '2026030209:00:00', '{'x' * 2000}')" for n in range(1000))
    his.run(*[f"INSERT INTO V_CHAR16 (ID, MOMENT, NAME) VALUES {many}"] * 20)
    batches = source(his.reader, sql=shape, shape="visits").rows("payment", WINDOW.start, WINDOW.end)
    next(batches)
    threading.Event().wait(0.5)
    assert server.sessions[-1].rows < 15_000, "40 MB are not waiting in memory"
    batches.close()  # type: ignore[attr-defined]
    assert server.sessions[-1].attentions > 0, "and the rest was called off"


def test_a_stream_given_up_leaves_a_session_that_works(his: Stand) -> None:
    reading = source(his.reader, fetch_size=10)
    for _ in range(3):
        batches = reading.rows("registration", WINDOW.start, WINDOW.end)
        next(batches)
        batches.close()  # type: ignore[attr-defined]
    assert read(reading, "laboratory")


# Refusals


def test_a_wrong_password_is_said_without_the_password(his: Stand) -> None:
    url = make_url(his.reader).set(password="not-the-password").render_as_string(hide_password=False)
    with pytest.raises(SourceUnreachable, match="18456") as caught:
        read(source(url), "payment")
    assert "not-the-password" not in str(caught.value)
    assert caught.value.details["connection"] == "demo_his"


def test_a_missing_right_names_the_table(his: Stand) -> None:
    his.run("DENY SELECT ON SF_BRXXK TO reader")
    try:
        with pytest.raises(SourceUnreachable, match="no right to SELECT from SF_BRXXK"):
            read(source(his.reader), "payment")
    finally:
        his.run("REVOKE SELECT ON SF_BRXXK FROM reader")
    assert read(source(his.reader), "payment")


def test_a_column_that_vanished_is_named_before_the_first_row(his: Stand, ledger: Ledger) -> None:
    his.run("EXEC sp_rename 'YY_KSBMK.name', 'mc', 'COLUMN'")
    try:
        with pytest.raises(SourceDrift) as caught:
            stage_feed(source(his.reader), ledger, "dispensing")
    finally:
        his.run("EXEC sp_rename 'YY_KSBMK.mc', 'name', 'COLUMN'")
    assert caught.value.details["column"] == "name"
    with ledger.read() as connection:
        assert connection.execute(select(event.c.id)).all() == []


def test_a_table_that_vanished_is_named(his: Stand, tmp_path: Path) -> None:
    shape = visit_table(his, tmp_path, "char16")
    his.run("DROP TABLE V_CHAR16")
    with pytest.raises(SourceDrift, match="V_CHAR16"):
        read(source(his.reader, sql=shape, shape="visits"), "payment")


def test_a_login_that_may_read_may_not_see_parameters_in_errors(his: Stand) -> None:
    engine = connect(his.reader, HOSPITAL.his)
    with engine.connect() as connection, pytest.raises(DBAPIError) as caught:
        connection.execute(text("SELECT NOWHERE FROM SF_BRXXK WHERE hzxm = :name"), {"name": "金丝雀"})
    assert "金丝雀" not in str(caught.value)
    engine.dispose()


# Types and text


def test_every_type_that_a_his_has_arrives_as_what_it_is(his: Stand) -> None:
    columns = {
        "a": ("varchar(20)", "N'张三'", "张三"),
        "b": ("char(6)", "'ab'", "ab    "),
        "c": ("nchar(4)", "N'丁'", "丁   "),
        "d": ("nvarchar(20)", "N'𠮷野家'", "𠮷野家"),
        "e": ("varchar(max)", "N'文本'", "文本"),
        "f": ("text", "N'旧文本'", "旧文本"),
        "g": ("ntext", "N'旧文本'", "旧文本"),
        "h": ("datetime", "'2026-03-02T09:00:00.004'", datetime(2026, 3, 2, 9, 0, 0, 3000)),  # noqa: DTZ001
        "i": ("datetime2(7)", "'2026-03-02T09:00:00.1234567'", datetime(2026, 3, 2, 9, 0, 0, 123456)),  # noqa: DTZ001
        "j": ("smalldatetime", "'2026-03-02T09:00:31'", datetime(2026, 3, 2, 9, 1)),  # noqa: DTZ001
        "k": ("date", "'2026-03-02'", date(2026, 3, 2)),
        "l": ("decimal(18, 4)", "-1234.5678", Decimal("-1234.5678")),
        "m": ("money", "12.3456", Decimal("12.3456")),
        "n": ("bit", "1", True),
        "o": ("tinyint", "255", 255),
        "p": ("smallint", "-32768", -32768),
        "q": ("bigint", "-9223372036854775808", -(2**63)),
        "r": ("float", "1.5", 1.5),
        "s": ("uniqueidentifier", "'6F9619FF-8B86-D011-B42D-00C04FC964FF'", UUID("6f9619ff8b86d011b42d00c04fc964ff")),
        "t": ("varbinary(10)", "0x0102", b"\x01\x02"),
        "u": ("int", "-7", -7),
    }
    if "T_KINDS" in table_names(his):
        his.run("DROP TABLE T_KINDS")
    declared = ", ".join(f"{name} {kind} NULL" for name, (kind, _, _) in columns.items())
    his.run(
        f"CREATE TABLE T_KINDS (id int NOT NULL, {declared})",
        f"INSERT INTO T_KINDS (id, {', '.join(columns)}) VALUES (1, {', '.join(v for _, v, _ in columns.values())})",
        "INSERT INTO T_KINDS (id) VALUES (2)",
    )
    engine = connect(his.reader, HOSPITAL.his)
    with engine.connect() as connection:
        values, nothing = connection.execute(text("SELECT * FROM T_KINDS ORDER BY id")).all()
    engine.dispose()
    assert dict(zip(columns, values[1:], strict=True)) == {name: wanted for name, (_, _, wanted) in columns.items()}
    assert set(nothing[1:]) == {None}


def table_names(his: Stand) -> set[str]:
    engine = create_engine(his.admin, poolclass=NullPool)
    with engine.connect() as connection:
        asked = "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'dbo'"
        return set(connection.execute(text(asked)).scalars())


def test_text_compares_without_case_width_and_trailing_spaces_and_keeps_them(his: Stand) -> None:
    if "T_WORDS" in table_names(his):
        his.run("DROP TABLE T_WORDS")
    his.run(
        "CREATE TABLE T_WORDS (id int NOT NULL, word varchar(20) NULL)",
        "INSERT INTO T_WORDS (id, word) VALUES (1, 'Abc  ')",
        "INSERT INTO T_WORDS (id, word) VALUES (2, N'ＡＢＣ')",
        "INSERT INTO T_WORDS (id, word) VALUES (3, N'한')",
    )
    engine = connect(his.reader, HOSPITAL.his)
    with engine.connect() as connection:
        matching = connection.execute(text("SELECT id, word FROM T_WORDS WHERE word = 'aBC' ORDER BY id")).all()
        lost = connection.execute(text("SELECT word FROM T_WORDS WHERE id = 3")).scalar_one()
    engine.dispose()
    assert [tuple(row) for row in matching] == [(1, "Abc  "), (2, "ＡＢＣ")]
    assert lost == "?", "a character that GBK lacks is lost in varchar"


def test_a_procedure_call_binds_its_parameters(his: Stand) -> None:
    engine = create_engine(his.reader, poolclass=NullPool)
    raw = engine.raw_connection()
    cursor = raw.cursor()
    cursor.callproc("sp_executesql", ("SELECT COUNT(*) FROM YY_KSBMK WHERE id < @most", "@most varchar(8)", "9"))
    assert cursor.fetchall()[0][0] > 0
    raw.close()


def test_an_error_carries_number_class_and_text(his: Stand) -> None:
    engine = create_engine(his.reader, poolclass=NullPool)
    with engine.connect() as connection, pytest.raises(DBAPIError) as caught:
        connection.exec_driver_sql("SELECT nowhere FROM YY_KSBMK")
    assert caught.value.orig is not None
    number, said = caught.value.orig.args
    assert number == 207
    assert b"Invalid column name 'nowhere'" in said


# Dirt


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("GBK bytes that do not decode", "CAST(0xD5C581FFC8FD AS varchar(64))"),
        ("half a character", "CAST(0xD5C5C8 AS varchar(64))"),
        ("NUL bytes", "CAST(0xD5C500C8FD00 AS varchar(64))"),
        ("8,000 bytes", f"N'{'长' * 4000}'"),
        ("control characters", "CAST(0xD5C50D0A1BC8FD AS varchar(64))"),
        ("nothing", "NULL"),
    ],
)
def test_a_name_that_no_his_should_have_loses_no_row(
    his: Stand, ledger: Ledger, tmp_path: Path, what: str, value: str
) -> None:
    shape = visit_table(his, tmp_path, "char16")
    his.run(
        *(
            f"INSERT INTO V_CHAR16 (ID, MOMENT, NAME) VALUES ('{key}', '2026030209:00:00', {name})"
            for key, name in (("1", "N'张三'"), ("2", value), ("3", "N'李四'"))
        )
    )
    staged = stage_feed(source(his.reader, sql=shape, shape="visits"), ledger, "payment")
    assert (staged.read, staged.new) == (3, 3)
    wanted = {"8,000 bytes": "name.length", "nothing": "name.required"}.get(what)
    with ledger.read() as connection:
        states = {row.source_id: (row.status, row.reason) for row in connection.execute(select(event))}
    assert states["1"] == states["3"] == ("ready", None)
    assert states["2"] == (("quarantined", wanted) if wanted else ("ready", None))
    with ledger.read() as connection:
        warned = connection.execute(select(finding.c.rule).where(finding.c.severity == "warning")).scalars().all()
    assert warned == (["name.damaged"] if what == "GBK bytes that do not decode" else [])


@pytest.mark.parametrize("moment", ["2026030224:00:00", "2026030209:60:00", "2026030299:99:99"])
def test_a_time_that_is_none_is_quarantined(his: Stand, ledger: Ledger, tmp_path: Path, moment: str) -> None:
    shape = visit_table(his, tmp_path, "char16")
    his.run(f"INSERT INTO V_CHAR16 (ID, MOMENT, NAME) VALUES ('1', '{moment}', N'张三')")
    staged = stage_feed(source(his.reader, sql=shape, shape="visits"), ledger, "payment")
    assert (staged.read, staged.quarantined) == (1, 1)
    with ledger.read() as connection:
        assert connection.execute(select(event.c.reason)).scalar_one() in {"time.format", "time.window"}


def test_a_date_without_a_time_of_day_stands_before_its_day_and_is_quarantined_there(
    his: Stand, ledger: Ledger, tmp_path: Path
) -> None:
    shape = visit_table(his, tmp_path, "char16")
    his.run("INSERT INTO V_CHAR16 (ID, MOMENT, NAME) VALUES ('1', '20260303', N'张三')")
    staged = stage_feed(source(his.reader, sql=shape, shape="visits"), ledger, "payment")
    assert (staged.read, staged.quarantined) == (1, 1)


@pytest.mark.parametrize("moment", ["-001030209:00:00", "0000000000:00:00", "1899123000:00:00", "                "])
def test_a_time_before_all_windows_is_no_row_of_one(his: Stand, tmp_path: Path, moment: str) -> None:
    shape = visit_table(his, tmp_path, "char16")
    his.run(
        f"INSERT INTO V_CHAR16 (ID, MOMENT, NAME) VALUES ('1', '{moment}', N'张三')",
        "INSERT INTO V_CHAR16 (ID, MOMENT, NAME) VALUES ('2', '2026030209:00:00', N'张三')",
    )
    reading = source(his.reader, sql=shape, shape="visits")
    assert [row.source_id for row in read(reading, "payment")] == ["2"]
    assert reading.tally("payment", WINDOW.start, WINDOW.end).rows == 1
    assert reading.untimed("payment", WINDOW.end, keys=9) == (1, ("1",))


def test_a_key_that_the_his_has_twice_is_one_event_and_is_counted(his: Stand, ledger: Ledger, tmp_path: Path) -> None:
    shape = visit_table(his, tmp_path, "char16")
    plant(his, "char16", [(key, WINDOW.start + timedelta(hours=9)) for key in ("1", "2", "2", "3")])
    staged = stage_feed(source(his.reader, sql=shape, shape="visits"), ledger, "payment")
    assert (staged.read, staged.new, staged.duplicate) == (4, 3, 1)


def test_a_column_that_changed_its_type_is_read_or_refused_but_never_misread(
    his: Stand, ledger: Ledger, tmp_path: Path
) -> None:
    shape = visit_table(his, tmp_path, "char16", name="int")
    his.run("INSERT INTO V_CHAR16 (ID, MOMENT, NAME) VALUES ('1', '2026030209:00:00', 7)")
    reading = source(his.reader, sql=shape, shape="visits")
    try:
        staged = stage_feed(reading, ledger, "payment")
    except SourceDrift as drift:
        assert "name" in str(drift.details["column"])  # noqa: PT017
    else:
        assert (staged.read, staged.quarantined) == (1, 1)


def test_no_rows_close_a_window_with_a_count_of_none(his: Stand, ledger: Ledger, tmp_path: Path) -> None:
    shape = visit_table(his, tmp_path, "char16")
    assert stage_feed(source(his.reader, sql=shape, shape="visits"), ledger, "payment").read == 0
    assert window_states(ledger) == {"payment": ("closed", 0)}


def test_a_feed_that_fails_leaves_its_window_open_and_the_others_close(his: Stand, ledger: Ledger) -> None:
    server = his.look_alike()
    server.faults.add(Fails(error=OVERFLOW, after_rows=350, times=99, match="VW_MZBRJSK"))
    reading = source(his.reader, fetch_size=50)
    for feed in FEEDS:
        if feed == "payment":
            with pytest.raises(SourceInterrupted):
                stage_feed(reading, ledger, feed)
        else:
            stage_feed(reading, ledger, feed)
    states = window_states(ledger)
    assert "payment" not in {feed for feed, (status, _) in states.items() if status == "closed"}
    assert {states[feed][0] for feed in FEEDS if feed != "payment"} == {"closed"}
    server.faults.clear()
    staged = stage_feed(reading, ledger, "payment")
    assert staged.unchanged > 0, "what had come is not staged twice"
    assert staged.new + staged.unchanged == staged.read
    assert window_states(ledger)["payment"] == ("closed", staged.read)


def window_states(ledger: Ledger) -> dict[str, tuple[str, int | None]]:
    columns = (feed_window.c.feed, feed_window.c.status, feed_window.c.source_rows)
    with ledger.read() as connection:
        return {feed: (status, rows) for feed, status, rows in connection.execute(select(*columns))}
