"""Embedded Airflow in one folder: SQLite, LocalExecutor, its components as child processes, and its REST API."""

from __future__ import annotations

import base64
import json
import os
import random
import secrets
import sqlite3
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from embedded.children import Child, ChildFailed, Children, answers, clean_environment

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
COMPONENTS = ("api-server", "dag-processor", "scheduler", "triggerer")
LOGIN = "admin"
# SQLite refuses at once a writer that has read before another one wrote, and Airflow passes that on as the first
# of these, or as the second and nothing more. What was begun is undone; asking again is what its user does.
LOCKED = ("database is locked", "database error")
# Beside a backfill that could not be undone either: the scheduler ends it within two minutes.
HALF_MADE = ("There is already a running backfill", "Another backfill is running")
LOCKED_SECONDS = 180
# Of a component, after which something is wrong for good: a scheduler dies of a metadata file that stays locked.
RESTARTS = 5


class Embedded:
    """Airflow at http://127.0.0.1:port with its home in `home` and logs of its components in `logs`.

    `settings` are further environment variables for tasks: CARD_USAGE_*, AIRFLOW_CONN_*. `root` and `programs`: another
    checkout whose DAGs and plugins are run, and the folder of its environment's programs.
    """

    def __init__(
        self,
        home: Path,
        *,
        port: int,
        logs: Path,
        settings: Mapping[str, str],
        workers: int = 3,
        root: Path = ROOT,
        programs: Path = BIN,
    ) -> None:
        self.home, self.port, self.logs, self.programs = home, port, logs, programs
        self.url = f"http://127.0.0.1:{port}"
        self.password = secrets.token_urlsafe(6)
        self.env = clean_environment() | _airflow_settings(home, port, workers, root, programs) | dict(settings)
        self.components: dict[str, Child] = {}
        self._token = ""

    def migrate(self, children: Children) -> Child:
        """Create the password of the only user, and start a child that creates the metadata database and ends."""
        self.home.mkdir(parents=True, exist_ok=True)
        passwords = Path(self.env["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({LOGIN: self.password}))
        with sqlite3.connect(self.home / "airflow.db") as database:
            # Readers and the writer do not block each other then; the setting stays with the file.
            database.execute("PRAGMA journal_mode=WAL")
        database.close()
        command: list[str | Path] = [self.programs / "airflow", "db", "migrate"]
        return children.start("airflow db migrate", command, env=self.env, log=self.logs / "airflow-migrate.log")

    def start(self, children: Children) -> None:
        """Start all components, again if one dies; returns when the REST API answers. Raises ChildFailed."""
        for name in COMPONENTS:
            # Logs are read from the shared folder: nobody needs the log servers, whose ports are fixed.
            extra = ["--skip-serve-logs"] if name in ("scheduler", "triggerer") else []
            log = self.logs / f"airflow-{name}.log"
            command: list[str | Path] = [self.programs / "airflow", name, *extra]
            self.components[name] = children.start(name, command, env=self.env, log=log, restarts=RESTARTS)
        self.components["api-server"].wait_until(lambda: answers(self.port), seconds=300)

    # -- REST ---------------------------------------------------------------------------------------------------

    def ask(self, path: str, body: object = None, method: str | None = None) -> dict[str, Any]:
        """One call of /api/v2, again while the metadata file is locked; a body makes it a POST. What only reads is
        asked again on a machine that is too busy to answer in time, too.

        Raises urllib.error.HTTPError, what the server said beside it as a note.
        """
        if not self._token:
            self._token = self._token_of(LOGIN)
        headers = {"Authorization": f"Bearer {self._token}"}
        patience = Patience()
        verb = method or ("GET" if body is None else "POST")
        while True:
            try:
                return self._call(f"/api/v2{path}", body, verb, headers)
            except urllib.error.HTTPError as refusal:
                said = refusal.read().decode(errors="replace")
                refusal.add_note(said)
                if not patience.left_for(said):
                    raise
            except TimeoutError:
                if verb != "GET" or not patience.is_left:
                    raise

    @contextmanager
    def logged_in(self, user: str) -> Iterator[None]:
        """Calls are this user's meanwhile, one of core.simple_auth_manager_users."""
        before, self._token = self._token, self._token_of(user)
        try:
            yield
        finally:
            self._token = before

    def _token_of(self, user: str) -> str:
        password = self.password
        if user != LOGIN:  # Airflow makes the others' by itself
            kept = Path(self.env["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
            password = json.loads(kept.read_text())[user]
        return str(self._call("/auth/token", {"username": user, "password": password}, "POST", {})["access_token"])

    def _call(self, path: str, body: object, method: str, headers: dict[str, str]) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - always http to 127.0.0.1
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **headers},
            method=method,
        )
        # No proxy, whatever the environment says: it is this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            told: dict[str, Any] = json.loads(answer.read() or b"{}")
        return told

    def knows(self, dag_id: str) -> bool:
        """Whether the DAG was parsed and is in the metadata database."""
        try:
            return bool(self.ask(f"/dags/{dag_id}/details"))
        except urllib.error.HTTPError as refusal:
            if refusal.code == 404:
                return False
            raise

    def unpause(self, dag_id: str) -> None:
        """Unpause the DAG: the scheduler creates its runs."""
        self.ask(f"/dags/{dag_id}", {"is_paused": False}, "PATCH")

    def trigger(self, dag_id: str, conf: Mapping[str, object] | None = None) -> str:
        """Trigger a run; returns its id."""
        run = self.ask(f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": dict(conf or {})})
        return str(run["dag_run_id"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The DAG's runs as the REST API returns them, newest first."""
        found: list[dict[str, Any]] = self.ask(f"/dags/{dag_id}/dagRuns?limit=100&order_by=-run_after")["dag_runs"]
        return found

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run."""
        told = self.ask(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100")
        found: list[dict[str, Any]] = told["task_instances"]
        return found

    def results(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task returned."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value?deserialize=true"
        return self.ask(path)["value"]

    def log_of(self, task: Mapping[str, Any]) -> Path:
        """The log file of a task instance's latest try."""
        index = [] if task["map_index"] < 0 else [f"map_index={task['map_index']}"]
        parts = [f"dag_id={task['dag_id']}", f"run_id={task['dag_run_id']}", f"task_id={task['task_id']}", *index]
        return self.home.joinpath("logs", *parts, f"attempt={max(1, task['try_number'])}.log")

    def backfill(self, dag_id: str, first: date, last: date, **options: object) -> int:
        """A backfill over local days, both inside, as the UI makes it; returns its number.

        `options` are further fields of the call, such as max_active_runs and reprocess_behavior.
        """
        days = {"from_date": f"{first}T00:00:00+08:00", "to_date": f"{last}T00:00:00+08:00"}
        return int(self.ask("/backfills", {"dag_id": dag_id, **days, **options})["id"])

    # -- command line -------------------------------------------------------------------------------------------

    def run(self, *words: str) -> None:
        """Run `airflow ...` and wait for it; retried while the metadata file is locked. Raises ChildFailed."""
        patience = Patience()
        while True:
            log = self.logs / f"airflow-{words[0]}-{secrets.token_hex(4)}.log"
            child = Child(f"airflow {' '.join(words)}", [self.programs / "airflow", *words], env=self.env, log=log)
            try:
                return child.wait()
            except ChildFailed as failure:
                if not patience.left_for(failure.last_lines()):
                    raise


class Patience:
    """How long a locked metadata file is waited for, from now on."""

    def __init__(self) -> None:
        self._until = time.monotonic() + LOCKED_SECONDS
        self._locked = False

    @property
    def is_left(self) -> bool:
        """Whether there is time for another try."""
        return time.monotonic() < self._until

    def left_for(self, said: str) -> bool:
        """Whether what Airflow has said is worth another try; if so, returns after a moment."""
        locked = any(words in said.lower() for words in LOCKED)
        self._locked = self._locked or locked
        worth = locked or (self._locked and any(words in said for words in HALF_MADE))
        if not worth or not self.is_left:
            return False
        time.sleep(random.uniform(0.1, 1))  # noqa: S311 - only so that two do not meet again
        return True


def _airflow_settings(home: Path, port: int, workers: int, root: Path, programs: Path) -> dict[str, str]:
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    settings = {
        "core.dags_folder": root / "dags",
        "core.plugins_folder": root / "plugins",
        "core.load_examples": False,
        "core.lazy_load_plugins": False,
        "core.executor": "LocalExecutor",
        "core.parallelism": workers,
        "core.default_timezone": "Asia/Shanghai",
        "core.dags_are_paused_at_creation": True,
        "core.fernet_key": key,
        "core.execution_api_server_url": f"http://127.0.0.1:{port}/execution/",
        "core.simple_auth_manager_users": f"{LOGIN}:ADMIN",
        "core.simple_auth_manager_passwords_file": home / "passwords.json",
        "database.sql_alchemy_conn": f"sqlite:///{home}/airflow.db",
        "logging.base_log_folder": home / "logs",
        "dag_processor.refresh_interval": 10,
        "dag_processor.parsing_processes": 1,
        "scheduler.scheduler_idle_sleep_time": 0.5,
        "api.host": "127.0.0.1",
        "api.port": port,
        "api.base_url": f"http://127.0.0.1:{port}",
        "api.workers": 1,
        "api.secret_key": secrets.token_hex(16),
        "api.expose_config": False,
        "api_auth.jwt_secret": secrets.token_hex(32),
        "usage_data_collection.enabled": False,
    }
    environment = {"AIRFLOW__" + name.replace(".", "__").upper(): str(value) for name, value in settings.items()}
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
    # What Airflow's own parts deprecate of each other is of no use to whoever reads a task's log.
    quiet = "ignore::DeprecationWarning,ignore::UserWarning"
    return environment | {"AIRFLOW_HOME": str(home), "PATH": path, "TZ": "Asia/Shanghai", "PYTHONWARNINGS": quiet}
