"""An installation that an upgrade meets: five hospitals, each left by the earlier release in a state of its own.

steady    days delivered, one of them sealed; on others a deliverer was killed, another is staged and not yet sent
late      its replica lags: the run is deferred in `wait`
held      the gate withholds its day: the run waits for a person
refused   the platform refuses its appId: the run has failed, an incident is open
rationed  the platform allows it some calls a day only: the rest is held until the next day

The team's channel is down while the earlier release runs: messages about incidents wait.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import demo_his
import platform_sandbox
from embedded.airflow import Embedded
from embedded.children import Children, free_port
from platform_sandbox import App, Config, RunningSandbox
from receivers import Webhook
from upgrade.release import Code

HOSPITALS = ("steady", "late", "held", "refused", "rationed")
NUMBERS = {hospital: f"1008{number}" for number, hospital in enumerate(HOSPITALS, 1)}
USES = 120
QUOTA = 30
PATIENCE = 900.0
"""Seconds for a step of Airflow's, on a machine that has other things to do."""
FINAL = {"success", "failed"}
KEPT = ("CORE__FERNET_KEY", "API__SECRET_KEY", "API_AUTH__JWT_SECRET")
"""What an installation keeps from one version to the next in its .env."""

Rows = list[tuple[Any, ...]]


def report_dag(hospital: str) -> str:
    """The hospital's DAG."""
    return f"report_card_usage__{hospital}"


@dataclass(kw_only=True)
class Installation:
    """Its folder, its settings, and whatever of it is running. `days`: five, oldest first, yesterday the last.

    `head`: of the chain of evidence, as the earlier release made it.
    """

    home: Path
    old: Code
    new: Code
    days: list[date]
    journal: Path
    platform_port: int
    chat: Webhook
    key: str = ""
    head: str = ""
    secret_of_refused: str = "not-the-secret"
    kept: dict[str, str] = field(default_factory=dict)
    airflow: Embedded | None = None
    children: Children | None = None
    platform: RunningSandbox | None = None

    # -- settings -----------------------------------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, str]:
        """The environment of its tasks and of its command line."""
        found = {
            "CARD_USAGE_LEDGER_URL": f"sqlite:///{self.home}/ledger.db",
            "CARD_USAGE_KEY": self.key,
            "CARD_USAGE_HOSPITALS": str(self.home / "hospitals"),
            "CARD_USAGE_ALIASES": str(self.home / "code_aliases"),
            "CARD_USAGE_REPORTS": str(self.home / "reports"),
            "CARD_USAGE_EVIDENCE": str(self.home / "evidence"),
            "CARD_USAGE_STATEMENTS": str(self.home / "statements"),
            "CARD_USAGE_TEAM_CHANNELS": "team_chat",
            "AIRFLOW_CONN_TEAM_CHAT": json.dumps({"conn_type": "wecom", "host": self.chat.url, "password": "key"}),
        }
        for hospital in HOSPITALS:
            secret = self.secret_of_refused if hospital == "refused" else "app-secret"
            told = {"conn_type": "http", "host": f"http://127.0.0.1:{self.platform_port}", "password": secret}
            told["login"] = "refused-app" if hospital == "refused" else "app"
            found[f"AIRFLOW_CONN_{hospital.upper()}_HIS"] = f"sqlite:///{self.home}/{hospital}.his.db"
            found[f"AIRFLOW_CONN_{hospital.upper()}_PLATFORM"] = json.dumps(told)
        return found

    def write_hospitals(self) -> None:
        """Their HIS, files and aliases, as the earlier release has them."""
        demo = (self.old.root / "include" / "hospitals" / "demo_hospital.toml").read_text(encoding="utf-8")
        aliases = self.old.root / "include" / "code_aliases" / "demo_hospital"
        (self.home / "hospitals").mkdir(parents=True)
        for seed, hospital in enumerate(HOSPITALS, 1):
            days = self.days if hospital == "steady" else self.days[-1:]
            demo_his.create(f"sqlite:///{self.home}/{hospital}.his.db", days, USES, seed=seed)
            text = demo.replace('id = "demo_hospital"', f'id = "{hospital}"').replace('"demo_', f'"{hospital}_')
            text = text.replace('hospital_id = "10086"', f'hospital_id = "{NUMBERS[hospital]}"')
            text = text.replace("concurrency = 32", "concurrency = 4")
            text = re.sub(r"feeds = \[.*\]", 'feeds = ["registration", "payment"]', text)
            text = text.replace('cadence = "daily"', f'cadence = "daily"\nstart = {days[0]}')
            shutil.copytree(aliases, self.home / "code_aliases" / hospital)
            if hospital == "late":
                probe = 'probe = "heartbeat"\ntable = "beats"\ncolumn = "beat_at"\n'
                text = re.sub(r'probe = "none"[^\n]*\n', probe, text)
                # It never goes on without proof here: a day has 1,440 minutes.
                text = re.sub(r"deadline_minutes = 360", "deadline_minutes = 2880", text)
            if hospital == "held":
                gate = "[gate]\nhold_quarantined_share = 0.1\n\n[normalize]\nquarantine_every_unknown_code = false"
                text = text.replace("[normalize]", gate)
                (self.home / "code_aliases" / hospital / "department.csv").unlink()
            (self.home / "hospitals" / f"{hospital}.toml").write_text(text, encoding="utf-8")
        self.beat(datetime.combine(self.days[-1], datetime.min.time()))

    def beat(self, at: datetime) -> None:
        """How far the late hospital's replica has followed, local time."""
        with closing(sqlite3.connect(self.home / "late.his.db")) as connection, connection:
            connection.execute("CREATE TABLE IF NOT EXISTS beats (beat_at DATETIME)")
            connection.execute("DELETE FROM beats")
            connection.execute("INSERT INTO beats VALUES (?)", (at.isoformat(" "),))

    # -- the platform -------------------------------------------------------------------------------------------

    @contextmanager
    def platform_runs(self, *, not_live: frozenset[str] = frozenset()) -> Iterator[RunningSandbox]:
        """The platform, which remembers what it accepted from one start to the next."""
        refused = NUMBERS["refused"]
        config = Config(
            apps=(
                App(app_id="app", app_secret="app-secret", hospitals=tuple(set(NUMBERS.values()) - {refused})),
                App(app_id="refused-app", app_secret="app-secret", hospitals=(refused,)),
            ),
            not_live=not_live,
            quota=QUOTA,
            state=self.journal,
        )
        with platform_sandbox.serve(config, port=self.platform_port) as sandbox:
            self.platform = sandbox
            try:
                yield sandbox
            finally:
                self.platform = None

    def accepted(self) -> list[tuple[str, str]]:
        """Of everything that the platform ever accepted: requestId and digest of what was said, in order of arrival."""
        assert self.platform is not None
        return [(record.request_id, record.digest) for record in self.platform.accepted()]

    def statement_of(self, hospital: str, day: date) -> str:
        """A file with what the platform says that it has of a hospital's day."""
        assert self.platform is not None
        path = self.home / f"{hospital}-{day}.csv"
        path.write_text(self.platform.statement(NUMBERS[hospital], day.isoformat()), encoding="utf-8")
        return str(path)

    # -- Airflow ------------------------------------------------------------------------------------------------

    @contextmanager
    def airflow_of(self, code: Code) -> Iterator[Embedded]:
        """Airflow of this code over the installation's metadata database, migrated but not yet started."""
        airflow = Embedded(
            self.home / "airflow",
            port=free_port(0),
            logs=self.home / "logs" / code.root.name,
            settings=self.settings | self.kept,
            root=code.root,
            programs=code.programs,
        )
        self.kept = {name: airflow.env[name] for name in (f"AIRFLOW__{kept}" for kept in KEPT)}
        with Children() as children:
            airflow.migrate(children).wait()
            self.airflow, self.children = airflow, children
            try:
                yield airflow
            finally:
                self.airflow = self.children = None

    @property
    def running(self) -> Embedded:
        """The Airflow that runs now."""
        assert self.airflow is not None
        return self.airflow

    @property
    def children_that_run(self) -> Children:
        """Who holds its components."""
        assert self.children is not None
        return self.children

    def until(self, done: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
        """Wait for something; fails with its name, and with what a component of Airflow's says that has ended."""
        deadline = time.monotonic() + seconds
        while not self._so(done):
            if self.children is not None:
                self.children.check()
            assert time.monotonic() < deadline, f"not so after {seconds:.0f} s: {what}"
            time.sleep(0.5)

    def _so(self, done: Callable[[], object]) -> bool:
        """Whether it is done; no where Airflow is too busy to say."""
        try:
            return bool(done())
        except TimeoutError:
            return False

    def unpause(self, dag_id: str) -> None:
        """Let the DAG run, once Airflow has read it."""
        self.until(lambda: self.running.knows(dag_id), f"{dag_id} is read")
        self.running.unpause(dag_id)

    def scheduled_run(self, hospital: str) -> str:
        """The run of yesterday, which the scheduler makes by itself; the only one of the hospital's DAG."""
        self.until(lambda: self.running.runs(report_dag(hospital)), f"a run of {hospital}")
        (run,) = self.running.runs(report_dag(hospital))
        return str(run["dag_run_id"])

    def state_of(self, dag_id: str, run_id: str) -> str:
        """Of a run."""
        return str(self.running.ask(f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def states(self, dag_id: str, run_id: str) -> dict[str, set[str]]:
        """The states of a run's tasks, by task id."""
        found: dict[str, set[str]] = {}
        for task in self.running.tasks(dag_id, run_id):
            found.setdefault(task["task_id"], set()).add(str(task["state"]))
        return found

    def ended(self, dag_id: str, run_id: str) -> str:
        """The run's final state; one that failed says with which task's words."""
        self.until(lambda: self.state_of(dag_id, run_id) in FINAL, f"{run_id} of {dag_id} has ended")
        return self.state_of(dag_id, run_id)

    def triggered(self, dag_id: str, **conf: object) -> str:
        """The final state of a run by hand."""
        self.unpause(dag_id)
        return self.ended(dag_id, self.running.trigger(dag_id, conf))

    def clear(self, dag_id: str, run_id: str, *task_ids: str) -> None:
        """Run these tasks of a run again, with all that follows; all of its tasks if none is named."""
        named = {"task_ids": list(task_ids), "include_downstream": True} if task_ids else {}
        body = {"dag_run_id": run_id, "dry_run": False, "only_failed": False, "reset_dag_runs": True, **named}
        self.running.ask(f"/dags/{dag_id}/clearTaskInstances", body)

    def log(self, dag_id: str, run_id: str, task_id: str) -> str:
        """All of a task's log files."""
        folder = self.home / "airflow" / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
        return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.log")))

    # -- databases ----------------------------------------------------------------------------------------------

    def ledger(self, query: str, *values: object) -> Rows:
        """Rows of the ledger."""
        return _rows(self.home / "ledger.db", query, values)

    def metadata(self, query: str, *values: object) -> Rows:
        """Rows of Airflow's metadata."""
        return _rows(self.home / "airflow" / "airflow.db", query, values)

    def change(self, database: str, statement: str, *values: object) -> int:
        """What time would do, done at once: rows changed in the ledger or in Airflow's metadata, which nobody uses."""
        with closing(sqlite3.connect(self.home / database, timeout=30)) as connection, connection:
            return connection.execute(statement, values).rowcount

    def events(self, hospital: str) -> Counter[tuple[str, str]]:
        """How many events of each day are in which state."""
        query = "SELECT day, status, count(*) FROM event WHERE hospital = ? GROUP BY day, status"
        return Counter({(day, status): count for day, status, count in self.ledger(query, hospital)})

    def states_of(self, hospital: str) -> Counter[str]:
        """How many events of a hospital are in which state."""
        found: Counter[str] = Counter()
        for (_, status), count in self.events(hospital).items():
            found[status] += count
        return found

    # -- the command line ---------------------------------------------------------------------------------------

    def of_day(self, hospital: str, day: date) -> list[str]:
        """The arguments that name a hospital and one day."""
        return ["--hospital", hospital, "--from", day.isoformat(), "--to", day.isoformat()]

    def kill_a_delivery(self, code: Code, day: date, after: int) -> None:
        """kill -9 for a deliverer of `steady` once the platform has accepted so many more events."""
        assert self.platform is not None
        before = len(self.accepted())
        self.platform.faults(latency_ms=500)
        deliverer = code.start(self.settings, "deliver", *self.of_day("steady", day))
        try:
            self.until(lambda: len(self.accepted()) >= before + after or deliverer.poll() is not None, "a delivery")
            assert deliverer.poll() is None, f"the deliverer ended by itself with {deliverer.returncode}"
        finally:
            deliverer.kill()
            assert deliverer.wait() == -signal.SIGKILL
            self.platform.calm()


def _rows(path: Path, query: str, values: tuple[object, ...]) -> Rows:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
        return list(connection.execute(query, values))


def prepared(home: Path, old: Code, new: Code, chat: Webhook) -> Installation:
    """Hospitals, a key and an empty ledger of the earlier release; nothing runs yet."""
    today = datetime.now(ZoneInfo("Asia/Shanghai")).date()
    made = Installation(
        home=home,
        old=old,
        new=new,
        days=[today - timedelta(days=n) for n in (5, 4, 3, 2, 1)],
        journal=home / "platform.journal",
        platform_port=free_port(0),
        chat=chat,
    )
    made.write_hospitals()
    made.key = made.old.run({}, "key").strip()
    made.old.run(made.settings, "ledger", "migrate")
    return made


def present_text() -> str:
    """The present instant as SQLite's columns of Airflow's metadata and of the ledger hold it."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def importable(code: Code, names: set[str]) -> dict[str, str]:
    """Those of these dotted names that a process of this code, with its plugins, does not find; each with why."""
    script = (
        "import importlib, json, sys\n"
        "sys.path.append(sys.argv[1])\n"
        "missing = {}\n"
        "for name in json.load(sys.stdin):\n"
        "    parts, found, why = name.split('.'), None, ''\n"
        "    for size in range(len(parts), 0, -1):\n"
        "        try:\n"
        "            found = importlib.import_module('.'.join(parts[:size]))\n"
        "        except ImportError as problem:\n"
        "            why = why or str(problem)\n"
        "            continue\n"
        "        try:\n"
        "            for part in parts[size:]:\n"
        "                found = getattr(found, part)\n"
        "        except AttributeError as problem:\n"
        "            missing[name] = str(problem)\n"
        "        break\n"
        "    else:\n"
        "        missing[name] = why\n"
        "print(json.dumps(missing))\n"
    )
    done = subprocess.run(
        [code.python, "-c", script, code.root / "plugins"],
        input=json.dumps(sorted(names)),
        capture_output=True,
        text=True,
        check=True,
    )
    missing: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return missing
