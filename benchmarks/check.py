"""The gate's check of one window: seconds and peak memory, beside the same suite of Great Expectations on pandas.

    .venv/bin/python benchmarks/check.py                               # 1,000,000 events, SQLite, and PostgreSQL if any
    .venv/bin/python benchmarks/check.py --events 100000

A good day (nothing fails) and a bad one (a third quarantined) are checked with four weeks of history: once measured
from events, then kept. `pandas` loads the very same query into a frame and judges the same expectations on events.
Each runs in a process of its own, one after the other; importing Great Expectations is not counted and told apart.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from time import perf_counter

sys.path[0] = str(Path(__file__).resolve().parents[1])

from card_usage.config.keyring import Keyring  # noqa: E402
from card_usage.ledger.database import Ledger, migrate, open_ledger  # noqa: E402
from card_usage.ledger.schema import event  # noqa: E402
from card_usage.quality import profiles  # noqa: E402
from card_usage.quality.check import check  # noqa: E402
from card_usage.quality.expectations import event_query, rule_expectations  # noqa: E402
from card_usage.quality.gx import ValidationRun, quiet_logs  # noqa: E402
from card_usage.standard.code_tables import load_tables  # noqa: E402
from card_usage.windows import day_window  # noqa: E402
from sqlalchemy import insert, update  # noqa: E402

from tests import ledgers, planted  # noqa: E402
from tests.postgres import Cluster, programs  # noqa: E402

WINDOW = day_window(planted.DAY)
HOME = planted.hospital(gate={"warn_unmapped_share": 1.0})
_CHUNK = 20_000


def fill(ledger: Ledger, events: int) -> None:
    """One day of so many events, and four earlier weeks' profiles like it."""
    for start in range(0, events, _CHUNK):
        with ledger.write() as connection:
            rows = [planted._event(random.Random(start + n), start + n + 1, planted.DAY, "ready", _FEEDS)
                    for n in range(min(_CHUNK, events - start))]  # fmt: skip
            connection.execute(insert(event), rows)
    with ledger.write() as connection:
        found = profiles.measure(connection, HOME.id, WINDOW, present=WINDOW.end)
        for week in range(1, 5):
            shifted = type(WINDOW)(WINDOW.start - timedelta(weeks=week), WINDOW.end - timedelta(weeks=week))
            profiles.save(connection, HOME.id, shifted, found)
    if ledger.dialect == "postgresql":
        with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


_FEEDS = tuple(planted.FEEDS)


def spoil(ledger: Ledger) -> None:
    """A third of the day quarantined, and some events that are due without a channel."""
    with ledger.write() as connection:
        connection.execute(
            update(event).where(event.c.id % 3 == 0).values(status="quarantined", reason="name.required")
        )
        connection.execute(update(event).where(event.c.id % 1000 == 1).values(channel=None))


def ours(url: str, key: str) -> tuple[float, str]:
    import great_expectations  # noqa: F401 - its import is no part of the check

    ledger = open_ledger(url, Keyring.parse(key))
    began = perf_counter()
    found = check(ledger, HOME, WINDOW, now=planted.NOW)
    return perf_counter() - began, found.level


def on_pandas(url: str, key: str) -> tuple[float, str]:
    """The same expectations of events, judged on a frame in memory."""
    import great_expectations as gx
    import pandas
    from great_expectations.data_context.types.base import ProgressBarsConfig

    ledger = open_ledger(url, Keyring.parse(key))
    codes = {name: table.codes for name, table in load_tables().items()}
    expectations = rule_expectations(HOME, codes)
    began = perf_counter()
    with quiet_logs(), ledger.read() as connection:
        frame = pandas.read_sql(event_query(HOME.id, WINDOW), connection)
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_pandas("frame").add_dataframe_asset("rules")
        definition = asset.add_batch_definition_whole_dataframe("rules")
        run = ValidationRun(definition.get_batch(batch_parameters={"dataframe": frame}), "rules", HOME, WINDOW, None)
        _, results = run.validate(expectations, {"result_format": "BOOLEAN_ONLY"})
        broken = [expectation for expectation, result in zip(expectations, results, strict=True) if not result.success]
        if broken:
            run.validate(broken, {"result_format": "SUMMARY", "partial_unexpected_count": 0})
    return perf_counter() - began, f"{len(broken)} rules broken"


def measured(work: Callable[[str, str], tuple[float, str]], url: str) -> tuple[float, str, float, float]:
    """Seconds, outcome, peak MiB, and MiB before the work, in a fresh process."""

    def run(into: Pipe) -> None:
        import great_expectations  # noqa: F401

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds, outcome = work(url, ledgers.KEY)
        into.send((seconds, outcome, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, before))

    ours_end, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=run, args=(theirs,))
    process.start()
    found: tuple[float, str, float, float] = ours_end.recv()
    process.join()
    return found


def compare(url: str, name: str, events: int) -> None:
    """Fill, check well and ill, and print a line for each."""
    migrate(url)
    ledger = open_ledger(url, ledgers.KEYRING)
    fill(ledger, events)
    for day in ("good", "bad"):
        if day == "bad":
            spoil(ledger)
        ledger.close()
        first = 0.0
        for what, work in (("this project, SQL", ours), ("the same rules, pandas", on_pandas)):
            seconds, outcome, peak, before = measured(work, url)
            first = first or seconds
            figures = f"{seconds:8.2f} | {seconds / first:5.1f} | {peak:6.0f} | {peak - before:6.0f}"
            print(f"| {events:,} | {name} | {day} | {what} | {figures} | {outcome} |", flush=True)
    ledger.close()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    events = parser.parse_args().events
    print("| events | ledger | day | what | seconds | of ours | peak, MiB | of it the check's | outcome |")
    print("| ---: | --- | --- | --- | ---: | ---: | ---: | ---: | --- |")
    with tempfile.TemporaryDirectory() as folder:
        compare(f"sqlite:///{folder}/ledger.db", "SQLite", events)
    found = programs()
    if found is None:
        print("(no PostgreSQL server programs: make services)")
        return
    cluster = Cluster(found)
    cluster.start()
    try:
        compare(cluster.url(cluster.create()), "PostgreSQL", events)
    finally:
        cluster.close()


if __name__ == "__main__":
    main()
