"""Two deliverers on one backlog against one, at several latencies of the platform, and what limits them.

    .venv/bin/python benchmarks/deliver_processes.py                     # 300, 100, 50 and 20 ms, some five minutes

A deliverer has at most 64 calls under way: a platform that answers after 100 ms lets it make at most 640 a second, and
two of them 1,280. The shorter the latency, the nearer are two deliverers to what the machine has: platform, deliverers
and PostgreSQL share its cores, and the platform has but one process. Both deliverers may use all cores. The two share
one hospital and one ledger: each event is claimed by one of them. Seconds are those of the one that ended last.

"Cores" is CPU by wall time while two deliverers ran. "Limit" says what the two were bound by: the calls that may be
under way (at least 0.85 of what latency allows), the platform (busy 0.9 of the time), the machine (at most 0.15 of its
cores idle, other work included), or else the deliverers and their ledger.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import stand  # noqa: E402
from tests.backlog import Backlog  # noqa: E402
from tests.postgres import Cluster  # noqa: E402

MOST = 20_000
CORES = os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Race:
    """So many deliverers on one backlog. `clients`, `platform`, `database` and `idle` in cores."""

    deliverers: int
    latency_ms: float
    rate: float
    clients: float
    platform: float
    database: float
    idle: float

    @property
    def allowed(self) -> float:
        """Events a second that the latency allows."""
        return self.deliverers * stand.WORKERS / self.latency_ms * 1e3

    @property
    def limit(self) -> str:
        """What it was bound by."""
        if self.rate >= 0.85 * self.allowed:
            return "calls under way"
        if self.platform >= 0.9:
            return "platform"
        return "machine" if self.idle <= 0.15 * CORES else "deliverers, ledger"


def race(deliverers: int, events: int, latency_ms: float, home: Path, cluster: Cluster | None) -> Race:
    """Fill a new ledger, let them run, and see who used what. Without a cluster the ledger is SQLite."""
    url = cluster.url(cluster.create()) if cluster else f"sqlite:///{home}/ledger.db"
    stand.remove(home, "ledger.db*")

    def used() -> tuple[float, float, float]:
        database = stand.postgresql_cpu(cluster) if cluster else 0.0
        return stand.platform_cpu(address), database, psutil.cpu_times().idle

    with stand.platform(latency_ms) as address:
        backlog = Backlog(home=home, events=events, ledger_url=url, platform_url=address, concurrency=stand.WORKERS)
        backlog.fill()
        before = used()
        began = time.monotonic()
        runs = [stand.ended(client) for client in [stand.ours(backlog, stand.BOTH) for _ in range(deliverers)]]
        whole = time.monotonic() - began
        platform, database, idle = (after - at_first for after, at_first in zip(used(), before, strict=True))
        assert stand.counts(address)["0"] == events + 1, "each event once, and one token"
    seconds = max(run.seconds for run in runs)
    return Race(
        deliverers=deliverers,
        latency_ms=latency_ms,
        rate=events / seconds,
        clients=sum(run.cpu for run in runs) / seconds,
        platform=platform / seconds,
        database=database / seconds,
        idle=idle / whole,
    )


def main() -> None:
    """Read the flags, run, print."""
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    flags.add_argument("--latency", type=float, nargs="+", default=[300, 100, 50, 20], metavar="MS")
    flags.add_argument("--seconds", type=float, default=15, help="of one deliverer at best, unless --events are fewer")
    flags.add_argument("--events", type=int, default=MOST, help="at most")
    flags.add_argument("--rounds", type=int, default=1)
    flags.add_argument("--ledgers", nargs="+", choices=["SQLite", "PostgreSQL"], default=["SQLite", "PostgreSQL"])
    asked = flags.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="card_usage_bench_") as place, stand.postgresql() as cluster:
        for ledger in asked.ledgers:
            for latency in asked.latency:
                events = min(asked.events, int(asked.seconds * stand.WORKERS / latency * 1e3))
                pairs = []
                for _ in range(asked.rounds):
                    database = cluster if ledger == "PostgreSQL" else None
                    one, two = (race(n, events, latency, Path(place), database) for n in (1, 2))
                    pairs.append((one, two))
                one, two = sorted(pairs, key=lambda pair: pair[1].rate / pair[0].rate)[len(pairs) // 2]
                cores = (two.clients, two.platform, two.database, two.idle)
                figures = (f"{one.rate:,.0f}", f"{two.rate:,.0f}", f"{two.rate / one.rate:.2f}")
                rows.append((ledger, f"{latency:g}", *figures, two.limit, *(f"{share:.2f}" for share in cores)))
                print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    head = ("ledger", "latency, ms", "one, events/s", "two, events/s", "ratio", "limit of two")
    print(f"\nup to {asked.events:,} events, {stand.load()}\n")
    print(stand.table((*head, "deliverers, cores", "platform, cores", "PostgreSQL, cores", "idle, cores"), rows))


if __name__ == "__main__":
    main()
