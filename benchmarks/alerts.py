"""Sweep: what a look at one hospital costs in a ledger of a given size, on SQLite and PostgreSQL.

    .venv/bin/python benchmarks/alerts.py --events 1000000 --postgres postgresql+psycopg://...

Fills a ledger with delivered events over 90 days; of all of them 1 in 100 is quarantined, 1 in 1,000 refused, 2,000
open; then times a sweep that opens incidents and sweeps that change nothing. Without --postgres only SQLite.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "include"), str(ROOT / "tests")]

from card_usage.alerts import Team, sweep  # noqa: E402
from card_usage.hospitals import load_hospital  # noqa: E402
from card_usage.keyring import Keyring  # noqa: E402
from card_usage.ledger.database import Ledger, migrate, open_ledger  # noqa: E402
from card_usage.ledger.intake import record_window  # noqa: E402
from card_usage.ledger.schema import event, finding  # noqa: E402
from card_usage.settings import INCLUDE  # noqa: E402
from card_usage.windows import day_window  # noqa: E402
from sqlalchemy import insert, text  # noqa: E402

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
                edges = {"start": window.start, "end": window.end, "status": "closed", "now": NOW}
                record_window(connection, hospital=hospital, feed=feed, source_rows=events // DAYS // 5, **edges)
    with ledger.engine.begin() as connection:
        connection.execute(text("analyze"))


def measure(url: str, events: int) -> None:
    """Fill and sweep one ledger."""
    migrate(url)
    ledger = open_ledger(url, Keyring.parse(Keyring.new_key("b")))
    hospital = load_hospital(INCLUDE / "hospitals", "demo_hospital")
    fill(ledger, events, hospital.id, hospital.his.feeds)
    took = []
    for n in range(11):
        began = perf_counter()
        swept = sweep(ledger, hospital, Team(channels=("chat",)), now=NOW + timedelta(minutes=5 * n))
        took.append(perf_counter() - began)
        if n == 0:
            print(f"{ledger.dialect}: {events:,} events; opened {swept.opened}, messages {swept.messages}", end="")
    print(
        f"; first sweep {1000 * took[0]:.0f} ms, then {1000 * median(took[1:]):.0f} ms (max {1000 * max(took[1:]):.0f})"
    )
    ledger.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--postgres", metavar="URL", help="an empty database")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(f"sqlite:///{folder}/ledger.db", args.events)
    if args.postgres:
        measure(args.postgres, args.events)


if __name__ == "__main__":
    main()
