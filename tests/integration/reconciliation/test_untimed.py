"""Rows whose time puts them into no day: counted apart, told once, and in nobody's way."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta
from pathlib import Path

import planted
import pytest
from card_usage.alerts.sweep import Team, sweep
from card_usage.config.hospital import Alerts, Hospital, Route
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import feed_window, outbox
from card_usage.ledger.schema.untimed import KEYS_KEPT
from card_usage.reconciliation import untimed
from card_usage.reconciliation.differences import differences_of
from card_usage.report.figures import figures
from card_usage.source.dialect_registry import dialect_named
from card_usage.source.feeds import feed_sql
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from card_usage.source.tallies import Untimed
from card_usage.standard.id_numbers import check_digit
from card_usage.windows import day_window, local
from planted import NOW
from sqlalchemy import insert, select

FEEDS = sorted((SHIPPED / "sql").glob("*/*.sql"))
TODAY = local(NOW).date()
FAR = date(TODAY.year + 2, 6, 1)
COLUMNS = (
    "feed, source_id, occurred_at, scene, department, department_name, card_type, channel, cost_type, id_number, name,"
    " qr_code_text, voided"
)


def made(path: Path, times: dict[str, object]) -> None:
    with sqlite3.connect(path) as his:
        his.execute(f"CREATE TABLE IF NOT EXISTS V_CARD_USE ({COLUMNS})")
        his.execute("DELETE FROM V_CARD_USE")
        his.executemany(
            "INSERT INTO V_CARD_USE (feed, source_id, occurred_at, scene, voided)"
            " VALUES ('payment', ?, ?, '010105', 0)",
            times.items(),
        )
    his.close()


def hospital(shape: str) -> Hospital:
    routes = (Route(channel="people", least="info", at_night="all", digest=False),)
    of = planted.hospital(his={"shape": shape, "feeds": ("payment",)})
    return of.model_copy(update={"alerts": Alerts(routes=routes)})


@pytest.mark.parametrize("path", FEEDS, ids=[f"{path.parent.name}/{path.stem}" for path in FEEDS])
@pytest.mark.parametrize("database", ["mssql", "mysql", "postgresql", "oracle", "sqlite"])
def test_every_shipped_feed_can_be_asked_for_rows_that_no_window_holds(path: Path, database: str) -> None:
    dialect = dialect_named(database)
    feed = feed_sql(path.parent.name, path.stem, dialect=dialect)
    for keys in (0, 4711):
        query = str(feed.untimed(dialect, keys=keys))
        assert query.count(" IS NULL OR ") >= query.count(":start") == feed.rows.count(":start") > 0
        assert not any(f">= {start}" in query for start in (":start", "CAST(:start AS char(16))"))
        assert ("4711" in query) == bool(keys)


@pytest.mark.parametrize(
    ("shape", "form"), [("card_use_view", "%Y-%m-%d %H:%M:%S"), ("card_use_view_char16", "%Y%m%d%H:%M:%S")]
)
def test_rows_without_a_usable_time_are_counted_and_those_of_any_day_are_not(
    tmp_path: Path, embedded: Ledger, shape: str, form: str
) -> None:
    start = day_window(TODAY).start
    usable = {
        f"day {n}": (start + timedelta(days=n)).strftime(form)
        for n in (-9000, -1, 0, 1, (date(TODAY.year, 12, 31) - TODAY).days)
    }
    odd = {"a": None, "b": "", "c": "无", "d": start.replace(year=FAR.year).strftime(form), "e": "0001-01-01", "f": "x"}
    made(tmp_path / "his.db", usable | odd)
    of = hospital(shape)
    source = Source(connect(f"sqlite:///{tmp_path / 'his.db'}", of.his), of)
    assert source.untimed("payment", local(NOW), keys=99) == Untimed(len(odd), tuple("abcdef"))
    assert source.untimed("payment", local(NOW), keys=2) == Untimed(len(odd), ("a", "b"))
    assert untimed.count(embedded, source, of, now=NOW) == {"payment": len(odd)}
    made(tmp_path / "his.db", usable)
    assert untimed.count(embedded, source, of, now=NOW + timedelta(minutes=5)) == {"payment": len(odd)}, "the same run"
    assert untimed.count(embedded, source, of, now=NOW + timedelta(hours=1)) == {}
    made(tmp_path / "his.db", usable | odd)
    assert untimed.count(embedded, source, of, now=NOW + timedelta(hours=2)) == {}, "asked once a day if there is none"
    assert untimed.count(embedded, source, of, now=NOW + timedelta(days=1)) == {"payment": len(odd)}
    with embedded.read() as connection:
        assert untimed.stored(connection, of.id) == {"payment": len(odd)}


def test_they_are_told_once_by_some_of_their_keys_and_told_as_over(tmp_path: Path, ledger: Ledger) -> None:
    of = hospital("card_use_view")
    with ledger.write() as connection:
        window = day_window(TODAY - timedelta(days=1))
        row = {"hospital": of.id, "feed": "payment", "status": "closed", "source_rows": 9, "staged_at": NOW}
        connection.execute(insert(feed_window).values(row | {"start": window.start, "end": window.end}))
    team = Team(channels=("team",), airflow="https://airflow.example")
    source = Source(connect(f"sqlite:///{tmp_path / 'his.db'}", of.his), of)

    def told(times: dict[str, object], hours: int = 0) -> list[str]:
        made(tmp_path / "his.db", times)
        now = NOW + timedelta(hours=hours)
        untimed.count(ledger, source, of, now=now)
        sweep(ledger, of, team, now=now)
        with ledger.read() as connection:
            topics = select(outbox.c.text).where(outbox.c.topic == "no_usable_time").order_by(outbox.c.id)
            return list(connection.scalars(topics))

    assert told({"good": f"{TODAY} 08:00:00"}) == []
    (first,) = told({"K-1": None, "K-7": "9999-01-01", "K-3": "无"}, hours=24)
    assert "3 条" in first
    assert "K-1, K-3, K-7" in first
    assert "differences" in first
    assert told({"K-1": None, "K-7": "9999-01-01", "K-3": "无"}, hours=25) == [first]
    with ledger.read() as connection:
        day = figures(connection, of, TODAY - timedelta(days=1), language="zh", now=NOW)
    assert [(action["events"], action["who"]) for action in day["actions"] if action["kind"] == "no_usable_time"] == [
        (3, "医院信息科")
    ]
    assert len(told({"good": f"{TODAY} 08:00:00"}, hours=27)) == 2


@pytest.mark.parametrize("extra", [0, 5])
def test_each_of_them_is_a_difference_of_no_day_up_to_the_keys_that_are_kept(
    tmp_path: Path, embedded: Ledger, extra: int
) -> None:
    of, count = hospital("card_use_view"), KEYS_KEPT + extra
    patient = f"11010119900307001{check_digit('11010119900307001')}"
    made(tmp_path / "his.db", {f"K-{n:05}": None for n in range(count - 1)} | {patient: "无"})
    source = Source(connect(f"sqlite:///{tmp_path / 'his.db'}", of.his), of)
    assert untimed.count(embedded, source, of, now=NOW) == {"payment": count}
    window = day_window(TODAY - timedelta(days=1))
    found = [record for record in differences_of(embedded, of.id, window, now=NOW) if record.kind == untimed.KIND]
    assert len(found) == KEYS_KEPT
    assert {(record.feed, record.day) for record in found} == {("payment", None)}
    named = [record.source_id for record in found]
    assert named[1:] == [f"K-{n:05}" for n in range(KEYS_KEPT - 1)]
    assert named[0].startswith("masked-"), "a key that is a patient's number"
    with embedded.read() as connection:
        assert [(part.rows, len(part.keys)) for part in untimed.listed(connection, of.id)] == [(count, KEYS_KEPT)]
