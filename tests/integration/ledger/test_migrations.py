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
