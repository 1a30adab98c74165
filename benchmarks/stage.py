"""Staging from a HIS file into the ledger: rows a second and peak memory, beside a bare fetch-and-insert.

    .venv/bin/python benchmarks/stage.py                    # 20,000 and 1,000,000 rows, three rounds, SQLite
    .venv/bin/python benchmarks/stage.py --rows 200000 --rounds 1 --postgresql

Ours reads, normalizes, judges, digests, seals and writes; then stages the unchanged window again. The bare loops read
the same queries in the same batches and do nothing to the rows:

* bare fetch: every row read, and that is all;
* bare, no index: the twelve columns as they are, with SQLAlchemy Core and a transaction a batch, into a table of text
  with neither key nor index, in a database with the driver's settings;
* bare, the ledger's table: the twenty-one columns that staging writes, the same way, into the ledger's own table with
  its key and its five indexes, as durably as the ledger (SQLite: WAL, every commit synced). The key is random as the
  ledger's is; text stands where staging writes a digest or seals.

Each runs in a process of its own, one after the other; ratios are taken within a round, and the table shows medians
over the rounds. "CPU" is that of the process, all threads: on a busy machine its ratios say more than rates.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple
from uuid import uuid4

import demo_his
from card_usage.config.hospital import load_hospital
from card_usage.config.keyring import Keyring
from card_usage.events import SourceRow
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import migrate, open_ledger
from card_usage.ledger.schema import event
from card_usage.source.feeds import feed_sql
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from card_usage.staging.stage import stage
from card_usage.standard.aliases import load_aliases
from card_usage.standard.code_tables import load_tables
from card_usage.windows import day_window
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, create_engine, insert
from sqlalchemy import event as sa_event

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import stand  # noqa: E402
from benchmarks.clients.meter import peak  # noqa: E402
from tests.postgres import Cluster  # noqa: E402

DAY = date(2026, 3, 2)
WINDOW = day_window(DAY)
HOSPITAL = load_hospital(SHIPPED / "hospitals", "demo_hospital")
FETCH, BARE, ALIKE = "bare fetch", "bare, no index", "bare, the ledger's table"
FIRST, AGAIN = "this project, first time", "this project, unchanged again"


class Measured(NamedTuple):
    """`seconds` of the clock and `cpu` of the process, both of the work alone; `peak` of the process in MiB."""

    rows: int
    seconds: float
    cpu: float
    peak: float

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds

    @property
    def microseconds(self) -> float:
        """CPU a row."""
        return self.cpu / self.rows * 1e6


class Job(NamedTuple):
    """One process's work: `his` and `target` are URLs of databases."""

    work: Callable[[Job], int]
    his: str
    target: str = ""
    feeds: tuple[str, ...] = HOSPITAL.his.feeds


def batches(job: Job) -> Iterator[tuple[str, Sequence[Any]]]:
    """The feeds' rows as SQLAlchemy gives them, `fetch_size` at once."""
    engine = connect(job.his, HOSPITAL.his)
    for feed in job.feeds:
        sql = feed_sql(HOSPITAL.his.shape, feed)
        edges = {"start": sql.edge(WINDOW.start), "end": sql.edge(WINDOW.end)}
        with engine.connect() as connection:
            result = connection.execute(sql.select, edges, execution_options={"stream_results": True})
            while batch := result.columns(*SourceRow._fields).fetchmany(HOSPITAL.his.fetch_size):
                yield feed, batch


def ours(job: Job) -> int:
    """This project."""
    tables = load_tables()
    aliases = load_aliases(SHIPPED / "code_aliases", HOSPITAL.id, tables)
    ledger = open_ledger(job.target, Keyring.parse("b:" + "A" * 43 + "="))
    source = Source(connect(job.his, HOSPITAL.his), HOSPITAL)
    rows = 0
    for feed in job.feeds:
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
    ledger.close()
    return rows


def fetch(job: Job) -> int:
    """Nothing done with the rows."""
    return sum(len(batch) for _, batch in batches(job))


def bare(job: Job) -> int:
    """Into a table without key or index."""
    columns = (Column(name, Integer if name == "voided" else String) for name in SourceRow._fields)
    table = Table("bare", MetaData(), *columns)
    return _insert(job, create_engine(job.target), table, lambda row, _feed, _now: row._asdict())


def alike(job: Job) -> int:
    """Into the ledger's table."""
    engine = create_engine(job.target)
    if engine.dialect.name == "sqlite":
        sa_event.listen(engine, "connect", _durable)
    # As the ledger has it, index for index; only lengths are not checked, for these are the HIS's own codes.
    table = event.to_metadata(MetaData())
    for column in table.columns:
        if isinstance(column.type, String):
            column.type = String()
    return _insert(job, engine, table, _as_it_is)


def _insert(job: Job, engine: Engine, table: Table, values: Callable[[Any, str, datetime], dict[str, Any]]) -> int:
    table.metadata.create_all(engine)
    rows, now = 0, datetime.now(UTC)
    for feed, batch in batches(job):
        with engine.begin() as connection:
            connection.execute(insert(table), [values(row, feed, now) for row in batch])
        rows += len(batch)
    return rows


def _as_it_is(row: SourceRow, feed: str, now: datetime) -> dict[str, object]:
    """The columns that staging writes, nothing looked up, judged, digested or encrypted."""
    key, at = uuid4().hex, str(row.occurred_at)
    return {
        "key": key,
        "hospital": HOSPITAL.id,
        "feed": feed,
        "source_id": row.source_id,
        "lane": 0,
        "voided_at": None,
        "scene": row.scene,
        "department": row.department,
        "department_name": row.department_name,
        "card_type": row.card_type,
        "channel": row.channel,
        "cost_type": row.cost_type,
        "day": DAY,
        "occurred_at": datetime.fromisoformat(f"{at[:4]}-{at[4:6]}-{at[6:8]} {at[8:]}") if len(at) == 16 else None,
        "status": "ready",
        "reason": None,
        "digest": key,
        "request_id": key,
        "key_id": "b",
        "sealed": f"{row.id_number} {row.name} {row.qr_code_text}".encode(),
        "staged_at": now,
    }


def _durable(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL").close()
    connection.execute("PRAGMA synchronous=FULL").close()


def _measure(job: Job) -> Measured:
    began, cpu = perf_counter(), process_time()
    rows = job.work(job)
    seconds, spent = perf_counter() - began, process_time() - cpu
    return Measured(rows, seconds, spent, peak())


def alone(job: Job) -> Measured:
    """The job in a process of its own. Raises EOFError if it failed; its traceback is on stderr."""
    return stand.apart(_measure, job)


def against(his: str, ledger: str, no_index: str, of_ledger: str) -> Iterator[tuple[str, Job]]:
    """What is measured, in this order, and under which name. The databases are empty ones, the first is migrated."""
    yield FETCH, Job(fetch, his)
    yield BARE, Job(bare, his, no_index)
    yield ALIKE, Job(alike, his, of_ledger)
    yield FIRST, Job(ours, his, ledger)
    yield AGAIN, Job(ours, his, ledger)


def one_round(home: Path, turn: int, cluster: Cluster | None) -> dict[str, Measured]:
    """Everything once, into fresh databases."""
    names = ("ledger", "no_index", "of_ledger")
    urls = [cluster.url(cluster.create()) if cluster else f"sqlite:///{home}/{name}_{turn}.db" for name in names]
    migrate(urls[0])
    return {name: alone(job) for name, job in against(f"sqlite:///{home}/his.db", *urls)}


def table_of(rounds: list[dict[str, Measured]]) -> Iterator[tuple[str, ...]]:
    """Medians over the rounds; ratios within each."""

    def ratio(name: str, other: str) -> str:
        return f"{stand.middle(r[name].rate / r[other].rate for r in rounds):.2f}"

    for name in rounds[0]:
        of_name = [r[name] for r in rounds]
        yield (
            f"{of_name[0].rows:,}",
            name,
            f"{stand.middle(one.rate for one in of_name):,.0f}",
            ratio(name, BARE),
            ratio(name, ALIKE),
            ratio(name, FIRST) if name == AGAIN else "",
            f"{stand.middle(one.microseconds for one in of_name):.1f}",
            f"{max(one.peak for one in of_name):.0f}",
        )


HEAD = ("rows", "what", "rows/s", f"of {BARE}", f"of {ALIKE}", "of first time", "CPU, µs/row", "peak, MiB")


def main() -> None:
    """Read the flags, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--postgresql", action="store_true", help="PostgreSQL for the ledger and the bare tables")
    asked = parser.parse_args()
    found: list[tuple[str, ...]] = []
    with ExitStack() as stack:
        cluster = stack.enter_context(stand.postgresql()) if asked.postgresql else None
        for wanted in asked.rows:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="card_usage_bench_")))
            demo_his.create(f"sqlite:///{home}/his.db", [DAY], uses_per_day=wanted, seed=1)
            rounds = []
            for turn in range(asked.rounds):
                rounds.append(one_round(home, turn, cluster))
                stand.remove(home, "*_*.db*")
            found += table_of(rounds)
    print(f"\nledger on {'PostgreSQL' if asked.postgresql else 'SQLite'}, {asked.rounds} rounds, {stand.load()}\n")
    print(stand.table(HEAD, found))


if __name__ == "__main__":
    main()
