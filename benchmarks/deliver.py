"""Delivery from ledger to settled rows, beside wrk, bare loops and dlt on the same endpoint: events a second and CPU.

    .venv/bin/python benchmarks/deliver.py                     # 20,000 events, 0 and 20 ms, three rounds
    .venv/bin/python benchmarks/deliver.py --rounds 1 --clients ours wrk aiohttp

Ours claims from the ledger, decrypts, signs, sends, decides, writes outcomes and attempts. The bare loops and dlt sign
and send; wrk only sends bodies that were signed before. All have 64 calls under way. Clients of a round run one after
the other; ratios are taken within a round, and the table shows medians over the rounds. The httpx.AsyncClient loop gets
a tenth of the events: its rate does not depend on their number, and the rest would take most of the time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import stand  # noqa: E402
from tests.backlog import Backlog  # noqa: E402
from tests.postgres import Cluster  # noqa: E402

WRK, BARE = "wrk (limit)", "bare aiohttp loop"
OURS = ("this project, SQLite", "this project, PostgreSQL")
NAMES = {"wrk": WRK, "aiohttp": BARE, "httpx": "httpx.AsyncClient loop", "dlt": "dlt, custom destination"}


def one_round(
    latency_ms: float, events: int, clients: list[str], home: Path, cluster: Cluster | None
) -> dict[str, stand.Run]:
    """Every client once, each against a fresh platform."""
    runs: dict[str, stand.Run] = {}

    def ours(name: str, url: str) -> None:
        with stand.platform(latency_ms) as address:
            backlog = Backlog(home=home, events=events, ledger_url=url, platform_url=address, concurrency=stand.WORKERS)
            backlog.fill()
            runs[name] = stand.ended(stand.ours(backlog))
            assert stand.counts(address)["0"] == events + 1, "each event once, and one token"

    if "wrk" in clients and stand.has_wrk():
        source = Backlog(home=home, events=60_000, ledger_url="", platform_url="")
        with stand.platform(latency_ms) as address:
            runs[WRK] = stand.wrk(address, list(source.requests()), 8, home)
    requests = home / "requests"
    source = Backlog(home=home, events=events, ledger_url="", platform_url="")
    lines = [json.dumps(req) + "\n" for req in source.requests()]
    for library, sent in (("aiohttp", lines), ("httpx", lines[: events // 10])):
        if library in clients:
            requests.write_text("".join(sent), encoding="utf-8")
            with stand.platform(latency_ms) as address:
                runs[NAMES[library]] = stand.loop(library, address, requests)
    requests.write_text("".join(lines), encoding="utf-8")
    environment = stand.dlt_environment() if "dlt" in clients else None
    if environment is not None:
        with stand.platform(latency_ms) as address:
            runs[NAMES["dlt"]] = stand.dlt(address, requests, environment)
    if "ours" in clients:
        ledger = home / "ledger.db"
        stand.remove(home, "ledger.db*")
        ours(OURS[0], f"sqlite:///{ledger}")
        if cluster is not None:
            ours(OURS[1], cluster.url(cluster.create()))
    return runs


def table(rounds: list[dict[str, stand.Run]]) -> str:
    """Medians over the rounds; ratios within each."""

    def ratio(name: str, other: str) -> str:
        if other not in rounds[0]:
            return ""
        return f"{stand.middle(runs[name].rate / runs[other].rate for runs in rounds):.2f}"

    rows = []
    for name in rounds[0]:
        runs = [runs[name] for runs in rounds]
        typical = stand.median(runs)
        peak = f"{max(run.peak for run in runs):.0f}" if typical.peak else ""
        rate, cpu = f"{typical.rate:,.0f}", f"{stand.middle(run.microseconds for run in runs):.0f}"
        rows.append((name, rate, stand.spread(runs), ratio(name, WRK), ratio(name, BARE), cpu, peak))
    head = ("client", "events/s", "lowest to highest", "of wrk", "of bare aiohttp", "client CPU, µs/event", "peak, MiB")
    return stand.table(head, rows)


def main() -> None:
    """Read the flags, run, print."""
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    flags.add_argument("--events", type=int, default=20_000)
    flags.add_argument("--latency", type=float, nargs="+", default=[0, 20], metavar="MS")
    flags.add_argument("--rounds", type=int, default=3)
    every = ["wrk", "aiohttp", "httpx", "dlt", "ours"]
    flags.add_argument("--clients", nargs="+", choices=every, default=every)
    flags.add_argument("--no-postgresql", action="store_true")
    asked = flags.parse_args()
    with tempfile.TemporaryDirectory(prefix="card_usage_bench_") as place, ExitStack() as stack:
        cluster = None if asked.no_postgresql else stack.enter_context(stand.postgresql())
        for latency_ms in asked.latency:
            rounds = [
                one_round(latency_ms, asked.events, asked.clients, Path(place), cluster) for _ in range(asked.rounds)
            ]
            print(f"\n{asked.events:,} events, platform answers after {latency_ms:g} ms, {stand.load()}\n", flush=True)
            print(table(rounds), flush=True)
            for client, name in NAMES.items():
                if client in asked.clients and name not in rounds[0]:
                    print(f"\nskipped: {name}: not installed, and it could not be installed here", flush=True)


if __name__ == "__main__":
    main()
