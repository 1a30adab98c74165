"""Membership: which deliverers there are, which of them live, and what becomes of the claims of those that died.

No clocks of two machines are compared. A deliverer raises its `beat` every few seconds; another one declares it dead
only after it has itself seen that beat unchanged for `DEAD_AFTER` on its own monotonic clock, or when the process was
on the same host and is gone. Declaring it dead is a guarded update, and a deliverer that finds it was made stops at
once. One that may soon be declared dead starts no call: nobody else may then send what it still has.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple, Self

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from card_usage.delivery import platform_memory
from card_usage.delivery.run import Run
from card_usage.delivery.transitions import recover
from card_usage.ledger import holds
from card_usage.ledger.process import Identity, gone
from card_usage.ledger.schema import deliverer

log = logging.getLogger(__name__)

BEAT_SECONDS: Final = 2.0
DEAD_AFTER: Final = 60.0

# Every deliverer executes these every other second; all are made once.
_REGISTER: Final = insert(deliverer).returning(deliverer.c.id)
_BEAT: Final = (
    update(deliverer)
    .where(deliverer.c.id == bindparam("worker"), deliverer.c.ended_at.is_(None))
    .values(beat=deliverer.c.beat + 1, done=bindparam("so_far"))
)
_PEERS: Final = select(
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


def register(
    connection: Connection,
    *,
    hospital: str,
    app_id: str,
    identity: Identity,
    now: datetime,
    platform: str | None = None,
) -> int:
    """A new deliverer, to the platform of that host; its number is never given again."""
    values = {
        "hospital": hospital,
        "app_id": app_id,
        "platform_host": platform,
        "host": identity.host,
        "pid": identity.pid,
        "process_start": identity.process_start,
        "started_at": now,
    }
    return int(connection.execute(_REGISTER, values).scalar_one())


def beat(connection: Connection, worker: int, done: int) -> bool:
    """Show that this deliverer lives. False: it was declared dead, its claims are no longer its own."""
    return connection.execute(_BEAT, {"worker": worker, "so_far": done}).rowcount == 1


def beats(connection: Connection, hospital: str) -> dict[int, int]:
    """The beat of each of the hospital's deliverers that has not ended: one that lives raises it."""
    query = select(deliverer.c.id, deliverer.c.beat)
    rows = connection.execute(query.where(deliverer.c.hospital == hospital, deliverer.c.ended_at.is_(None)))
    return {worker: beat for worker, beat in rows}


def end(connection: Connection, worker: int, now: datetime) -> None:
    """This deliverer ends by itself."""
    connection.execute(_END, {"worker": worker, "now": now})


@dataclass(frozen=True, slots=True)
class Peer:
    """A deliverer that has not ended, as another one sees it."""

    worker: int
    hospital: str
    app_id: str
    identity: Identity
    beat: int


def peers(connection: Connection, *, hospital: str, app_id: str, worker: int) -> list[Peer]:
    """Deliverers that have not ended, other than `worker`: the hospital's, and those under the same appId, one of which
    may be asking for everybody's token."""
    rows = connection.execute(_PEERS, {"of_hospital": hospital, "of_app": app_id, "worker": worker})
    return [
        Peer(
            row.id,
            row.hospital,
            row.app_id,
            Identity(host=row.host, pid=row.pid, process_start=row.process_start),
            row.beat,
        )
        for row in rows
    ]


def declare_dead(connection: Connection, peer: Peer, now: datetime) -> bool:
    """Take a deliverer's claims away, unless it has beaten since. The caller recovers them in the same transaction."""
    moved = connection.execute(
        update(deliverer)
        .where(deliverer.c.id == peer.worker, deliverer.c.beat == peer.beat, deliverer.c.ended_at.is_(None))
        .values(ended_at=now)
    )
    return moved.rowcount == 1


@dataclass(slots=True)
class FailureDetector:
    """Remembers since when each beat is unchanged, on the observer's own monotonic clock (seconds).

    `undetermined`: peers of `hospital` whose beat this detector has never seen move.
    """

    here: Identity
    hospital: str
    dead_after: float = DEAD_AFTER
    undetermined: set[int] = field(default_factory=set)
    _seen: dict[int, tuple[int, float]] = field(default_factory=dict)

    def dead(self, living: Iterable[Peer], monotonic: float) -> list[Peer]:
        """Those whose process is certainly gone, or whose beat was unchanged for `dead_after` seconds."""
        candidates = list(living)
        before, self._seen = self._seen, {}
        self.undetermined = {
            peer.worker
            for peer in candidates
            if peer.hospital == self.hospital and (peer.worker not in before or peer.worker in self.undetermined)
        }
        dead = []
        for peer in candidates:
            since = monotonic
            if peer.worker in before and before[peer.worker][0] == peer.beat:
                since = before[peer.worker][1]
            elif peer.worker in before:
                self.undetermined.discard(peer.worker)
            self._seen[peer.worker] = (peer.beat, since)
            if monotonic - since >= self.dead_after or gone(peer.identity, self.here):
                dead.append(peer)
        return dead


class Fenced(Exception):
    """Another deliverer declared this one dead and took its claims over."""


class View(NamedTuple):
    """What a beat shows: the hold in effect, how many deliverers share the appId, and of them the hospital, this one
    included, and what is known of the platform's memory."""

    hold: holds.Hold | None
    deliverers: int
    of_hospital: int
    known: platform_memory.Known


class Membership:
    """Of one deliverer; `worker` is its number. Made by `join`."""

    def __init__(self, run: Run, worker: int, last_beat: float) -> None:
        self.worker = worker
        self._run, self._hospital = run, run.hospital.id
        call_timeout = run.hospital.platform.call_timeout_seconds
        dead_after = max(DEAD_AFTER, 2 * call_timeout + 10)
        self._detector = FailureDetector(run.identity, self._hospital, dead_after)
        self._certain_for = dead_after - call_timeout - 5
        self._clock, self._last_beat = run.clock, last_beat

    @classmethod
    async def join(cls, run: Run) -> Self:
        """Become a deliverer that others know of."""
        joined = run.clock.monotonic()
        host, app_id = run.target.host, run.app_id
        sign_on = partial(register, hospital=run.hospital.id, app_id=app_id, identity=run.identity, platform=host)
        worker = await run.executor.write(lambda connection: sign_on(connection, now=run.clock.now()))
        return cls(run, worker, joined)

    @property
    def is_certain(self) -> bool:
        """Whether a call that starts now ends before anybody may declare us dead."""
        return self._clock.monotonic() - self._last_beat < self._certain_for

    @property
    def has_undetermined_peers(self) -> bool:
        """Whether somebody has claims here of whom it is not yet known whether he lives."""
        return bool(self._detector.undetermined)

    async def beat(self, done: int) -> View:
        """Show that this deliverer lives, with `done` events settled; recover the claims of the dead. Raises Fenced."""
        asked = self._clock.monotonic()
        view = await self._run.executor.write(partial(self._beat, done=done, monotonic=asked))
        self._last_beat = asked
        return view

    async def leave(self) -> None:
        """End. What is still claimed by this deliverer may have been sent."""

        def write(connection: Connection) -> None:
            now = self._clock.now()
            recover(connection, self.worker, now=now, detail="interrupted")
            end(connection, self.worker, now)

        await self._run.executor.write(write)

    def _beat(self, connection: Connection, done: int, monotonic: float) -> View:
        now = self._clock.now()
        if not beat(connection, self.worker, done):
            raise Fenced
        app_id = self._run.app_id
        living = peers(connection, hospital=self._hospital, app_id=app_id, worker=self.worker)
        sharing = 1 + sum(peer.app_id == app_id for peer in living)
        of_hospital = 1 + sum(peer.hospital == self._hospital for peer in living)
        for dead in self._detector.dead(living, monotonic):
            if declare_dead(connection, dead, now):
                sharing -= dead.app_id == app_id
                of_hospital -= dead.hospital == self._hospital
                recovered = recover(connection, dead.worker, now=now, detail="deliverer died")
                log.warning("deliverer %d died: %d events are unknown and go again", dead.worker, recovered)
        hold = holds.blocking(holds.active(connection, self._hospital, now))
        host = platform_memory.host_of(self._run.platform.base_url)
        return View(hold, sharing, of_hospital, platform_memory.read(connection, host=host, app_id=app_id))
