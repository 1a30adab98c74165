"""Staging from SQL Server's wire protocol into the ledger: rows a second and peak memory, beside bare loops.

    .venv/bin/python benchmarks/stage_over_tds.py                     # 1,000,000 card uses; SQLite and PostgreSQL
    .venv/bin/python benchmarks/stage_over_tds.py --rows 20000 --ledgers sqlite

The source is the look-alike SQL Server of the tests (tests/tds) in a process of its own, read by pymssql through
SQLAlchemy. It keeps each answer as packets after it was asked once, before anything is timed, so that no measured
client waits for the look-alike's SQL. In one run, one after the other, each in a process of its own:

* bare fetch loop: the feeds' queries, every row fetched, nothing done with it;
* bare fetch and insert: the same columns into one table of the ledger's database with SQLAlchemy Core;
* this project, first time: normalization, rules, digest, encryption, findings, windows included;
* this project, unchanged again: the same window once more.

`of bare` is the share of the bare fetch and insert. All share the machine's cores with the server that feeds them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import demo_his
from card_usage.codes import load_aliases, load_tables
from card_usage.events import SourceRow
from card_usage.hospitals import load_hospital
from card_usage.keyring import Keyring
from card_usage.ledger.database import migrate, open_ledger
from card_usage.settings import INCLUDE
from card_usage.source import Source, connect, feed_sql
from card_usage.stage import stage
from card_usage.windows import day_window
from sqlalchemy import Column, MetaData, String, Table, create_engine, insert

ROOT = Path(__file__).resolve().parents[1]
DAY = date(2026, 3, 2)
WINDOW = day_window(DAY)
HOSPITAL = load_hospital(INCLUDE / "hospitals", "demo_hospital")
KEYS = "b:" + "A" * 43 + "="


class Measured(NamedTuple):
    """Rows, seconds, and the peak of the process's memory in MiB."""

    rows: int
    seconds: float
    peak: float

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds


def fetched(his: str, ledger: str, feeds: tuple[str, ...]) -> int:
    """The bare fetch loop."""
    rows = 0
    engine = connect(his, HOSPITAL.his)
    for feed in feeds:
        for batch in _batches(engine, feed):
            rows += len(batch)
    return rows


def inserted(his: str, ledger: str, feeds: tuple[str, ...]) -> int:
    """The bare fetch and insert."""
    rows = 0
    target = create_engine(ledger)
    names = SourceRow._fields
    table = Table("bare_rows", MetaData(), *(Column(name, String) for name in names))
    table.drop(target, checkfirst=True)
    table.create(target)
    engine = connect(his, HOSPITAL.his)
    for feed in feeds:
        for batch in _batches(engine, feed):
            with target.begin() as connection:
                values = [dict(zip(names, map(_text, row), strict=True)) for row in batch]
                connection.execute(insert(table), values)
            rows += len(batch)
    table.drop(target)
    return rows


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


def _batches(engine: object, feed: str) -> Iterator[list[object]]:
    sql = feed_sql(HOSPITAL.his.shape, feed)
    edges = {"start": sql.edge(WINDOW.start), "end": sql.edge(WINDOW.end)}
    with engine.connect() as connection:  # type: ignore[attr-defined]
        result = connection.execute(sql.select, edges, execution_options={"stream_results": True})
        while batch := result.fetchmany(HOSPITAL.his.fetch_size):
            yield batch


def staged(his: str, ledger: str, feeds: tuple[str, ...]) -> int:
    """This project."""
    tables = load_tables()
    opened = open_ledger(ledger, Keyring.parse(KEYS))
    source = Source(connect(his, HOSPITAL.his), HOSPITAL)
    rows = 0
    for feed in feeds:
        rows += stage(
            source.rows(feed, WINDOW.start, WINDOW.end),
            hospital=HOSPITAL,
            feed=feed,
            window=WINDOW,
            ledger=opened,
            tables=tables,
            aliases=load_aliases(INCLUDE / "code_aliases", HOSPITAL.id, tables),
            backfill=False,
            now=datetime.now(UTC),
        ).read
    opened.close()
    return rows


Work = Callable[[str, str, tuple[str, ...]], int]


def _measure(pipe: Pipe, work: Work, his: str, ledger: str, feeds: tuple[str, ...]) -> None:
    began = perf_counter()
    rows = work(his, ledger, feeds)
    pipe.send((rows, perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def alone(work: Work, his: str, ledger: str = "", feeds: tuple[str, ...] = HOSPITAL.his.feeds) -> Measured:
    """`work` in a process of its own. Raises EOFError if it failed; its traceback is on stderr."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_measure, args=(there, work, his, ledger, feeds))
    process.start()
    there.close()
    measured = Measured(*here.recv())
    process.join()
    return measured


@contextmanager
def look_alike(database: Path) -> Iterator[str]:
    """The server in a process of its own; gives its URL."""
    surroundings = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT / 'include'}"}
    words = [sys.executable, "-m", "tds", "--database", str(database), "--spool", str(database.parent / "spool")]
    process = subprocess.Popen(words, env=surroundings, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().removeprefix("tds: ").strip()
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()


@contextmanager
def ledgers(names: list[str], home: Path) -> Iterator[dict[str, str]]:
    """URLs of fresh ledgers, by the kind of database."""
    with ExitStack() as stack:
        urls = {}
        for name in names:
            if name == "sqlite":
                urls[name] = f"sqlite:///{home}/ledger.db"
            else:
                from benchmarks.stand import postgresql

                cluster = stack.enter_context(postgresql())
                urls[name] = cluster.url(cluster.create())
            migrate(urls[name])
        yield urls


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--ledgers", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite", "postgresql"])
    parser.add_argument("--his", type=Path, help="a SQLite file in which the demo HIS is kept between runs")
    arguments = parser.parse_args()
    print("| rows | ledger | what | rows/s | of bare | peak, MiB |\n| ---: | --- | --- | ---: | ---: | ---: |")
    for wanted in arguments.rows:
        with tempfile.TemporaryDirectory(prefix="stage_over_tds_") as folder:
            home = Path(folder)
            his = arguments.his or home / "THIS4.db"
            demo_his.create(f"sqlite:///{his}", [DAY], uses_per_day=wanted, seed=1)
            link = home / "THIS4.db"
            if his != link:
                link.symlink_to(his.resolve())
            with look_alike(link) as url, ledgers(arguments.ledgers, home) as places:
                alone(fetched, url)
                _print("-", {"bare fetch loop": alone(fetched, url)}, None)
                for name, ledger in places.items():
                    reference = alone(inserted, url, ledger)
                    runs = {
                        "bare fetch and insert": reference,
                        "this project, first time": alone(staged, url, ledger),
                        "this project, unchanged again": alone(staged, url, ledger),
                    }
                    _print(name, runs, reference)
    print(f"\n{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the end")


def _print(ledger: str, runs: dict[str, Measured], reference: Measured | None) -> None:
    for name, run in runs.items():
        share = f"{run.rate / reference.rate:.2f}" if reference else ""
        print(f"| {run.rows:,} | {ledger} | {name} | {run.rate:,.0f} | {share} | {run.peak:.0f} |", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
