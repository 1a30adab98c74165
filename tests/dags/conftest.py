"""What DAG tests share: the plugins folder on the path, and one running Airflow with everything around it.

`fleet` is a whole installation on loopback: scheduler, executor, triggerer, UI; a small demo HIS with four days; the
platform sandbox; three hospitals. It is started once for all tests of a session that need it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import demo_his
import platform_sandbox
import pytest
from card_usage.config.keyring import Keyring
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import Ledger, migrate, open_ledger
from card_usage.windows import local
from embedded.airflow import Embedded
from embedded.children import Children, free_port
from receivers import Webhook, webhook
from sqlalchemy import create_engine, text

sys.path.append(str(Path(__file__).resolve().parents[2] / "plugins"))

REPORT = "report_card_usage__{}"
USES = 500
FINAL = {"success", "failed"}


@dataclass(kw_only=True)
class Fleet:
    """The running installation. `days`: yesterday and the three before, oldest first; `expected`: what they hold."""

    home: Path
    airflow: Embedded
    children: Children
    sandbox: platform_sandbox.RunningSandbox
    ledger: Ledger
    days: list[date]
    expected: Any
    chat: Webhook
    known: set[str] = field(default_factory=set)

    def unpause(self, dag_id: str) -> None:
        """Let the DAG run, once Airflow has read it."""
        self.until(lambda: self.airflow.knows(dag_id), f"{dag_id} is read")
        self.airflow.unpause(dag_id)

    def until(self, done: Callable[[], object], what: str, seconds: float = 270) -> None:
        """Wait for something; fails with its name and with what Airflow's children say."""
        deadline = time.monotonic() + seconds
        while not done():
            self.children.check()
            assert time.monotonic() < deadline, f"not so after {seconds:.0f} s: {what}"
            time.sleep(0.5)

    def runs(self, dag_id: str) -> dict[str, dict[str, Any]]:
        """Runs by id."""
        return {run["dag_run_id"]: run for run in self.airflow.runs(dag_id)}

    def finished(self, dag_id: str, run_ids: set[str]) -> dict[str, dict[str, Any]]:
        """These runs, once all have ended."""

        def ended() -> bool:
            found = self.runs(dag_id)
            return run_ids <= found.keys() and all(found[run_id]["state"] in FINAL for run_id in run_ids)

        self.until(ended, f"{sorted(run_ids)} of {dag_id} have ended")
        return {run_id: self.runs(dag_id)[run_id] for run_id in run_ids}

    def triggered(self, dag_id: str, **conf: object) -> tuple[str, str]:
        """Run id and final state of a run by hand."""
        run_id = self.airflow.trigger(dag_id, conf)
        return run_id, self.finished(dag_id, {run_id})[run_id]["state"]

    def states(self, dag_id: str, run_id: str) -> dict[str, set[str]]:
        """The states of a run's tasks, by task id."""
        found: dict[str, set[str]] = {}
        for task in self.airflow.tasks(dag_id, run_id):
            found.setdefault(task["task_id"], set()).add(task["state"])
        return found

    def log(self, dag_id: str, run_id: str, task_id: str) -> str:
        """All of a task's log files."""
        folder = self.airflow.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
        return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.log")))

    def assert_no_patient_anywhere(self, room: Path) -> list[Path]:
        """Looks for everybody in the HIS in whatever the installation has written; gives the files, as copied."""
        his = create_engine(f"sqlite:///{self.home}/his.db")
        with his.connect() as connection:
            people = connection.execute(text("select hzxm, sfzh from SF_BRXXK")).all()
            codes = connection.execute(text("select qrCodeText from xt_brxx")).scalars().all()
        his.dispose()
        # Names of two characters are words too: whole numbers, codes and the longer names are what can be looked for.
        secrets = {number.strip() for _, number in people if number and len(number.strip()) >= 15}
        secrets |= {code for code in codes if code and len(code) > 20}
        names = {name.strip() for name, _ in people if name and len(name.strip()) >= 3 and "测试" not in name}
        assert len(secrets) > 200
        assert names
        # Copies, made by another process: opening and closing a database's own files here would drop the locks that
        # this process holds on them. What vanishes meanwhile (a write-ahead log that was taken in) is none of our
        # business.
        subprocess.run(["cp", "--recursive", self.home, room / "copy"], stderr=subprocess.DEVNULL, check=False)
        places = [path for path in (room / "copy").rglob("*") if path.is_file() and "his.db" not in path.name]
        assert {"airflow.db", "ledger.db"} <= {path.name for path in places}
        for path in places:
            content = path.read_bytes()
            # JSON in the metadata database may spell Chinese as \\uXXXX.
            found = {secret for secret in secrets if secret.encode() in content}
            assert not found, f"{path.name} holds {len(found)} patients' numbers"
            if path.suffix in {".log", ".json", ".html", ".db"}:
                spellings = {name: (name.encode(), json.dumps(name)[1:-1].encode()) for name in names}
                spelled = [name for name, ways in spellings.items() if any(way in content for way in ways)]
                assert not spelled, f"{path.name} holds {len(spelled)} patients' names"
        return places

    def calls(self) -> int:
        """Card uses that the sandbox was sent so far."""
        by_interface: Any = self.sandbox.counts()["by_interface"]
        return int(by_interface.get("reportHISData", 0))


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    home = tmp_path_factory.mktemp("fleet")
    yesterday = local(datetime.now(UTC)).date() - timedelta(days=1)
    days = [yesterday - timedelta(days=n) for n in (3, 2, 1, 0)]
    expected = demo_his.create(f"sqlite:///{home}/his.db", days, USES)
    _hospitals(home)
    key, ledger_url = Keyring.new_key("t"), f"sqlite:///{home}/ledger.db"
    migrate(ledger_url)
    ledger = open_ledger(ledger_url, Keyring.parse(key))
    with webhook() as chat, platform_sandbox.serve() as sandbox, Children() as children:
        settings = {
            "CARD_USAGE_LEDGER_URL": ledger_url,
            "CARD_USAGE_KEY": key,
            "CARD_USAGE_HOSPITALS": str(home / "hospitals"),
            "CARD_USAGE_ALIASES": str(home / "code_aliases"),
            "CARD_USAGE_REPORTS": str(home / "reports"),
            "CARD_USAGE_TEAM_CHANNELS": "team_chat",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:ADMIN,deputy:ADMIN",
            "AIRFLOW_CONN_TEAM_CHAT": json.dumps({"conn_type": "wecom", "host": chat.url, "password": "chat-key"}),
            "AIRFLOW_CONN_DEMO_HIS": f"sqlite:///{home}/his.db",
            "AIRFLOW_CONN_OLD_HIS": f"sqlite:///{home}/old_his.db",
            "AIRFLOW_CONN_DEMO_PLATFORM": _platform(sandbox.url, "demo-app-secret"),
            "AIRFLOW_CONN_REFUSED_PLATFORM": _platform(sandbox.url, "not-the-secret"),
        }
        airflow = Embedded(home / "airflow", port=free_port(0), logs=home / "logs", settings=settings)
        airflow.migrate(children).wait()
        airflow.start(children)
        yield Fleet(
            home=home,
            airflow=airflow,
            children=children,
            sandbox=sandbox,
            ledger=ledger,
            days=days,
            expected=expected,
            chat=chat,
        )
    ledger.close()


def _platform(url: str, secret: str) -> str:
    return json.dumps({"conn_type": "http", "host": url, "login": "demo-app-id", "password": secret})


def _hospitals(home: Path) -> None:
    """The demo hospital; one that the platform refuses; one whose HIS lost a column in an upgrade; one unmapped."""
    text_of_demo = (SHIPPED / "hospitals" / "demo_hospital.toml").read_text(encoding="utf-8")
    (home / "hospitals").mkdir()
    for hospital, changed in (("demo", ()), ("refused", ("platform",)), ("old", ("his",))):
        told = text_of_demo.replace('id = "demo_hospital"', f'id = "{hospital}_hospital"')
        for table in changed:
            told = told.replace(f'connection = "demo_{table}"', f'connection = "{hospital}_{table}"')
        if changed:
            told = re.sub(r"feeds = \[.*\]", 'feeds = ["payment"]', told)
        (home / "hospitals" / f"{hospital}_hospital.toml").write_text(told, encoding="utf-8")
        shutil.copytree(SHIPPED / "code_aliases" / "demo_hospital", home / "code_aliases" / f"{hospital}_hospital")
    # Nobody mapped its departments, and only registrations need one: a quarter of the day is quarantined.
    unmapped = text_of_demo.replace('id = "demo_hospital"', 'id = "held_hospital"')
    unmapped = unmapped.replace(
        "[normalize]", "[gate]\nhold_quarantined_share = 0.2\n\n[normalize]\nquarantine_every_unknown_code = false"
    )
    (home / "hospitals" / "held_hospital.toml").write_text(unmapped, encoding="utf-8")
    shutil.copytree(SHIPPED / "code_aliases" / "demo_hospital", home / "code_aliases" / "held_hospital")
    (home / "code_aliases" / "held_hospital" / "department.csv").unlink()
    shutil.copy(home / "his.db", home / "old_his.db")
    upgraded = create_engine(f"sqlite:///{home}/old_his.db")
    with upgraded.begin() as connection:
        connection.execute(text("ALTER TABLE SF_BRXXK RENAME COLUMN sfzh TO zjhm"))
    upgraded.dispose()
