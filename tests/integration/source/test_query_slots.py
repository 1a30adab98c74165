"""Query slots of a replica: never more than the file allows, none in hours to avoid, none lost with its process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from card_usage.config.hospital import Hospital, load_hospital
from card_usage.errors import ReplicaBusy
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import replica_turn
from card_usage.source.query_slots import DEAD_AFTER, QuerySlots, avoided_until
from card_usage.windows import instant
from hypothesis import given
from hypothesis import strategies as st
from ledgers import KEY
from sqlalchemy import func, insert, select, update

DEMO = load_hospital(SHIPPED / "hospitals", "demo_hospital")
NOON = datetime(2026, 11, 20, 12)  # noqa: DTZ001 - local


def allowing(queries: int = 2, avoid: tuple[str, ...] = ()) -> Hospital:
    changes = {"max_parallel_queries": queries, "avoid_hours": avoid}
    return DEMO.model_copy(update={"his": DEMO.his.model_copy(update=changes)})


def held(ledger: Ledger) -> int:
    with ledger.read() as connection:
        return connection.scalar(select(func.count()).select_from(replica_turn)) or 0


def at_noon(ledger: Ledger, hospital: Hospital, **named: Any) -> QuerySlots:
    return QuerySlots(ledger, hospital, now=lambda: instant(NOON), **named)


def test_many_workers_never_ask_more_at_once_than_the_file_allows_and_all_come_to_their_turn(ledger: Ledger) -> None:
    running, most, done = 0, 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal running, most, done
        for _ in range(3):
            with at_noon(ledger, allowing(2), pause=lambda _: time.sleep(0.01)).acquire("feed payment"):
                with lock:
                    running += 1
                    most = max(most, running)
                time.sleep(0.01)
                with lock:
                    running -= 1
                    done += 1

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (most, done) == (2, 18)
    assert held(ledger) == 0


def test_a_turn_is_given_back_when_the_query_fails(ledger: Ledger) -> None:
    def fails() -> None:
        with at_noon(ledger, allowing()).acquire("feed payment"):
            assert held(ledger) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert held(ledger) == 0


def test_who_waits_says_for_what_and_gives_up_when_patience_ends(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    clock = iter(range(0, 1000, 5))
    waiting = at_noon(
        ledger,
        allowing(1),
        patience=timedelta(seconds=40),
        monotonic=lambda: float(next(clock)),
        pause=lambda _: None,
    )
    with (
        at_noon(ledger, allowing(1)).acquire("feed payment"),
        pytest.raises(ReplicaBusy, match=r"demo_hospital: .*1 of 1 queries allowed run: feed payment"),
        waiting.acquire("preview"),
    ):
        pass
    assert "preview waits for its turn at the replica (1 of 1 queries allowed run: feed payment)" in caplog.text


def test_hospitals_at_one_replica_share_its_turns_and_others_do_not(ledger: Ledger) -> None:
    neighbour = allowing(1).model_copy(update={"id": "neighbour"})
    elsewhere = neighbour.model_copy(update={"his": neighbour.his.model_copy(update={"connection": "other"})})
    with at_noon(ledger, allowing(1)).acquire("x"):
        with at_noon(ledger, elsewhere, patience=timedelta()).acquire("y"):
            assert held(ledger) == 2
        with pytest.raises(ReplicaBusy), at_noon(ledger, neighbour, patience=timedelta()).acquire("y"):
            pass


def test_a_file_that_allows_fewer_than_before_counts_those_who_run_already(ledger: Ledger) -> None:
    with (
        at_noon(ledger, allowing(3)).acquire("a"),
        at_noon(ledger, allowing(3)).acquire("b"),
        pytest.raises(ReplicaBusy),
        at_noon(ledger, allowing(1), patience=timedelta()).acquire("c"),
    ):
        pass


def stranger(ledger: Ledger) -> None:
    """A turn held by a process of another host."""
    row = {
        "connection": DEMO.his.connection,
        "slot": 0,
        "holder": "f" * 32,
        "hospital": "h",
        "doing": "feed x",
        "host": "elsewhere",
        "pid": 1,
        "process_start": "0",
        "taken_at": datetime.now(UTC),
    }
    with ledger.write() as connection:
        connection.execute(insert(replica_turn).values(row))


@pytest.mark.parametrize("beats", [False, True])
def test_a_turn_of_another_host_is_free_only_after_its_beat_stood_still_for_a_minute(
    ledger: Ledger, beats: bool
) -> None:
    stranger(ledger)
    clock = [0.0]

    def pause(_: float) -> None:
        clock[0] += 20
        if beats:
            with ledger.write() as connection:
                connection.execute(update(replica_turn).values(beat=replica_turn.c.beat + 1))

    slots = at_noon(ledger, allowing(1), patience=timedelta(seconds=300), monotonic=lambda: clock[0], pause=pause)
    if beats:
        with pytest.raises(ReplicaBusy), slots.acquire("x"):
            pass
    else:
        with slots.acquire("x"):
            assert DEAD_AFTER <= clock[0] <= DEAD_AFTER + 20


def test_a_killed_process_of_this_host_leaves_no_turn_behind(tmp_path: Path, embedded: Ledger) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    code = (
        "import sys, time\n"
        "from card_usage.config.hospital import load_hospital\n"
        "from card_usage.config.keyring import Keyring\n"
        "from card_usage.ledger.database import open_ledger\n"
        "from card_usage.files.shipped import SHIPPED\n"
        "from card_usage.source.query_slots import QuerySlots\n"
        "hospital = load_hospital(SHIPPED / 'hospitals', 'demo_hospital')\n"
        "slots = QuerySlots(open_ledger(sys.argv[1], Keyring.parse(sys.argv[2])), hospital)\n"
        "with slots.acquire('a'), slots.acquire('b'):\n"
        "    print('holding', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, url, KEY], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "holding\n"
        with pytest.raises(ReplicaBusy), at_noon(embedded, allowing(2), patience=timedelta()).acquire("x"):
            pass
        other.kill()
    with at_noon(embedded, allowing(2), patience=timedelta()).acquire("x"):
        assert held(embedded) == 1


def test_no_query_starts_in_hours_to_avoid_and_the_wait_ends_with_them(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    moment = [NOON - timedelta(minutes=1)]

    def pause(seconds: float) -> None:
        moment[0] += timedelta(seconds=seconds)

    slots = QuerySlots(ledger, allowing(avoid=("11:00-12:30",)), now=lambda: instant(moment[0]), pause=pause)
    with slots.acquire("feed payment"):
        assert moment[0] == NOON + timedelta(minutes=30)
    assert "feed payment waits for its turn at the replica (hours to avoid, until 12:30)" in caplog.text
    with (
        pytest.raises(ReplicaBusy, match=r"hours to avoid, until 12:30"),
        at_noon(ledger, allowing(avoid=("11:00-12:30",)), patience=timedelta(minutes=10)).acquire("x"),
    ):
        pass


@pytest.mark.parametrize(
    ("hours", "moment", "until"),
    [
        (("01:00-03:30",), "00:59", None),
        (("01:00-03:30",), "01:00", "03:30"),
        (("01:00-03:30",), "03:30", None),
        (("23:00-01:00",), "23:30", "01:00"),
        (("23:00-01:00",), "00:30", "01:00"),
        (("23:00-01:00", "01:00-02:00"), "23:30", "02:00"),
    ],
)
def test_hours_to_avoid_are_half_open_may_cross_midnight_and_join(
    hours: tuple[str, ...], moment: str, until: str | None
) -> None:
    at = datetime.fromisoformat(f"2026-11-20T{moment}")
    found = avoided_until(allowing(avoid=hours).his, at)
    assert (f"{found:%H:%M}" if found else None) == until


times = st.times().map(lambda moment: moment.replace(second=0, microsecond=0))


@given(st.lists(st.tuples(times, times), max_size=4), st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)))  # noqa: DTZ001
def test_the_end_of_hours_to_avoid_lies_outside_of_them_within_two_days(
    spans: list[tuple[Any, Any]], moment: datetime
) -> None:
    his = allowing(avoid=tuple(f"{a:%H:%M}-{b:%H:%M}" for a, b in spans)).his
    until = avoided_until(his, moment)
    if until is not None:
        assert moment < until <= moment + timedelta(days=2)
        assert avoided_until(his, until) is None or until - moment >= timedelta(days=1)


def test_days_of_the_calendar_are_no_part_of_hours() -> None:
    his = allowing(avoid=("00:00-23:59",)).his
    assert avoided_until(his, datetime.combine(date(2026, 1, 1), NOON.time())) is not None
