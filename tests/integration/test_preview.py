"""Preview and decisions: what a range of days would send is known before anything is sent, and sending a refused event
again is somebody's decision."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import demo_his
import ledgers
import platform_sandbox
import pytest
from card_usage import pipeline
from card_usage.config.connections import Connection
from card_usage.config.settings import Settings
from card_usage.context import Context
from card_usage.delivery.redelivery import send_again, undecided
from card_usage.events import request_id
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.schema import event
from card_usage.ledger.scope import Scope
from card_usage.preview import forecast, preview
from card_usage.windows import Window, day_window
from sqlalchemy import func, select, update

DAY = date(2026, 3, 2)
USES = 300


@pytest.fixture
def context(tmp_path: Path, sandbox: platform_sandbox.RunningSandbox) -> Iterator[Context]:
    his = f"sqlite:///{tmp_path}/his.db"
    demo_his.create(his, [DAY, DAY + timedelta(days=1)], uses_per_day=USES, seed=3)
    settings = Settings(
        ledger_url=ledgers.sqlite_url(tmp_path),
        keyring=ledgers.KEYRING,
        hospitals=SHIPPED / "hospitals",
        aliases=SHIPPED / "code_aliases",
        reports=tmp_path / "reports",
    )
    connections = {
        "demo_his": Connection(conn_id="demo_his", conn_type="sqlite", schema=f"{tmp_path}/his.db"),
        "demo_platform": Connection(
            conn_id="demo_platform",
            conn_type="http",
            host=sandbox.url,
            login="demo-app-id",
            password="demo-app-secret",
        ),
    }
    with Context.open("demo_hospital", settings, connections.__getitem__) as opened:
        yield opened


def now() -> datetime:
    return datetime.now(UTC)


def both_days() -> Window:
    return Window(day_window(DAY).start, day_window(DAY + timedelta(days=1)).end)


def stage(context: Context, window: Window) -> None:
    for feed in context.hospital.his.feeds:
        pipeline.stage(context, feed, window, now=now())


def test_a_preview_of_days_never_seen_says_what_staging_then_finds(context: Context) -> None:
    seen = preview(context, both_days(), now=now())
    with context.ledger.read() as connection:
        assert connection.scalar(select(func.count()).select_from(event)) == 0
    stage(context, both_days())
    with context.ledger.read() as connection:
        states = dict(connection.execute(select(event.c.status, func.count()).group_by(event.c.status)).all())
    assert seen.new == states["ready"]
    assert seen.quarantined == states["quarantined"]
    assert seen.voided == states["voided"]
    assert seen.read == sum(states.values())
    assert (seen.due, seen.delivered, seen.changed_since_delivery) == (0, 0, 0)
    assert seen.forecast.calls == seen.new


def test_a_preview_tells_delivered_days_from_new_ones_and_calls_from_the_platform_stay_as_they_were(
    context: Context, sandbox: platform_sandbox.RunningSandbox
) -> None:
    stage(context, day_window(DAY))
    delivered = pipeline.deliver(context, day_window(DAY)).states["delivered"]
    calls = sandbox.counts()["calls"]
    seen = preview(context, both_days(), now=now())
    assert seen.delivered == delivered
    assert seen.new > 0
    assert sandbox.counts()["calls"] == calls


def test_a_preview_names_what_changed_since_it_was_delivered(context: Context, tmp_path: Path) -> None:
    import sqlite3

    stage(context, day_window(DAY))
    pipeline.deliver(context, day_window(DAY))
    with sqlite3.connect(f"{tmp_path}/his.db") as his:
        # An hour later than it was reported: a sent field.
        key, at = his.execute(
            "SELECT sjh, sfrq FROM SF_BRJSK WHERE sfrq LIKE '2026030210%' AND ghsfbz = 1 AND jlzt = 0 AND ybjszt = 2"
        ).fetchone()
        his.execute("UPDATE SF_BRJSK SET sfrq = ? WHERE sjh = ?", (at.replace("10:", "11:", 1), key))
    assert preview(context, day_window(DAY), now=now()).changed_since_delivery == 1


def test_ten_thousand_events_of_a_hospital_that_is_not_live_take_a_hundred_days(context: Context) -> None:
    rationed = context.hospital.platform.model_copy(update={"live": False, "daily_quota": 100})
    with context.ledger.read() as connection:
        expected = forecast(connection, "demo_hospital", rationed, new=10_000, due=0, today=date(2026, 3, 1))
    assert expected.days == 100
    assert expected.finish == date(2026, 6, 8)
    assert not expected.never


def test_live_events_that_need_the_whole_quota_leave_none_for_a_backfill(context: Context) -> None:
    stage(context, day_window(DAY))  # some 300 live events a day
    rationed = context.hospital.platform.model_copy(update={"live": False, "daily_quota": 100})
    with context.ledger.read() as connection:
        expected = forecast(connection, "demo_hospital", rationed, new=10, due=0, today=DAY + timedelta(days=1))
    assert expected.never
    assert expected.days is None


def test_a_refused_event_goes_again_under_a_new_request_id_and_only_once(context: Context) -> None:
    stage(context, day_window(DAY))
    scope = Scope("demo_hospital", DAY, DAY)
    with context.ledger.write() as connection:
        connection.execute(update(event).where(event.c.status == "ready").values(status="rejected", result_code=10042))
    with context.ledger.write() as connection:
        waiting = undecided(connection, scope, ("rejected",))
        assert waiting == {("rejected", 10042): send_again(connection, scope, ("rejected",))}
    with context.ledger.write() as connection:
        rows = connection.execute(
            select(event.c.key, event.c.request_id, event.c.generation).where(event.c.status == "ready")
        ).all()
        assert send_again(connection, scope, ("rejected",)) == 0
    assert rows
    assert all(row.generation == 1 for row in rows)
    assert all(row.request_id == request_id(row.key, 1) for row in rows)
    assert pipeline.deliver(context, day_window(DAY)).settled


def test_an_unconfirmed_event_is_left_alone_unless_asked_for_by_name(context: Context) -> None:
    stage(context, day_window(DAY))
    with context.ledger.write() as connection:
        connection.execute(update(event).where(event.c.status == "ready").values(status="unconfirmed"))
        scope = Scope("demo_hospital", DAY, DAY)
        assert send_again(connection, scope, ("rejected",)) == 0
        assert send_again(connection, scope, ("rejected", "unconfirmed")) > 0
