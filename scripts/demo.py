"""The demo: a hospital's day from its HIS to the platform, on this machine, in a few minutes. `make demo` runs it.

An invented hospital, the platform sandbox and a whole Airflow live in var/demo; the scheduler reports yesterday, a
backfill the three days before. A small second hospital reports yesterday by the command line, with a department that
nobody has mapped; then incidents, the month and the page of both hospitals. Then it prints what came of it and keeps
the Airflow UI open, with every DAG switched on, until Ctrl-C.

DEMO_USES=2000   card uses a day (20000 if not set)
DEMO_EXIT=1      leave when done: exit code 0 if every count is as it must be, else 1
KEEP=1           go on with the ledger, key, HIS, reports and platform of the last demo; Airflow begins anew

Promises: whatever way it ends, no process of it is left running, and it can be run again.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from shlex import quote
from typing import Any

from card_usage.config.keyring import Keyring
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import open_ledger
from card_usage.terminal import print_anything
from card_usage.windows import local
from demo_result import DayResult, day_result, table
from embedded.airflow import BIN, LOGIN, ROOT, Embedded
from embedded.children import Child, ChildFailed, Children, free_port
from rich.console import Console

HOME = ROOT / "var" / "demo"
HOSPITAL = "demo_hospital"
DAG = f"report_card_usage__{HOSPITAL}"
SECOND = "second_hospital"
SECOND_PLATFORM_ID = "10087"
OTHER_DAGS = (
    f"report_card_usage__{SECOND}",
    "alert_card_usage",
    "publish_card_usage",
    "reconcile_card_usage",
    "redeliver_card_usage",
    "import_statements",
    "load_history_card_usage",
)
SETTINGS = HOME / "settings.sh"
KEPT = {
    *("key", "ledger.db", "ledger.db-wal", "ledger.db-shm", "his.db", "his.expected.json", "second_his.db"),
    *("second_his.expected.json", "accepted.jsonl", "reports", "hospitals", "code_aliases"),
}
"""What KEEP=1 leaves of the last demo in its folder."""
DAYS = 4
PATIENCE_SECONDS = 900
FAILED = {"failed", "upstream_failed"}

console = Console(highlight=False, soft_wrap=True)


class DemoFailed(Exception):
    """The demo cannot go on. `detail`: the end of the log that says why."""

    def __init__(self, problem: str, detail: str = "", log: Path | None = None) -> None:
        self.problem, self.detail, self.log = problem, detail, log
        super().__init__(problem)


class Progress:
    """One line that changes on a terminal; elsewhere a line for each step, and for a long one every ten seconds."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._said = 0.0
        self._terminal = sys.stdout.isatty()

    @property
    def elapsed(self) -> str:
        """Minutes and seconds since the start."""
        return "{}:{:02d}".format(*divmod(int(time.monotonic() - self._began), 60))

    def step(self, text: str) -> None:
        """Something is done."""
        self._clear()
        console.print(f"{self.elapsed}  {text}")

    def now(self, text: str) -> None:
        """How far it is."""
        if self._terminal:
            sys.stdout.write(f"\r\x1b[K{self.elapsed}  {text}"[: shutil.get_terminal_size().columns + 3])
            sys.stdout.flush()
        elif time.monotonic() - self._said >= 10:
            self._said = time.monotonic()
            print(f"{self.elapsed}  {text}", flush=True)

    def _clear(self) -> None:
        if self._terminal:
            sys.stdout.write("\r\x1b[K")
            sys.stdout.flush()
        self._said = time.monotonic()


@contextmanager
def alone() -> Iterator[int]:
    """A lock that lasts until the last process of a demo has ended; waits for an earlier one that is still ending."""
    path = HOME.with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        deadline = time.monotonic() + 30
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                lock.seek(0)
                pid = lock.read().strip()
                if pid and Path(f"/proc/{pid}").exists():
                    raise DemoFailed(f"another demo is running as process {pid}: end it with Ctrl-C there") from None
                if time.monotonic() > deadline:
                    raise DemoFailed("processes of an earlier demo do not end: look for leash.py in ps") from None
                time.sleep(0.2)
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock.fileno()


def kept_key() -> str:
    """The key of the ledger: made once for each, and readable for its owner only."""
    path = HOME / "key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(Keyring.new_key("demo"), encoding="utf-8")
    return path.read_text(encoding="utf-8")


def write_hospitals() -> None:
    """The demo hospital as it is shipped, and a second one like it, which lacks a department among its aliases."""
    hospitals, aliases = HOME / "hospitals", HOME / "code_aliases"
    if hospitals.exists():
        return
    shutil.copytree(SHIPPED / "hospitals", hospitals)
    shutil.copytree(SHIPPED / "code_aliases", aliases)
    text = (hospitals / f"{HOSPITAL}.toml").read_text(encoding="utf-8")
    for here, there in (
        (f'id = "{HOSPITAL}"', f'id = "{SECOND}"'),
        ("示范市第一人民医院", "示范市妇幼保健院"),
        ("Demo City First People's Hospital", "Demo City Women's and Children's Hospital"),
        ('connection = "demo_his"', 'connection = "second_his"'),
        ('hospital_id = "10086"', f'hospital_id = "{SECOND_PLATFORM_ID}"'),
    ):
        text = text.replace(here, there)
    (hospitals / f"{SECOND}.toml").write_text(text, encoding="utf-8")
    shutil.copytree(aliases / HOSPITAL, aliases / SECOND)
    departments = aliases / SECOND / "department.csv"
    head, _unmapped, *mapped = departments.read_text(encoding="utf-8-sig").splitlines()
    departments.write_text("\n".join([head, *mapped, ""]), encoding="utf-8-sig")


def settings_of_tasks(sandbox_port: int) -> dict[str, str]:
    """What the pipeline is told, here and in a production's environment alike."""
    platform = {
        "conn_type": "http",
        "host": f"http://127.0.0.1:{sandbox_port}",
        "login": "demo-app-id",
        "password": "demo-app-secret",
    }
    return {
        "CARD_USAGE_LEDGER_URL": f"sqlite:///{HOME}/ledger.db",
        "CARD_USAGE_KEY": kept_key(),
        "CARD_USAGE_HOSPITALS": str(HOME / "hospitals"),
        "CARD_USAGE_ALIASES": str(HOME / "code_aliases"),
        "CARD_USAGE_REPORTS": str(HOME / "reports"),
        "AIRFLOW_CONN_DEMO_HIS": f"sqlite:///{HOME}/his.db",
        "AIRFLOW_CONN_SECOND_HIS": f"sqlite:///{HOME}/second_his.db",
        "AIRFLOW_CONN_DEMO_PLATFORM": json.dumps(platform),
    }


def write_settings(settings: Mapping[str, str]) -> None:
    """A file for the shell: the command line on the demo's ledger."""
    SETTINGS.touch(mode=0o600)
    lines = [f"export {name}={quote(value)}" for name, value in settings.items()]
    SETTINGS.write_text("\n".join([*lines, f"PATH={quote(str(BIN))}:$PATH", ""]), encoding="utf-8")


def prepare(children: Children, airflow: Embedded, sandbox_port: int, days: list[date], uses: int) -> None:
    """Databases, the demo HIS and the sandbox, side by side."""

    def his(name: str, first: date, uses: int) -> Child:
        url = airflow.env[f"AIRFLOW_CONN_{name.upper()}_HIS"]
        span = ("--from", str(first), "--to", str(days[-1]), "--uses", str(uses))
        return python(children, airflow, f"{name}-his", "demo_his", "--url", url, *span)

    made = [
        airflow.migrate(children),
        python(children, airflow, "ledger", "card_usage", "ledger", "migrate"),
        his("demo", days[0], uses),
        his("second", days[-1], max(200, uses // 40)),
    ]
    journal = ("--state", str(HOME / "accepted.jsonl"), "--hospital", SECOND_PLATFORM_ID)
    sandbox = python(children, airflow, "platform-sandbox", "platform_sandbox", "--port", str(sandbox_port), *journal)
    for child in made:
        child.wait()
    sandbox.wait_until(lambda: answers(sandbox_port), 30)
    # The same sandbox, with its journal, at whatever port is free this time.
    of_all = ("--all", "--reason", "another port", "--yes")
    python(children, airflow, "platform-move", "card_usage", "platform", "move", *of_all).wait()
    of_one = ("--hospital", HOSPITAL)
    python(children, airflow, "platform-calibrate", "card_usage", "platform", "calibrate", *of_one).wait()


def python(children: Children, airflow: Embedded, name: str, *arguments: str) -> Child:
    """Start `python -m ...` with the pipeline's settings."""
    command = [sys.executable, "-m", *arguments]
    return children.start(name, command, env=airflow.env, log=HOME / "logs" / f"{name}.log")


def more_to_see(children: Children, airflow: Embedded, day: date) -> None:
    """The second hospital's day, then incidents, months and the page of both hospitals."""
    span = ("--hospital", SECOND, "--from", str(day), "--to", str(day))
    # Some of its events stay in quarantine, so the exit code is 1: it is no failure of the demo.
    second = python(children, airflow, "second-hospital", "card_usage", "run", *span)
    second.ended()
    month = [
        python(
            children, airflow, f"month-{of}", "card_usage", "report-month", "--hospital", of, "--month", f"{day:%Y-%m}"
        )
        for of in (HOSPITAL, SECOND)
    ]
    incidents = python(children, airflow, "alerts", "card_usage", "alerts", "send")
    for child in (*month, incidents):
        child.ended()
    python(children, airflow, "fleet", "card_usage", "report-fleet", "--day", str(day)).ended()


def sandbox_counts(port: int) -> dict[str, Any]:
    """What the platform's side has counted of the demo hospital."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/sandbox/counts?hospital_id=10086", timeout=10) as answer:
        counts: dict[str, Any] = json.loads(answer.read())
    return counts


def answers(port: int) -> bool:
    """Whether the platform is there."""
    try:
        return bool(sandbox_counts(port))
    except OSError:
        return False


def day_of(run: dict[str, Any]) -> date | None:
    """The local day that a run is about."""
    start = run["data_interval_start"]
    return local(datetime.fromisoformat(start)).date() if start else None


def wait_for_runs(
    children: Children, airflow: Embedded, sandbox_port: int, days: list[date], progress: Progress
) -> dict[date, str]:
    """Until every day's run has succeeded; run ids by day. Raises DemoFailed with the log of the task that failed."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for name in children.check():
            progress.step(f"{name} had ended and was started again; its log: {HOME / 'logs'}")
        runs = {day: run for run in airflow.runs(DAG) if (day := day_of(run)) in days}
        tasks = [task for run in runs.values() for task in airflow.tasks(DAG, run["dag_run_id"])]
        for task in tasks:
            if task["state"] == "failed":
                log = airflow.log_of(task)
                raise DemoFailed(f"task {task['task_id']} of {task['dag_run_id']} failed", last_lines(log), log)
        if len(runs) == len(days) and all(run["state"] == "success" for run in runs.values()):
            return {day: str(run["dag_run_id"]) for day, run in runs.items()}
        states = Counter(task["state"] for task in tasks)
        done = states["success"]
        running = ", ".join(sorted({task["task_id"] for task in tasks if task["state"] == "running"})) or "scheduler"
        accepted = sandbox_counts(sandbox_port)["accepted"]
        progress.now(f"{len(runs)} of {len(days)} days, {done} tasks done, now {running}; delivered {accepted:,}")
        time.sleep(1)
    raise DemoFailed(f"the runs were not done after {PATIENCE_SECONDS // 60} minutes", log=HOME / "logs")


def last_lines(log: Path, count: int = 12) -> str:
    """The end of a task's log, which Airflow writes as JSON lines."""
    if not log.exists():
        return ""
    shown = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]:
        try:
            entry = json.loads(line)
        except ValueError:
            shown.append(line)
            continue
        problems = [f"{error['exc_type']}: {error['exc_value']}" for error in entry.get("error_detail") or []]
        shown.append("  ".join([str(entry.get("event", "")), *problems]))
    return "\n".join(shown)


def results(airflow: Embedded, sandbox_port: int, runs: dict[date, str]) -> list[DayResult]:
    """Every day's counts, oldest first."""
    expected = json.loads((HOME / "his.expected.json").read_text(encoding="utf-8"))["days"]
    accepted = sandbox_counts(sandbox_port)["by_day"]
    ledger = open_ledger(airflow.env["CARD_USAGE_LEDGER_URL"], Keyring.parse(airflow.env["CARD_USAGE_KEY"]))
    try:
        found = []
        for day, run in sorted(runs.items()):
            reconciled = airflow.results(DAG, run, "reconcile")[0]
            found.append(day_result(ledger, HOSPITAL, expected[day.isoformat()], accepted, reconciled))
        return found
    finally:
        ledger.close()


def demo(children: Children, uses: int) -> tuple[list[DayResult], Embedded]:
    """From nothing to the result."""
    progress = Progress()
    wait_for_a_new_day(progress)
    yesterday = local(datetime.now(UTC)).date() - timedelta(days=1)
    days = [yesterday - timedelta(days=n) for n in reversed(range(DAYS))]
    ui_port, sandbox_port = free_port(8080), free_port(8900)
    airflow = Embedded(
        HOME / "airflow", port=ui_port, logs=HOME / "logs", settings=settings_of_tasks(sandbox_port), workers=3
    )
    for wanted, port, what in ((8080, ui_port, "the Airflow UI"), (8900, sandbox_port, "the platform sandbox")):
        if port != wanted:
            progress.step(f"port {wanted} is taken by another program: {what} is at {port}")
    write_hospitals()
    write_settings({name: airflow.env[name] for name in settings_of_tasks(sandbox_port)})
    progress.now(f"making a hospital with {uses:,} card uses a day, {days[0]} to {days[-1]}")
    prepare(children, airflow, sandbox_port, days, uses)
    progress.step(f"demo hospital: {uses:,} card uses a day, {days[0]} to {days[-1]}")
    progress.step("platform calibrated: it remembers request ids once it has accepted, so its 10054 proves delivery")
    progress.now("starting Airflow")
    airflow.start(children)
    while not airflow.knows(DAG):
        children.check()
        progress.now("Airflow reads the DAGs")
        time.sleep(0.2)
    progress.step(f"Airflow: {airflow.url}")
    airflow.unpause(DAG)
    airflow.backfill(DAG, days[0], days[-2], max_active_runs=3)
    progress.step(f"scheduler: yesterday ({days[-1]}); backfill: {days[0]} to {days[-2]}")
    runs = wait_for_runs(children, airflow, sandbox_port, days, progress)
    found = results(airflow, sandbox_port, runs)
    progress.now("a second hospital, incidents, the month and the page of both hospitals")
    more_to_see(children, airflow, days[-1])
    progress.step("done")
    return found, airflow


def wait_for_a_new_day(progress: Progress) -> None:
    """Just before local midnight 'yesterday' would change under way."""
    now = local(datetime.now(UTC))
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time())
    while midnight - now < timedelta(minutes=4) and local(datetime.now(UTC)) < midnight:
        progress.now("it is almost midnight in Asia/Shanghai: waiting for the new day")
        time.sleep(1)


def show(found: list[DayResult], airflow: Embedded) -> None:
    """Table, reports, address."""
    console.print()
    console.print(table(found))
    console.print()
    for result in found:
        for fault in result.faults:
            console.print(f"NOT AS EXPECTED  {fault}", style="bold red")
    console.print("reports")
    for report in sorted((HOME / "reports").rglob("*.html")):
        if not report.name.endswith(".mail.html"):
            console.print(f"  {report}")
    console.print(f"\ncommand line on this ledger  . {SETTINGS}; card_usage incidents")
    if os.environ.get("DEMO_EXIT") != "1":
        console.print(f"\nAirflow UI  {airflow.url}  user {LOGIN}  password {airflow.password}")
        console.print("  the UI speaks the browser's language (界面语言随浏览器); Ctrl-C ends the demo")


def stay_open(children: Children, airflow: Embedded) -> None:
    """Until Ctrl-C. The other DAGs are switched on, to be tried."""
    for dag_id in OTHER_DAGS:
        airflow.unpause(dag_id)
    while True:
        for name in children.check():
            console.print(f"{name} had ended and was started again")
        time.sleep(1)


def clear(*, keep: bool) -> None:
    """Remove what an earlier demo has left; `keep`: but for its ledger and what belongs to that."""
    HOME.mkdir(parents=True, exist_ok=True)
    for path in HOME.iterdir():
        if keep and path.name in KEPT:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def uses_wanted() -> int:
    """DEMO_USES, checked."""
    text = os.environ.get("DEMO_USES", "20000")
    if not text.isdecimal() or int(text) < 1:
        raise DemoFailed(f"DEMO_USES is a number of card uses a day, 1 or more, not '{text}'")
    return int(text)


def end_with_make(_signal: int, _frame: object) -> None:
    """SIGTERM and SIGHUP end the demo the way Ctrl-C does."""
    raise KeyboardInterrupt


def main() -> int:
    """Exit code: 0 all counts as they must be, 1 not, 130 interrupted before."""
    print_anything()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_with_make)
    good = None
    try:
        uses = uses_wanted()
        with alone() as lock, Children(holds=[lock]) as children:
            clear(keep=os.environ.get("KEEP") == "1")
            found, airflow = demo(children, uses)
            good = not any(result.faults for result in found)
            show(found, airflow)
            if os.environ.get("DEMO_EXIT") != "1":
                stay_open(children, airflow)
    except KeyboardInterrupt:
        console.print("\nstopped")
        if good is None:
            return 130
    except DemoFailed as failure:
        return failed(failure.problem, failure.detail, failure.log)
    except ChildFailed as failure:
        return failed(str(failure), failure.last_lines(), failure.log)
    return 0 if good else 1


def failed(problem: str, detail: str, log: Path | None) -> int:
    """Say what happened and where to look; 1."""
    console.print(f"\ndemo: {problem}", style="bold red")
    if detail:
        console.print(detail, markup=False)
    if log:
        console.print(f"whole log: {log}")
    console.print("All of it has been stopped. `make demo` starts anew; make clean && make demo from the ground up.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
