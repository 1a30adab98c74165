"""Replicas that lag, stall, fail and go back in time: what the probes read, and which windows close over it."""

from __future__ import annotations

import sqlite3
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import demo_his
import planted
import pytest
from card_usage import pipeline
from card_usage.config.connections import Connection
from card_usage.config.hospital import Freshness, Hospital
from card_usage.config.settings import Settings
from card_usage.context import Context
from card_usage.errors import SourceDrift
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event, feed_window
from card_usage.source import freshness
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from card_usage.staging.coverage import open_windows
from card_usage.windows import day_window, instant, local
from ledgers import KEYRING
from sqlalchemy import Engine, create_engine, func, select, text, update
from sqlalchemy import event as engine_event

DAY = day_window(date(2026, 11, 20))
MORNING = instant(DAY.end + timedelta(hours=3))
HEARTBEAT = Freshness(probe="heartbeat", table="CARD_USAGE_HEARTBEAT", column="beat_at", grace_minutes=5)


def hospital_with(settings: Freshness, **his: Any) -> Hospital:
    return planted.hospital(his={"freshness": settings, **his})


class Replica:
    """A demo HIS and the replica that is read: it shows what was last copied over to it."""

    def __init__(self, folder: Path) -> None:
        self.primary, self.path, self._folder = folder / "primary.db", folder / "replica.db", folder
        demo_his.create(f"sqlite:///{self.primary}", [DAY.day], uses_per_day=300, seed=5)
        self.beat(DAY.end - timedelta(hours=1))

    def beat(self, at: datetime) -> None:
        self.on_primary(
            "CREATE TABLE IF NOT EXISTS CARD_USAGE_HEARTBEAT (id, beat_at)",
            "DELETE FROM CARD_USAGE_HEARTBEAT",
            f"INSERT INTO CARD_USAGE_HEARTBEAT VALUES (1, '{at:%Y-%m-%d %H:%M:%S}')",
        )

    def on_primary(self, *statements: str) -> None:
        with sqlite3.connect(self.primary) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()

    def follow(self) -> None:
        """The replica catches up with all that is committed."""
        with sqlite3.connect(self.primary) as here, sqlite3.connect(self.path) as there:
            here.backup(there)
        here.close()
        there.close()


@pytest.fixture
def replica(tmp_path: Path) -> Replica:
    made = Replica(tmp_path)
    made.follow()
    return made


def context_of(ledger: Ledger, replica: Replica, settings: Freshness = HEARTBEAT) -> Context:
    places = Settings(
        ledger_url="",
        keyring=KEYRING,
        hospitals=SHIPPED / "hospitals",
        aliases=SHIPPED / "code_aliases",
        reports=Path(),
    )
    his = Connection(conn_id="demo_his", conn_type="sqlite", schema=str(replica.path))
    return Context(hospital=hospital_with(settings), settings=places, ledger=ledger, connection_of=lambda _: his)


def windows(ledger: Ledger) -> dict[str, str]:
    with ledger.read() as connection:
        rows = connection.execute(select(feed_window.c.feed, feed_window.c.status)).all()
    assert len(rows) == len({feed for feed, _ in rows})
    return {feed: status for feed, status in rows}


def events(ledger: Ledger) -> int:
    with ledger.read() as connection:
        return connection.scalar(select(func.count()).select_from(event)) or 0


def stage_all(context: Context, now: datetime = MORNING) -> set[str]:
    return {pipeline.stage(context, feed, DAY, now=now).status for feed in context.hospital.his.feeds}


def late_row(replica: Replica) -> None:
    """A payment of the day that is committed only now, behind what was read."""
    replica.on_primary(
        "INSERT INTO SF_BRJSK SELECT 'LATE1', patid, sfrq, sfksdm, zje, ybjszt, tsjh, 0, ghsfbz, cardtype, qdlx, ybdm "
        "FROM SF_BRJSK WHERE ghsfbz = 1 AND ybjszt = 2 AND jlzt = 0 LIMIT 1"
    )


def test_a_stalled_replica_leaves_its_windows_provisional_and_what_came_late_is_caught_when_it_follows(
    ledger: Ledger, replica: Replica
) -> None:
    context = context_of(ledger, replica)
    late_row(replica)
    replica.beat(DAY.end + timedelta(hours=2))
    assert stage_all(context) == {"provisional"}
    before = events(ledger)
    reconciled = pipeline.reconcile(context, DAY, now=MORNING)
    assert reconciled.provisional
    replica.follow()
    assert {result.status for result in pipeline.catch_up(context, DAY, now=MORNING)} == {"closed"}
    assert set(windows(ledger).values()) == {"closed"}
    assert events(ledger) == before + 1
    again = pipeline.reconcile(context, DAY, now=MORNING)
    assert not again.provisional
    assert pipeline.catch_up(context, DAY, now=MORNING) == []


def test_a_replica_restored_from_a_backup_makes_a_closed_day_provisional_until_it_has_caught_up(
    ledger: Ledger, replica: Replica
) -> None:
    context = context_of(ledger, replica)
    backup = replica.path.read_bytes()
    late_row(replica)
    replica.beat(DAY.end + timedelta(hours=2))
    replica.follow()
    assert stage_all(context) == {"closed"}
    known = events(ledger)
    replica.path.write_bytes(backup)
    assert pipeline.reconcile(context, DAY, now=MORNING).provisional
    assert set(windows(ledger).values()) == {"provisional"}
    assert stage_all(context) == {"provisional"}
    assert events(ledger) == known, "what is not there now was there once: nothing is taken back"
    replica.follow()
    pipeline.catch_up(context, DAY, now=MORNING)
    assert set(windows(ledger).values()) == {"closed"}
    assert not pipeline.reconcile(context, DAY, now=MORNING).provisional


def test_rows_committed_behind_the_watermark_are_all_caught_by_staging_again(ledger: Ledger, replica: Replica) -> None:
    context = context_of(ledger, replica, Freshness())
    stage_all(context)
    expectation = demo_his.arrive(f"sqlite:///{replica.primary}", [DAY.day]).days[0]
    replica.follow()
    late = {feed: pipeline.stage(context, feed, DAY, now=MORNING).new for feed in context.hospital.his.feeds}
    assert late == {feed: expectation.late[feed]["rows"] for feed in late}
    assert sum(late.values()) > 0
    assert {pipeline.stage(context, feed, DAY, now=MORNING).new for feed in late} == {0}


def test_a_feed_that_fails_leaves_its_window_open_while_the_others_close(ledger: Ledger, replica: Replica) -> None:
    context = context_of(ledger, replica, Freshness())
    replica.on_primary("ALTER TABLE SF_MZCFK RENAME COLUMN fyrq TO fyrq2")
    replica.follow()
    for feed in context.hospital.his.feeds:
        if feed == "dispensing":
            with pytest.raises(SourceDrift, match=r"column 'f\.fyrq'"):
                pipeline.stage(context, feed, DAY, now=MORNING)
        else:
            pipeline.stage(context, feed, DAY, now=MORNING)
    recorded = windows(ledger)
    assert recorded.pop("dispensing") == "open"
    assert set(recorded.values()) == {"closed"}
    replica.on_primary("ALTER TABLE SF_MZCFK RENAME COLUMN fyrq2 TO fyrq")
    replica.follow()
    assert [result.feed for result in pipeline.catch_up(context, DAY, now=MORNING)] == ["dispensing"]


def test_a_whole_day_closes_the_hours_of_it_that_were_left_open(ledger: Ledger, replica: Replica) -> None:
    context = context_of(ledger, replica)
    noon = DAY.start + timedelta(hours=12)
    hour = type(DAY)(noon, noon + timedelta(hours=1))
    replica.beat(noon)
    replica.follow()
    assert pipeline.stage(context, "payment", hour, now=MORNING).status == "provisional"
    replica.beat(DAY.end + timedelta(minutes=5))
    replica.follow()
    assert pipeline.stage(context, "payment", DAY, now=MORNING).status == "closed"
    with ledger.read() as connection:
        assert open_windows(connection, "demo_hospital", DAY.start, DAY.end) == []


def test_a_window_that_still_runs_is_provisional_without_asking_the_probe(ledger: Ledger, replica: Replica) -> None:
    replica.on_primary("DROP TABLE CARD_USAGE_HEARTBEAT")
    replica.follow()
    context = context_of(ledger, replica)
    assert pipeline.stage(context, "payment", DAY, now=instant(DAY.end - timedelta(hours=1))).status == "provisional"
    with pytest.raises(SourceDrift, match="freshness probe, column 'CARD_USAGE_HEARTBEAT'"):
        pipeline.stage(context, "payment", DAY, now=MORNING)


def source(engine: Engine, settings: Freshness) -> tuple[Source, Hospital]:
    hospital = hospital_with(settings, tries=0)
    return Source(engine, hospital), hospital


@pytest.mark.parametrize(("minutes", "found"), [(-30, None), (4, None), (5, 5), (70, 70), (150, 150)])
def test_the_newest_row_of_any_feed_at_or_after_the_grace_proves_it(
    replica: Replica, minutes: int, found: int | None
) -> None:
    at = DAY.end + timedelta(minutes=minutes)
    replica.on_primary(f"UPDATE SF_MZCFK SET fyrq = '{at:%Y%m%d%H:%M:%S}' WHERE xh = (SELECT MAX(xh) FROM SF_MZCFK)")
    replica.on_primary("UPDATE SF_MZCFK SET fybz = 1, jlzt = 0")
    replica.follow()
    settings = Freshness(probe="newest_row", grace_minutes=5)
    reader, hospital = source(connect(f"sqlite:///{replica.path}"), settings)
    reading = freshness.read_probe(reader, hospital, DAY, now=MORNING)
    assert reading.upto == (None if found is None else DAY.end + timedelta(minutes=found))
    assert freshness.has_passed(reading, DAY, settings, now=MORNING) is (found is not None)


def availability_group(path: Path, rows: list[tuple[object, ...]]) -> Engine:
    """The view of SQL Server's availability groups, as far as the probe reads it."""
    engine = create_engine(f"sqlite:///{path}")

    @engine_event.listens_for(engine, "connect")
    def attach(raw: Any, _record: object) -> None:
        raw.execute("ATTACH ':memory:' AS sys")
        raw.create_function("DB_ID", 0, lambda: 5)
        raw.execute(
            "CREATE TABLE sys.dm_hadr_database_replica_states "
            "(database_id, is_local, last_commit_time, group_id, replica_id)"
        )
        raw.execute("CREATE TABLE sys.dm_hadr_availability_replica_states (group_id, replica_id, role)")
        for number, (database, is_local, is_primary, at) in enumerate(rows):
            states = "INSERT INTO sys.dm_hadr_database_replica_states VALUES (?, ?, ?, 1, ?)"
            raw.execute(states, (database, is_local, at, number))
            roles = "INSERT INTO sys.dm_hadr_availability_replica_states VALUES (1, ?, ?)"
            raw.execute(roles, (number, 1 if is_primary else 2))
        raw.commit()

    engine.dialect.name = "mssql"  # which statement is taken, nothing else
    return engine


@pytest.mark.parametrize(
    ("rows", "upto"),
    [
        ([(5, 1, 0, "2026-11-21 00:04:59.997"), (6, 1, 0, "2026-01-01 00:00:00")], DAY.end + timedelta(seconds=299)),
        ([(5, 0, 1, "2026-11-21 02:00:00"), (5, 1, 0, "2026-11-21 00:06:00")], DAY.end + timedelta(minutes=6)),
        ([(5, 1, 1, "2026-11-20 20:00:00")], local(MORNING)),
        ([(5, 1, 0, None)], None),
    ],
    ids=["another database", "another replica", "the primary itself", "nothing committed yet"],
)
def test_the_availability_group_says_what_was_last_committed_here(
    tmp_path: Path, rows: list[tuple[object, ...]], upto: datetime | None
) -> None:
    reader, hospital = source(availability_group(tmp_path / "x.db", rows), Freshness(probe="replication"))
    assert freshness.read_probe(reader, hospital, DAY, now=MORNING).upto == upto


def test_a_database_that_knows_no_replication_says_so(tmp_path: Path, replica: Replica) -> None:
    for engine in (availability_group(tmp_path / "x.db", []), connect(f"sqlite:///{replica.path}")):
        reader, hospital = source(engine, Freshness(probe="replication"))
        with pytest.raises(SourceDrift, match="says nothing about replication"):
            freshness.read_probe(reader, hospital, DAY, now=MORNING)


def test_a_postgresql_primary_is_never_behind(postgres_url: str) -> None:
    reader, hospital = source(connect(postgres_url), Freshness(probe="replication"))
    assert freshness.read_probe(reader, hospital, DAY, now=MORNING).upto == local(MORNING)


def test_a_heartbeat_of_postgresql_with_a_zone_is_read_as_local_time(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE beats (at timestamptz)"))
        connection.execute(text("INSERT INTO beats VALUES ('2026-11-20T16:06:00Z')"))
    reader, hospital = source(
        connect(postgres_url), Freshness(probe="heartbeat", table="public.beats", column="at", grace_minutes=5)
    )
    assert freshness.read_probe(reader, hospital, DAY, now=MORNING).upto == DAY.end + timedelta(minutes=6)
    engine.dispose()


@pytest.mark.parametrize("sent", ["ready", "held", "quarantined"])
def test_a_refund_before_delivery_is_never_sent(ledger: Ledger, replica: Replica, sent: str) -> None:
    context = context_of(ledger, replica, Freshness())
    pipeline.stage(context, "payment", DAY, now=MORNING)
    put(ledger, sent)
    refund(replica)
    staged = pipeline.stage(context, "payment", DAY, now=MORNING)
    assert staged.voided > 0
    assert staged.marked == 0
    assert states(ledger) == {"voided"}


@pytest.mark.parametrize("sent", ["delivered", "unconfirmed", "in_flight", "unknown"])
def test_a_refund_or_a_change_after_delivery_is_marked_and_the_mark_is_lifted_with_its_cause(
    ledger: Ledger, replica: Replica, sent: str
) -> None:
    context = context_of(ledger, replica, Freshness())
    pipeline.stage(context, "payment", DAY, now=MORNING)
    with ledger.write() as connection:
        ready = event.c.status == "ready"
        count = connection.execute(update(event).where(ready).values(status=sent)).rowcount
    assert count > 0
    before = states(ledger)
    refund(replica)
    assert pipeline.stage(context, "payment", DAY, now=MORNING).marked == count
    assert marked(ledger, "voided_at", sent) == count
    replica.on_primary("UPDATE SF_BRJSK SET jlzt = 0, qdlx = 'CK' WHERE ghsfbz = 1 AND ybjszt = 2 AND tsjh = 'R'")
    replica.on_primary("UPDATE SF_NBRJSK SET jlzt = 0, qdlx = 'CK' WHERE ghsfbz = 1 AND ybjszt = 2 AND tsjh = 'R'")
    replica.on_primary("UPDATE YY_JZBRYJK SET jlzt = 0, qdlx = 'CK' WHERE jje = -1")
    replica.follow()
    pipeline.stage(context, "payment", DAY, now=MORNING)
    assert marked(ledger, "voided_at", sent) == 0
    assert 0 < marked(ledger, "changed_at", sent) <= count
    assert states(ledger) == before


def put(ledger: Ledger, status: str) -> None:
    with ledger.write() as connection:
        connection.execute(update(event).where(event.c.status != "voided").values(status=status))


def refund(replica: Replica) -> None:
    """Everything valid is paid back on the primary, and the replica follows."""
    replica.on_primary(
        "UPDATE SF_BRJSK SET jlzt = 1, tsjh = 'R' WHERE jlzt = 0",
        "UPDATE SF_NBRJSK SET jlzt = 1, tsjh = 'R' WHERE jlzt = 0",
        "UPDATE YY_JZBRYJK SET jlzt = 1, jje = -1 WHERE jlzt = 0",
    )
    replica.follow()


def states(ledger: Ledger) -> set[str]:
    with ledger.read() as connection:
        return set(connection.scalars(select(event.c.status).distinct()))


def marked(ledger: Ledger, mark: str, status: str) -> int:
    query = select(func.count()).where(event.c[mark].is_not(None), event.c.status == status)
    with ledger.read() as connection:
        return connection.scalar(query) or 0
