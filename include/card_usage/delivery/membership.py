"""Presence: one deliverer among others, as they see it and as it sees them.

It signs on, shows every two seconds that it lives, calls those dead that no longer do and takes their claims over, and
signs off. Whoever may soon be thought dead starts no call: nobody else may then send what it still has.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection

from card_usage.clock import Clock
from card_usage.config.hospital import Hospital
from card_usage.delivery import workers
from card_usage.delivery.transitions import recover
from card_usage.ledger import holds
from card_usage.ledger.executor import LedgerExecutor
from card_usage.ledger.process import Identity

log = logging.getLogger(__name__)


class Fenced(Exception):
    """Another deliverer called this one dead and took its claims over."""


class Seen(NamedTuple):
    """What a look around shows: the hold that counts, and how many deliverers share the appId, this one included."""

    hold: holds.Hold | None
    deliverers: int


class Presence:
    """Of one deliverer for one hospital; `worker` is its number once it has signed on."""

    def __init__(
        self, *, hospital: Hospital, app_id: str, identity: Identity, executor: LedgerExecutor, clock: Clock
    ) -> None:
        self.worker = 0
        self._hospital, self._app_id, self._identity = hospital.id, app_id, identity
        self._executor, self._clock = executor, clock
        self._call_timeout = hospital.platform.call_timeout_seconds
        self._dead_after = max(workers.DEAD_AFTER, 2 * self._call_timeout + 10)
        self._watch = workers.Watch(identity, hospital.id, self._dead_after)
        self._last_beat = 0.0

    @property
    def certain(self) -> bool:
        """Whether a call that starts now ends before anybody may think us dead."""
        return self._clock.monotonic() - self._last_beat < self._dead_after - self._call_timeout - 5

    @property
    def others_in_doubt(self) -> bool:
        """Whether somebody has claims here of whom it is not yet known that he lives."""
        return bool(self._watch.doubtful)

    async def sign_on(self) -> None:
        """Become a deliverer that others know of."""
        register = partial(workers.register, hospital=self._hospital, app_id=self._app_id, identity=self._identity)
        self._last_beat = self._clock.monotonic()
        self.worker = await self._executor.write(lambda connection: register(connection, now=self._clock.now()))

    async def show(self, done: int) -> Seen:
        """Beat, look after the dead, and see what holds. Raises Fenced."""
        asked = self._clock.monotonic()
        seen = await self._executor.write(partial(self._beat, done=done, monotonic=asked))
        self._last_beat = asked
        return seen

    async def sign_off(self) -> None:
        """What is still in our name may have been sent."""

        def leave(connection: Connection) -> None:
            now = self._clock.now()
            recover(connection, self.worker, now=now, detail="interrupted")
            workers.end(connection, self.worker, now)

        await self._executor.write(leave)

    def _beat(self, connection: Connection, done: int, monotonic: float) -> Seen:
        now = self._clock.now()
        if not workers.beat(connection, self.worker, done):
            raise Fenced
        living = workers.others(connection, hospital=self._hospital, app_id=self._app_id, worker=self.worker)
        sharing = 1 + sum(one.app_id == self._app_id for one in living)
        for lost in self._watch.dead(living, monotonic):
            if workers.call_dead(connection, lost, now):
                sharing -= lost.app_id == self._app_id
                found = recover(connection, lost.worker, now=now, detail="deliverer died")
                log.warning("deliverer %d died: %d events are unknown and go again", lost.worker, found)
        return Seen(holds.blocking(holds.active(connection, self._hospital, now)), sharing)
