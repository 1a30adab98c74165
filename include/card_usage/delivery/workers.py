"""Deliverers: who is delivering, and whether it still lives.

Nobody compares clocks of two machines. A deliverer raises its `beat` every few seconds; another one calls it dead only
after it has itself watched that beat stand still for `DEAD_AFTER` on its own monotonic clock, or when the process is
on the same host and gone. Being called dead is a guarded move, and a deliverer that finds it was made stops at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from card_usage.ledger.process import Identity, gone
from card_usage.ledger.schema import deliverer

BEAT_SECONDS: Final = 2.0
DEAD_AFTER: Final = 60.0


def register(connection: Connection, *, hospital: str, app_id: str, identity: Identity, now: datetime) -> int:
    """A new deliverer; its number is never given again."""
    values = {
        "hospital": hospital,
        "app_id": app_id,
        "host": identity.host,
        "pid": identity.pid,
        "process_start": identity.process_start,
        "started_at": now,
    }
    return int(connection.execute(_REGISTER, values).scalar_one())


# Every deliverer says the next two every other second; all are made once.
_REGISTER: Final = insert(deliverer).returning(deliverer.c.id)
_BEAT: Final = (
    update(deliverer)
    .where(deliverer.c.id == bindparam("worker"), deliverer.c.ended_at.is_(None))
    .values(beat=deliverer.c.beat + 1, done=bindparam("so_far"))
)
_OTHERS: Final = select(
    *(deliverer.c[name] for name in ("id", "hospital", "app_id", "host", "pid", "process_start", "beat"))
).where(
    or_(deliverer.c.hospital == bindparam("of_hospital"), deliverer.c.app_id == bindparam("of_app")),
    deliverer.c.ended_at.is_(None),
    deliverer.c.id != bindparam("worker"),
)
_END: Final = (
    update(deliverer)
    .where(deliverer.c.id == bindparam("worker"), deliverer.c.ended_at.is_(None))
    .values(ended_at=bindparam("now", type_=deliverer.c.ended_at.type))
)


def beat(connection: Connection, worker: int, done: int) -> bool:
    """Say that this one lives. False: it was called dead, its claims are no longer its own."""
    return connection.execute(_BEAT, {"worker": worker, "so_far": done}).rowcount == 1


def end(connection: Connection, worker: int, now: datetime) -> None:
    """This one stops by itself."""
    connection.execute(_END, {"worker": worker, "now": now})


@dataclass(frozen=True, slots=True)
class Living:
    """A deliverer that has not ended, as another one sees it."""

    worker: int
    hospital: str
    app_id: str
    identity: Identity
    beat: int


def others(connection: Connection, *, hospital: str, app_id: str, worker: int) -> list[Living]:
    """Deliverers that have not ended, other than `worker`: the hospital's, and those under the same appId, one of which
    may be asking for everybody's token."""
    rows = connection.execute(_OTHERS, {"of_hospital": hospital, "of_app": app_id, "worker": worker})
    return [
        Living(r.id, r.hospital, r.app_id, Identity(host=r.host, pid=r.pid, process_start=r.process_start), r.beat)
        for r in rows
    ]


def call_dead(connection: Connection, living: Living, now: datetime) -> bool:
    """Take a deliverer's claims away, unless it has beaten since. The caller recovers them in the same transaction."""
    moved = connection.execute(
        update(deliverer)
        .where(deliverer.c.id == living.worker, deliverer.c.beat == living.beat, deliverer.c.ended_at.is_(None))
        .values(ended_at=now)
    )
    return moved.rowcount == 1


@dataclass(slots=True)
class Watch:
    """Remembers since when each beat stands still, on the watcher's own monotonic clock (seconds).

    `doubtful`: those of `hospital` that have not ended, and whose beat this watch has never seen move.
    """

    here: Identity
    hospital: str
    dead_after: float = DEAD_AFTER
    doubtful: set[int] = field(default_factory=set)
    _seen: dict[int, tuple[int, float]] = field(default_factory=dict)

    def dead(self, living: Iterable[Living], monotonic: float) -> list[Living]:
        """Those that are gone for certain, or stood still for `dead_after` seconds under this watch."""
        found = list(living)
        before, self._seen = self._seen, {}
        self.doubtful = {
            one.worker
            for one in found
            if one.hospital == self.hospital and (one.worker not in before or one.worker in self.doubtful)
        }
        lost = []
        for one in found:
            since = monotonic
            if one.worker in before and before[one.worker][0] == one.beat:
                since = before[one.worker][1]
            elif one.worker in before:
                self.doubtful.discard(one.worker)
            self._seen[one.worker] = (one.beat, since)
            if monotonic - since >= self.dead_after or gone(one.identity, self.here):
                lost.append(one)
        return lost
