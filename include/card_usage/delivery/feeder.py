"""Feeder: claims what is due, batch after batch, until nothing more falls due soon or the run must stop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

from card_usage.delivery.call_budget import CallBudget
from card_usage.delivery.claims import Claims
from card_usage.delivery.membership import BEAT_SECONDS, Membership
from card_usage.delivery.outcome_buffer import OutcomeBuffer
from card_usage.delivery.run import Run
from card_usage.delivery.stopping import Stop, StopControl, StopReason
from card_usage.delivery.transitions import Backlog, backlog
from card_usage.delivery.workload import Workload


class Feeder:
    """Of one run."""

    def __init__(
        self,
        run: Run,
        membership: Membership,
        *,
        workload: Workload,
        budget: CallBudget,
        claims: Claims,
        stopping: StopControl,
        outcomes: OutcomeBuffer,
    ) -> None:
        self._run, self._clock, self._executor = run, run.clock, run.executor
        self._membership, self._workload, self._budget = membership, workload, budget
        self._claims, self._stopping, self._outcomes = claims, stopping, outcomes

    async def run(self) -> None:
        """Keep the queue filled until nothing more is due within the linger, or the run must stop."""
        workload = self._workload
        low_water = max(64, 2 * self._run.hospital.platform.concurrency)
        pause = 0.02
        while not self._must_end():
            if self._stopping.paused:
                await self.release_queue()
                await self._clock.sleep(0.2)
            elif len(workload.queue) >= low_water:
                await self._clock.sleep(0.005)
            elif batch := await self._executor.write(self._claims.claim_batch):
                self._claims.track(batch)
                workload.queue.extend(batch)
                workload.changed.set()
                pause = 0.02
            elif self._claims.left_platform:
                self._stopping.stop(Stop(reason=StopReason.MOVED, detail="the hospital is bound to another platform"))
            elif workload.queue or workload.calls or self._outcomes:
                # Nothing to claim now; asking the ledger at once again would only keep it busy.
                await self._until_idle(pause)
                pause = min(1.0, 2 * pause)
            elif not await self._something_falls_due():
                return

    async def release_queue(self) -> None:
        """Give back the queued events, whose calls have not started."""
        if unsent := list(self._workload.queue):
            self._workload.queue.clear()
            await self._executor.write(partial(self._claims.release, unsent=unsent))
            self._claims.untrack(event.claimed.id for event in unsent)

    async def backlog(self) -> Backlog:
        """What is open in the run's scope."""
        return await self._executor.write(lambda connection: backlog(connection, self._run.scope, self._clock.now()))

    async def _until_idle(self, seconds: float) -> None:
        """Wait, but no longer than until the last outcome is written: the end of a run is not to be slept through."""
        self._workload.idle.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._workload.idle.wait()

    def _must_end(self) -> bool:
        if self._run.until is not None and self._clock.now() >= self._run.until:
            self._stopping.stop(Stop(reason=StopReason.DEADLINE, detail="its time is over"))
        return self._stopping.current is not None or self._stopping.drained

    async def _something_falls_due(self) -> bool:
        """Wait a little for what is due next; False when that is not soon."""
        waiting = await self.backlog()
        now = self._clock.now()
        if waiting.due:
            if self._budget.exhausted:
                self._stopping.stop(Stop(reason=StopReason.OUT_OF_QUOTA, detail="today's calls are used up"))
            await self._clock.sleep(0.05)  # another deliverer may have claimed it
            return True
        if self._membership.has_undetermined_peers:
            # Claims of a deliverer that died elsewhere fall due once we have watched it for long enough, and nobody
            # else may ever watch.
            await self._clock.sleep(BEAT_SECONDS)
            return True
        if waiting.next_due is None or waiting.next_due - now > self._run.linger:
            return False
        await self._clock.sleep(min(BEAT_SECONDS, max(0.01, (waiting.next_due - now).total_seconds())))
        return True
