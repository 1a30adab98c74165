"""Sweep: what a look at one hospital costs in a ledger of a given size, on SQLite and PostgreSQL.

    .venv/bin/python benchmarks/alerts.py --ledgers sqlite postgresql --events 1000000

Fills a ledger with delivered events over 90 days; of all of them 1 in 100 is quarantined, 1 in 1,000 refused, 2,000
open; then measures a sweep that opens incidents and ten that change nothing. PostgreSQL is a server of its own
(`make services`); CPU is that of the sweeping process, and of the server's processes beside it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "include")]

from card_usage.alerts.sweep import Team, sweep  # noqa: E402
from card_usage.config.hospital import load_hospital  # noqa: E402
from card_usage.config.keyring import Keyring  # noqa: E402
from card_usage.files.shipped import SHIPPED  # noqa: E402
from card_usage.ledger.database import Ledger, migrate, open_ledger  # noqa: E402
from card_usage.ledger.schema import event, finding  # noqa: E402
from card_usage.staging.coverage import record_window  # noqa: E402
from card_usage.windows import day_window  # noqa: E402
from sqlalchemy import insert, text  # noqa: E402

from benchmarks import stand  # noqa: E402
from tests.postgres import Cluster  # noqa: E402

NOW = datetime(2026, 3, 5, 2, 0, tzinfo=UTC)
DAYS = 90
BATCH = 20_000


def fill(ledger: Ledger, events: int, hospital: str, feeds: tuple[str, ...]) -> None:
    """So many events, evenly over the days."""
    first = NOW.date() - timedelta(days=DAYS)
    rows, findings = [], []
    for n in range(1, events + 1):
        day = first + timedelta(days=n * DAYS // (events + 1))
        status = "quarantined" if n % 100 == 0 else "rejected" if n % 1000 == 1 else "delivered"
        status = "ready" if n > events - 2000 else status
        rows.append(
            {
                "id": n,
                "key": f"{n:032x}",
                "hospital": hospital,
                "feed": feeds[n % len(feeds)],
                "source_id": str(n),
                "day": day,
                "occurred_at": datetime.combine(day, time(n % 24)),
                "scene": "0101012",
                "status": status,
                "reason": "department.code" if status == "quarantined" else None,
                "digest": "d" * 32,
                "request_id": f"{n:032X}",
                "result_code": 10016 if status == "rejected" else None,
                "staged_at": NOW - timedelta(hours=8),
            }
        )
        if status == "quarantined":
            findings.append(
                {"event_id": n, "position": 0, "rule": "department.code", "field": "department"}
                | {"severity": "critical", "code_table": "department", "code": f"{n % 7}"}
            )
        if len(rows) == BATCH or n == events:
            with ledger.write() as connection:
                connection.execute(insert(event), rows)
                if findings:
                    connection.execute(insert(finding), findings)
            rows, findings = [], []
    for back in range(1, DAYS):
        window = day_window(NOW.date() - timedelta(days=back))
        with ledger.write() as connection:
            for feed in feeds:
                edges: dict[str, Any] = {"start": window.start, "end": window.end, "status": "closed", "now": NOW}
                record_window(connection, hospital=hospital, feed=feed, source_rows=events // DAYS // 5, **edges)
    with ledger.engine.begin() as connection:
        connection.execute(text("analyze"))


class Sweep(NamedTuple):
    """What one sweep took, in seconds: by the clock, of our CPU, of PostgreSQL's."""

    wall: float
    cpu: float
    server: float

    def __str__(self) -> str:
        server = f" + {1000 * self.server:.0f} ms of the server" if self.server else ""
        return f"{1000 * self.wall:.0f} ms ({1000 * self.cpu:.0f} ms CPU{server})"


def measure(url: str, events: int, cluster: Cluster | None) -> None:
    """Fill and sweep one ledger."""
    migrate(url)
    ledger = open_ledger(url, Keyring.parse(Keyring.new_key("b")))
    hospital = load_hospital(SHIPPED / "hospitals", "demo_hospital")
    fill(ledger, events, hospital.id, hospital.his.feeds)
    took: list[Sweep] = []
    for n in range(11):
        began = (perf_counter(), process_time(), stand.postgresql_cpu(cluster) if cluster else 0.0)
        swept = sweep(ledger, hospital, Team(channels=("chat",)), now=NOW + timedelta(minutes=5 * n))
        ended = (perf_counter(), process_time(), stand.postgresql_cpu(cluster) if cluster else 0.0)
        took.append(Sweep(*(after - before for before, after in zip(began, ended, strict=True))))
        if n == 0:
            print(f"{ledger.dialect}: {events:,} events; opened {swept.opened}, messages {swept.messages}", end="")
        else:
            assert (swept.opened, swept.worse, swept.closed) == (0, 0, 0), "nothing has changed"
    usual = Sweep(*(median(of) for of in zip(*took[1:], strict=True)))
    print(f"; first sweep {took[0]}, then {usual}, at most {1000 * max(one.wall for one in took[1:]):.0f} ms")
    ledger.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--ledgers", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite", "postgresql"])
    args = parser.parse_args()
    for kind in args.ledgers:
        with ExitStack() as stack:
            cluster = stack.enter_context(stand.postgresql()) if kind == "postgresql" else None
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="card_usage_bench_"))
            url = cluster.url(cluster.create()) if cluster else f"sqlite:///{folder}/ledger.db"
            measure(url, args.events, cluster)
    print(stand.load())


if __name__ == "__main__":
    main()
