"""What Airflow spends around a hospital-day: processor seconds by part, beside the same day by the command line.

    .venv/bin/python benchmarks/fleet.py                                   # 4 hospitals of 200 uses, some four minutes
    .venv/bin/python benchmarks/fleet.py --hospitals 2 --uses 20000
    .venv/bin/python benchmarks/fleet.py --files 1 50 500                  # what parsing so many hospital files costs

Every hospital has a file of its own and a day of its own uses; the platform sandbox answers at once. Airflow's four
components run as in `make demo` (SQLite, LocalExecutor, two workers). Processor time is what the kernel counted for
each process and its ended children, so that other work on the machine changes it little. "Idle" is measured before the
measured runs with every DAG switched on, and taken off the components for as long as the runs last.

"Command line" is the same day in one process without Airflow (`python -m card_usage run`). With --files, "task start"
is parsing as a task does it, which asks for its own DAG alone.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psutil
from airflow.sdk.definitions.context import _AIRFLOW_PARSING_CONTEXT_DAG_ID

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
sys.path.insert(1, str(ROOT / "scripts"))

from card_usage.config.keyring import Keyring  # noqa: E402
from card_usage.files.shipped import SHIPPED  # noqa: E402
from card_usage.windows import local  # noqa: E402
from embedded.airflow import COMPONENTS, Embedded  # noqa: E402
from embedded.children import Children, answers, clean_environment, free_port  # noqa: E402

IDLE_SECONDS = 60
PATIENCE_SECONDS = 3600
PLATFORM_IDS = 10_000


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder with hospital files, a HIS and a ledger, and the settings that lead there."""

    folder: Path
    hospitals: tuple[str, ...]
    settings: Mapping[str, str]


def written(folder: Path, count: int, sandbox_port: int) -> Place:
    """So many hospitals like the demo's, which share its HIS and report to the sandbox as hospitals of their own."""
    hospitals, aliases = folder / "hospitals", folder / "code_aliases"
    hospitals.mkdir()
    text = (SHIPPED / "hospitals" / "demo_hospital.toml").read_text(encoding="utf-8")
    names = tuple(f"hospital_{number:03}" for number in range(count))
    for number, name in enumerate(names):
        changed = text.replace('id = "demo_hospital"', f'id = "{name}"')
        changed = changed.replace('hospital_id = "10086"', f'hospital_id = "{PLATFORM_IDS + number}"')
        (hospitals / f"{name}.toml").write_text(changed, encoding="utf-8")
        shutil.copytree(SHIPPED / "code_aliases" / "demo_hospital", aliases / name)
    platform = {
        "conn_type": "http",
        "host": f"http://127.0.0.1:{sandbox_port}",
        "login": "demo-app-id",
        "password": "demo-app-secret",
    }
    settings = {
        "CARD_USAGE_LEDGER_URL": f"sqlite:///{folder}/ledger.db",
        "CARD_USAGE_KEY": Keyring.new_key("bench"),
        "CARD_USAGE_HOSPITALS": str(hospitals),
        "CARD_USAGE_ALIASES": str(aliases),
        "CARD_USAGE_REPORTS": str(folder / "reports"),
        "CARD_USAGE_EVIDENCE": str(folder / "evidence"),
        "AIRFLOW_CONN_DEMO_HIS": f"sqlite:///{folder}/his.db",
        "AIRFLOW_CONN_DEMO_PLATFORM": json.dumps(platform),
    }
    return Place(folder=folder, hospitals=names, settings=settings)


def called(place: Place, *arguments: str, check: bool = True) -> float:
    """Run `python -m ...` with the place's settings; returns its processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = clean_environment() | dict(place.settings)
    command = [sys.executable, "-m", *arguments]
    ended = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if check and ended.returncode:
        raise SystemExit(f"{' '.join(arguments)}:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def sandbox(children: Children, place: Place, port: int) -> None:
    """The platform's stand-in, with every hospital of the place."""
    ids = [word for number in range(len(place.hospitals)) for word in ("--hospital", str(PLATFORM_IDS + number))]
    command = [sys.executable, "-m", "platform_sandbox", "--port", str(port), *ids]
    log = place.folder / "logs" / "sandbox.log"
    child = children.start("sandbox", command, env=clean_environment() | dict(place.settings), log=log)
    child.wait_until(lambda: answers(port), 30)


@dataclass
class Spent:
    """Processor seconds: of each component's own processes, and of the task processes that it started."""

    own: dict[str, float]
    tasks: float
    peak_task_mib: float = 0.0

    def since(self, before: Spent) -> Spent:
        """What was spent from then to now."""
        own = {name: value - before.own.get(name, 0.0) for name, value in self.own.items()}
        return Spent(own, self.tasks - before.tasks)


def spent(airflow: Embedded) -> Spent:
    """What the kernel has counted so far. Tasks are the ended children of the scheduler's workers."""
    own, tasks = {}, 0.0
    for name, child in airflow.components.items():
        root = psutil.Process(child._process.pid)
        own[name] = 0.0
        for process in (root, *root.children(recursive=True)):
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            own[name] += times.user + times.system
            ended = times.children_user + times.children_system
            if name == "scheduler":
                tasks += ended
            else:
                own[name] += ended
    return Spent(own, tasks)


@contextmanager
def airflow_on(place: Place) -> Iterator[tuple[Children, Embedded]]:
    """Airflow with every hospital's DAG known and switched on."""
    with Children() as children:
        airflow = Embedded(
            place.folder / "airflow",
            port=free_port(18_080),
            logs=place.folder / "logs",
            settings=place.settings,
            workers=2,
        )
        airflow.migrate(children).wait()
        airflow.start(children)
        until = time.monotonic() + PATIENCE_SECONDS
        for hospital in place.hospitals:
            while not airflow.knows(dag(hospital)):
                if time.monotonic() > until:
                    raise SystemExit(f"{dag(hospital)} is not known")
                time.sleep(1)
        yield children, airflow


def dag(hospital: str) -> str:
    """The DAG of a hospital."""
    return f"report_card_usage__{hospital}"


def finished(airflow: Embedded, hospitals: tuple[str, ...], runs: Mapping[str, str]) -> int:
    """Wait for the runs; returns how many task processes they had."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        states = {of: {run["dag_run_id"]: run["state"] for run in airflow.runs(dag(of))}[runs[of]] for of in hospitals}
        if "failed" in states.values() or time.monotonic() > until:
            raise SystemExit(f"not done: {states}")
        if set(states.values()) == {"success"}:
            break
        time.sleep(2)
    tasks = [task for of in hospitals for task in airflow.tasks(dag(of), runs[of])]
    return sum(task["start_date"] is not None for task in tasks)


def runs(count: int, uses: int) -> None:
    """The table of a hospital-day's parts."""
    day = local(datetime.now(UTC)).date() - timedelta(days=1)
    with tempfile.TemporaryDirectory() as name, Children() as children:
        port = free_port(18_090)
        place = written(Path(name), count, port)
        span = ("--from", str(day), "--to", str(day))
        called(place, "demo_his", "--url", place.settings["AIRFLOW_CONN_DEMO_HIS"], *span, "--uses", str(uses))
        sandbox(children, place, port)
        alone = by_command_line(place, day)
        called(place, "card_usage", "ledger", "migrate")
        with airflow_on(place) as (_, airflow):
            for hospital in place.hospitals:
                airflow.unpause(dag(hospital))
            settled = time.monotonic()
            while time.monotonic() - settled < 5:
                time.sleep(1)
            first = {of: newest_run(airflow, of, day) for of in place.hospitals}
            finished(airflow, place.hospitals, first)  # modules compiled, pages and schema known
            before = spent(airflow)
            time.sleep(IDLE_SECONDS)
            idle = spent(airflow).since(before)
            before, began = spent(airflow), time.monotonic()
            again = {of: airflow.trigger(dag(of), {"day": str(day)}) for of in place.hospitals}
            processes = finished(airflow, place.hospitals, again)
            seconds = time.monotonic() - began
            whole = spent(airflow).since(before)
        table(count, uses, alone, idle, whole, seconds, processes)


def newest_run(airflow: Embedded, hospital: str, day: date) -> str:
    """A run of the day, made now if the schedule has made none."""
    for run in airflow.runs(dag(hospital)):
        return str(run["dag_run_id"])
    return airflow.trigger(dag(hospital), {"day": str(day)})


def by_command_line(place: Place, day: date) -> dict[str, float]:
    """Processor seconds of one hospital's day without Airflow, by what they were for."""
    own = Place(
        folder=place.folder,
        hospitals=place.hospitals,
        settings=dict(place.settings) | {"CARD_USAGE_LEDGER_URL": f"sqlite:///{place.folder}/alone.db"},
    )
    called(own, "card_usage", "ledger", "migrate")
    span = ("--hospital", place.hospitals[0], "--from", str(day), "--to", str(day))
    loaded = called(own, "card_usage", "incidents", "--hospital", place.hospitals[0], check=False)
    first = called(own, "card_usage", "run", *span, check=False)
    again = called(own, "card_usage", "run", *span, check=False)
    return {"start": loaded, "first": first, "again": again}


def table(
    count: int, uses: int, alone: dict[str, float], idle: Spent, whole: Spent, seconds: float, processes: int
) -> None:
    """Print what a hospital-day costs."""
    print(f"\n{count} hospitals of {uses:,} uses, a second run of the same day; {processes} tasks, {seconds:.0f} s")
    print("\n| part | CPU, s a hospital-day | a task process |\n| --- | ---: | ---: |")
    print(f"| task processes, import and work | {whole.tasks / count:.2f} | {whole.tasks / processes:.2f} |")
    parts = {}
    for component in COMPONENTS:
        parts[component] = (whole.own[component] - idle.own[component] * seconds / IDLE_SECONDS) / count
        print(f"| {component}, above idle | {parts[component]:.2f} | {parts[component] * count / processes:.2f} |")
    total = whole.tasks / count + sum(parts.values())
    print(f"| **together** | **{total:.2f}** | {total * count / processes:.2f} |")
    print(f"| the same day by the command line | {alone['again']:.2f} | |")
    print(f"| of it start and imports | {alone['start']:.2f} | |")
    print(f"| a day's first run by the command line | {alone['first']:.2f} | |")
    print("\nidle, CPU seconds a minute: " + ", ".join(f"{of} {value:.2f}" for of, value in idle.own.items()))
    print(f"of the command line: {total / alone['again']:.1f} times")


def files(counts: list[int]) -> None:
    """What parsing the file of the hospitals' DAGs costs, at so many hospitals, beside a file with an empty DAG."""
    program = (
        "import resource, sys, time\n"
        "from airflow.dag_processing.dagbag import DagBag\n"
        "def cpu():\n    used = resource.getrusage(resource.RUSAGE_SELF)\n    return used.ru_utime + used.ru_stime\n"
        "before = cpu()\n"
        "bag = DagBag(dag_folder=sys.argv[1])\n"
        "parsed = cpu()\n"
        "from airflow.serialization.serialized_objects import DagSerialization\n"
        "for dag in bag.dags.values():\n    DagSerialization.to_dict(dag)\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "assert not bag.import_errors, bag.import_errors\n"
        "print(len(bag.dags), parsed - before, cpu() - parsed, peak)\n"
    )
    print("\n| hospital files | DAGs | parsing, CPU s | serializing, CPU s | task start, CPU s | peak, MiB |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as name:
        empty = Path(name) / "empty.py"
        empty.write_text("from airflow.sdk import DAG\nwith DAG('empty', schedule=None):\n    pass\n", encoding="utf-8")
        for count in (0, *counts):
            folder = Path(name) / str(count)
            folder.mkdir()
            place = written(folder, count, 9)
            environment = (
                clean_environment()
                | dict(place.settings)
                | {
                    "AIRFLOW_HOME": str(folder / "airflow"),
                    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
                    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                    "PYTHONPATH": f"{ROOT / 'include'}:{ROOT / 'plugins'}",
                }
            )
            path = empty if not count else ROOT / "dags" / "report_card_usage.py"
            dags, parsed, serialized, peak = measured(program, path, environment)
            one = dag(place.hospitals[-1]) if count else "empty"
            _, started, *_ = measured(program, path, environment | {_AIRFLOW_PARSING_CONTEXT_DAG_ID: one})
            label = f"{count}" if count else "an empty DAG"
            print(f"| {label} | {dags:.0f} | {parsed:.2f} | {serialized:.2f} | {started:.2f} | {peak:.0f} |")


def measured(program: str, path: Path, environment: Mapping[str, str]) -> list[float]:
    """What a program prints about a file of DAGs."""
    command = [sys.executable, "-c", program, str(path)]
    ended = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(ended.stderr[-3000:])
    return [float(word) for word in ended.stdout.split()[-4:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hospitals", type=int, default=4)
    parser.add_argument("--uses", type=int, default=200)
    parser.add_argument("--files", type=int, nargs="+", metavar="COUNT")
    args = parser.parse_args()
    if args.files:
        files(args.files)
    else:
        runs(args.hospitals, args.uses)


if __name__ == "__main__":
    main()
