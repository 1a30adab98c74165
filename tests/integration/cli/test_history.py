"""History is loaded by one command: behind what is live, killed and resumed, verified and sealed like any other day."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from desk import DAY, Desk, one_line, opened, span
from forked_cli import CommandLine

DAYS = 6
LIVE = DAY + timedelta(days=DAYS - 2)
PAST = span(DAY, DAYS - 2)


@pytest.fixture
def desk(tmp_path: Path, command_line: CommandLine) -> Iterator[Desk]:
    """Six days in the HIS, of which the last two are reported, verified and sealed already."""
    with opened(tmp_path, command_line, uses=150, days=DAYS) as made:
        assert made.json("run", *span(LIVE))["settled"] is True
        made.json("evidence", "make", "--hospital", "demo_hospital")
        yield made


def rows(desk: Desk, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(desk.home / "ledger.db") as ledger:
        return ledger.execute(query).fetchall()


def verified(desk: Desk) -> set[tuple[str, str]]:
    marks = json.loads(desk.run("verified", "--hospital", "demo_hospital", "--json").stdout)["verified"]
    return {(mark["since"], mark["verified_through"][:10]) for mark in marks}


END = str(LIVE + timedelta(days=2))


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_history_is_verified_and_sealed_like_any_other_day(desk: Desk, order: str) -> None:
    assert verified(desk) == {(str(LIVE), END)}
    loaded = desk.json("history", "load", *PAST, "--order", order)
    assert loaded["settled"] is True
    assert (loaded["history"]["days"], loaded["history"]["worked_on"], loaded["history"]["left"]) == (4, 4, 0)
    assert loaded["history"]["verified_from"] == str(DAY)
    assert verified(desk) == {(str(DAY), END)}
    sealed = [day for (day,) in rows(desk, "select day from evidence order by serial")]
    past = [str(DAY + timedelta(days=n)) for n in range(4)]
    assert sealed[:2] == [str(LIVE), str(LIVE + timedelta(days=1))]
    assert sorted(sealed[2:]) == past
    proved = desk.json("evidence", "verify", "--hospital", "demo_hospital")["evidence"]
    assert (proved["sound"], proved["days"], proved["changes"]) == (True, DAYS, {})
    lanes = rows(desk, f"select day, lane, count(*) from event where day < '{LIVE}' group by day, lane")
    assert {(day, lane) for day, lane, _ in lanes} == {(day, 1) for day in past}
    assert len(list((desk.home / "reports").rglob("card-usage-2026-03-0?.html"))) == DAYS
    again = desk.json("history", "load", *PAST)
    assert (again["history"]["worked_on"], again["history"]["finished_before"], again["history"]["sealed"]) == (0, 4, 0)
    assert desk.sandbox.counts()["doubled"] == 0


@pytest.mark.parametrize("proves", [True, False])
def test_a_load_that_is_killed_goes_on_where_it_was(desk: Desk, proves: bool) -> None:
    if proves:
        desk.json("platform", "calibrate", "--hospital", "demo_hospital")
    before = int(desk.sandbox.counts()["accepted"])
    for _ in range(3):
        load = subprocess.Popen(
            desk.command("history", "load", *PAST), env=desk.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        reached = int(desk.sandbox.counts()["accepted"]) + 40
        until = time.monotonic() + 60
        while load.poll() is None and int(desk.sandbox.counts()["accepted"]) < reached and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(load.pid, signal.SIGKILL)
        load.communicate()
    assert int(desk.sandbox.counts()["accepted"]) > before
    status = json.loads(desk.run("history", "status", *PAST, "--json").stdout)["history"]
    assert status["finished"] + status["left"] == 4
    done = desk.run("history", "load", *PAST, "--json")
    loaded = json.loads(done.stdout)
    assert (loaded["history"]["finished_before"], loaded["history"]["left"]) == (status["finished"], 0)
    assert verified(desk) == {(str(DAY), END)}
    counts = desk.sandbox.counts()
    assert counts["doubled"] == 0
    states = dict(rows(desk, "select status, count(*) from event group by status"))
    unconfirmed = states.get("unconfirmed", 0)
    assert states["delivered"] + unconfirmed == counts["accepted"]
    # Where nobody can say what came of the calls under way, it does not say that all is well.
    assert (done.returncode, loaded["history"]["undecided"]) == (1 if unconfirmed else 0, unconfirmed)
    assert not (proves and unconfirmed)


def test_a_hold_ends_the_load_and_it_goes_on_after_it(desk: Desk) -> None:
    two = desk.run("history", "load", *PAST, "--most-days", "2", "--json")
    assert two.returncode == 1
    assert json.loads(two.stdout)["history"]["left"] == 2
    # The nearest days first: what is verified begins with them already.
    assert verified(desk) == {(str(LIVE - timedelta(days=2)), END)}
    desk.run("pause", "--hospital", "demo_hospital")
    held = desk.run("history", "load", *PAST, "--json")
    assert held.returncode == 1
    told = json.loads(held.stdout)
    assert (told["history"]["worked_on"], told["history"]["stopped_by"]) == (0, "pause")
    assert "run the same command again" in told["to_do"]
    desk.run("resume", "--hospital", "demo_hospital")
    assert desk.json("history", "load", *PAST)["history"]["left"] == 0


def test_a_range_without_a_day_that_can_be_loaded_is_one_line(desk: Desk) -> None:
    ahead = ["--hospital", "demo_hospital", "--from", "2099-01-01", "--to", "2099-01-02"]
    for verb in ("load", "status"):
        assert "no day that has ended" in one_line(desk.run("history", verb, *ahead))


def test_an_old_day_that_is_mended_after_it_was_sealed_is_sealed_again(desk: Desk) -> None:
    desk.json("history", "load", *PAST)
    with sqlite3.connect(desk.home / "his.db") as his:
        first = f"select sjh from VW_MZBRJSK where sfrq < '{DAY:%Y%m%d}99' and jlzt = 0 and ghsfbz = 1 and ybjszt = 2"
        for table in ("SF_BRJSK", "SF_NBRJSK"):
            his.execute(f"update {table} set jlzt = 1 where sjh = ({first} order by sjh limit 1)")
    his.close()
    desk.run("run", *span(DAY, 1))
    (made,) = desk.json("evidence", "make", "--hospital", "demo_hospital")["evidence"]
    assert (made["day"], made["supersedes"] is not None) == (str(DAY), True)
