"""Files of the web app: whatever name is asked for is a file, or 404 and nothing else."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from airflow.api_fastapi.core_api.security import get_user
from card_usage.config.keyring import Keyring
from card_usage_airflow import web_app
from cases import every_case
from fastapi.testclient import TestClient

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
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    (tmp_path / "one.html").write_text("report")
    monkeypatch.setenv("CARD_USAGE_LEDGER_URL", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setenv("CARD_USAGE_KEY", Keyring.new_key("t"))
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
