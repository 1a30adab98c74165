"""A range of days is no window: each of its days is staged, judged, withheld and decided about by itself."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import demo_his
import planted
import pytest
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import verdict
from card_usage.quality.baseline import earlier
from card_usage.quality.check import check
from card_usage.quality.verdict_store import verdicts_in_force, withheld
from card_usage.staging.coverage import open_windows, record_window
from card_usage.windows import DAY as ONE_DAY
from card_usage.windows import Window, day_window
from desk import opened, span
from forked_cli import CommandLine
from hypothesis import given
from hypothesis import strategies as st
from planted import DAY, HOSPITAL, NOW
from sqlalchemy import insert

FIRST = date(2026, 3, 2)
MOMENTS = st.datetimes(datetime.fromisoformat("2024-01-01"), datetime.fromisoformat("2027-01-01"))


@given(start=MOMENTS, hours=st.integers(1, 24 * 60))
def test_a_window_cut_by_day_is_the_same_time_in_parts_of_one_day_each(start: datetime, hours: int) -> None:
    window = Window(start, start + timedelta(hours=hours))
    parts = window.by_day
    assert (parts[0].start, parts[-1].end) == (window.start, window.end)
    assert all(before.end == after.start for before, after in pairwise(parts))
    assert [part.days for part in parts] == [(day,) for day in window.days]


@given(day=st.dates(date(2024, 1, 1), date(2026, 12, 31)))
def test_no_day_is_its_own_history(day: date) -> None:
    window = day_window(day)
    history = earlier(window, planted.hospital().calendar)
    assert all(past.end <= window.start for past in (*history.alike, *history.ordinary))


def test_several_days_at_once_are_not_judged_at_all(embedded: Ledger) -> None:
    week = Window(day_window(DAY).start, day_window(DAY).start + 8 * ONE_DAY)
    with pytest.raises(ValueError, match="too many values"):
        check(embedded, planted.hospital(), week, now=NOW)


def test_a_month_of_even_days_is_not_held_for_its_length(tmp_path: Path, command_line: CommandLine) -> None:
    with opened(tmp_path, command_line, FIRST, uses=60, days=30) as desk:
        desk.json("stage", *span(FIRST, 30))
        checked = desk.json("check", *span(FIRST, 30))["check"]
        assert checked["verdict"] in {"pass", "warn"}
        assert [day["window"] for day in checked["days"]] == [str(FIRST + n * ONE_DAY) for n in range(30)]
        assert sum(day["events"] for day in checked["days"]) == checked["events"]
        assert {reason["window"] for reason in checked["reasons"]} <= {day["window"] for day in checked["days"]}


def test_one_bad_day_of_a_range_is_held_alone_and_decided_alone(tmp_path: Path, command_line: CommandLine) -> None:
    with opened(tmp_path, command_line, FIRST, uses=60, days=14) as desk:
        bad = FIRST + 14 * ONE_DAY
        demo_his.create(desk.environment["AIRFLOW_CONN_DEMO_HIS"], [bad], uses_per_day=400, seed=9)
        run = desk.run("run", *span(FIRST, 15))
        assert run.returncode == 1
        assert "NOT settled" in run.stdout
        held = desk.run("decide", *span(FIRST, 15), "--json")
        assert held.returncode == 1
        assert [row["window"] for row in json.loads(held.stdout)["decide"]] == [str(bad)]
        before = int(desk.sandbox.counts()["accepted"])
        assert before > 13 * 60
        desk.json("decide", *span(FIRST, 15), "--release", "--by", "an engineer")
        desk.json("deliver", *span(FIRST, 15))
        assert int(desk.sandbox.counts()["accepted"]) > before + 300


def test_an_old_verdict_on_a_range_stands_for_the_days_that_were_not_judged_since(ledger: Ledger) -> None:
    start = day_window(DAY).start
    week = Window(start, start + 7 * ONE_DAY)
    old = {"hospital": HOSPITAL, "start": week.start, "end": week.end, "verdict": "hold", "at": NOW}
    with ledger.write() as connection:
        connection.execute(insert(verdict).values(**old, reasons='{"events": 9, "reasons": []}'))
    for day in week.by_day[2:4]:
        check(ledger, planted.hospital(), day, now=NOW + timedelta(hours=1))
    with ledger.read() as connection:
        parts = [(part.start, part.end) for part in withheld(connection, HOSPITAL, week)]
    assert parts == [(start, start + 2 * ONE_DAY), (start + 4 * ONE_DAY, week.end)]
    for day in week.by_day:
        check(ledger, planted.hospital(), day, now=NOW + timedelta(hours=2))
    with ledger.read() as connection:
        assert withheld(connection, HOSPITAL, week) == ()
        assert [stored.window for stored in verdicts_in_force(connection, HOSPITAL, week)] == list(week.by_day)


def test_an_old_window_of_several_days_closes_with_the_last_of_its_days(ledger: Ledger) -> None:
    start = day_window(DAY).start
    week = Window(start, start + 3 * ONE_DAY)
    common = {"hospital": HOSPITAL, "feed": "payment", "source_rows": 1, "now": NOW}
    with ledger.write() as connection:
        record_window(connection, **common, start=week.start, end=week.end, status="provisional")
        for day in week.by_day[:2]:
            record_window(connection, **common, start=day.start, end=day.end, status="closed")
        assert [part.start for part in open_windows(connection, HOSPITAL, week.start, week.end)] == [week.start]
        last = week.by_day[2]
        record_window(connection, **common, start=last.start, end=last.end, status="closed")
        assert open_windows(connection, HOSPITAL, week.start, week.end) == []
