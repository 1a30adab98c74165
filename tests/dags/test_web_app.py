"""Files of the web app: whatever name is asked for is a file, or 404 and nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import quote

import ledgers
import planted
import postgres as pg
import psycopg
import pytest
from airflow.api_fastapi.core_api.security import get_user
from card_usage.ledger.database import Ledger
from card_usage.ledger.decisions import Actor, record
from card_usage.ledger.grants import APPEND_ONLY, PAGES, allow_pages, allow_workers
from card_usage.ledger.report_files import index
from card_usage.ledger.schema import metadata
from card_usage.ledger.viewings import viewings
from card_usage.report.fleet import FLEET
from card_usage_airflow import web_app
from cases import every_case
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.engine import make_url

NOW = datetime(2026, 3, 3, 8, 0, tzinfo=UTC)
NAMES = (
    "x" * 300 + ".html",
    "demo/" + "x" * 300 + ".html",
    "demo/" + "报" * 100 + ".html",
    "a/" * 900 + "b.html",
    "\x1b[2J\n.html",
    "\0.html",
    "demo/none.html",
    "one.html/two.html",
)


@pytest.fixture
def pages_url(postgres: pg.Cluster, postgres_ledger_url: str) -> Iterator[str]:
    """A ledger on PostgreSQL with an event and a report, by a login that may read what pages show."""
    role, password = f"pages_{secrets.token_hex(4)}", secrets.token_hex(8)
    with psycopg.connect(postgres_ledger_url.replace("+psycopg", ""), autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
        allow_pages(postgres_ledger_url, role)
        allow_pages(postgres_ledger_url, role)
        yield str(make_url(postgres_ledger_url).set(username=role, password=password).render_as_string(False))
        owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_pages_are_shown_by_a_login_that_can_read_no_patient_and_change_nothing(
    client: TestClient, pages_url: str, postgres_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres_ledger.write() as connection:
        index(connection, FLEET, date(2026, 3, 2), "html", "_fleet/2026-03-02.html", b"", NOW)
    monkeypatch.setenv("CARD_USAGE_LEDGER_URL", pages_url)
    shown = client.get("/")
    assert shown.status_code == 200
    assert "_fleet/2026-03-02.html" in shown.text
    assert seen_in(postgres_ledger) == [("somebody", "/", 200)]
    with psycopg.connect(pages_url.replace("+psycopg", ""), autocommit=True) as attacker:
        for table in sorted(metadata.tables):
            reads = f"SELECT * FROM {table} LIMIT 1"
            changes = (f"DELETE FROM {table}", f"INSERT INTO {table} DEFAULT VALUES", f"DROP TABLE {table}")
            if table == "viewing":  # rows can be added, none changed
                changes = (f"DELETE FROM {table}", f"UPDATE {table} SET viewer = 'x'", f"DROP TABLE {table}")
            for statement in changes if table in PAGES else (reads, *changes):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    attacker.execute(statement)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            attacker.execute("SELECT sealed, key_id FROM event")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            attacker.execute("CREATE TABLE mine (x int)")


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    (tmp_path / "one.html").write_text("report")
    monkeypatch.setenv("CARD_USAGE_LEDGER_URL", ledgers.sqlite_url(tmp_path))
    monkeypatch.delenv("CARD_USAGE_KEY", raising=False)  # pages need none
    monkeypatch.setenv("CARD_USAGE_REPORTS", str(tmp_path))
    monkeypatch.setattr(web_app, "may_see", lambda user, hospital: True)
    app = web_app.application()
    app.dependency_overrides[get_user] = lambda: "somebody"
    return TestClient(app)


def seen_in(ledger: Ledger) -> list[tuple[str, str, int]]:
    with ledger.read() as connection:
        return [(one.viewer, one.path, one.status) for one in reversed(viewings(connection, most=1000))]


def test_each_page_and_file_that_somebody_opens_or_may_not_open_is_one_row(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_app, "may_audit", lambda user: user == "somebody")
    client.get("/files/one.html")
    client.get("/files/none.html")
    client.get("/")
    monkeypatch.setattr(web_app, "may_see", lambda user, hospital: False)
    client.get("/files/one.html")
    page = client.get("/viewings").text
    with ledgers.opened(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        assert seen_in(ledger) == [
            ("somebody", "/files/one.html", 200),
            ("somebody", "/files/none.html", 404),
            ("somebody", "/", 200),
            ("somebody", "/files/one.html", 403),
            ("somebody", "/viewings", 200),
        ]
    assert page.count("somebody") == 4
    assert "/files/one.html" in page


def test_a_patient_in_an_address_that_somebody_types_is_neither_recorded_nor_shown(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_app, "may_audit", lambda user: True)
    monkeypatch.setattr(web_app, "may_see_dag", lambda user, dag_id: False)
    secrets_typed = planted.SECRETS[:3]
    for secret in secrets_typed:
        client.get(f"/files/{quote(secret)}.html")
        client.get(f"/runs/some_dag/{quote(secret)}")
    page = client.get("/viewings").text
    with ledgers.opened(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        paths = [path for _, path, _ in seen_in(ledger)]
    assert paths[:2] == ["/files/(masked)", "/runs/some_dag/(masked)"]
    assert len(paths) == 2 * len(secrets_typed) + 1
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    for secret in secrets_typed:
        assert secret not in page
        assert secret.encode() not in kept


def test_every_route_is_recorded() -> None:
    """A route that asks Airflow for the user itself, instead of `viewer`, would leave no row."""
    for route in web_app.application().routes:
        names = [dependency.call.__name__ for dependency in route.dependant.dependencies]
        assert names == ["viewer"], route.path


def test_what_cannot_be_recorded_is_not_shown(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "ledger.db").unlink()
    answer = client.get("/files/one.html")
    assert answer.status_code == 503
    assert "report" not in answer.text


def test_who_viewed_what_is_for_those_with_the_right_to_the_audit_log(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_app, "may_audit", lambda user: False)
    assert client.get("/viewings").status_code == 403


def test_the_workers_login_works_and_changes_neither_evidence_nor_calls_nor_decisions(
    postgres_ledger_url: str, postgres_ledger: Ledger
) -> None:
    role, password = f"worker_{secrets.token_hex(4)}", secrets.token_hex(8)
    with psycopg.connect(postgres_ledger_url.replace("+psycopg", ""), autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
        allow_workers(postgres_ledger_url, role)
        allow_workers(postgres_ledger_url, role)
        url = make_url(postgres_ledger_url).set(username=role, password=password).render_as_string(False)
        with ledgers.opened(url) as ledger, ledger.write() as connection:
            planted.plant(connection, {"delivered": 3, "ready": 2})
            by = Actor("wang", "form")
            record(connection, ledger.keyring, verb="pause", hospital="demo", actor=by, now=NOW)
            connection.execute(text("UPDATE event SET status = 'held' WHERE status = 'ready'"))
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as attacker:
            for table in (*APPEND_ONLY, "alembic_version"):
                column = "version_num" if table == "alembic_version" else "id"
                for statement in (
                    f"DELETE FROM {table}",
                    f"UPDATE {table} SET {column} = {column}",
                    f"TRUNCATE {table}",
                ):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        attacker.execute(statement)
            for statement in ("DELETE FROM event", "DROP TABLE event", "CREATE TABLE mine (x int)"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    attacker.execute(statement)
        owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_name_that_no_file_can_have_is_404(client: TestClient) -> None:
    assert client.get("/files/one.html").text == "report"
    with every_case() as case:
        for name in (*map(quote, NAMES), "%ff%fe.html", "%ed%a0%80.html"):
            with case(name[:40]):
                answer = client.get(f"/files/{name}")
                assert answer.status_code == 404
                assert len(answer.text) < 200
