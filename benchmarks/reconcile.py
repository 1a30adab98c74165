"""Reconciling a day of 1,000,000 events on PostgreSQL, beside a row-by-row compare and reladiff in the same run.

    .venv/bin/python benchmarks/reconcile.py                    # 1,000,000 events: about 10 minutes, most of it theirs
    .venv/bin/python benchmarks/reconcile.py --events 100000    # about 1 minute
    .venv/bin/python benchmarks/reconcile.py --fleet 500        # a morning's recount of 500 hospitals instead

HIS and ledger are two databases of one PostgreSQL server of the benchmark's own. Ours does everything that the morning
does: counts and checksums at the HIS, keys and contents of minutes that differ, marks, all counts of the ledger
(states, causes, proofs), the equations, what is kept. The others only find which records differ:

row by row   each record of the HIS is looked up in the ledger by its key, then each event in the HIS
two sets     both sides are fetched into Python whole and compared there
reladiff     hash diff by an integer key, in its own environment (var/bench/reladiff, made with pip once)

"Quiet" is a day on which nothing changed; on the other, 10 records are late, 10 vanished and 10 refunded, each in
another minute, all over the day; "first look": the ledger was never level with the HIS, so the whole day is compared
row by row. Each runs in a process of its own, and what it finds is checked. Peak is that process's memory at most.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from time import perf_counter, process_time
from typing import NamedTuple

import psycopg
import sqlalchemy as sa

sys.path[0] = str(Path(__file__).resolve().parents[1])

from card_usage.config.day_keys import DayKeys  # noqa: E402
from card_usage.config.hospital import Hospital, load_hospital  # noqa: E402
from card_usage.config.keyring import Keyring  # noqa: E402
from card_usage.events import event_key  # noqa: E402
from card_usage.files.shipped import SHIPPED  # noqa: E402
from card_usage.ledger.database import migrate, open_ledger  # noqa: E402
from card_usage.reconciliation.comparison import record_checksums, recount_day  # noqa: E402
from card_usage.source.reader import Source  # noqa: E402
from card_usage.source.replica import connect  # noqa: E402
from card_usage.staging.drafts import Drafter  # noqa: E402
from card_usage.staging.stage import stage  # noqa: E402
from card_usage.standard.aliases import load_aliases  # noqa: E402
from card_usage.standard.code_tables import load_tables  # noqa: E402
from card_usage.windows import day_window, instant  # noqa: E402

from benchmarks import stand  # noqa: E402
from benchmarks.clients.meter import peak  # noqa: E402
from tests.postgres import Cluster  # noqa: E402

DAY = date(2026, 3, 4)
NOW = instant(datetime.combine(DAY + timedelta(days=1), time(7)))
KEY = Keyring.parse("b:" + "A" * 43 + "=")
FEED = "uses"
PLANTED = 10
COLUMNS = (
    "occurred_at, scene, department, department_name, card_type, channel, cost_type, id_number, name, qr_code_text"
)
SQL = f"""-- bounds: datetime
SELECT source_id, {COLUMNS}, voided
FROM uses
WHERE occurred_at >= :start AND occurred_at < :end
ORDER BY occurred_at, source_id
"""
USES = f"""
    create table uses (id bigint primary key, source_id varchar(20) not null, {COLUMNS.replace(",", " varchar(96),")}
                       varchar(96), voided int not null);
    alter table uses alter column occurred_at type timestamp using occurred_at::timestamp;
    insert into uses
    select n, 'S' || lpad(n::text, 9, '0'), timestamp '{DAY}' + interval '1 day' * (n * 0.999999 / {{events}}),
           '0101051', '0301', '内科门诊', '11', '0100', '0100', null, '王' || (n % 1000),
           upper(md5(n::text)) || md5('q' || n) || ':1', 0
      from generate_series(1, {{events}}) n;
    create index on uses (occurred_at);
    create index on uses (source_id);
    create view uses_of_day as select id, source_id, voided from uses;
    analyze uses;
"""
SETTLE = """
    update event set status = 'delivered', result_code = 0, attempts = 1, sealed = null, key_id = null,
                     settled_at = now();
    insert into attempt (event_id, request_id, deliverer, at, answer, http_status, result_code, status)
    select id, request_id, 1, now(), 'accepted', 200, 0, 'delivered' from event where status = 'delivered';
    create view events_of_day as
    select substr(source_id, 2)::bigint id, source_id, (voided_at is not null)::int voided
      from event where day = '{day}';
    vacuum analyze event;
    vacuum analyze attempt;
"""
DIFFER = f"""
    delete from uses where id in (
      select id from uses where id % ({{events}} / {PLANTED}) = {{events}} / 40 order by id limit {PLANTED});
    insert into uses select id + 100000000, 'S' || lpad((id + 100000000)::text, 9, '0'), {COLUMNS}, 0 from uses
     where id % ({{events}} / {PLANTED}) = {{events}} / 20 order by id limit {PLANTED};
    update uses set voided = 1 where id in (
      select id from uses where id % ({{events}} / {PLANTED}) = {{events}} / 13 order by id limit {PLANTED})
"""


AS_BEFORE = """
    update event set voided_at = null, vanished_at = null where voided_at is not null or vanished_at is not null;
    delete from absent; delete from source_mark; insert into source_mark select * from level; vacuum analyze event
"""


class Place(NamedTuple):
    """Where everything is, as it goes to the processes."""

    his: str
    ledger: str
    sql: str


class Run(NamedTuple):
    """What a run found and took: records that differ, seconds, MiB, seconds of processor time of client and server."""

    differ: int
    seconds: float
    peak: float
    client: float
    server: float


def hospital(identity: str = "demo_hospital", feeds: tuple[str, ...] = (FEED,)) -> Hospital:
    found = load_hospital(SHIPPED / "hospitals", "demo_hospital")
    his = found.his.model_copy(update={"shape": "plain", "feeds": feeds})
    return found.model_copy(update={"id": identity, "his": his})


def source(place: Place, of: Hospital) -> Source:
    return Source(connect(place.his), of, sql=Path(place.sql))


def drafter(of: Hospital, feed: str) -> Drafter:
    tables = load_tables()
    return Drafter(of, feed, tables, load_aliases(SHIPPED / "code_aliases", of.id, tables), DayKeys(KEY).of(of.id))


def ours(place: Place) -> tuple[int, float]:
    home = hospital()
    ledger = open_ledger(place.ledger, KEY)
    draft = drafter(home, FEED).draft
    began = perf_counter()
    result = recount_day(ledger, source(place, home), home, DAY, lambda _: draft, now=NOW)
    seconds = perf_counter() - began
    assert result.remainder == 0, result.summary()
    named = result.named
    return sum(named[name] for name in ("late_in_source", "vanished_from_source", "voided_after_delivery")), seconds


def row_by_row(place: Place) -> tuple[int, float]:
    differ = 0
    with psycopg.connect(plain(place.his)) as his, psycopg.connect(plain(place.ledger)) as ledger:
        began = perf_counter()
        with his.cursor("rows") as rows, ledger.cursor() as look:
            rows.execute("select source_id, voided from uses")
            for source_id, voided in rows:
                key = event_key("demo_hospital", FEED, source_id)
                look.execute("select (voided_at is not null)::int from event where key = %s", (key,), prepare=True)
                found = look.fetchone()
                differ += found is None or found[0] != voided
        with ledger.cursor("rows") as rows, his.cursor() as look:
            rows.execute("select source_id from event where day = %s", (DAY,))
            for (source_id,) in rows:
                look.execute("select 1 from uses where source_id = %s", (source_id,), prepare=True)
                differ += look.fetchone() is None
        return differ, perf_counter() - began


def two_sets(place: Place) -> tuple[int, float]:
    began = perf_counter()
    with psycopg.connect(plain(place.his)) as his, psycopg.connect(plain(place.ledger)) as ledger:
        theirs: dict[str, int] = dict(his.execute("select source_id, voided from uses").fetchall())
        held: dict[str, int] = dict(
            ledger.execute(
                "select source_id, (voided_at is not null)::int from event where day = %s", (DAY,)
            ).fetchall()
        )
    differ = sum(held.get(source_id) != voided for source_id, voided in theirs.items())
    differ += len(held.keys() - theirs.keys())
    return differ, perf_counter() - began


def plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


def _measure(work: Callable[[Place], tuple[int, float]], place: Place) -> tuple[int, float, float, float]:
    began = process_time()
    differ, seconds = work(place)
    return differ, seconds, peak(), process_time() - began


def alone(work: Callable[[Place], tuple[int, float]], place: Place, cluster: Cluster) -> Run:
    """`work` in a process of its own."""
    before = stand.postgresql_cpu(cluster)
    told = stand.apart(_measure, work, place)
    return Run(*told, stand.postgresql_cpu(cluster) - before)


def reladiff_environment() -> Path:
    """var/bench/reladiff, made with pip once."""
    home = stand.ROOT / "var/bench/reladiff"
    if not (home / "made").exists():
        print(f"making {home.relative_to(stand.ROOT)} (once)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        subprocess.run([home / "bin/pip", "install", "--quiet", "reladiff", "psycopg2-binary"], check=True)
        (home / "made").touch()
    return home


def reladiff(place: Place, cluster: Cluster) -> Run:
    before = stand.postgresql_cpu(cluster)
    program = str(stand.ROOT / "benchmarks/clients/reladiff_compare.py")
    words = [str(reladiff_environment() / "bin/python"), program, plain(place.his), plain(place.ledger)]
    told = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
    return Run(**told, server=stand.postgresql_cpu(cluster) - before)


def execute(url: str, script: str) -> None:
    """Statements, each in a transaction of its own."""
    with psycopg.connect(plain(url), autocommit=True) as connection:
        for statement in script.split(";"):
            if statement.strip():
                connection.execute(statement)


def fill(place: Place, events: int) -> None:
    """The HIS, and the ledger as staging and delivery leave it."""
    began = perf_counter()
    execute(place.his, USES.format(events=events))
    (Path(place.sql) / "plain").mkdir()
    (Path(place.sql) / "plain" / f"{FEED}.sql").write_text(SQL)
    migrate(place.ledger)
    home = hospital()
    ledger = open_ledger(place.ledger, KEY)
    staged(place, home, FEED, DAY)
    ledger.close()
    execute(place.ledger, SETTLE.format(day=DAY))
    print(f"{events:,} events staged and settled in {perf_counter() - began:.0f} s", file=sys.stderr)


def staged(place: Place, home: Hospital, feed: str, day: date) -> None:
    """The real staging, and its mark of how the HIS looked before."""
    ledger = open_ledger(place.ledger, KEY)
    his, window = source(place, home), day_window(day)
    record_checksums(ledger, his, home.id, feed, window, now=NOW)
    tables = load_tables()
    stage(
        his.rows(feed, window.start, window.end),
        hospital=home,
        feed=feed,
        window=window,
        ledger=ledger,
        tables=tables,
        aliases=load_aliases(SHIPPED / "code_aliases", home.id, tables),
        backfill=False,
        now=NOW,
    )
    ledger.close()


def measured(name: str, run: Run, planted: int) -> tuple[str, Run]:
    assert run.differ == planted, f"{name} found {run.differ} of {planted}"
    print(f"{name}: {run.seconds:.2f} s", file=sys.stderr)
    return name, run


def one_day(events: int, rounds: int) -> None:
    planted = 3 * PLANTED
    with tempfile.TemporaryDirectory(prefix="card_usage_bench_") as folder, stand.postgresql() as cluster:
        place = Place(cluster.url(cluster.create()), cluster.url(cluster.create()), folder)
        fill(place, events)
        runs: list[tuple[str, Run]] = []
        quiet = middle([alone(ours, place, cluster) for _ in range(rounds)])
        runs.append(measured("ours, quiet day", quiet, 0))
        runs.append(measured("reladiff, quiet day", reladiff(place, cluster), 0))
        execute(place.his, DIFFER.format(events=events))
        # The others first: ours marks what it finds, and a refund that is marked no longer differs.
        others = {
            "two sets": alone(two_sets, place, cluster),
            "reladiff": reladiff(place, cluster),
            "row by row": alone(row_by_row, place, cluster),
        }
        execute(place.ledger, "create table level as select * from source_mark")
        differing = []
        for _ in range(rounds):
            execute(place.ledger, AS_BEFORE)
            differing.append(alone(ours, place, cluster))
        runs.append(measured("ours, 30 records differ", middle(differing), planted))
        for name, run in others.items():
            runs.append(measured(f"{name}, 30 records differ", run, planted))
        execute(place.ledger, "delete from source_mark")
        runs.append(measured("ours, first look", alone(ours, place, cluster), planted))
    reference = dict(runs)["row by row, 30 records differ"]
    whole = reference.client + reference.server
    rows = [
        (
            name,
            f"{run.seconds:,.2f}",
            f"{reference.seconds / run.seconds:,.1f}",
            f"{run.client + run.server:,.1f}",
            f"{whole / (run.client + run.server):,.1f}",
            f"{run.peak:,.0f}",
        )
        for name, run in runs
    ]
    head = ("", "seconds", "times row by row", "CPU of client and server, s", "times row by row", "peak, MiB")
    print(f"\nA day of {events:,} events on PostgreSQL, {stand.load()}\n")
    print(stand.table(head, rows))


def middle(runs: list[Run]) -> Run:
    """The run in the middle, by seconds. All must have found the same."""
    assert len({run.differ for run in runs}) == 1
    return sorted(runs, key=lambda run: run.seconds)[len(runs) // 2]


FEEDS = ("registration", "payment", "dispensing", "examination", "laboratory")
DAYS = 7


def fleet(hospitals: int, looked_at: int, events: int) -> None:
    """A morning's recount: `DAYS` days and five feeds a hospital, in a ledger that holds all of them."""
    with tempfile.TemporaryDirectory(prefix="card_usage_bench_") as folder, stand.postgresql() as cluster:
        place = Place(cluster.url(cluster.create()), cluster.url(cluster.create()), folder)
        execute(place.his, USES.format(events=events))
        days = [DAY - timedelta(days=n) for n in range(DAYS)]
        for day in days[1:]:
            shift = (DAY - day).days
            moved = COLUMNS.replace("occurred_at", f"occurred_at - interval '{shift} days'", 1)
            key = f"id + {shift * 10_000_000}"
            execute(
                place.his,
                f"insert into uses select {key}, 'S' || lpad(({key})::text, 9, '0'), {moved}, 0"
                f" from uses where id <= {events}",
            )
        (Path(folder) / "plain").mkdir()
        for feed in FEEDS:
            (Path(folder) / "plain" / f"{feed}.sql").write_text(SQL)
        migrate(place.ledger)
        first = hospital("hospital_0", FEEDS)
        for feed in FEEDS:
            for day in days:
                staged(place, first, feed, day)
        execute(place.ledger, "update event set status = 'delivered', settled_at = now(), sealed = null, key_id = null")
        # The others are copies: reconciling asks the same of each.
        columns = "feed, source_id, day, occurred_at, scene, department, card_type, channel, cost_type, status, digest"
        execute(
            place.ledger,
            f"""insert into event (key, hospital, {columns}, request_id, staged_at, settled_at)
                select md5(h || key), 'hospital_' || h, {columns}, md5(h || request_id), staged_at, settled_at
                  from event, generate_series(1, {hospitals - 1}) h;
                insert into attempt (event_id, request_id, deliverer, at, answer, http_status, result_code, status)
                select id, request_id, 1, now(), 'accepted', 200, 0, 'delivered' from event;
                vacuum analyze event; vacuum analyze attempt""",
        )
        ledger = open_ledger(place.ledger, KEY)
        his_queries = 0

        def counted(*_: object) -> None:
            nonlocal his_queries
            his_queries += 1

        homes = [hospital(f"hospital_{n}", FEEDS) for n in range(looked_at)]
        sources = {home.id: source(place, home) for home in homes}
        for home in homes:
            for feed in FEEDS:
                for day in days:
                    record_checksums(ledger, sources[home.id], home.id, feed, day_window(day), now=NOW)
            sa.event.listen(sources[home.id].engine, "before_cursor_execute", counted)
        drafts = {feed: drafter(homes[0], feed).draft for feed in FEEDS}
        began, cpu, server = perf_counter(), process_time(), stand.postgresql_cpu(cluster)
        for home in homes:
            for day in days:
                result = recount_day(ledger, sources[home.id], home, day, drafts.__getitem__, now=NOW)
                assert result.remainder == 0, result.summary()
        seconds, cpu = perf_counter() - began, process_time() - cpu
        ledger.close()
        for one in sources.values():
            one.engine.dispose()
        server = stand.postgresql_cpu(cluster) - server
    each = seconds / looked_at
    total = hospitals * DAYS * len(FEEDS) * events
    print(f"\nA morning's recount, {DAYS} days and {len(FEEDS)} feeds a hospital, a ledger of {total:,} events of")
    print(f"{hospitals} hospitals, {looked_at} of them looked at; {stand.load()}\n")
    rows = [
        ("seconds a hospital", f"{each:.2f}"),
        ("of processor time, client and server", f"{cpu / looked_at:.2f} and {server / looked_at:.2f}"),
        ("queries at its HIS", f"{his_queries / looked_at:.0f}"),
        (f"minutes for {hospitals}, four at a time", f"{each * hospitals / 4 / 60:.1f}"),
    ]
    print(stand.table(("", ""), rows))


def main() -> None:
    """Read the flags, fill, run, print."""
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    flags.add_argument("--events", type=int, default=1_000_000, help="a day's events; with --fleet: a feed's and day's")
    flags.add_argument("--rounds", type=int, default=3, help="of ours")
    flags.add_argument("--fleet", type=int, metavar="N", help="recount so many hospitals instead")
    flags.add_argument("--looked-at", type=int, default=20, help="hospitals of the fleet that are measured")
    asked = flags.parse_args()
    if asked.fleet:
        fleet(asked.fleet, min(asked.looked_at, asked.fleet), min(asked.events, 40))
    else:
        one_day(asked.events, asked.rounds)


if __name__ == "__main__":
    assert NOW.tzinfo is not None
    assert NOW.astimezone(UTC) == NOW
    main()
