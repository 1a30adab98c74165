"""Staging from SQL Server's wire protocol into the ledger: rows a second and peak memory, beside bare loops.

    .venv/bin/python benchmarks/stage_over_tds.py                     # 1,000,000 card uses; SQLite and PostgreSQL
    .venv/bin/python benchmarks/stage_over_tds.py --rows 100000 --ledgers sqlite

The source is the look-alike SQL Server of the tests (tests/tds) in a process of its own, read by pymssql through
SQLAlchemy. It keeps each answer as packets after it was asked once, before anything is timed, so that no measured
client waits for the look-alike's SQL. Then, one after the other, each in a process of its own, what stage.py describes:
a bare fetch loop, two bare loops that insert, this project the first time and this project again.

Two columns of CPU: the client's, and the look-alike's for the same rows. All share the machine's cores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import demo_his
from card_usage.ledger.database import migrate

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.stage import AGAIN, ALIKE, BARE, DAY, FETCH, FIRST, ROOT, Job, Measured, against, alone, fetch
from benchmarks.stand import cpu, load, postgresql, table

HEAD = (
    "rows",
    "ledger",
    "what",
    "rows/s",
    f"of {BARE}",
    f"of {ALIKE}",
    "of first time",
    "CPU, µs/row",
    "of server",
    "peak, MiB",
)


class LookAlike(NamedTuple):
    """A look-alike SQL Server under way."""

    url: str
    pid: int


@contextmanager
def look_alike(database: Path) -> Iterator[LookAlike]:
    """The server in a process of its own, over a SQLite file."""
    surroundings = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT / 'include'}"}
    words = [sys.executable, "-m", "tds", "--database", str(database), "--spool", str(database.parent / "spool")]
    process = subprocess.Popen(words, env=surroundings, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield LookAlike(process.stdout.readline().removeprefix("tds: ").strip(), process.pid)
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()


@contextmanager
def ledgers(names: list[str], home: Path) -> Iterator[dict[str, tuple[str, ...]]]:
    """URLs of an empty ledger and of two empty databases, by the kind of database."""
    with ExitStack() as stack:
        urls: dict[str, tuple[str, ...]] = {}
        for name in names:
            if name == "sqlite":
                urls[name] = tuple(f"sqlite:///{home}/{of}.db" for of in ("ledger", "no_index", "of_ledger"))
            else:
                cluster = stack.enter_context(postgresql())
                urls[name] = tuple(cluster.url(cluster.create()) for _ in range(3))
            migrate(urls[name][0])
        yield urls


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--ledgers", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite", "postgresql"])
    arguments = parser.parse_args()
    found: list[tuple[str, ...]] = []
    for wanted in arguments.rows:
        with tempfile.TemporaryDirectory(prefix="stage_over_tds_") as folder:
            home = Path(folder)
            demo_his.create(f"sqlite:///{home}/THIS4.db", [DAY], uses_per_day=wanted, seed=1)
            with look_alike(home / "THIS4.db") as server, ledgers(arguments.ledgers, home) as places:
                alone(Job(fetch, server.url))
                for ledger, urls in places.items():
                    runs: dict[str, Measured] = {}
                    for name, job in against(server.url, *urls):
                        before = cpu(server.pid)
                        runs[name] = run = alone(job)
                        served = (cpu(server.pid) - before) / run.rows * 1e6
                        found.append(_line(ledger, name, runs, served))
                        print("  ".join(found[-1]), file=sys.stderr, flush=True)
    print(f"\n{load()}\n")
    print(table(HEAD, found))


def _line(ledger: str, name: str, runs: dict[str, Measured], served: float) -> tuple[str, ...]:
    run = runs[name]

    def share(other: str) -> str:
        return f"{run.rate / runs[other].rate:.2f}" if other in runs and name not in (FETCH, other) else ""

    return (
        f"{run.rows:,}",
        ledger,
        name,
        f"{run.rate:,.0f}",
        share(BARE),
        share(ALIKE),
        share(FIRST) if name == AGAIN else "",
        f"{run.microseconds:.1f}",
        f"{served:.1f}",
        f"{run.peak:.0f}",
    )


if __name__ == "__main__":
    main()
