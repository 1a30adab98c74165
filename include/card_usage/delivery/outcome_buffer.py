"""Outcome buffer: outcomes that a run has decided and the ledger does not have yet; some hundred a transaction."""

from __future__ import annotations

import logging
from collections import Counter

from sqlalchemy import Connection

from card_usage.delivery.claims import Claims
from card_usage.delivery.platform_clock import PlatformClock
from card_usage.delivery.platform_memory import NOTHING, LearnedBy, MemoryObserver, host_of, learn
from card_usage.delivery.run import Run
from card_usage.delivery.stopping import StopControl
from card_usage.delivery.transitions import Settled, settle
from card_usage.platform.outcome import Memory

log = logging.getLogger(__name__)


class OutcomeBuffer:
    """Of one deliverer `worker`; its stop, and what it learned of the platform's `memory`, are written with the
    outcomes. `states` counts the written outcomes by the state that they gave."""

    def __init__(
        self, run: Run, worker: int, *, claims: Claims, stopping: StopControl, platform_clock: PlatformClock
    ) -> None:
        self.states: Counter[str] = Counter()
        self.memory = MemoryObserver(NOTHING)
        self._host, self._app_id = host_of(run.platform.base_url), run.app_id
        self._executor, self._clock, self._worker = run.executor, run.clock, worker
        self._claims, self._stopping, self._platform_clock = claims, stopping, platform_clock
        self._outcomes: list[Settled] = []

    def __len__(self) -> int:
        return len(self._outcomes)

    def add(self, outcome: Settled) -> None:
        """One more outcome."""
        self._outcomes.append(outcome)

    async def flush(self) -> None:
        """Write all of it to the ledger."""
        batch, self._outcomes = self._outcomes, []
        pending, observed = self._stopping.pending_hold, self.memory.observed
        if not batch and pending is None:
            return

        def write(connection: Connection) -> set[int]:
            now = self._clock.now()
            if pending is not None:
                self._stopping.persist(connection, pending, day=self._platform_clock.today(), now=now)
            if observed:
                by = LearnedBy.OBSERVATION
                learn(connection, Memory.ON_SIGHT, host=self._host, app_id=self._app_id, by=by, now=now)
            return settle(connection, batch, worker=self._worker, now=now)

        moved = await self._executor.write(write)
        if pending is not None:  # one that came meanwhile is written with the next outcomes
            self._stopping.pending_hold = None
        if observed:
            self.memory.observed = False
            log.warning("the platform remembers request ids as soon as it sees them: 10054 proves no delivery")
        self._claims.untrack(outcome.claimed.id for outcome in batch)
        self.states.update(outcome.status for outcome in batch)
        if len(moved) < len(batch):
            log.warning("%d outcomes were already written, or are in other hands", len(batch) - len(moved))
