"""Two deliverers on one backlog against one: events a second where neither platform nor cores are the limit.

    .venv/bin/python benchmarks/deliver_processes.py

The platform answers after 100 ms, so that a deliverer with 64 calls under way cannot make more than 640 a second,
a fraction of what it could and of what the platform can. Both deliverers may use both cores. The two share one
hospital and one ledger: each event is claimed by one of them. Seconds are those of the one that ended last.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import stand  # noqa: E402
from tests.backlog import Backlog  # noqa: E402


def rate(deliverers: int, events: int, latency_ms: float, ledger_url: str, home: Path) -> float:
    """Events a second of so many deliverers side by side."""
    with stand.platform(latency_ms) as address:
        backlog = Backlog(
            home=home, events=events, ledger_url=ledger_url, platform_url=address, concurrency=stand.WORKERS
        )
        backlog.fill()
        clients = [stand.ours(backlog, stand.BOTH) for _ in range(deliverers)]
        seconds = max(stand.ended(client).seconds for client in clients)
        assert stand.counts(address)["0"] == events + 1, "each event once, and one token"
    return events / seconds


def main() -> None:
    """Read the flags, run, print."""
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    flags.add_argument("--events", type=int, default=20_000)
    flags.add_argument("--latency", type=float, default=100, metavar="MS")
    flags.add_argument("--rounds", type=int, default=1)
    asked = flags.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="card_usage_bench_") as place, stand.postgresql() as cluster:
        for database in ("SQLite", "PostgreSQL"):
            pairs = []
            for turn in range(asked.rounds):
                urls = (
                    f"sqlite:///{place}/{turn}_{deliverers}.db"
                    if database == "SQLite"
                    else cluster.url(cluster.create())
                    for deliverers in (1, 2)
                )
                one, two = (
                    rate(deliverers, asked.events, asked.latency, url, Path(place))
                    for deliverers, url in zip((1, 2), urls, strict=True)
                )
                pairs.append((one, two))
            ones, twos = zip(*pairs, strict=True)
            ratio = stand.middle(two / one for one, two in pairs)
            rows.append((database, f"{stand.middle(ones):,.0f}", f"{stand.middle(twos):,.0f}", f"{ratio:.2f}"))
    print(f"\n{asked.events:,} events, platform answers after {asked.latency:g} ms, {stand.load()}\n")
    print(stand.table(("ledger", "one deliverer, events/s", "two, events/s", "ratio"), rows))


if __name__ == "__main__":
    main()
