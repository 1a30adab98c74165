"""The embedded Airflow is asked again while its SQLite file is locked, and only then."""

from __future__ import annotations

import json
import threading
import urllib.error
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from embedded import airflow as embedded_airflow
from embedded.airflow import Embedded

LOCKED = (503, {"detail": "Database is locked. Backfill creation is not supported on SQLite under concurrent access."})
BROKEN = (500, {"detail": {"reason": "Database error", "message": "Serious error when handling your request."}})
RUNNING = (409, {"detail": "There is already a running backfill for dag d"})
MADE = (200, {"id": 7})


class Server:
    """Gives its answers one after the other, the last one for ever; a login before them."""

    def __init__(self, port: int) -> None:
        self.port, self.answers, self.asked = port, [MADE], 0


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = 200, {"access_token": "t"}
            if self.path != "/auth/token":
                status, body = made.answers[min(made.asked, len(made.answers) - 1)]
                made.asked += 1
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        made = Server(running.server_port)
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield made
        running.shutdown()


@pytest.fixture
def airflow(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Embedded:
    monkeypatch.setattr(embedded_airflow.time, "sleep", lambda _: None)
    return Embedded(tmp_path, port=server.port, logs=tmp_path, settings={})


@pytest.mark.parametrize("before", [[], [LOCKED], [BROKEN, LOCKED], [LOCKED, RUNNING, RUNNING]])
def test_a_call_that_met_a_locked_file_is_made_again(airflow: Embedded, server: Server, before: list[object]) -> None:
    server.answers = [*before, MADE]  # type: ignore[list-item]
    assert airflow.ask("/backfills", {}) == {"id": 7}
    assert server.asked == len(before) + 1


def test_a_backfill_that_runs_already_is_an_error_if_no_lock_came_before_it(airflow: Embedded, server: Server) -> None:
    server.answers = [RUNNING]
    with pytest.raises(urllib.error.HTTPError) as caught:
        airflow.ask("/backfills", {})
    assert (caught.value.code, server.asked) == (409, 1)
    assert "already a running backfill" in caught.value.__notes__[0]


def test_a_file_that_stays_locked_is_an_error_in_the_end(
    airflow: Embedded, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_airflow, "LOCKED_SECONDS", 0)
    server.answers = [LOCKED]
    with pytest.raises(urllib.error.HTTPError):
        airflow.ask("/backfills", {})


def test_a_command_that_met_a_locked_file_is_run_again_and_another_error_is_told(
    airflow: Embedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = tmp_path / "airflow"
    stub.write_text(
        f"""#!/bin/sh
echo once >> {tmp_path}/tries
[ "$1" = nonsense ] && {{ echo no such command; exit 2; }}
[ "$(wc -l < {tmp_path}/tries)" -gt 2 ] && exit 0
echo "(sqlite3.OperationalError) database is locked"
exit 1
"""
    )
    stub.chmod(0o755)
    monkeypatch.setattr(airflow, "programs", tmp_path)
    airflow.run("backfill", "create")
    assert (tmp_path / "tries").read_text() == "once\n" * 3
    with pytest.raises(embedded_airflow.ChildFailed, match="exit code 2") as caught:
        airflow.run("nonsense")
    assert "no such command" in caught.value.__notes__[0]
