"""Heartbeat: what a run does every two seconds: show that it lives, apply holds, watch for silence, report progress."""

from __future__ import annotations

import logging
from typing import Final

from card_usage.config.outgoing import CERTIFICATE
from card_usage.delivery.membership import BEAT_SECONDS, Membership
from card_usage.delivery.outcome_buffer import OutcomeBuffer
from card_usage.delivery.progress import Progress
from card_usage.delivery.run import Run
from card_usage.delivery.sender import Sender
from card_usage.delivery.stopping import Stop, StopControl, StopReason, stop_of_silence
from card_usage.delivery.workload import Workload

log = logging.getLogger(__name__)

PROGRESS_SECONDS: Final = 5.0
SILENCE: Final = 5.0  # seconds without a good answer, while calls fail, that a person who watches should be told of
FIRST_CONTACT: Final = 30.0  # seconds to a first good answer before a run says that the platform is not there
PATIENCE: Final = 600.0  # the same, once there was one


class Heartbeat:
    """Of one run."""

    def __init__(
        self,
        run: Run,
        membership: Membership,
        *,
        workload: Workload,
        stopping: StopControl,
        sender: Sender,
        outcomes: OutcomeBuffer,
    ) -> None:
        self._run, self._clock = run, run.clock
        self._membership, self._workload = membership, workload
        self._stopping, self._sender, self._outcomes = stopping, sender, outcomes
        self._silent = False

    async def run(self, began: float, due: int) -> None:
        """Until it is cancelled: the run began then (monotonic) with so many events before it. Raises Fenced."""
        reported = began
        while True:
            await self._clock.sleep(BEAT_SECONDS)
            await self.tick()
            now = self._clock.monotonic()
            silence = self._check_silence(now)
            if now - reported >= PROGRESS_SECONDS:
                reported = now
                self._report(due, now - began, silence)

    async def tick(self) -> None:
        """Show that this run lives, and apply what the ledger says about it. Raises Fenced."""
        view = await self._membership.beat(self._outcomes.states.total())
        self._sender.rates.share(view.deliverers, view.of_hospital)
        self._stopping.apply_hold(view.hold)
        self._outcomes.memory.refresh(view.known)
        self._workload.changed.set()

    def _check_silence(self, now: float) -> float:
        """Stop if the platform has been silent for too long; seconds of a silence that is worth reporting, or 0."""
        silence = self._sender.silence(now)
        patience = PATIENCE if self._sender.ever_answered else FIRST_CONTACT
        last = self._sender.last_failure
        if last is not None and last.detail.startswith(CERTIFICATE) and not self._sender.ever_answered:
            self._stopping.stop(Stop(reason=StopReason.UNREACHABLE, detail=last.detail))
        elif self._sender.breaker.is_open and silence > patience:
            self._stopping.stop(stop_of_silence(silence, self._sender.last_failure))
        elif silence > SILENCE and not self._silent:
            log.warning("%s: no good answer from the platform for %.0f s; trying on", self._run.hospital.id, silence)
        self._silent = silence > SILENCE
        return silence if self._silent else 0.0

    def _report(self, due_at_start: int, seconds: float, silence: float) -> None:
        done = self._outcomes.states.total()
        due = max(0, due_at_start - done)
        rate = done / seconds if seconds > 0 else 0.0
        left = due / rate if rate > 0 else None
        log.info("delivered %d, %d due, %.0f/s, %s s left", done, due, rate, "?" if left is None else f"{left:.0f}")
        if self._run.on_progress is not None:
            now = Progress(done=done, due=due, per_second=rate, seconds_left=left, silent_seconds=silence)
            self._run.on_progress(now)
