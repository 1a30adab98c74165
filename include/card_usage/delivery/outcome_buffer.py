"""Unwritten: what a run has decided and the ledger has not yet been told; some hundred outcomes a transaction."""

from __future__ import annotations

import logging
from collections import Counter

from sqlalchemy import Connection

from card_usage.clock import Clock
from card_usage.delivery.claims import Claims
from card_usage.delivery.stopping import Brakes
from card_usage.delivery.transitions import Settled
from card_usage.delivery.transitions import settle as write_down
from card_usage.ledger.executor import LedgerExecutor

log = logging.getLogger(__name__)


class Unwritten:
    """Outcomes of one deliverer `worker`, and why it stopped. `states` counts those written, by the state they gave."""

    def __init__(self, *, worker: int, claims: Claims, brakes: Brakes, executor: LedgerExecutor, clock: Clock) -> None:
        self.states: Counter[str] = Counter()
        self._worker, self._claims, self._brakes = worker, claims, brakes
        self._executor, self._clock = executor, clock
        self._outcomes: list[Settled] = []

    def __len__(self) -> int:
        return len(self._outcomes)

    def add(self, outcome: Settled) -> None:
        """One more."""
        self._outcomes.append(outcome)

    async def write(self) -> None:
        """Tell the ledger all of it."""
        batch, self._outcomes = self._outcomes, []
        stop = self._brakes.untold
        if not batch and stop is None:
            return

        def tell(connection: Connection) -> set[int]:
            now = self._clock.now()
            if stop is not None:
                self._brakes.tell(connection, stop, day=self._claims.platform_day(), now=now)
            return write_down(connection, batch, worker=self._worker, now=now)

        moved = await self._executor.write(tell)
        self._brakes.untold = None
        self._claims.forget(one.claimed.id for one in batch)
        self.states.update(one.status for one in batch)
        if len(moved) < len(batch):
            log.warning("%d outcomes were already written, or are in other hands", len(batch) - len(moved))
