"""Query slots: who may query a HIS replica now. Whatever queries it acquires a slot first, in whichever process.

    with slots.acquire("feed payment"):
        ...

Promises: no more than `max_parallel_queries` of the hospital's file run at once on a replica, over all processes,
because a query holds a slot in the ledger; none starts in `avoid_hours`, a running one is finished. Whoever waits logs
it. The slot of a process that died is free again after a minute (immediately on the same host); clocks of two machines
are never compared: a holder counts its heartbeat up, a waiter watches whether it moves.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from typing import Any, Final

from sqlalchemy import Connection, and_, delete, select, update

from card_usage.config.hospital import His, Hospital
from card_usage.errors import ReplicaBusy
from card_usage.ledger.database import Ledger
from card_usage.ledger.process import Identity, gone
from card_usage.ledger.schema import replica_turn
from card_usage.ledger.upsert import insert_into
from card_usage.windows import DAY, local

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 15.0
DEAD_AFTER: Final = 60.0
_POLL_SECONDS: Final = 2.0
_LOG_SECONDS: Final = 300.0


def avoided_until(his: His, moment: datetime) -> datetime | None:
    """The end of the hours to avoid in which `moment` lies (both naive local); None: the replica may be asked.

    Hours that follow each other count as one interval; hours that cover the whole day never let anything through, and
    then this is a day later.
    """
    end = moment
    while end - moment < DAY:
        until = next((later for hours in his.avoid_hours if (later := _end_of(hours, end)) is not None), None)
        if until is None:
            break
        end = until
    return end if end > moment else None


def _end_of(hours: str, moment: datetime) -> datetime | None:
    first, last = (clock_time.fromisoformat(part) for part in hours.split("-"))
    start, end = datetime.combine(moment.date(), first), datetime.combine(moment.date(), last)
    if first < last:
        return end if start <= moment < end else None
    if moment >= start:
        return end + DAY
    return end if moment < end else None


class QuerySlots:
    """Query slots of one process at one hospital's replica.

    `patience`: how long to wait for one before giving up with ReplicaBusy; None: as long as it takes.
    """

    def __init__(
        self,
        ledger: Ledger,
        hospital: Hospital,
        *,
        patience: timedelta | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._ledger = ledger
        self._hospital = hospital
        self._patience = patience
        self._now = now
        self._monotonic = monotonic
        self._pause = pause
        self._here = Identity.of_this_process()
        self._watched: dict[str, tuple[int, float]] = {}  # holder -> its heartbeat, and since when it stands

    @contextmanager
    def acquire(self, doing: str) -> Iterator[None]:
        """Wait for a slot, hold it for the block. Raises ReplicaBusy when patience ends."""
        holder = uuid.uuid4().hex
        self._wait(holder, doing)
        done = threading.Event()
        heartbeat = threading.Thread(target=self._beat, args=(holder, done), name="replica turn", daemon=True)
        heartbeat.start()
        try:
            yield
        finally:
            done.set()
            heartbeat.join()
            with self._ledger.write() as connection:
                connection.execute(delete(replica_turn).where(replica_turn.c.holder == holder))

    def _wait(self, holder: str, doing: str) -> None:
        began = self._monotonic()
        logged: tuple[str, float] | None = None
        while True:
            moment = local(self._now())
            if until := avoided_until(self._hospital.his, moment):
                why, left = f"hours to avoid, until {until:%H:%M}", (until - moment).total_seconds()
            elif holders := self._try_acquire(holder, doing):
                allowed = self._hospital.his.max_parallel_queries
                why, left = f"{len(holders)} of {allowed} queries allowed run: {', '.join(sorted(holders))}", 0.0
            else:
                return
            waited = self._monotonic() - began
            if self._patience is not None and waited + left > self._patience.total_seconds():
                raise ReplicaBusy(hospital=self._hospital.id, reason=why)
            if logged is None or logged[0] != why or self._monotonic() - logged[1] >= _LOG_SECONDS:
                log.warning("%s: %s waits for its turn at the replica (%s)", self._hospital.id, doing, why)
                logged = (why, self._monotonic())
            self._pause(min(max(left, _POLL_SECONDS), _LOG_SECONDS))

    def _try_acquire(self, holder: str, doing: str) -> list[str]:
        """Take a free slot; what the holders are doing if there is none."""
        his = self._hospital.his
        columns = replica_turn.c
        row = {
            "connection": his.connection,
            "holder": holder,
            "hospital": self._hospital.id,
            "doing": doing[:64],
            "host": self._here.host[:128],
            "pid": self._here.pid,
            "process_start": self._here.process_start,
            "taken_at": self._now(),
        }
        with self._ledger.write() as connection:
            query = select(columns.slot, columns.holder, columns.doing, columns.beat, *_IDENTITY)
            held = connection.execute(query.where(columns.connection == his.connection)).all()
            released = self._release_dead(connection, held)
            free = set(range(his.max_parallel_queries)) - {slot.slot for slot in held} | released
            # A file that allows fewer than before: those who hold higher slots count too.
            room = his.max_parallel_queries - (len(held) - len(released))
            for number in sorted(free)[: max(room, 0)]:
                attempt = insert_into(connection, replica_turn).values(slot=number, **row).on_conflict_do_nothing()
                if connection.scalar(attempt.returning(columns.slot)) is not None:
                    return []
        return [slot.doing for slot in held] or ["another"]

    def _release_dead(self, connection: Connection, held: Sequence[Any]) -> set[int]:
        """Free the slots of processes that have died; which they were."""
        columns, released = replica_turn.c, set()
        watched, self._watched = self._watched, {}
        for slot in held:
            beat, since = watched.get(slot.holder, (None, 0.0))
            if beat != slot.beat:
                since = self._monotonic()
            self._watched[slot.holder] = (slot.beat, since)
            identity = Identity(host=slot.host, pid=slot.pid, process_start=slot.process_start)
            if self._monotonic() - since >= DEAD_AFTER or gone(identity, self._here):
                same = and_(columns.holder == slot.holder, columns.beat == slot.beat)
                if connection.execute(delete(replica_turn).where(same)).rowcount:
                    log.warning("%s: the turn of a process that died is free again", self._hospital.id)
                    released.add(slot.slot)
        return released

    def _beat(self, holder: str, done: threading.Event) -> None:
        """Count the heartbeat up until the query is done."""
        beat = update(replica_turn).where(replica_turn.c.holder == holder).values(beat=replica_turn.c.beat + 1)
        while not done.wait(HEARTBEAT_SECONDS):
            with self._ledger.write() as connection:
                connection.execute(beat)


_IDENTITY: Final = (replica_turn.c.host, replica_turn.c.pid, replica_turn.c.process_start)
