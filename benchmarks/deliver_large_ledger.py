"""An event costs the same beside 5,000,000 settled ones: delivery on PostgreSQL from an empty and from a large ledger.

    .venv/bin/python benchmarks/deliver_large_ledger.py

The settled events (each with an attempt) lie on 200 days, the backlog's own day among them. Every round delivers a new
backlog from the empty ledger and then from the large one. "Server CPU" is that of all of PostgreSQL's processes while
the backlog was delivered. Takes some minutes and 5 GB of disk.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from card_usage.ledger.schema import attempt, event

sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import stand  # noqa: E402
from tests.backlog import DAY, FEED, HOSPITAL, Backlog  # noqa: E402

CHUNK = 500_000
EVENTS = sa.text("""
    insert into event (key, hospital, feed, source_id, day, occurred_at, scene, department, card_type, channel, status,
                       digest, request_id, generation, lane, attempts, result_code, staged_at, settled_at)
    select md5(n::text), :hospital, :feed, 'S' || n, moment::date, moment, '010101', '0300', '01', '0100',
           case when n % 100 = 0 then 'rejected' when n % 100 = 1 then 'voided' else 'delivered' end,
           md5('d' || n), upper(md5('r' || n)), 0, 0, 1, 0, moment, moment
      from (select n, cast(:day as date) + interval '1 day' * (n % 200 - 199) + interval '1 second' * (n % 86400)
                      as moment
              from generate_series(cast(:first as bigint), cast(:last as bigint)) as n) as settled
""")
ATTEMPTS = sa.text("""
    insert into attempt (event_id, request_id, deliverer, at, answer, http_status, result_code, status)
    select id, request_id, 0, settled_at, 'accepted', 200, 0, 'delivered' from event
""")


# Loading speed alone: foreign keys are not looked up row by row, and indexes are built once over all.
LOADING = (
    "set session_replication_role = replica",
    "set synchronous_commit = off",
    "set maintenance_work_mem = '512MB'",
    "alter table event drop constraint uq_event_key",
)
LOADED = ("alter table event add constraint uq_event_key unique (key)", "vacuum analyze")


def fill(url: str, settled: int) -> None:
    """Settled events and their attempts, then what autovacuum would do by itself a little later."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    indexes = event.indexes | attempt.indexes
    with engine.connect() as connection:
        for statement in LOADING:
            connection.execute(sa.text(statement))
        for index in indexes:
            index.drop(connection)
        for first in range(1, settled + 1, CHUNK):
            last = min(first + CHUNK - 1, settled)
            named = {"hospital": HOSPITAL, "feed": FEED, "day": DAY, "first": first, "last": last}
            connection.execute(EVENTS, named)
            print(f"{last:,} settled events", end="\r", file=sys.stderr)
        connection.execute(ATTEMPTS)
        for index in indexes:
            index.create(connection)
        for statement in LOADED:
            connection.execute(sa.text(statement))
    engine.dispose()


def main() -> None:
    """Read the flags, fill, run, print."""
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    flags.add_argument("--settled", type=int, default=5_000_000)
    flags.add_argument("--events", type=int, default=20_000)
    flags.add_argument("--rounds", type=int, default=3)
    asked = flags.parse_args()
    found: dict[str, list[tuple[stand.Run, float]]] = {"empty": [], f"{asked.settled:,} settled": []}
    with tempfile.TemporaryDirectory(prefix="card_usage_bench_") as place, stand.postgresql() as cluster:
        urls = [cluster.url(cluster.create()) for _ in found]
        settings: dict[str, Any] = {"home": Path(place), "events": asked.events, "concurrency": stand.WORKERS}
        Backlog(**{**settings, "events": 0}, ledger_url=urls[1], platform_url="").fill()
        began = time.monotonic()
        fill(urls[1], asked.settled)
        print(f"{asked.settled:,} settled events in {time.monotonic() - began:.0f} s", file=sys.stderr)
        for turn in range(asked.rounds):
            for (_, runs), url in zip(found.items(), urls, strict=True):
                with stand.platform(0) as address:
                    start = turn * asked.events
                    backlog = Backlog(**settings, ledger_url=url, platform_url=address, start=start)
                    backlog.fill()
                    before = stand.postgresql_cpu(cluster)
                    run = stand.ended(stand.ours(backlog))
                    runs.append((run, stand.postgresql_cpu(cluster) - before))
    rows = []
    for name, runs in found.items():
        rate = stand.middle(run.rate for run, _ in runs)
        client = stand.middle(run.microseconds for run, _ in runs)
        server = stand.middle(cpu / asked.events * 1e6 for _, cpu in runs)
        rows.append((name, f"{rate:,.0f}", f"{client:.0f}", f"{server:.0f}"))
    print(f"\n{asked.events:,} events, platform answers at once, {asked.rounds} rounds, {stand.load()}\n")
    print(stand.table(("ledger", "events/s", "client CPU, µs/event", "server CPU, µs/event"), rows))


if __name__ == "__main__":
    main()
