"""The warehouse is the ledger, day by day: written again without harm, compacted, rebuilt, and right at any moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import ledgers
import planted
import pytest
import warehouses
from card_usage.files.store import Store
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event, warehouse_day
from card_usage.warehouse import compact as compacting
from card_usage.warehouse import run
from card_usage.warehouse.build import build
from card_usage.warehouse.check import check
from card_usage.warehouse.layout import HospitalDay, Listing, cube_file, day_file, month_file
from card_usage.warehouse.schema import CUBE_COLUMNS, USES_COLUMNS
from planted import NOW
from sqlalchemy import delete, func, select, update
from warehouses import Built

HOSPITALS = ("demo_hospital", "second")


@pytest.fixture
def built(ledger: Ledger, tmp_path: Path) -> Built:
    warehouses.plant(ledger, hospitals=HOSPITALS)
    return warehouses.make(ledger, tmp_path / "store")


def sums(built: Built) -> tuple[int, int]:
    """Records and valid uses of the ledger."""
    with built.ledger.read() as connection:
        records = connection.scalar(select(func.count()).select_from(event))
        uses = connection.scalar(select(func.count()).select_from(event).where(event.c.voided_at.is_(None)))
    assert records
    assert uses
    return records, uses


def agrees(built: Built) -> bool:
    checked = check(built.ledger, built.store)
    assert checked.ledger == sums(built)
    return not checked.differences and checked.warehouse == checked.ledger


def test_facts_sum_to_the_ledger_before_and_after_they_are_compacted(built: Built) -> None:
    built.build(*HOSPITALS)
    assert len(Listing.of(built.store).days) == 8
    assert agrees(built)
    built.compact()
    listing = Listing.of(built.store)
    assert not listing.days
    assert listing.cubes == {date(2026, 2, 1), date(2026, 3, 1)}
    assert len(listing.months) == 4
    assert agrees(built)


def test_the_same_days_again_write_nothing(built: Built) -> None:
    built.build(*HOSPITALS)
    again = run.build_days(built.ledger, built.store, warehouses.hospital("second"), warehouses.days(), now=NOW)
    assert again == (0, 4, 0)


def test_a_day_that_changed_after_its_month_was_compacted_counts_at_once_and_is_compacted_again(built: Built) -> None:
    built.build(*HOSPITALS)
    built.compact()
    with built.ledger.write() as connection:
        planted.plant(connection, {"delivered": 17}, seed=9, day=warehouses.FIRST)
    assert not agrees(built)
    built.build("demo_hospital")
    assert Listing.of(built.store).days == {HospitalDay("demo_hospital", warehouses.FIRST)}
    assert agrees(built)
    built.compact()
    assert not Listing.of(built.store).days
    assert agrees(built)


def test_a_day_from_which_every_record_went_has_none_in_the_warehouse(built: Built) -> None:
    built.build(*HOSPITALS)
    built.compact()
    with built.ledger.write() as connection:
        connection.execute(delete(event).where(event.c.hospital == "second", event.c.day == warehouses.FIRST))
    # Nobody has to name the day: what went from the ledger goes from here with the next build of any.
    result = run.build_days(built.ledger, built.store, warehouses.hospital("second"), [], now=NOW)
    assert result == (1, 0, 0)
    assert agrees(built)
    built.compact()
    assert agrees(built)
    assert run.build_days(built.ledger, built.store, warehouses.hospital("second"), [], now=NOW) == (0, 0, 0)


def test_everything_is_rebuilt_from_the_ledger_alone_and_a_hospital_without_a_file_stays(
    built: Built, tmp_path: Path
) -> None:
    built.build(*HOSPITALS)
    built.compact()
    fresh = warehouses.make(built.ledger, tmp_path / "other")
    rebuilt = run.rebuild(built.ledger, fresh.store, [warehouses.hospital("demo_hospital")], now=NOW)
    assert rebuilt.built == (8, 0, 0)
    assert agrees(fresh)
    names = duckdb.connect().sql(f"from '{tmp_path}/other/warehouse/v1/dimensions/hospital.parquet'").fetchall()
    # It is called as when its file was still there.
    assert {row[0]: row[1] for row in names}["second"] == "医院second"
    assert {row[0]: row[4:] for row in names}["second"] == (
        "440000", "广东省", "440100", "广州市", "440106", "天河区",
    )  # fmt: skip


def test_a_build_never_waits_for_the_day_that_cannot_be_written(built: Built) -> None:
    built.folder.mkdir()
    blocked = built.folder / "warehouse/v1/uses/days/day=2026-02-28"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")
    result = run.build_days(built.ledger, built.store, warehouses.hospital("second"), warehouses.days(), now=NOW)
    assert result == (3, 0, 1)
    with built.ledger.read() as connection:
        failed = connection.execute(
            select(warehouse_day.c.day, warehouse_day.c.reason).where(warehouse_day.c.failed_at.is_not(None))
        ).all()
    assert failed == [(date(2026, 2, 28), failed[0].reason)]
    assert failed[0].reason.endswith("Error")
    blocked.unlink()
    built.build(*HOSPITALS)
    assert agrees(built)


def test_other_programs_read_the_files_with_the_published_columns(built: Built) -> None:
    built.build(*HOSPITALS)
    built.compact()
    schema = json.loads((built.folder / "warehouse/v1/schema.json").read_text())
    assert schema["version"] == 1
    files = {
        "uses": built.folder / month_file("second", date(2026, 2, 1)),
        "cube": built.folder / cube_file(date(2026, 2, 1)),
    }
    for name, columns in (("uses", USES_COLUMNS), ("cube", CUBE_COLUMNS)):
        described = duckdb.connect().execute(
            "describe from read_parquet(?, hive_partitioning = false)", [str(files[name])]
        )
        assert [tuple(row[:2]) for row in described.fetchall()] == list(columns)
        assert schema[name] == dict(columns)


def test_nothing_in_the_files_is_of_a_patient(built: Built) -> None:
    built.build(*HOSPITALS)
    plain = duckdb.connect()
    for step in (lambda: None, built.compact):
        step()
        files = list(built.folder.rglob("*.parquet"))
        assert files
        for file in files:
            text = repr(plain.execute("from read_parquet(?)", [str(file)]).fetchall())
            assert not [secret for secret in planted.SECRETS if secret in text]


class _Died(Exception):
    """In the place of a kill."""


class _Mortal(Store):
    """A store that lets its process die before the n-th change of a file."""

    def __init__(self, folder: Path, after: int) -> None:
        super().__init__(folder)
        self.left = after

    def _step(self) -> None:
        if self.left == 0:
            raise _Died
        self.left -= 1

    def write(self, name: str, content: bytes) -> None:
        self._step()
        super().write(name, content)

    def delete(self, name: str) -> None:
        self._step()
        super().delete(name)


@pytest.mark.parametrize("after", range(11))
def test_a_compaction_that_dies_before_any_of_its_changes_leaves_a_warehouse_that_is_right(
    embedded: Ledger, tmp_path: Path, after: int
) -> None:
    warehouses.plant(embedded, hospitals=HOSPITALS)
    built = warehouses.make(embedded, tmp_path / "store")
    built.build(*HOSPITALS)
    built.compact()
    with built.ledger.write() as connection:
        for day in warehouses.days():
            planted.plant(connection, {"delivered": 7}, seed=after, day=day)
    built.build(*HOSPITALS)
    changed = len(Listing.of(built.store).days)
    assert changed == 4
    mortal = _Mortal(built.folder, after)
    # Of each month three files, and of each day the deletion of its own: 6 + 4.
    if after < 10:
        with pytest.raises(_Died):
            compacting.compact(built.ledger, mortal)
    else:
        compacting.compact(built.ledger, mortal)
    assert agrees(built)
    built.compact()
    assert agrees(built)


def test_a_day_written_while_its_month_is_compacted_is_not_lost(built: Built) -> None:
    built.build(*HOSPITALS)

    class Interrupted(Store):
        """Another process builds a day between the reading of the days and the writing of the month."""

        def write(self, name: str, content: bytes) -> None:
            if "/cube/" in name and not meanwhile:
                meanwhile.append(name)
                again()
            super().write(name, content)

    meanwhile: list[str] = []

    def again() -> None:
        warehouses.make(built.ledger, built.folder)
        of = HospitalDay("second", warehouses.FIRST)
        os.utime(built.folder / day_file(of))

    compacting.compact(built.ledger, Interrupted(built.folder))
    with built.ledger.write() as connection:
        planted.plant(connection, {"delivered": 3}, seed=5, day=warehouses.FIRST, hospital="second")
    # As if the build had begun before the compaction deleted: its version is newer than the one that was read.
    built.build("second")
    versions = {HospitalDay("second", warehouses.FIRST): 1}
    compacting._delete_merged(built.ledger, built.store, *versions.popitem())
    assert Listing.of(built.store).days == {HospitalDay("second", warehouses.FIRST)}
    assert agrees(built)


def test_of_two_compactions_the_one_with_the_older_state_gives_way(built: Built, monkeypatch: Any) -> None:
    built.build("demo_hospital")
    files = compacting._files
    raced: list[int] = []

    def slow(*arguments: Any) -> Any:
        written = files(*arguments)
        if not raced:
            raced.append(1)
            built.build("second")
            built.compact()
        return written

    monkeypatch.setattr(compacting, "_files", slow)
    built.compact()
    assert agrees(built)
    assert not Listing.of(built.store).days


_KILLED = """
import sys
from datetime import timedelta
from pathlib import Path
import ledgers, warehouses
from card_usage.warehouse import run
from planted import NOW
with ledgers.opened(sys.argv[1]) as ledger:
    built = warehouses.make(ledger, Path(sys.argv[2]))
    print("begun", flush=True)
    while True:
        hospitals = [warehouses.hospital(name) for name in ("demo_hospital", "second")]
        run.rebuild(ledger, built.store, hospitals, now=NOW)
"""


@pytest.mark.parametrize("wait", [0.3, 0.8, 1.3, 2.1])
def test_a_process_killed_at_any_moment_leaves_what_the_next_one_finishes(tmp_path: Path, wait: float) -> None:
    url = ledgers.sqlite_url(tmp_path)
    with ledgers.opened(url) as ledger:
        warehouses.plant(ledger, hospitals=HOSPITALS)
        built = warehouses.make(ledger, tmp_path / "store")
        built.build(*HOSPITALS)
        running = subprocess.Popen(
            [sys.executable, "-c", _KILLED, url, str(built.folder)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(warehouses.__file__).parent)},
        )
        assert running.stdout is not None
        running.stdout.readline()
        time.sleep(wait)
        running.send_signal(signal.SIGKILL)
        running.wait()
        running.stdout.close()
        assert agrees(built)
        built.build(*HOSPITALS)
        built.compact()
        assert agrees(built)


def test_a_build_reads_the_ledger_of_the_moment_in_which_it_writes(built: Built) -> None:
    of = HospitalDay("second", warehouses.FIRST)
    assert build(built.ledger, built.store, [of], now=NOW).written == 1
    with built.ledger.write() as connection:
        connection.execute(update(event).where(event.c.hospital == "second").values(channel="0402"))
    assert build(built.ledger, built.store, [of], now=NOW + timedelta(hours=1)).written == 1
    channels = duckdb.connect().execute("select distinct channel from read_parquet(?)", [str(built.day(of))]).fetchall()
    assert channels == [("0402",)]
