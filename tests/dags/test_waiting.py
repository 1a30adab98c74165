"""Waiting for a replica: in the triggerer, until it has passed or the deadline says to go on without proof."""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from traceback import format_exception
from types import SimpleNamespace
from typing import Any

import demo_his
import ledgers
import pytest
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred
from airflow.triggers.base import BaseTrigger, TriggerEvent
from card_usage.errors import MissingSetting, SourceDrift
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import Ledger
from card_usage.staging.coverage import open_window, record_window
from card_usage.windows import HOUR, Window, day_window, instant
from card_usage_airflow import sensors, triggers
from card_usage_airflow.hooks import HealthCardHook
from card_usage_airflow.look_back import windows_of_run
from card_usage_airflow.readiness import check_readiness
from card_usage_airflow.sensors import ReplicaPassed
from card_usage_airflow.task_context import open_context
from card_usage_airflow.triggers import ReplicaPasses

DAY = day_window(date(2026, 11, 23))
PROBE = """probe = "heartbeat"
table = "beats"
column = "beat_at"
grace_minutes = 5
deadline_minutes = 120
"""


class Place:
    """A hospital whose replica has a heartbeat, a ledger, and a clock that the test sets."""

    def __init__(self, home: Path) -> None:
        self.his = home / "his.db"
        self.ledger_url = ledgers.sqlite_url(home)
        self.now = instant(DAY.end + timedelta(minutes=1))
        self.file = home / "clinic.toml"
        demo = (SHIPPED / "hospitals" / "demo_hospital.toml").read_text(encoding="utf-8")
        demo = demo.replace('id = "demo_hospital"', 'id = "clinic"').replace('"demo_his"', '"clinic_his"')
        self.write(re.sub(r'probe = "none".*?deadline_minutes[^\n]*\n', PROBE, demo, flags=re.DOTALL))
        self.beat(DAY.end - HOUR)

    def write(self, text: str) -> None:
        self.file.write_text(text, encoding="utf-8")

    def change(self, old: str, new: str) -> None:
        text = self.file.read_text(encoding="utf-8")
        assert old in text
        self.write(text.replace(old, new))

    def beat(self, at: datetime | None) -> None:
        with sqlite3.connect(self.his) as connection:
            connection.execute("BEGIN")  # whoever looks meanwhile sees the old table or the new one
            connection.execute("DROP TABLE IF EXISTS beats")
            if at is not None:
                connection.execute("CREATE TABLE beats (beat_at DATETIME)")
                connection.execute("INSERT INTO beats VALUES (?)", (at.isoformat(" "),))
        connection.close()

    def look(self) -> Any:
        with open_context("clinic") as context:
            return check_readiness(context, DAY, now=self.now)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path)
    monkeypatch.setenv("CARD_USAGE_HOSPITALS", str(tmp_path))
    monkeypatch.setenv("CARD_USAGE_LEDGER_URL", made.ledger_url)
    monkeypatch.setenv("CARD_USAGE_KEY", ledgers.KEY)
    monkeypatch.setenv("AIRFLOW_CONN_CLINIC_HIS", f"sqlite:///{made.his}")
    for module in (sensors, triggers):
        monkeypatch.setattr(module, "present", lambda: made.now)
    return made


def context() -> dict[str, Any]:
    run = SimpleNamespace(
        run_type="scheduled",
        data_interval_start=instant(DAY.start),
        data_interval_end=instant(DAY.end),
        run_after=instant(DAY.end),
    )
    return {"params": {"day": None}, "dag_run": run}


def sensor() -> ReplicaPassed:
    return ReplicaPassed(task_id="wait", hospital_id="clinic", poll_seconds=0.01)


def deferred(task: ReplicaPassed) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        task.execute(context())
    return caught.value


async def event_of(trigger: BaseTrigger, meanwhile: Callable[[], None] = lambda: None) -> TriggerEvent:
    """The one event of a trigger; `meanwhile` is done while it waits."""
    events = [event async for event in _changed(trigger, meanwhile)]
    assert len(events) == 1
    return events[0]


async def _changed(trigger: BaseTrigger, meanwhile: Callable[[], None]) -> Any:
    change = asyncio.get_running_loop().call_later(0.5, meanwhile)
    async with asyncio.timeout(20):
        async for event in trigger.run():
            yield event
    change.cancel()


def test_a_replica_that_has_passed_lets_the_run_go_on_at_once(place: Place) -> None:
    place.beat(DAY.end + timedelta(minutes=5))
    place.now = instant(DAY.end + timedelta(minutes=6))
    assert sensor().execute(context()) == ["2026-11-23"]


async def test_a_lagging_replica_is_waited_for_in_the_triggerer_until_it_has_passed(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    task = sensor()
    waiting = deferred(task)
    assert waiting.method_name == "resume"
    assert waiting.kwargs == {"windows": ["2026-11-23"]}

    def follow() -> None:
        place.now = instant(DAY.end + timedelta(minutes=9))
        place.beat(DAY.end + timedelta(minutes=8))

    event = await event_of(waiting.trigger, follow)
    assert event.payload["passed"] is True
    assert task.resume(context(), event.payload, **waiting.kwargs) == ["2026-11-23"]
    assert "PROVISIONAL" not in capsys.readouterr().out


async def test_past_the_deadline_the_run_goes_on_as_provisional_and_says_so(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    task = sensor()
    waiting = deferred(task)

    def time_passes() -> None:
        place.now = instant(DAY.end + timedelta(minutes=120))

    event = await event_of(waiting.trigger, time_passes)
    assert event.payload["passed"] is False
    assert "the deadline was 02:00" in event.payload["why"]
    assert task.resume(context(), event.payload, **waiting.kwargs) == ["2026-11-23"]
    assert "PROVISIONAL: window 2026-11-23 goes on without proof" in capsys.readouterr().out


def test_a_trigger_is_built_again_from_what_airflow_keeps(place: Place) -> None:
    path, arguments = deferred(sensor()).trigger.serialize()
    assert path == "card_usage_airflow.triggers.ReplicaPasses"
    assert ReplicaPasses(**arguments).serialize() == (path, arguments)
    assert arguments == {"hospital_id": "clinic", "window": "2026-11-23", "poll_seconds": 0.01}


async def test_a_probe_without_its_table_fails_the_task_instead_of_waiting_for_ever(place: Place) -> None:
    task = sensor()
    waiting = deferred(task)
    event = await event_of(waiting.trigger, lambda: place.beat(None))
    assert "beats" in event.payload["problem"]
    with pytest.raises(SourceDrift, match="column 'beats'"):
        task.resume(context(), event.payload, **waiting.kwargs)


def test_a_replica_that_is_away_is_waited_for_until_the_deadline(place: Place) -> None:
    place.his.unlink()
    seen = place.look()
    assert (seen.ready, seen.passed) == (False, False)
    assert "cannot be reached" in seen.why
    place.now = instant(DAY.end + timedelta(minutes=121))
    assert (place.look().ready, place.look().passed) == (True, False)


def test_hours_to_avoid_hold_a_run_even_past_its_deadline_and_nothing_is_asked(place: Place) -> None:
    place.change("avoid_hours = []", 'avoid_hours = ["00:00-03:00"]')
    place.his.unlink()
    for minutes in (1, 121, 179):
        place.now = instant(DAY.end + timedelta(minutes=minutes))
        assert place.look() == (False, False, "hours to avoid, until 03:00")
    place.now = instant(DAY.end + timedelta(minutes=180))
    assert place.look().ready


def test_a_window_that_has_not_ended_is_waited_for_without_asking(place: Place) -> None:
    place.his.unlink()
    place.now = instant(DAY.end - timedelta(seconds=1))
    assert place.look() == (False, False, "the window ends at 2026-11-24 00:00")


@pytest.fixture
def ledger(place: Place) -> Iterator[Ledger]:
    with open_context("clinic") as context:
        yield context.ledger


def test_windows_that_never_closed_are_worked_on_again_by_every_scheduled_run_until_they_do(ledger: Ledger) -> None:
    old, hour = day_window(date(2026, 11, 5)), Window(DAY.start - 2 * HOUR, DAY.start - HOUR)
    with ledger.write() as connection:
        open_window(connection, hospital="clinic", feed="payment", start=old.start, end=old.end)
        named = {"hospital": "clinic", "feed": "payment", "source_rows": 0, "now": instant(DAY.end)}
        record_window(connection, start=hour.start, end=hour.end, status="provisional", **named)
    with open_context("clinic") as opened:
        # The hour lies in a day that is looked back on anyway, and a day that closes closes its hours.
        assert [str(one) for one in windows_of_run(opened, context())] == ["2026-11-23", "2026-11-05", "2026-11-22"]
        with ledger.write() as connection:
            record_window(connection, start=old.start, end=old.end, status="closed", **named)
        assert [str(one) for one in windows_of_run(opened, context())] == ["2026-11-23", "2026-11-22"]


def test_an_exception_that_nobody_foresaw_leaves_a_task_without_its_text_and_others_as_they_are(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(error: Exception) -> BaseException:
        try:
            with open_context("clinic"):
                raise error
        except Exception as left:
            return left

    told = "".join(format_exception(stumble(ValueError("invalid literal for int() with base 10: '张小三'"))))
    assert "Unforeseen" in told
    assert re.search(r"ValueError at .*test_waiting\.py:\d+", told)
    assert "张小三" not in told
    missing = MissingSetting(setting="X", purpose="y")
    for known in (AirflowSkipException("nothing to do"), missing, FileNotFoundError(2, "no", "x.csv")):
        assert stumble(known) is known
    monkeypatch.setenv("AIRFLOW_CONN_DEMO_PLATFORM", "http://app:secret@127.0.0.1:9")
    with pytest.raises(ValueError, match="theirs"), HealthCardHook("clinic").platform():
        raise ValueError("theirs")


async def test_what_airflow_keeps_of_a_waiting_task_says_nothing_of_a_patient(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even where a HIS has somebody's number and name in the very column that the probe reads."""
    caplog.set_level(logging.DEBUG)
    said: list[object] = []
    demo_his.create(f"sqlite:///{place.his}", [DAY.day], uses_per_day=200, seed=3)
    newest = PROBE.replace("heartbeat", "newest_row").replace('table = "beats"\ncolumn = "beat_at"\n', "")
    place.change(PROBE, newest)
    with sqlite3.connect(place.his) as connection:
        connection.execute("UPDATE GH_GHZDK SET ghrq = SUBSTR(ghrq, 1, 8) || '23:金丝雀患者'")
        connection.execute("UPDATE SF_BRJSK SET sfrq = SUBSTR(sfrq, 1, 8) || '991010199003070011'")
    connection.close()
    waiting = deferred(sensor())
    said += [waiting.trigger.serialize(), waiting.kwargs]

    def pass_by() -> None:
        place.now = instant(DAY.end + 3 * HOUR)

    said.append((await event_of(waiting.trigger, pass_by)).payload)
    with sqlite3.connect(place.his) as connection:
        connection.execute("ALTER TABLE GH_GHZDK RENAME COLUMN ghrq TO sj")
    connection.close()
    said.append((await event_of(ReplicaPasses("clinic", str(DAY), 0.01))).payload)
    told = f"{said!r} {caplog.text}"
    assert "problem" in told
    for secret in ("金丝雀", "1010199003070011"):
        assert secret not in told
