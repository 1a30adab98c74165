"""The ledger's connections to PostgreSQL outlive its restarts, and are not asked how they are without need."""

from __future__ import annotations

import pytest
from card_usage.ledger import database
from card_usage.ledger.database import Ledger
from card_usage.ledger.executor import ThreadedExecutor
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import OperationalError

PID = text("SELECT pg_backend_pid()")


@pytest.fixture
def ledger(postgres_ledger: Ledger) -> Ledger:
    return postgres_ledger


def lose_all_sessions(ledger: Ledger) -> None:
    """As a restart of the server does."""
    administrator = create_engine(ledger.engine.url)
    others = "pid <> pg_backend_pid() AND datname = current_database()"
    with administrator.connect() as connection:
        ended = connection.scalars(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))
        assert True in ended.all()
    administrator.dispose()


def backend(ledger: Ledger) -> int:
    """The server's process that serves the pool's connection."""
    with ledger.read() as connection:
        return int(connection.scalar(PID) or 0)


def test_a_connection_that_rested_and_lost_its_server_is_replaced_unnoticed(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "REST_SECONDS", 0)
    first = backend(ledger)
    assert backend(ledger) == first
    lose_all_sessions(ledger)
    assert backend(ledger) != first


def test_a_connection_in_use_finds_out_by_itself_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "REST_SECONDS", 3600)
    backend(ledger)
    lose_all_sessions(ledger)
    with pytest.raises(OperationalError) as caught:
        backend(ledger)
    assert caught.value.connection_invalidated
    assert backend(ledger)


async def test_a_deliverer_goes_on_when_a_connection_in_use_is_lost(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "REST_SECONDS", 3600)
    executor = ThreadedExecutor(ledger)
    first = await executor.write(lambda connection: connection.scalar(PID))
    lose_all_sessions(ledger)
    assert await executor.write(lambda connection: connection.scalar(PID)) != first
    assert executor.retries == 1
    executor.close()


def test_transactions_without_a_rest_cost_no_round_trip_more(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(ledger.engine.dialect, "do_ping", lambda connection: asked.append(connection) or True)
    monkeypatch.setattr(database, "REST_SECONDS", 3600)
    for _ in range(3):
        backend(ledger)
    assert not asked
    monkeypatch.setattr(database, "REST_SECONDS", 0)
    backend(ledger)
    assert len(asked) == 1


def test_a_fresh_connection_is_not_asked(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "REST_SECONDS", 0)
    opened: list[object] = []
    event.listen(ledger.engine, "connect", lambda connection, _record: opened.append(connection))
    ledger.engine.dispose()
    monkeypatch.setattr(ledger.engine.dialect, "do_ping", lambda _: pytest.fail("asked at once"))
    backend(ledger)
    assert len(opened) == 1
