"""Files of the web app: whatever name is asked for is a file, or 404 and nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import quote

import postgres as pg
import psycopg
import pytest
from airflow.api_fastapi.core_api.security import get_user
from card_usage.ledger.database import Ledger
from card_usage.ledger.grants import PAGES, allow_pages
from card_usage.ledger.report_files import index
from card_usage.ledger.schema import metadata
from card_usage.report.fleet import FLEET
from card_usage_airflow import web_app
from cases import every_case
from fastapi.testclient import TestClient
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
        index(connection, FLEET, date(2026, 3, 2), "html", "_fleet/2026-03-02.html", NOW)
    monkeypatch.setenv("CARD_USAGE_LEDGER_URL", pages_url)
    shown = client.get("/")
    assert shown.status_code == 200
    assert "_fleet/2026-03-02.html" in shown.text
    with psycopg.connect(pages_url.replace("+psycopg", ""), autocommit=True) as attacker:
        for table in sorted(metadata.tables):
            reads = f"SELECT * FROM {table} LIMIT 1"
            changes = (f"DELETE FROM {table}", f"INSERT INTO {table} DEFAULT VALUES", f"DROP TABLE {table}")
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
    monkeypatch.setenv("CARD_USAGE_LEDGER_URL", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.delenv("CARD_USAGE_KEY", raising=False)  # pages need none
    monkeypatch.setenv("CARD_USAGE_REPORTS", str(tmp_path))
    monkeypatch.setattr(web_app, "may_see", lambda user, hospital: True)
    app = web_app.application()
    app.dependency_overrides[get_user] = lambda: "somebody"
    return TestClient(app)


def test_a_name_that_no_file_can_have_is_404(client: TestClient) -> None:
    assert client.get("/files/one.html").text == "report"
    with every_case() as case:
        for name in (*map(quote, NAMES), "%ff%fe.html", "%ed%a0%80.html"):
            with case(name[:40]):
                answer = client.get(f"/files/{name}")
                assert answer.status_code == 404
                assert len(answer.text) < 200
