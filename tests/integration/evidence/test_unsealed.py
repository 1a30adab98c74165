"""Rows of versions that made no MACs are said to be not sealed, and nobody can pass other rows off as such."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from desk import SPAN, Desk, opened
from forked_cli import CommandLine

OF = SPAN[:2]
MACED = ("event", "attempt", "day_use", "reconciliation", "report_file")


def write(desk: Desk, *statements: str) -> None:
    with closing(sqlite3.connect(desk.home / "ledger.db")) as connection, connection:
        for statement in statements:
            assert connection.execute(statement).rowcount != 0, statement


def as_before_macs(desk: Desk) -> None:
    write(desk, *(f"update {table} set mac = null" for table in MACED), "delete from meta where name = 'macs_since'")


def verified(desk: Desk) -> dict[str, Any]:
    done = desk.run("evidence", "verify", *OF, "--json")
    assert "Traceback" not in done.stderr
    told: dict[str, Any] = json.loads(done.stdout)["evidence"]
    assert told["sound"] is (done.returncode == 0)
    return told


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, command_line: CommandLine) -> Iterator[Desk]:
    """Two days of a version without MACs, sealed by this one."""
    home = tmp_path_factory.mktemp("upgraded") / "home"
    home.mkdir()
    with opened(home, command_line, uses=300) as desk:
        desk.json("run", *SPAN)
        as_before_macs(desk)
        assert desk.json("evidence", "make", *OF)["evidence"]
        yield desk


@pytest.fixture
def upgraded(made: Desk, tmp_path: Path) -> Iterator[Desk]:
    """The same, put back afterwards."""
    kept = tmp_path / "kept"
    shutil.copytree(made.home, kept)
    yield made
    shutil.rmtree(made.home)
    shutil.copytree(kept, made.home)


def copied(desk: Desk, *, number: str) -> None:
    """A delivered event with its call, put in under another id and key, without MACs, at the same times."""
    with closing(sqlite3.connect(desk.home / "ledger.db")) as connection, connection:
        connection.row_factory = sqlite3.Row
        row = dict(connection.execute("select * from event where status = 'delivered' limit 1").fetchone())
        call = dict(connection.execute("select * from attempt where event_id = ?", (row["id"],)).fetchone())
        (last,) = connection.execute("select max(id) from event").fetchone()
        id_ = last + 1 if number == "next" else -1
        row |= {"id": id_, "key": "f" * 32, "source_id": "F1", "request_id": "F" * 32, "mac": None}
        call |= {"id": 10**6 if number == "next" else -1, "event_id": id_, "request_id": "F" * 32, "mac": None}
        for table, values in (("event", row), ("attempt", call)):
            marks = ", ".join("?" * len(values))
            connection.execute(f"insert into {table} ({', '.join(values)}) values ({marks})", list(values.values()))


def test_old_rows_are_said_to_be_not_sealed_and_the_days_are_sound(upgraded: Desk) -> None:
    told = verified(upgraded)
    assert told["sound"], told
    not_sealed = told["not sealed"]
    with closing(sqlite3.connect(upgraded.home / "ledger.db")) as connection:
        for name, table in (("events", "event"), ("calls", "attempt")):
            (count,) = connection.execute(f"select count(*) from {table}").fetchone()
            assert 0 < not_sealed[name] <= count
        (since,) = connection.execute("select setting from meta where name = 'macs_since'").fetchone()
    assert since.startswith(not_sealed["made before"][:19])
    assert not_sealed["figures"] > 0


def test_a_ledger_that_had_macs_from_its_beginning_says_nothing_of_old_rows(
    tmp_path: Path, command_line: CommandLine
) -> None:
    with opened(tmp_path, command_line, uses=40) as desk:
        desk.json("run", *SPAN)
        desk.json("evidence", "make", *OF)
        told = verified(desk)
    assert told["sound"]
    assert "not sealed" not in told


def test_a_row_put_in_behind_the_old_ones_was_not_written_by_us(upgraded: Desk) -> None:
    copied(upgraded, number="next")
    told = verified(upgraded)
    assert [row["what"] for row in told["rows"]] == ["row was not written by us"]
    assert told["rows"][0]["row"] == "f" * 32


def test_a_row_put_in_under_an_id_below_the_old_ones_makes_too_many(upgraded: Desk) -> None:
    copied(upgraded, number="free")
    told = verified(upgraded)
    problems = [one["problem"] for one in told["chain"]]
    assert any(problem.startswith("event: ") and "put in" in problem for problem in problems)
    assert any(problem.startswith("attempt: ") for problem in problems)


def test_an_old_row_that_was_changed_is_told_by_its_pack(upgraded: Desk) -> None:
    write(upgraded, "update event set scene = '010104' where status = 'delivered' and scene <> '010104'")
    told = verified(upgraded)
    assert {row["what"] for row in told["rows"]} == {"content changed without staging"}


def take_off_every_mac(desk: Desk) -> None:
    as_before_macs(desk)


def take_off_the_macs_of_events(desk: Desk) -> None:
    write(desk, "update event set mac = null", "delete from meta where name = 'macs_since'")


def raise_the_numbers(desk: Desk) -> None:
    write(
        desk,
        "update event set mac = null",
        "update meta set setting = replace(setting, ' 0,0,0,0,0 ', ' 9999,9999,9999,9999,9999 ') "
        "where name = 'macs_since'",
    )


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        (take_off_every_mac, "what may be without a MAC was moved since the pack of 2026-03-02 was made"),
        (take_off_the_macs_of_events, "row was not written by us"),
        (raise_the_numbers, "row was not written by us"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_nobody_makes_rows_old_by_taking_off_macs_and_the_mark_of_their_beginning(
    tmp_path: Path, command_line: CommandLine, attack: Callable[[Desk], None], said: str
) -> None:
    with opened(tmp_path, command_line, uses=40) as desk:
        desk.json("run", *SPAN)
        desk.json("evidence", "make", *OF)
        attack(desk)
        told = verified(desk)
    assert told["sound"] is False
    assert any(said in text for text in [one["problem"] for one in told["chain"]] + [*told["changes"]])
