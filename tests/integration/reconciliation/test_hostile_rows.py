"""A HIS full of dirt: whatever stands in its rows, HIS = staged and named classes, and staging again changes nothing.

HOSTILE_ROWS=200000 pytest tests/integration/reconciliation/test_hostile_rows.py
"""

from __future__ import annotations

import os
import random
import sqlite3
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import planted
import pytest
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import absent, event, feed_window, source_mark, staged_hour
from card_usage.reconciliation.balance import Reconciliation
from card_usage.reconciliation.comparison import record_checksums, recount_day
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from card_usage.staging.drafts import Drafter
from card_usage.staging.stage import Staged, stage
from card_usage.standard.code_tables import load_tables
from card_usage.windows import day_window
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

DAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 4, 1, tzinfo=UTC)
WINDOW = day_window(DAY)
ROWS = int(os.environ.get("HOSTILE_ROWS", "4000"))
TABLES = load_tables()
ALIASES: dict[str, dict[str, str]] = {name: {} for name in TABLES}


def hostile(path: Path, rows: int, seed: int = 11) -> None:
    """V_CARD_USE of one day and its neighbours, with every kind of dirt that a text column takes."""
    dice = random.Random(seed)
    names = ["张三", "王\U0002ebf1", "李\ue863", "a\x00b", "\x1f", "", "无", None, "测试", "O'Neil", "?", "\u200b"]
    numbers = ["11010119900307001X", "", "无", "0", "1" * 40, "\x00", None, "110101202703040017", "１２３"]
    codes = ["0101012", "010105", "x" * 300, "", None, "\x00", "甲" * 20]
    columns = "feed source_id occurred_at scene department department_name card_type channel cost_type id_number name"
    made = []
    for number in range(rows):
        key = number if dice.random() < 0.7 else dice.randrange(rows)  # a third of the keys comes again, anywhere
        source_id = dice.choice(["{}", "{}", "{}", " {} ", "k\x00{}", "键{}", "{}" + "z" * 200]).format(key)
        at = datetime.combine(DAY, datetime.min.time()) + timedelta(seconds=dice.randrange(86_400))
        shown = at.isoformat(" ", "seconds")
        odd = [
            DAY.isoformat(),
            f"{DAY} 00:00:00",
            f"{DAY} 24:00:00",
            f"{DAY} 9:5",
            f"{DAY} 25:99:00",
            f"{DAY}T09:00:00",
        ]
        when = dice.choice(odd) if dice.random() < 0.2 else shown
        values = [dice.choice(codes) for _ in range(6)]
        voided = dice.choice([0, 0, 0, 0, 1, 2, -1])
        made.append(
            ("payment", source_id, when, *values, dice.choice(numbers), dice.choice(names), dice.choice(names), voided)
        )
    with sqlite3.connect(path) as his:
        his.execute(f"CREATE TABLE V_CARD_USE ({columns.replace(' ', ', ')}, qr_code_text, voided)")
        his.executemany(f"INSERT INTO V_CARD_USE VALUES ({', '.join('?' * 13)})", made)
    his.close()


class Trial:
    """One HIS and one ledger."""

    def __init__(self, path: Path, ledger: Ledger, batch: int) -> None:
        his = {"shape": "card_use_view", "feeds": ("payment",), "fetch_size": batch}
        self.hospital, self.ledger = planted.hospital(his=his), ledger
        self.source = Source(connect(f"sqlite:///{path}", self.hospital.his), self.hospital)

    def stage(self, day: date = DAY) -> Staged:
        window = day_window(day)
        record_checksums(self.ledger, self.source, self.hospital.id, "payment", window, now=NOW)
        return stage(
            self.source.rows("payment", window.start, window.end),
            hospital=self.hospital,
            feed="payment",
            window=window,
            ledger=self.ledger,
            tables=TABLES,
            aliases=ALIASES,
            backfill=False,
            now=NOW,
        )

    def reconcile(self, day: date = DAY) -> Reconciliation:
        def normalize(feed: str) -> object:
            return Drafter(self.hospital, feed, TABLES, ALIASES, self.ledger.day_keys.of(self.hospital.id)).draft

        return recount_day(self.ledger, self.source, self.hospital, day, normalize, now=NOW)  # type: ignore[arg-type]

    def events(self) -> set[tuple[object, ...]]:
        columns = [event.c[name] for name in ("key", "source_id", "status", "digest", "day", "occurred_at", "reason")]
        with self.ledger.read() as connection:
            return {tuple(row) for row in connection.execute(select(*columns))}


@pytest.fixture(scope="module")
def his(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("his") / "his.db"
    hostile(path, ROWS)
    return path


def test_every_row_is_staged_or_named_and_staging_again_changes_nothing(his: Path, ledger: Ledger) -> None:
    trial = Trial(his, ledger, 500)
    first = trial.stage()
    held = trial.events()
    assert first.read == ROWS
    assert first.duplicate > ROWS / 20
    assert len(held) == first.new == ROWS - first.duplicate
    again = trial.stage()
    assert (again.new, again.changed, again.voided, again.marked) == (0, 0, 0, 0)
    assert again.unchanged + again.duplicate == again.read == ROWS
    assert trial.events() == held
    result = trial.reconcile()
    assert result.remainder == 0
    assert result.source == result.staged == len(held)
    assert sum(result.named.values()) == len(held)
    assert not any(result.differences.values()), result.differences
    assert trial.events() == held


def test_the_size_of_a_batch_decides_nothing(his: Path, ledger: Ledger) -> None:
    found = []
    for batch in (37, 20_000):
        trial = Trial(his, ledger, batch)
        trial.stage()
        found.append(trial.events())
        with ledger.write() as connection:
            for table in (absent, feed_window, event):
                connection.execute(delete(table))
    assert found[0] == found[1]


@pytest.mark.parametrize("midnight", ["{}", "{} 00:00", "{} 00:00:00", "{} 00:00:00.000000", "{}T00:00:00"])
def test_a_text_midnight_stands_in_its_own_day(tmp_path: Path, embedded: Ledger, midnight: str) -> None:
    hostile(tmp_path / "his.db", 0)
    with sqlite3.connect(tmp_path / "his.db") as his:
        for day in (DAY, DAY + timedelta(days=1)):
            values = ("payment", str(day), midnight.format(day), "010105", 0)
            his.execute(
                "INSERT INTO V_CARD_USE (feed, source_id, occurred_at, scene, voided) VALUES (?, ?, ?, ?, ?)", values
            )
    his.close()
    trial = Trial(tmp_path / "his.db", embedded, 500)
    assert trial.stage().read == 1
    assert {row[1] for row in trial.events()} == {str(DAY)}
    assert trial.source.tally("payment", WINDOW.start, WINDOW.end).rows == 1
    assert [tally.minute for tally in trial.source.minutes("payment", WINDOW.start, WINDOW.end)] == [0]


@pytest.mark.parametrize("copies", [(0, 1), (1, 0), (0, 0)], ids=["refunded later", "refunded first", "not refunded"])
@pytest.mark.parametrize("batch", [1, 2, 5000])
def test_a_refund_in_any_copy_of_a_row_counts_however_far_apart_they_are(
    tmp_path: Path, ledger: Ledger, copies: tuple[int, int], batch: int
) -> None:
    hostile(tmp_path / "his.db", 0)
    with sqlite3.connect(tmp_path / "his.db") as his:
        for hour, voided in zip((8, 20), copies, strict=True):
            his.execute(
                "INSERT INTO V_CARD_USE (feed, source_id, occurred_at, scene, voided) VALUES ('payment', 'k', ?, ?, ?)",
                (f"{DAY} {hour:02}:00:00", "010105", voided),
            )
    his.close()
    trial = Trial(tmp_path / "his.db", ledger, batch)
    for _ in range(3):
        assert (first := trial.stage()).duplicate == 1
        ((_, _, status, _, _, at, _),) = trial.events()
        assert (status == "voided") is (1 in copies)
        assert at == datetime.combine(DAY, datetime.min.time()) + timedelta(hours=8)
        assert first.read == 2
    assert trial.reconcile().clean is (1 in copies or not trial.reconcile().open)
    assert not any(trial.reconcile().differences.values())


DAYS = (DAY - timedelta(days=1), DAY, DAY + timedelta(days=1))
copies_of_a_key = st.dictionaries(st.sampled_from(DAYS), st.booleans(), min_size=1)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(copies_of_a_key, min_size=1, max_size=5),
    orders=st.lists(st.permutations(DAYS), min_size=2, max_size=3),
)
def test_a_key_in_several_days_is_one_use_however_often_and_in_whatever_order_they_are_staged(
    tmp_path_factory: pytest.TempPathFactory, embedded: Ledger, keys: list[dict[date, bool]], orders: list[list[date]]
) -> None:
    path = tmp_path_factory.mktemp("days") / "his.db"
    hostile(path, 0)
    with sqlite3.connect(path) as his:
        for number, copies in enumerate(keys):
            for day, voided in copies.items():
                his.execute(
                    "INSERT INTO V_CARD_USE (feed, source_id, occurred_at, scene, voided)"
                    " VALUES ('payment', ?, ?, '010105', ?)",
                    (f"k{number}", f"{day} 08:00:00", int(voided)),
                )
    his.close()
    with embedded.write() as connection:
        for table in (absent, feed_window, source_mark, staged_hour, event):
            connection.execute(delete(table))
    trial = Trial(path, embedded, 500)
    for day in orders[0]:
        trial.stage(day)
    held = trial.events()
    assert {row[1]: row[2] == "voided" for row in held} == {f"k{n}": any(k.values()) for n, k in enumerate(keys)}
    for order in orders:
        for day in order:
            staged = trial.stage(day)
            assert (staged.new, staged.changed, staged.voided, staged.marked) == (0, 0, 0, 0)
            assert staged.read == staged.unchanged + staged.duplicate
        assert trial.events() == held
    results = [trial.reconcile(day) for day in DAYS]
    assert sum(result.remainder for result in results) == 0
    assert sum(result.named["moved_here"] for result in results) == sum(map(len, keys)) - len(keys)
    assert not any(sum(result.named[name] for result in results) for name in ("late_in_source", "vanished_from_source"))
    assert trial.events() == held
