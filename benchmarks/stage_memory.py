"""Does staging take more memory for more rows? 100,000 against 2,000,000 rows over the wire of SQL Server.

    .venv/bin/python benchmarks/stage_memory.py                    # SQLite ledger
    .venv/bin/python benchmarks/stage_memory.py --ledgers postgresql --rows 100000 500000

One feed (dispensing) of one day, that many rows, from the look-alike SQL Server in a process of its own; each reader is
a fresh process whose peak (VmHWM) is read at its end: a bare fetch loop, this project the first time, and again.
Ends with exit code 1 if a peak of this project's grows by more than a tenth (and 8 MiB) from the fewest to the most.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
from pathlib import Path

import demo_his

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.stage import AGAIN, DAY, FETCH, FIRST, Job, Measured, alone, fetch, ours
from benchmarks.stage_over_tds import ledgers, look_alike

_MANY = """
INSERT INTO SF_MZCFK (xh, patid, ksdm, fybz, fyrq, jlzt, cardtype, qdlx, ybdm)
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :rows - 1),
     one(patid, ksdm, cardtype, qdlx, ybdm, k, many) AS (
         SELECT patid, ksdm, cardtype, qdlx, ybdm, ROW_NUMBER() OVER () - 1, COUNT(*) OVER () FROM SF_MZCFK_ONCE)
SELECT 900000000 + i, one.patid, one.ksdm, 1,
       :day || TIME(CAST(i AS bigint) * 86400 / :rows, 'unixepoch'), 0, one.cardtype, one.qdlx, one.ybdm
FROM n JOIN one ON one.k = i % one.many
"""


def build(path: Path, rows: int) -> None:
    """The demo HIS with so many prescriptions handed out in one day."""
    demo_his.create(f"sqlite:///{path}", [DAY], uses_per_day=2000, seed=1)
    database = sqlite3.connect(path)
    with database:
        database.execute("CREATE TEMP TABLE SF_MZCFK_ONCE AS SELECT * FROM SF_MZCFK WHERE fybz = 1 AND jlzt = 0")
        database.execute("DELETE FROM SF_MZCFK")
        database.execute(_MANY, {"rows": rows, "day": f"{DAY:%Y%m%d}"})
    database.close()


def main() -> None:
    """Print the table and judge it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 2_000_000])
    parser.add_argument("--ledgers", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite"])
    arguments = parser.parse_args()
    peaks: dict[tuple[str, str], list[float]] = {}
    print("| rows | ledger | what | rows/s | peak, MiB |\n| ---: | --- | --- | ---: | ---: |")

    def tell(ledger: str, what: str, run: Measured) -> None:
        peaks.setdefault((ledger, what), []).append(run.peak)
        print(f"| {run.rows:,} | {ledger} | {what} | {run.rate:,.0f} | {run.peak:.1f} |", flush=True)

    for rows in sorted(arguments.rows):
        with tempfile.TemporaryDirectory(prefix="stage_memory_") as folder:
            path = Path(folder) / "THIS4.db"
            build(path, rows)
            feeds = ("dispensing",)
            with look_alike(path) as server, ledgers(arguments.ledgers, Path(folder)) as places:
                alone(Job(fetch, server.url, feeds=feeds))
                tell("-", FETCH, alone(Job(fetch, server.url, feeds=feeds)))
                for name, (ledger, *_) in places.items():
                    tell(name, FIRST, alone(Job(ours, server.url, ledger, feeds)))
                    tell(name, AGAIN, alone(Job(ours, server.url, ledger, feeds)))
    grown = {
        f"{what} ({ledger})": (found[0], found[-1])
        for (ledger, what), found in peaks.items()
        if ledger != "-" and found[-1] > found[0] * 1.1 + 8
    }
    for what, (least, most) in grown.items():
        print(f"memory grows: {what}, {least:.0f} to {most:.0f} MiB", file=sys.stderr)
    sys.exit(1 if grown else 0)


if __name__ == "__main__":
    main()
