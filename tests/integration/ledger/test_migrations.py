"""Migrations of the ledger that change rows, forth and back, on both databases."""

from __future__ import annotations

from pathlib import Path

import postgres as pg
import pytest
from alembic import command
from alembic.config import Config
from card_usage.ledger.database import MIGRATIONS, create_ledger_engine
from sqlalchemy import Connection, inspect, text

REASONS = {
    "answered": ("misconfigured", "the platform answers 21002", 21002),
    "negative": ("misconfigured", "the platform answers -10017", -10017),
    "barred": ("misconfigured", "the platform answers http 403", None),
    "token": ("misconfigured", "getAppToken is answered 20004", 20004),
    "refused": ("misconfigured", "50 refusals in a row, the last with 10016", 10016),
    "lost": ("misconfigured", "every new appToken is refused with 21004", 21004),
    "unknown": ("misconfigured", "every new appToken is refused with None", None),
    "person": ("pause", "the platform answers 21002", None),
}


def move(connection: Connection, revision: str, *, down: bool = False) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes |= {"connection": connection, "url": connection.engine.url}
    (command.downgrade if down else command.upgrade)(config, revision)


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    cluster: pg.Cluster = request.getfixturevalue("postgres")
    return cluster.url(cluster.create())


def test_holds_of_earlier_releases_get_the_code_that_their_reason_names(ledger_url: str) -> None:
    engine = create_ledger_engine(ledger_url)
    with engine.begin() as connection:
        move(connection, "0009")
        for hospital, (kind, reason, _) in REASONS.items():
            values = {"hospital": hospital, "kind": kind, "reason": reason}
            connection.execute(
                text("insert into hold values (:hospital, :kind, null, :reason, 'deliverer', '2026-03-02 00:00:00')"),
                values,
            )
    with engine.begin() as connection:
        move(connection, "0010")
        codes = {row.hospital: row.result_code for row in connection.execute(text("select * from hold"))}
    assert codes == {hospital: code for hospital, (_, _, code) in REASONS.items()}
    with engine.begin() as connection:
        move(connection, "0009", down=True)
        assert "result_code" not in {column["name"] for column in inspect(connection).get_columns("hold")}
        reasons = {row.hospital: row.reason for row in connection.execute(text("select * from hold"))}
    assert reasons == {hospital: reason for hospital, (_, reason, _) in REASONS.items()}
    engine.dispose()


# A ledger's event by its name: its state, the calls under its present request id (answer, HTTP status, result code),
# and the state that it then has.
CALLED = {
    "never called": ("ready", [], "ready"),
    "token": ("ready", [("token", 200, 21003)], "ready"),
    "throttled by a code": ("ready", [("throttled", 200, 21007)], "ready"),
    "throttled by a gateway": ("ready", [("throttled", 429, None)], "unknown"),
    "barred": ("ready", [("token", 200, 21003), ("barred", 403, None)], "unknown"),
    "held after a gateway": ("held", [("throttled", 429, None), ("quota", 200, 10034)], "unknown"),
    "barred under an id before": ("ready", [("barred", 403, None, "BEFORE")], "ready"),
    "delivered": ("delivered", [("throttled", 429, None), ("accepted", 200, 0)], "delivered"),
    "rejected": ("rejected", [("barred", 403, None), ("refused", 200, 10042)], "rejected"),
}


def test_events_that_a_mere_http_status_left_open_are_unknown_and_keep_their_ids(ledger_url: str) -> None:
    engine = create_ledger_engine(ledger_url)
    with engine.begin() as connection:
        move(connection, "0011")
        for number, (name, (status, calls, _)) in enumerate(CALLED.items(), start=1):
            values = {"id": number, "name": name, "status": status, "attempts": len(calls), "request_id": f"R{number}"}
            connection.execute(
                text(
                    "insert into event (id, key, hospital, feed, source_id, day, status, digest, request_id, attempts, "
                    "staged_at) values (:id, :name, 'h', 'f', :name, '2026-03-02', :status, 'd', :request_id, "
                    ":attempts, '2026-03-02 00:00:00')"
                ),
                values,
            )
            for answer, http_status, code, *under in calls:
                connection.execute(
                    text(
                        "insert into attempt (event_id, request_id, at, answer, http_status, result_code, status) "
                        "values (:id, :under, '2026-03-02 00:00:00', :answer, :http, :code, 'ready')"
                    ),
                    values
                    | {"under": (under or [f"R{number}"])[0], "answer": answer, "http": http_status, "code": code},
                )
    with engine.begin() as connection:
        move(connection, "0012")
        events = {row.key: row for row in connection.execute(text("select * from event"))}
        answers = set(connection.execute(text("select event_id, answer from attempt where http_status = 429")).all())
    assert {key: row.status for key, row in events.items()} == {name: then for name, (_, _, then) in CALLED.items()}
    assert [events[name].request_id for name in CALLED] == [f"R{number}" for number in range(1, len(CALLED) + 1)]
    numbers = {name: number for number, name in enumerate(CALLED, start=1)}
    assert answers == {
        (numbers["throttled by a gateway"], "limited"),
        (numbers["held after a gateway"], "limited"),
        (numbers["delivered"], "throttled"),
    }
    with engine.begin() as connection:
        move(connection, "0011", down=True)
        assert "form" not in {column["name"] for column in inspect(connection).get_columns("event")}
        assert not inspect(connection).has_table("platform_memory")
        assert not connection.execute(text("select * from attempt where answer = 'limited'")).all()
    engine.dispose()
