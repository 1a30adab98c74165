"""The test stand of the delivery benchmarks: a platform in a process of its own, clients in others, cores told apart.

The platform sandbox has core 0 to itself as far as the stand decides, every client has core 1 (whole process, all
threads; two clients have both cores), PostgreSQL runs where the system puts it. The platform is a fresh one for each
client and does the same work for all: it checks signature and fields of each report and keeps it. Nothing here is
timed but by the clients themselves (../clients/meter.py).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import TypeVar

import psutil
from card_usage.platform.client import REPORT_PATH, TOKEN_PATH

from benchmarks.clients.signing import signed
from tests.backlog import APP_ID, SECRET, Backlog
from tests.postgres import Cluster, programs

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 64
_Found = TypeVar("_Found")
PLATFORM_CORES, CLIENT_CORES, BOTH = "0", "1", "0,1"


@dataclass(frozen=True, slots=True)
class Run:
    """One client's run: `seconds` and `cpu` in seconds, `peak` in MiB (0: not measured)."""

    events: int
    seconds: float
    cpu: float
    peak: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def microseconds(self) -> float:
        """CPU of the client an event."""
        return self.cpu / self.events * 1e6


def remove(home: Path, pattern: str) -> None:
    """Delete ledgers, what SQLite keeps beside them, and their data keys."""
    for found in home.glob(pattern):
        if found.is_dir():
            shutil.rmtree(found)
        else:
            found.unlink()


@contextmanager
def platform(latency_ms: float) -> Iterator[str]:
    """A fresh sandbox on core 0; gives its address."""
    process = subprocess.Popen(
        [*pinned(PLATFORM_CORES), "-m", "platform_sandbox", "--port", "0", "--latency-ms", str(latency_ms)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().decode().split("platform sandbox: ")[1].split(" ")[0]
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()


@contextmanager
def postgresql() -> Iterator[Cluster]:
    """A PostgreSQL server of the benchmark's own; each ledger is a database of it."""
    place = programs()
    if place is None:
        sys.exit("no PostgreSQL server programs: make services")
    cluster = Cluster(place)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


def pinned(cores: str, python: str = sys.executable) -> list[str]:
    """The words before a client's own: which cores, which interpreter."""
    return ["taskset", "-c", cores, python]


def platform_cpu(address: str) -> float:
    """Seconds of CPU so far of the sandbox that listens there."""
    port = int(address.rsplit(":", 1)[1])
    listening = (one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN)
    return cpu(next(one.pid for one in listening if one.laddr.port == port))


def postgresql_cpu(cluster: Cluster) -> float:
    """Seconds of CPU so far of PostgreSQL's processes, ended ones included."""
    server = next(
        process for process in psutil.process_iter(["cmdline"]) if str(cluster.port) in (process.info["cmdline"] or [])
    )
    while True:
        # A process that ends meanwhile counts among the ended ones the next time.
        with suppress(psutil.NoSuchProcess):
            living = sum(map(_cpu, [server, *server.children(recursive=True)]))
            ended = server.cpu_times()
            return float(ended.children_user + ended.children_system + living)


def cpu(pid: int) -> float:
    """Seconds of CPU so far of one process."""
    return _cpu(psutil.Process(pid))


def _cpu(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def apart(work: Callable[..., _Found], *given: object) -> _Found:
    """What `work` returns in a fresh process of its own. Raises EOFError if it failed; its traceback is on stderr."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_tell, args=(there, work, given))
    process.start()
    there.close()
    found: _Found = here.recv()
    process.join()
    return found


def _tell(pipe: Pipe, work: Callable[..., object], given: tuple[object, ...]) -> None:
    pipe.send(work(*given))


def token(url: str) -> str:
    """A fresh appToken for clients that do not fetch one themselves."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    call = urllib.request.Request(url + TOKEN_PATH, signed({"appId": APP_ID}, "", SECRET), headers)  # noqa: S310
    with urllib.request.urlopen(call) as answer:  # noqa: S310
        return str(json.load(answer)["rsp"]["appToken"])


def counts(url: str) -> dict[str, int]:
    """How often the platform answered each result code to anybody."""
    with urllib.request.urlopen(url + "/sandbox/counts") as answer:  # noqa: S310
        return dict(json.load(answer)["result_codes"])


def started(command: Sequence[str], **environment: str) -> subprocess.Popen[str]:
    """A client, under way."""
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(command, cwd=ROOT, env=surroundings, stdout=subprocess.PIPE, text=True)


def ended(client: subprocess.Popen[str]) -> Run:
    """Wait for a client that prints its figures as its last line."""
    told, _ = client.communicate()
    assert client.returncode == 0, f"the client failed: {told}"
    return Run(**json.loads(told.splitlines()[-1]))


def ours(backlog: Backlog, cores: str = CLIENT_CORES) -> subprocess.Popen[str]:
    """Our deliverer over what is in the ledger."""
    return started([*pinned(cores), "-m", "benchmarks.clients.ours", str(backlog.events)], **backlog.environment)


def loop(library: str, url: str, requests: Path) -> Run:
    """A bare loop with `aiohttp` or `httpx`."""
    words = [library, str(requests), url + REPORT_PATH, token(url), SECRET, str(WORKERS)]
    return ended(started([*pinned(CLIENT_CORES), "-m", "benchmarks.clients.loops", *words]))


def dlt(url: str, requests: Path, environment: Path) -> Run:
    """dlt with a custom destination, out of its own environment."""
    words = [str(requests), url + REPORT_PATH, token(url), SECRET, str(WORKERS)]
    program = str(ROOT / "benchmarks/clients/dlt_pipeline.py")
    return ended(started([*pinned(CLIENT_CORES, str(environment / "bin/python")), program, *words]))


def dlt_environment() -> Path | None:
    """var/bench/dlt, made with pip once; None where that cannot be done."""
    place = ROOT / "var/bench/dlt"
    if not (place / "made").exists():
        print(f"making {place.relative_to(ROOT)} (once)", file=sys.stderr)
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
            subprocess.run([place / "bin/pip", "install", "--quiet", "dlt", "requests"], check=True)
        except (subprocess.CalledProcessError, OSError):
            return None
        (place / "made").touch()
    return place


def has_wrk() -> bool:
    """Whether wrk is there; installed by apt once where we may."""
    if shutil.which("wrk") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print("installing wrk (once)", file=sys.stderr)
        subprocess.run(["apt-get", "install", "-y", "-qq", "wrk"], check=False, stdout=subprocess.DEVNULL)
    return shutil.which("wrk") is not None


def wrk(url: str, requests: Sequence[dict[str, str]], seconds: int, home: Path) -> Run:
    """wrk, one thread, 64 connections: distinct signed bodies, prepared before, so it only sends and counts."""
    bodies = home / "bodies"
    of_now = token(url)
    bodies.write_bytes(b"".join(signed(req, of_now, SECRET) + b"\n" for req in requests))
    words = ["taskset", "-c", CLIENT_CORES, "wrk", "-t1", f"-c{WORKERS}", f"-d{seconds}s", "--timeout", "10s"]
    script = str(ROOT / "benchmarks/clients/wrk.lua")
    before = os.times()
    done = subprocess.run(
        [*words, "-s", script, url + REPORT_PATH, "--", str(bodies)], check=True, capture_output=True, text=True
    )
    after = os.times()
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    codes = counts(url)
    if codes.get("10054"):
        print(f"wrk ran out of bodies: {codes['10054']} answers were 10054, cheaper ones", file=sys.stderr)
    return Run(**json.loads(done.stdout.splitlines()[-1]), cpu=cpu, peak=0)


def median(runs: Iterable[Run]) -> Run:
    """The run whose rate is in the middle."""
    ordered = sorted(runs, key=lambda run: run.rate)
    return ordered[(len(ordered) - 1) // 2]


def spread(runs: Iterable[Run]) -> str:
    """Lowest and highest rate."""
    rates = [run.rate for run in runs]
    return f"{min(rates):,.0f} to {max(rates):,.0f}" if len(rates) > 1 else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def load() -> str:
    """What else the machine was doing: it belongs to each table."""
    return f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} (one minute) when the table was made"


def middle(values: Iterable[float]) -> float:
    """The median of ratios that were each taken in one round."""
    return statistics.median(values)
