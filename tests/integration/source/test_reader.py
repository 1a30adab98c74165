"""Reading a HIS by the real SQL of the Winning shape: exact windows and counts, nothing doubled, errors with names."""

import re
import shutil
import sqlite3
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import demo_his
import pytest
from card_usage.config.connections import Connection
from card_usage.config.hospital import Hospital, load_hospital
from card_usage.errors import BadFeedFile, SourceDrift, SourceInterrupted, SourceUnreachable
from card_usage.events import SourceRow
from card_usage.source.feeds import SQL, feed_sql
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from card_usage.standard.aliases import load_aliases
from card_usage.standard.code_tables import load_tables
from card_usage.standard.normalize import Normalizer
from card_usage.standard.rule_check import check
from card_usage.windows import day_window
from sqlalchemy import Column, DateTime, MetaData, String, Table, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

INCLUDE = Path(__file__).resolve().parents[3] / "include"
DAYS = (date(2026, 11, 20), date(2026, 11, 21))
START, END = day_window(DAYS[0]).start, day_window(DAYS[0]).end
FEEDS = ("registration", "payment", "dispensing", "examination", "laboratory")
SHAPES = sorted(path.relative_to(SQL).with_suffix("").parts for path in SQL.glob("*/*.sql"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("his") / "his.db"
    demo_his.create(f"sqlite:///{path}", DAYS, 6000, seed=5)
    return path


@pytest.fixture
def his(built: Path, tmp_path: Path) -> Path:
    """A copy that the test may change."""
    return shutil.copy(built, tmp_path / "his.db")


@pytest.fixture(scope="module")
def hospital() -> Hospital:
    return load_hospital(INCLUDE / "hospitals", "demo_hospital")


@pytest.fixture
def normalizer() -> Normalizer:
    tables = load_tables(INCLUDE / "code_tables")
    return Normalizer(tables, load_aliases(INCLUDE / "code_aliases", "demo_hospital", tables))


def with_his(hospital: Hospital, **changes: object) -> Hospital:
    return hospital.model_copy(update={"his": hospital.his.model_copy(update=changes)})


def reader(path: Path, hospital: Hospital, **changes: object) -> Source:
    return Source(connect(f"sqlite:///{path}"), with_his(hospital, **changes))


def read(source: Source, feed: str, start: datetime = START, end: datetime = END) -> list[SourceRow]:
    return [row for batch in source.rows(feed, start, end) for row in batch]


def change(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        for statement in statements:
            assert connection.execute(statement).rowcount != 0, statement
    connection.close()


def outcomes(rows: list[SourceRow], normalizer: Normalizer, day: date) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in rows:
        card_use, unreadable = normalizer.card_use(row)
        findings = check(card_use, profile="v2.1", window=day_window(day), unreadable=unreadable)
        broken = {finding.rule for finding in findings if finding.severity != "info"}
        assert len(broken) <= 1
        counts["voided" if row.voided else broken.pop() if broken else "clean"] += 1
    return counts


@pytest.mark.parametrize("late", [False, True])
def test_every_feed_and_day_returns_what_was_planted_to_the_row(
    his: Path, hospital: Hospital, normalizer: Normalizer, late: bool
):
    url = f"sqlite:///{his}"
    expectation = demo_his.arrive(url, DAYS) if late else demo_his.stored_expectation(url)
    source = reader(his, hospital)
    for expected in expectation.days:
        window = day_window(expected.day)
        for feed in FEEDS:
            rows = read(source, feed, window.start, window.end)
            assert outcomes(rows, normalizer, expected.day) == +expected.outcomes[feed], (feed, expected.day)
            assert source.tally(feed, window.start, window.end).rows == len(rows)


@pytest.mark.parametrize("feed", FEEDS)
def test_rows_come_in_the_order_of_time_and_key_and_no_key_comes_twice(built: Path, hospital: Hospital, feed: str):
    rows = read(reader(built, hospital), feed, START, END + timedelta(days=1))
    keys = [(row.occurred_at, row.source_id) for row in rows]
    assert keys == sorted(keys)
    assert len({row.source_id for row in rows}) == len(rows) > 0


@pytest.mark.parametrize("feed", FEEDS)
def test_hours_tile_the_day_without_gap_or_overlap(built: Path, hospital: Hospital, feed: str):
    source = reader(built, hospital)
    hours = [START + timedelta(hours=hour) for hour in range(25)]
    tiled = [row for start, end in pairwise(hours) for row in read(source, feed, start, end)]
    assert tiled == read(source, feed)


@pytest.mark.parametrize("feed", FEEDS)
def test_minutes_are_counted_by_the_database(built: Path, hospital: Hospital, feed: str):
    source = reader(built, hospital)
    rows, voided = Counter[int](), Counter[int]()
    for row in read(source, feed):
        minute = int(row.occurred_at[8:10]) * 60 + int(row.occurred_at[11:13])
        rows[minute] += 1
        voided[minute] += bool(row.voided)
    tallies = source.minutes(feed, START, END)
    assert {tally.minute: (tally.rows, tally.voided) for tally in tallies} == {
        of: (rows[of], voided[of]) for of in rows
    }


@pytest.mark.parametrize(
    ("said", "minute"),
    [
        ("2026112009:05:07", 545),
        ("2026112000:00:00", 0),
        ("2026112023:59:59", 1439),
        ("2026112009", None),
        ("2026112024:00:00", None),
        ("2026112009:75:00", None),
        ("2026112009.05.07", None),
    ],
)
def test_a_time_that_says_no_minute_is_counted_apart(his: Path, hospital: Hospital, said: str, minute: int | None):
    # A nightly job keeps some rows in the year table.
    for table in ("GH_GHZDK", "GH_NGHZDK"):
        change(his, f"UPDATE {table} SET ghrq = '{said}' WHERE ghrq LIKE '20261120%'")
    tallies = reader(his, hospital).minutes("registration", START, END)
    assert [tally.minute for tally in tallies] == [minute]


def test_midnight_belongs_to_the_day_that_begins(built: Path, hospital: Hospital):
    source = reader(built, hospital)
    midnight = [row for row in read(source, "registration", END - timedelta(seconds=1), END + timedelta(seconds=1))]
    assert {row.occurred_at for row in midnight} == {"2026112023:59:59", "2026112100:00:00"}
    first, second = read(source, "registration"), read(source, "registration", END, END + timedelta(days=1))
    assert first[-1].occurred_at == "2026112023:59:59"
    assert second[0].occurred_at == "2026112100:00:00"
    assert not set(first) & set(second)


def test_every_scene_channel_card_and_cost_type_of_the_hospital_is_read(
    built: Path, hospital: Hospital, normalizer: Normalizer
):
    source = reader(built, hospital)
    uses = [normalizer.card_use(row)[0] for feed in FEEDS for row in read(source, feed)]
    scenes = {"0101011", "0101012", "0101015", "0101051", "0101055", "010103", "0101081", "0101082"}
    assert {use.scene for use in uses} == scenes
    assert {use.channel for use in uses} == {"0100", "0200", "0300", "0401", "0402"}
    assert {use.cost_type for use in uses} == {"0100", "0200", "0300", "0000"}
    assert {"01", "02", "03", "06", "08", "09", "10", "11"} <= {use.card_type for use in uses}


def test_a_refund_after_the_first_reading_is_seen_and_its_reversal_is_no_event(his: Path, hospital: Hospital):
    source = reader(his, hospital)
    before = {row.source_id: row for feed in FEEDS for row in read(source, feed)}
    (expected, _) = demo_his.arrive(f"sqlite:///{his}", DAYS).days
    after = {row.source_id: row for feed in FEEDS for row in read(source, feed)}
    refunded = [key for key, row in before.items() if after[key].voided and not row.voided]
    assert len(refunded) == sum(counts["refunded"] for counts in expected.late.values()) > 0
    assert all(after[key] == before[key]._replace(voided=1) for key in refunded)
    arrived = after.keys() - before.keys()
    assert len(arrived) == sum(counts["rows"] for counts in expected.late.values()) > 0
    assert before.keys() <= after.keys()


def test_a_row_in_current_and_year_table_is_one_event_and_a_refund_in_either_counts(his: Path, hospital: Hospital):
    both = "(SELECT sjh FROM SF_BRJSK INTERSECT SELECT sjh FROM SF_NBRJSK)"
    change(his, f"UPDATE SF_BRJSK SET jlzt = 1 WHERE sjh IN {both}")
    connection = sqlite3.connect(his)
    keys = {key for (key,) in connection.execute(f"SELECT sjh FROM SF_NBRJSK WHERE sjh IN {both} AND jlzt = 0")}
    connection.close()
    rows = read(reader(his, hospital), "payment", START, END + timedelta(days=1))
    assert keys
    assert Counter((row.source_id, row.voided) for row in rows if row.source_id in keys) == {
        (key, 1): 1 for key in keys
    }


def test_a_patient_known_twice_to_the_side_table_does_not_double_rows(built: Path, hospital: Hospital):
    connection = sqlite3.connect(built)
    doubled = connection.execute(
        "SELECT CAST(g.xh AS text), MAX(c.qrCodeText) FROM VW_GHZDK g JOIN xt_brxx c ON c.brid = g.patid "
        "WHERE g.jlzt < 2 AND g.ghrq < '20261121' GROUP BY g.xh HAVING COUNT(DISTINCT c.id) > 1"
    ).fetchall()
    connection.close()
    rows = {row.source_id: row.qr_code_text for row in read(reader(built, hospital), "registration")}
    assert doubled
    assert all(rows[key] == qr for key, qr in doubled)


def test_an_empty_window_returns_nothing(built: Path, hospital: Hospital):
    source = reader(built, hospital)
    empty = day_window(date(2031, 1, 1))
    assert list(source.rows("payment", empty.start, empty.end)) == []
    assert source.tally("payment", empty.start, empty.end).rows == 0


def test_batches_hold_fetch_size_rows_and_the_last_one_the_rest(built: Path, hospital: Hospital):
    sizes = [len(batch) for batch in reader(built, hospital, fetch_size=7).rows("laboratory", START, END)]
    assert set(sizes[:-1]) == {7}
    assert 0 < sizes[-1] <= 7


def test_rows_are_source_rows_whose_repr_hides_the_patient(built: Path, hospital: Hospital):
    row = read(reader(built, hospital), "payment")[0]
    assert type(row) is SourceRow
    assert row.name not in repr(row)
    assert row._replace(voided=1).voided == 1


def test_aware_edges_and_unknown_feeds_are_refused(built: Path, hospital: Hospital):
    source = reader(built, hospital)
    with pytest.raises(ValueError, match="naive"):
        source.tally("payment", START.replace(tzinfo=UTC), END.replace(tzinfo=UTC))
    with pytest.raises(ValueError, match="no feed 'admission'"):
        read(source, "admission")


@pytest.mark.parametrize(
    ("statements", "feed", "column"),
    [
        (("ALTER TABLE SF_BRXXK RENAME COLUMN sfzh TO zjhm",), "registration", "p.sfzh"),
        (("ALTER TABLE SF_MZCFK RENAME COLUMN fyrq TO fyrq2",), "dispensing", "f.fyrq"),
        (("DROP VIEW VW_YJ_REPORT",), "laboratory", "VW_YJ_REPORT"),
    ],
)
def test_a_column_that_vanished_is_named_before_the_first_row(
    his: Path, hospital: Hospital, statements: tuple[str, ...], feed: str, column: str
):
    change(his, *statements)
    source = reader(his, hospital)
    for reading in (source.rows(feed, START, END).__next__, lambda: source.tally(feed, START, END).rows):
        with pytest.raises(SourceDrift) as caught:
            reading()
        assert caught.value.details["column"] == column
        assert caught.value.details["feed"] == feed
    others = [
        other for other in ("payment", "dispensing", "laboratory") if other != feed and "SF_BRXXK" not in statements[0]
    ]
    assert all(read(source, other) for other in others)


@pytest.mark.parametrize(
    ("old", "new", "column", "problem"),
    [
        ("f.qdlx AS channel", "f.qdlx AS kanal", "channel", "does not return it"),
        ("f.qdlx AS channel", "f.qdlx AS channel, f.jssjh AS receipt", "receipt", "nobody knows it"),
        ("f.qdlx AS channel", "f.qdlx AS channel, f.qdlx AS channel", "channel", "twice"),
    ],
)
def test_sql_whose_columns_are_not_the_contracts_is_refused(
    built: Path, hospital: Hospital, tmp_path: Path, old: str, new: str, column: str, problem: str
):
    folder = shutil.copytree(SQL / "winning", tmp_path / "winning")
    file = folder / "dispensing.sql"
    file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    source = Source(connect(f"sqlite:///{built}"), hospital, sql=tmp_path)
    with pytest.raises(SourceDrift, match=problem) as caught:
        next(source.rows("dispensing", START, END))
    assert caught.value.details["column"] == column


def test_columns_may_stand_in_another_order(built: Path, hospital: Hospital, tmp_path: Path):
    folder = shutil.copytree(SQL / "winning", tmp_path / "winning")
    file = folder / "dispensing.sql"
    sql = file.read_text(encoding="utf-8").replace("       f.qdlx AS channel,\n", "")
    file.write_text(sql.replace("SELECT CAST(f.xh", "SELECT f.qdlx AS channel,\n       CAST(f.xh"), encoding="utf-8")
    source = Source(connect(f"sqlite:///{built}"), hospital, sql=tmp_path)
    assert read(source, "dispensing") == read(reader(built, hospital), "dispensing")


def test_a_shape_with_datetime_columns_gets_datetime_edges(hospital: Hospital, tmp_path: Path):
    moments = [START - timedelta(seconds=1), START, END - timedelta(seconds=1), END]
    table = Table("VISIT", MetaData(), Column("ID", String), Column("AT", DateTime))
    engine = create_engine(f"sqlite:///{tmp_path}/his.db")
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(table.insert(), [{"ID": str(n), "AT": at} for n, at in enumerate(moments)])
    nothing = ", ".join(f"NULL AS {name}" for name in SourceRow._fields[2:-1])
    (tmp_path / "trasen").mkdir()
    (tmp_path / "trasen" / "payment.sql").write_text(
        f"-- bounds: datetime\nSELECT ID AS source_id, AT AS occurred_at, {nothing}, 0 AS voided FROM VISIT\n"
        "WHERE AT >= :start AND AT < :end\nORDER BY occurred_at, source_id\n"
    )
    source = Source(engine, with_his(hospital, shape="trasen"), sql=tmp_path)
    assert [row.source_id for row in read(source, "payment")] == ["1", "2"]
    assert source.tally("payment", START, END).rows == 2


@pytest.mark.parametrize(("shape", "feed"), SHAPES)
def test_every_sql_file_keeps_the_conventions(shape: str, feed: str):
    sql = (SQL / shape / f"{feed}.sql").read_text(encoding="utf-8")
    feed_sql(shape, feed)
    statement = "\n".join(line for line in sql.splitlines() if not line.startswith("--"))
    assert re.search(r"^-- Reads ", sql, re.MULTILINE), "a DBA reads here which tables and columns"
    assert re.search(r"^-- Rights ", sql, re.MULTILINE)
    assert re.search(r"^-- Indexes ", sql, re.MULTILINE)
    assert not re.search(r"\b(TOP|ISNULL|CONVERT|GETDATE|NOLOCK)\b", statement, re.IGNORECASE), "portable SQL only"
    assert not re.search(r"\w\([^()]*\)\s*(>=|<)", statement), "no function on the column of a bound"


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT 1 ORDER BY occurred_at, source_id", "bounds"),
        ("-- bounds: date\nSELECT 1 ORDER BY occurred_at, source_id", "bounds"),
        ("-- bounds: char16\nSELECT 1", "ORDER BY"),
        ("-- bounds: char16\nSELECT 1 ORDER BY occurred_at, source_id LIMIT 5", "ORDER BY"),
    ],
)
def test_an_sql_file_that_breaks_the_conventions_is_refused(tmp_path: Path, sql: str, says: str):
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "payment.sql").write_text(sql)
    with pytest.raises(BadFeedFile, match=says):
        feed_sql("odd", "payment", tmp_path)


@pytest.mark.parametrize("feed", FEEDS)
def test_a_window_is_found_by_index_and_never_by_scanning_a_table(built: Path, feed: str):
    with connect(f"sqlite:///{built}").connect() as connection:
        plan = connection.execute(
            text(f"EXPLAIN QUERY PLAN {feed_sql('winning', feed).select.text}"),
            {"start": "2026112000:00:00", "end": "2026112100:00:00"},
        ).all()
    steps = [row[3] for row in plan]
    assert any(re.search(r"USING INDEX ix_\w+ \(\w+>\? AND \w+<\?\)", step) for step in steps)
    # A one-letter name is the result of a view's own search by index.
    assert [step for step in steps if re.match(r"SCAN (?!\w\b)", step)] == []


def test_a_file_that_is_not_there_is_unreachable_and_is_not_created(tmp_path: Path, hospital: Hospital):
    with pytest.raises(SourceUnreachable, match=r"demo_hospital.*'demo_his'.*SQLITE_CANTOPEN") as caught:
        read(reader(tmp_path / "absent.db", hospital), "payment")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "absent.db").exists()


def test_a_server_that_is_not_there_is_unreachable_and_the_password_stays_untold(hospital: Hospital):
    replica = Connection(
        conn_id="demo_his", conn_type="postgres", host="127.0.0.1", port=1, login="reader", password="hush-hush"
    )
    with pytest.raises(SourceUnreachable) as caught:
        Source(connect(replica), hospital).tally("payment", START, END)
    assert "hush-hush" not in f"{caught.value!r} {caught.value.__cause__} {caught.value.__context__}"


def test_no_engine_of_a_his_can_write_or_show_parameters(built: Path):
    engine = connect(f"sqlite:///{built}")
    assert engine.hide_parameters
    with engine.connect() as connection, pytest.raises(DBAPIError, match="readonly") as caught:
        connection.execute(text("UPDATE SF_BRXXK SET hzxm = :name"), {"name": "canary-name"})
    assert "canary-name" not in str(caught.value)


def test_sql_server_gets_utf_8_and_our_name_unless_the_connection_says_otherwise():
    engine = connect("mssql+pymssql://reader:x@his:1433/THIS4")
    assert engine.url.query["charset"] == "utf8"
    assert engine.pool._pre_ping
    assert connect("mssql+pymssql://reader:x@his/THIS4?charset=cp936").url.query["charset"] == "cp936"


@pytest.fixture
def on_postgres(postgres_url: str, hospital: Hospital) -> Iterator[tuple[str, Source]]:
    demo_his.create(postgres_url, DAYS[:1], 2000, seed=5)
    engine = connect(postgres_url)
    yield postgres_url, Source(engine, with_his(hospital, fetch_size=50))
    engine.dispose()


def test_the_same_sql_reads_the_same_hospital_on_postgresql(
    on_postgres: tuple[str, Source], hospital: Hospital, tmp_path: Path
):
    demo_his.create(f"sqlite:///{tmp_path}/his.db", DAYS[:1], 2000, seed=5)
    for feed in FEEDS:
        assert Counter(read(on_postgres[1], feed)) == Counter(read(reader(tmp_path / "his.db", hospital), feed))


def kill_sessions(url: str) -> None:
    with create_engine(url).connect() as administrator:
        killed = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'card_usage'"
        assert True in administrator.execute(text(killed)).scalars().all()


def test_a_session_that_is_killed_goes_on_where_it_stopped(on_postgres: tuple[str, Source], hospital: Hospital):
    url, source = on_postgres
    whole = read(source, "registration")
    pauses: list[float] = []
    engine = connect(url)
    again = Source(engine, with_his(hospital, fetch_size=50, pause_seconds=0.5), pause=pauses.append)
    rows: list[SourceRow] = []
    for number, batch in enumerate(again.rows("registration", START, END)):
        rows += batch
        if number in (0, 3):
            kill_sessions(url)
    assert rows == whole
    assert pauses == [0.5, 0.5], "a row came in between, so the second break is a first try again"
    engine.dispose()


def test_a_stream_that_may_not_be_resumed_says_how_far_it_came(on_postgres: tuple[str, Source], hospital: Hospital):
    url, _ = on_postgres
    engine = connect(url)
    source = Source(engine, with_his(hospital, fetch_size=50, tries=0))
    batches = source.rows("registration", START, END)
    first = next(batches)
    kill_sessions(url)
    with pytest.raises(SourceInterrupted) as caught:
        list(batches)
    assert caught.value.details["position"] == f"{first[-1].occurred_at}, key {first[-1].source_id}"
    assert (caught.value.details["tries"], caught.value.details["hospital"]) == (0, "demo_hospital")
    assert first[-1].name not in str(caught.value)
    assert len(read(source, "registration")) == source.tally("registration", START, END).rows
    engine.dispose()


def test_a_missing_right_names_the_table(on_postgres: tuple[str, Source], postgres_url: str, hospital: Hospital):
    with create_engine(postgres_url).begin() as owner:
        owner.execute(text("DROP ROLE IF EXISTS his_reader"))
        owner.execute(text("CREATE ROLE his_reader LOGIN"))
        owner.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO his_reader"))
        owner.execute(text("REVOKE SELECT ON sf_brxxk FROM his_reader"))
    engine = connect(make_url(postgres_url).set(username="his_reader"))
    with pytest.raises(SourceUnreachable, match="no right to SELECT from table sf_brxxk"):
        read(Source(engine, hospital), "payment")
    engine.dispose()
    with create_engine(postgres_url).begin() as owner:
        owner.execute(text("DROP OWNED BY his_reader"))
        owner.execute(text("DROP ROLE his_reader"))


def test_memory_does_not_grow_with_the_window(his: Path, hospital: Hospital):
    rows = 200_000
    change(
        his,
        "DELETE FROM SF_MZCFK",
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < "
        f"{rows - 1}) INSERT INTO SF_MZCFK SELECT i, '', (SELECT MIN(patid) FROM SF_BRXXK), '11010', 1, "
        "printf('20261120%02d:%02d:%02d', i / 10000, i / 100 % 60, i % 60), 0, 'SF', 'CK', '101' FROM n",
    )
    source = reader(his, hospital)

    def peak(end: datetime) -> tuple[int, int]:
        tracemalloc.start()
        count = sum(len(batch) for batch in source.rows("dispensing", START, end))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return count, most

    peak(START + timedelta(hours=1))
    few, little = peak(START + timedelta(hours=2))
    many, much = peak(END)
    assert (few, many) == (20_000, rows)
    assert much < 1.2 * little
