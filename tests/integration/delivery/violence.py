"""Violence: kill -9 the deliverer again and again over one backlog, on a bad wire, and count what became of each event.

    python -m tests.integration.delivery.violence --kills 50 --events 20000 --database postgresql --restarts 5

Everything is real: `python -m card_usage deliver` in processes of its own, the platform sandbox in another one (its
journal on disk) behind loopback HTTP, the ledger on SQLite or on a PostgreSQL server that is crashed and started again
meanwhile. The sandbox drops 2 % of the answers after it accepted, answers HTTP 500 to 2 % of the calls, and somebody
else takes the token now and then. Kills come at random moments: while the deliverer starts, claims, or has calls under
way. At the end the sandbox's list of what it accepted is compared, digest by digest, with what was due.

With `--repeat seen --lost 0.02` the platform remembers request ids before it accepts, and loses calls then: an event
may be missing there, but then the ledger says that it is unconfirmed.

Exit code 0: nothing lost, nothing doubled, and the ledger knows it. 1: otherwise. The seed fixes the plan of the
violence, not the scheduling of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import sqlalchemy as sa

from tests.backlog import DAY, HOSPITAL, Backlog
from tests.postgres import Cluster, programs

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 180.0  # seconds for a step that must come to its end
COULD_NOT_BE_TRIED = 2  # exit code of a deliverer that found no database when it started
LAST_RUNS = 5  # undisturbed runs that the rest of the backlog may take


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How much violence. `deliverers`: how many work side by side, each as likely to be killed as another."""

    database: str
    events: int = 20_000
    kills: int = 50
    restarts: int = 5
    deliverers: int = 1
    evictions: int = 5
    dropped: float = 0.02
    failed: float = 0.02
    lost: float = 0.0
    repeat: str = "accepted"
    latency_ms: float = 5
    seed: int = 0


@dataclass(kw_only=True, slots=True)
class Verdict:
    """What it came to. `believed`: delivered by the ledger, and not there. `turned_away`: deliverers that started while
    the database was down, and left with exit code 2. `left_by_the_dead`: events claimed by a deliverer that was
    killed."""

    database: str
    events: int
    repeat: str = "accepted"
    kills: int = 0
    kills_in_mid_flight: int = 0
    restarts: int = 0
    turned_away: int = 0
    seconds: float = 0
    calls: int = 0
    result_codes: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    tokens_evicted: int = 0
    tokens_issued: int = 0
    left_by_the_dead: int = 0
    lost: int = 0
    believed: int = 0
    doubled: int = 0
    foreign: int = 0
    two_request_ids: int = 0
    not_in_journal: int = 0
    states: dict[str, int] = field(default_factory=dict)
    still_sealed: int = 0

    @property
    def exact(self) -> bool:
        """Lost 0, doubled 0, and the ledger says of each event what the platform says."""
        named = self.states.get("delivered", 0) + self.states.get("unconfirmed", 0)
        lost = self.lost if self.repeat == "accepted" else 0
        wrong = lost + self.believed + self.doubled + self.foreign + self.two_request_ids + self.not_in_journal
        return wrong + self.still_sealed == 0 and named == self.events


class Violence:
    """One backlog under one plan."""

    def __init__(self, plan: Plan, home: Path, backlog: Backlog, cluster: Cluster | None) -> None:
        self._plan, self._home, self._backlog, self._cluster = plan, home, backlog, cluster
        self._random = Random(plan.seed)
        self._running: list[subprocess.Popen[bytes]] = []
        self._log = (home / "deliverers.log").open("ab")
        self.verdict = Verdict(database=plan.database, events=plan.events, repeat=plan.repeat)

    def run(self) -> Verdict:
        """Kill and restart as planned, let the last one finish, and judge."""
        began = time.monotonic()
        crashes = [True] * self._plan.restarts + [False] * (self._plan.kills - self._plan.restarts)
        self._random.shuffle(crashes)
        try:
            for left, crash in zip(range(self._plan.kills, 0, -1), crashes, strict=True):
                self._keep_running()
                if crash:
                    self._wait_for_a_moment(left * 2)
                    self._crash_the_database()
                self._wait_for_a_moment(left)
                while not self._kill(crash):
                    self._keep_running()
                    self._wait_for_a_moment(left)
            while self._running:  # those beside the last one killed
                self._running.pop().wait(timeout=PATIENCE)
            self._finish()
        finally:
            for one in self._running:
                one.kill()
                one.wait()
            self._log.close()
        self.verdict.seconds = round(time.monotonic() - began, 1)
        self._judge()
        return self.verdict

    def _spawn(self) -> subprocess.Popen[bytes]:
        days = ["--from", DAY.isoformat(), "--to", DAY.isoformat()]
        return subprocess.Popen(
            [sys.executable, "-m", "card_usage", "deliver", "--hospital", HOSPITAL, *days, "--json"],
            cwd=ROOT,
            env={**os.environ, **self._backlog.environment},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def _keep_running(self) -> None:
        for one in list(self._running):
            early = one.poll()
            if early == COULD_NOT_BE_TRIED and self.verdict.restarts:
                self._running.remove(one)
                self.verdict.turned_away += 1
            else:
                assert early is None, f"a deliverer ended by itself with {early}:\n{self._told()}"
        while len(self._running) < self._plan.deliverers:
            self._running.append(self._spawn())

    def _wait_for_a_moment(self, left: int) -> None:
        """One time of four any moment of the start; else after a random part of what the backlog has for each kill."""
        before = self._accepted()
        if self._random.random() < 0.25:
            time.sleep(self._random.uniform(0, 1.5))
        else:
            share = max(1, (self._plan.events - before) // (left + 1))
            goal = before + self._random.randint(1, max(1, int(1.6 * share)))
            deadline = time.monotonic() + 30
            while self._accepted() < goal and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(self._random.uniform(0, 0.02))

    def _kill(self, crashed: bool) -> bool:
        """Kill one; False if it had turned away before, because it was starting when the database was down."""
        victim = self._running.pop(self._random.randrange(len(self._running)))
        if crashed and victim.poll() == COULD_NOT_BE_TRIED:
            self.verdict.turned_away += 1
            return False
        assert victim.poll() is None, f"there was nobody left to kill:\n{self._told()}"
        victim.kill()
        assert victim.wait() == -signal.SIGKILL
        self.verdict.kills += 1
        return True

    def _crash_the_database(self) -> None:
        assert self._cluster is not None
        self._cluster.stop(signal.SIGQUIT)  # what `pg_ctl stop -m immediate` sends: no goodbye, recovery from the log
        time.sleep(self._random.uniform(0, 1))
        self._cluster.start()
        self.verdict.restarts += 1

    def _finish(self) -> None:
        for _ in range(LAST_RUNS):
            last = self._spawn()
            self._running.append(last)
            last.wait(timeout=PATIENCE)
            self._running.remove(last)
            if last.returncode == 0 or (self._plan.repeat != "accepted" and not self._open()):
                return
        raise AssertionError(f"the backlog was not settled by {LAST_RUNS} undisturbed runs:\n{self._told()}")

    def _open(self) -> int:
        engine = sa.create_engine(self._backlog.ledger_url)
        try:
            with engine.connect() as connection:
                query = "select count(*) from event where status not in ('delivered', 'unconfirmed')"
                return int(connection.execute(sa.text(query)).scalar_one())
        finally:
            engine.dispose()

    def _told(self) -> str:
        return (self._home / "deliverers.log").read_text()[-4000:]

    # -- judging ------------------------------------------------------------------------------------------------

    def _ask(self, path: str) -> bytes:
        with urllib.request.urlopen(self._backlog.platform_url + path, timeout=30) as answer:  # noqa: S310
            return bytes(answer.read())

    def _accepted(self) -> int:
        return int(json.loads(self._ask("/sandbox/health"))["accepted"])

    def _judge(self) -> None:
        due = Counter(self._backlog.digests())
        assert len(due) == self._plan.events, "the backlog's own events are distinct"
        records = [json.loads(line) for line in self._ask("/sandbox/accepted").splitlines()]
        accepted = Counter(record["digest"] for record in records)
        ids = {(record["digest"], record["requestId"]) for record in records}
        journal = {json.loads(line)[1] for line in (self._home / "journal").read_bytes().splitlines()}
        verdict = self.verdict
        verdict.lost = sum(digest not in accepted for digest in due)
        verdict.foreign = sum(digest not in due for digest in accepted)
        verdict.doubled = sum(times > 1 for times in accepted.values())
        verdict.two_request_ids = len(ids) - len(accepted)
        verdict.not_in_journal = sum(record["requestId"] not in journal for record in records)
        counts = json.loads(self._ask("/sandbox/counts"))
        for name in ("calls", "result_codes", "faults", "tokens_evicted", "tokens_issued"):
            setattr(verdict, name, counts[name])
        self._read_ledger({record["requestId"] for record in records})

    def _read_ledger(self, accepted: set[str]) -> None:
        engine = sa.create_engine(self._backlog.ledger_url)
        try:
            with engine.connect() as connection:

                def rows(query: str) -> Any:
                    return connection.execute(sa.text(query)).all()

                self.verdict.states = dict(tuple(row) for row in rows("select status, count(*) from event group by 1"))
                query = "select count(*) from event where status = 'delivered' and sealed is not null"
                self.verdict.still_sealed = rows(query)[0][0]
                delivered = {row[0] for row in rows("select request_id from event where status = 'delivered'")}
                self.verdict.believed = len(delivered - accepted)
                query = "select count(*), count(distinct deliverer) from attempt where detail = 'deliverer died'"
                self.verdict.left_by_the_dead, self.verdict.kills_in_mid_flight = rows(query)[0]
        finally:
            engine.dispose()


@contextmanager
def sandbox(plan: Plan, journal: Path) -> Iterator[str]:
    """The platform in a process of its own, with the plan's faults; gives its address."""
    faults = {
        "--drop-after": plan.dropped,
        "--http-500": plan.failed,
        "--lost": plan.lost,
        "--repeat": plan.repeat,
        "--latency-ms": plan.latency_ms,
        "--evict-every": plan.events // (plan.evictions + 1),
        "--seed": plan.seed,
    }
    flags = [text for name, value in faults.items() for text in (name, str(value))]
    process = subprocess.Popen(
        [sys.executable, "-m", "platform_sandbox", "--port", "0", "--state", str(journal), *flags],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        yield line.split("platform sandbox: ")[1].split(" ")[0]
    finally:
        process.terminate()
        process.wait(timeout=10)
        if process.stdout is not None:
            process.stdout.close()


def calibrate(backlog: Backlog) -> None:
    """Learn when the platform remembers request ids; a fault may strike a call, so it is tried again."""
    command = [sys.executable, "-m", "card_usage", "platform", "calibrate", "--hospital", HOSPITAL, "--json"]
    for _ in range(5):
        environment = {**os.environ, **backlog.environment}
        if subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=False).returncode == 0:
            return
    raise AssertionError("five calibrations showed nothing")


def wreak(plan: Plan) -> Verdict:
    """Set everything up, do it, take everything down."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="card_usage_violence_")))
        cluster: Cluster | None = None
        url = f"sqlite:///{home / 'ledger.db'}"
        if plan.database == "postgresql":
            place = programs()
            assert place is not None, "no PostgreSQL server programs: make services"
            cluster = Cluster(place)
            stack.callback(cluster.close)
            cluster.start()
            url = cluster.url(cluster.create())
        address = stack.enter_context(sandbox(plan, home / "journal"))
        backlog = Backlog(home=home, events=plan.events, ledger_url=url, platform_url=address)
        backlog.fill()
        calibrate(backlog)
        return Violence(plan, home, backlog, cluster).run()


def main() -> int:
    """Read the plan from the command line, print the verdict."""
    flags = argparse.ArgumentParser(
        prog="python -m tests.integration.delivery.violence", description=__doc__.split("\n")[0]
    )
    flags.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    for name, default in (("events", 20_000), ("kills", 50), ("deliverers", 1), ("evictions", 5), ("seed", 0)):
        flags.add_argument(f"--{name}", type=int, default=default)
    flags.add_argument("--repeat", choices=("accepted", "seen", "gate"), default="accepted")
    flags.add_argument("--lost", type=float, default=0.0, help="share of calls that end before they are accepted")
    flags.add_argument("--restarts", type=int, help="crashes of PostgreSQL (default 5; none for SQLite)")
    flags.add_argument("--json", action="store_true")
    asked = vars(flags.parse_args())
    as_json = asked.pop("json")
    if asked["database"] == "sqlite":
        asked["restarts"] = 0
    elif asked["restarts"] is None:
        asked["restarts"] = min(5, asked["kills"])
    verdict = wreak(Plan(**asked))
    told = {**asdict(verdict), "exact": verdict.exact}
    if as_json:
        print(json.dumps(told))
    else:
        for name, value in told.items():
            print(f"{name.replace('_', ' '):24}{value}")
    return 0 if verdict.exact else 1


if __name__ == "__main__":
    sys.exit(main())
