"""Memory of a delivery does not grow with its backlog: the deliverer's peak at 20,000 and at 200,000 events.

    .venv/bin/python benchmarks/deliver_memory.py

The peak is VmHWM of the whole process, imports included; each backlog gets a fresh process and a fresh ledger.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import stand  # noqa: E402
from tests.backlog import Backlog  # noqa: E402


def run(events: int, ledger_url: str, home: Path) -> stand.Run:
    """One backlog, delivered at 0 ms."""
    with stand.platform(0) as address:
        backlog = Backlog(
            home=home, events=events, ledger_url=ledger_url, platform_url=address, concurrency=stand.WORKERS
        )
        backlog.fill()
        return stand.ended(stand.ours(backlog))


def main() -> None:
    """Read the flags, run, print."""
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    flags.add_argument("--events", type=int, nargs=2, default=[20_000, 200_000], metavar="N")
    asked = flags.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="card_usage_bench_") as place, stand.postgresql() as cluster:
        home = Path(place)
        for database in ("SQLite", "PostgreSQL"):
            few, many = (
                run(events, f"sqlite:///{home / str(events)}.db" if database == "SQLite" else cluster.url(name), home)
                for events, name in ((events, cluster.create()) for events in asked.events)
            )
            peaks = (f"{few.peak:.1f}", f"{many.peak:.1f}", f"{many.peak / few.peak:.2f}")
            rows.append((database, *peaks, f"{few.rate:,.0f}", f"{many.rate:,.0f}"))
    few_, many_ = (f"{events:,}" for events in asked.events)
    head = ("ledger", f"peak at {few_}, MiB", f"at {many_}, MiB", "ratio", f"events/s at {few_}", f"at {many_}")
    print(f"\nplatform answers at once, {stand.load()}\n")
    print(stand.table(head, rows))


if __name__ == "__main__":
    main()
