"""Pulse: what a working run does every two seconds: show that it lives, heed holds, listen, say how far it is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from card_usage.clock import Clock
from card_usage.delivery.membership import Presence
from card_usage.delivery.sender import Sender
from card_usage.delivery.stopping import Brakes
from card_usage.delivery.workers import BEAT_SECONDS

log = logging.getLogger(__name__)

PROGRESS_SECONDS: Final = 5.0
SILENCE: Final = 5.0  # seconds without a good answer, while calls fail, that somebody who looks on must be told of
FIRST_CONTACT: Final = 30.0  # seconds to a first good answer before a run says that the platform is not there
PATIENCE: Final = 600.0  # the same, once there was one


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a run is: events done by it, events it still has, per second, and seconds left (None: unknown).

    `silent_seconds`: since the platform's last good answer, once that is worth a word; else 0.
    """

    done: int
    due: int
    per_second: float
    seconds_left: float | None
    silent_seconds: float = 0.0


class Pulse:
    """Of one run. `done` counts the events that it has settled so far; `looked` is called after every look around."""

    def __init__(
        self,
        *,
        hospital: str,
        presence: Presence,
        brakes: Brakes,
        sender: Sender,
        clock: Clock,
        done: Callable[[], int],
        looked: Callable[[], None],
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self._hospital, self._looked = hospital, looked
        self._presence, self._brakes, self._sender, self._clock = presence, brakes, sender, clock
        self._done, self._on_progress = done, on_progress
        self._silent = False

    async def go_on(self, began: float, due: int) -> None:
        """Until it is cancelled: the run began then (monotonic) with so many events before it. Raises Fenced."""
        said = began
        while True:
            await self._clock.sleep(BEAT_SECONDS)
            await self.look_around()
            now = self._clock.monotonic()
            silence = self._listen(now)
            if now - said >= PROGRESS_SECONDS:
                said = now
                self._say(due, now - began, silence)

    async def look_around(self) -> None:
        """Show that this run lives, and heed what others want of it. Raises Fenced."""
        seen = await self._presence.show(self._done())
        self._sender.share_app(seen.deliverers)
        self._brakes.heed(seen.hold)
        self._looked()

    def _listen(self, now: float) -> float:
        """Stop if the platform has been silent for too long; seconds of a silence that is worth a word, or 0."""
        silence = self._sender.silence(now)
        patience = PATIENCE if self._sender.ever_good else FIRST_CONTACT
        if self._sender.breaker.open and silence > patience:
            self._brakes.stop("unreachable", f"no good answer from the platform for {silence:.0f} s")
        elif silence > SILENCE and not self._silent:
            log.warning("%s: no good answer from the platform for %.0f s; trying on", self._hospital, silence)
        self._silent = silence > SILENCE
        return silence if self._silent else 0.0

    def _say(self, at_start: int, seconds: float, silence: float) -> None:
        done = self._done()
        due = max(0, at_start - done)
        rate = done / seconds if seconds > 0 else 0.0
        left = due / rate if rate > 0 else None
        log.info("delivered %d, %d due, %.0f/s, %s s left", done, due, rate, "?" if left is None else f"{left:.0f}")
        if self._on_progress is not None:
            now = Progress(done=done, due=due, per_second=rate, seconds_left=left, silent_seconds=silence)
            self._on_progress(now)
