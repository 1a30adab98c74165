"""The page of a large fleet: how big it is, how long it takes, what memory it needs; and the files, to look at.

    .venv/bin/python benchmarks/fleet_page.py                       # 500 hospitals, about half a minute
    .venv/bin/python benchmarks/fleet_page.py --hospitals 40 --keep var/bench/fleet

Some hospital's days are planted, reconciled and reported in every state that a day can be in; the fleet's others are
copies of these, thirty days of each, most of them clean, as on an ordinary morning. What is timed is what the morning
does: read what was kept, write the page, the mail, the sheets and the JSON. Each size in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from time import perf_counter, process_time

import sqlalchemy as sa

sys.path[0] = str(Path(__file__).resolve().parents[1])

from card_usage.config.hospital import Hospital  # noqa: E402
from card_usage.files.store import Store  # noqa: E402
from card_usage.ledger.database import Ledger  # noqa: E402
from card_usage.ledger.schema import day_use, reconciliation  # noqa: E402
from card_usage.reconciliation.balance import SourceCount  # noqa: E402
from card_usage.reconciliation.reconcile import reconcile_day  # noqa: E402
from card_usage.report.publish import publish, publish_fleet  # noqa: E402
from card_usage.report.totals import TREND_DAYS  # noqa: E402
from card_usage.words.catalogue import Language  # noqa: E402

from benchmarks import stand  # noqa: E402
from benchmarks.clients.meter import peak  # noqa: E402
from tests import ledgers, planted  # noqa: E402

DAY = planted.DAY
# State of the day: what the ledger holds, what the HIS has more than that, and how often it is met among a hundred.
STATES = {
    "complete": ({"delivered": 240}, 0, 60),
    "explained": ({"delivered": 230, "quarantined": 7, "rejected": 1}, 0, 24),
    "open": ({"delivered": 200, "ready": 30, "unknown": 2}, 3, 8),
    "uncounted": ({"delivered": 180}, None, 2),
    "broken": ({"delivered": 150, "quarantined": 4}, 0, 1),
    "absent": ({}, 0, 2),
    "empty": ({}, 0, 3),
}
CITIES = (
    *(("海州", "Haizhou"), ("临江", "Linjiang"), ("安宁", "Anning"), ("平湖", "Pinghu"), ("云岭", "Yunling")),
    *(("清河", "Qinghe"), ("东湾", "Dongwan"), ("石门", "Shimen"), ("白沙", "Baisha"), ("龙泉", "Longquan")),
    *(("新桥", "Xinqiao"), ("南陵", "Nanling"), ("青山", "Qingshan")),
)
KINDS = (
    *(("第一人民医院", "First Hospital"), ("第二人民医院", "Second Hospital"), ("中医院", "Hospital of TCM")),
    *(("妇幼保健院", "Maternity Hospital"), ("中心医院", "Central Hospital"), ("第三人民医院", "Third Hospital")),
    *(("人民医院", "People's Hospital"), ("口腔医院", "Dental Hospital")),
)


def fleet(hospitals: int) -> list[Hospital]:
    home = planted.hospital()
    found = []
    for n in range(hospitals):
        city, city_en = CITIES[n % len(CITIES)]
        kind, kind_en = KINDS[n // len(CITIES) % len(KINDS)]
        round_ = n // (len(CITIES) * len(KINDS)) + 1
        name = f"{city}市{'' if round_ == 1 else f'第{round_}区'}{kind}"
        name_en = f"{city_en} {kind_en}{'' if round_ == 1 else f' {round_}'}"
        region = f"99{n % len(CITIES) + 1:02}00"
        live = home.platform.model_copy(update={"live": n % 25 != 7})
        found.append(
            home.model_copy(
                update={"id": f"h{n:03}", "name": name, "name_en": name_en, "region": region, "platform": live}
            )
        )
    return found


def fill(ledger: Ledger, hospitals: list[Hospital], folder: Path) -> None:
    """Each state planted, reconciled and reported once; every hospital's days are copies of one of them."""
    for seed, (state, (mix, more, _)) in enumerate(STATES.items()):
        of = planted.hospital().model_copy(update={"id": state})
        with ledger.write() as connection:
            made = planted.plant(connection, mix, seed=seed, hospital=state)
            if state == "broken":
                connection.execute(sa.text("delete from attempt where event_id = (select max(event_id) from attempt)"))
        late = dict.fromkeys(planted.FEEDS, 0) | {"payment": more or 0}
        source = {
            feed: SourceCount(made.staged(feed) + late[feed], made.refunds[feed])
            for feed in planted.FEEDS
            if more is not None or feed != "payment"
        }
        if state != "absent":
            reconcile_day(ledger, of, DAY, source, now=planted.NOW)
            publish(ledger, of, DAY, Store(folder / "states"), language="zh", now=planted.NOW)
    draw = random.Random(1)
    weights = [share for _, _, share in STATES.values()]
    days = [DAY - timedelta(days=n) for n in range(TREND_DAYS)]
    place = sa.Table("place", sa.MetaData(), *(sa.Column(name, sa.String) for name in ("hospital", "day", "state")))
    with ledger.write() as connection:
        place.create(connection)
        rows = [
            {"hospital": of.id, "day": day.isoformat(), "state": draw.choices(list(STATES), weights)[0]}
            for of in hospitals
            for day in days
        ]
        connection.execute(sa.insert(place), rows)
        for table in (reconciliation, day_use):
            others = ", ".join(one.name for one in table.c if one.name not in ("id", "hospital", "day"))
            connection.execute(
                sa.text(
                    f"insert into {table.name} (hospital, day, {others})"
                    f" select place.hospital, place.day, {others} from place join {table.name} kept"
                    " on kept.hospital = place.state"
                )
            )


def measure(hospitals: int, keep: Path | None, language: Language) -> None:
    """Fill, publish once to warm up, publish, tell."""
    with tempfile.TemporaryDirectory(prefix="card_usage_bench_") as temporary:
        folder = Path(temporary)
        with ledgers.sqlite(folder) as ledger:
            everyone = fleet(hospitals)
            fill(ledger, everyone, folder)
            before = peak()
            store = Store(keep or folder / "reports")
            broken = {"h_new": "his.feeds: no feed of this name"} if hospitals > 100 else {}
            began, cpu = perf_counter(), process_time()
            files, _ = publish_fleet(ledger, everyone, DAY, store, broken=broken, language=language, now=planted.NOW)
            took, used = perf_counter() - began, process_time() - cpu
            sizes = {kind: len(store.read(name)) / 1024 for kind, name in files.items()}
    most = peak()
    print(json.dumps({"seconds": took, "cpu": used, "grown": most - before, "peak": most, "sizes": sizes}))


def main() -> None:
    """Read the flags, run each size, print."""
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    flags.add_argument("--hospitals", type=int, nargs="+", default=[5, 50, 500])
    flags.add_argument("--keep", type=Path, help="a folder for the files of the last size")
    flags.add_argument("--language", choices=("zh", "en"), default="zh")
    flags.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    asked = flags.parse_args()
    if asked.alone:
        measure(asked.hospitals[0], asked.keep, asked.language)
        return
    rows = []
    for hospitals in asked.hospitals:
        keep = ["--keep", str(asked.keep)] if asked.keep and hospitals == asked.hospitals[-1] else []
        words = [
            sys.executable,
            __file__,
            "--alone",
            "--hospitals",
            str(hospitals),
            "--language",
            asked.language,
            *keep,
        ]
        told = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        sizes = [f"{told['sizes'][kind]:,.0f}" for kind in ("html", "mail.html", "xlsx", "json")]
        rows.append([str(hospitals), f"{told['seconds']:.2f}", f"{told['cpu']:.2f}", f"{told['peak']:,.0f}", *sizes])
    print(f"\nThe fleet's page, {stand.load()}\n")
    print(
        stand.table(
            ("hospitals", "seconds", "CPU, s", "peak, MiB", "page, KB", "mail, KB", "XLSX, KB", "JSON, KB"), rows
        )
    )


if __name__ == "__main__":
    main()
