"""Staging from a HIS file into the ledger: rows a second and peak memory, beside a bare fetch-and-insert.

    .venv/bin/python benchmarks/stage.py                    # 20,000 and 1,000,000 rows, SQLite
    .venv/bin/python benchmarks/stage.py --rows 200000

Ours reads, normalizes, judges, digests, seals and writes; then stages the unchanged window again. The bare loop reads
the same query and inserts its columns as they are. Each runs in a process of its own, one after the other.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from time import perf_counter

import demo_his
from card_usage.codes import load_aliases, load_tables
from card_usage.hospitals import load_hospital
from card_usage.keyring import Keyring
from card_usage.ledger.database import migrate, open_ledger
from card_usage.settings import INCLUDE
from card_usage.source import Source, connect
from card_usage.stage import stage
from card_usage.windows import day_window
from sqlalchemy import Column, MetaData, String, Table, create_engine, insert

DAY = date(2026, 3, 2)
WINDOW = day_window(DAY)
HOSPITAL = load_hospital(INCLUDE / "hospitals", "demo_hospital")
Measured = tuple[int, float, float]


def ours(home: str, ledger_name: str) -> tuple[int, float]:
    tables = load_tables()
    aliases = load_aliases(INCLUDE / "code_aliases", HOSPITAL.id, tables)
    url = f"sqlite:///{home}/{ledger_name}.db"
    migrate(url)
    ledger = open_ledger(url, Keyring.parse("b:" + "A" * 43 + "="))
    source = Source(connect(f"sqlite:///{home}/his.db"), HOSPITAL)
    rows, began = 0, perf_counter()
    for feed in HOSPITAL.his.feeds:
        rows += stage(
            source.rows(feed, WINDOW.start, WINDOW.end),
            hospital=HOSPITAL,
            feed=feed,
            window=WINDOW,
            ledger=ledger,
            tables=tables,
            aliases=aliases,
            backfill=False,
            now=datetime.now(UTC),
        ).read
    return rows, perf_counter() - began


def bare(home: str, name: str) -> tuple[int, float]:
    engine = create_engine(f"sqlite:///{home}/{name}.db")
    source = Source(connect(f"sqlite:///{home}/his.db"), HOSPITAL)
    table = Table("bare", MetaData(), *(Column(f"c{n}", String) for n in range(12)))
    table.metadata.create_all(engine)
    rows, began = 0, perf_counter()
    for feed in HOSPITAL.his.feeds:
        for batch in source.rows(feed, WINDOW.start, WINDOW.end):
            with engine.begin() as connection:
                connection.execute(insert(table), [{f"c{n}": value for n, value in enumerate(row)} for row in batch])
            rows += len(batch)
    return rows, perf_counter() - began


def _measure(pipe: Pipe, work: Callable[[str, str], tuple[int, float]], home: str, name: str) -> None:
    rows, seconds = work(home, name)
    pipe.send((rows, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def alone(work: Callable[[str, str], tuple[int, float]], home: Path, name: str) -> Measured:
    """Rows, seconds and peak MiB of `work` in a process of its own."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_measure, args=(there, work, str(home), name))
    process.start()
    there.close()
    measured: Measured = here.recv()
    process.join()
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 1_000_000])
    print("| rows | what | rows/s | of bare | peak, MiB |\n| ---: | --- | ---: | ---: | ---: |")
    for wanted in parser.parse_args().rows:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            demo_his.create(f"sqlite:///{home}/his.db", [DAY], uses_per_day=wanted, seed=1)
            runs = {
                "bare fetch and insert": alone(bare, home, "bare"),
                "this project, first time": alone(ours, home, "ledger"),
                "this project, unchanged again": alone(ours, home, "ledger"),
            }
            reference = runs["bare fetch and insert"]
            for name, (rows, seconds, peak) in runs.items():
                share = (rows / seconds) / (reference[0] / reference[1])
                print(f"| {rows:,} | {name} | {rows / seconds:,.0f} | {share:.2f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
