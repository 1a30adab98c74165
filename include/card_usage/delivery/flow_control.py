"""Manners: how many calls at once, how many a second, how long to wait after trouble.

All of it is arithmetic on times that are passed in; nothing here sleeps or reads a clock. Seconds throughout.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Final

RETRY_BASE: Final = 1.0
RETRY_CAP: Final = 300.0


def backoff(failures: int, random: Random) -> float:
    """Pause before the next try after `failures` (>= 1) failed ones: full jitter below 1, 2, 4 ... 300 seconds."""
    ceiling = RETRY_CAP if failures > 10 else min(RETRY_CAP, RETRY_BASE * 2 ** (failures - 1))
    return random.uniform(0, ceiling)


@dataclass(slots=True)
class Concurrency:
    """How many calls may be under way: additive increase, multiplicative decrease.

    It doubles per round trip until the first sign of trouble, then grows by one. Trouble is a busy answer, none at
    all, or a latency several times that of a quiet wire; it counts once per round trip, however many calls saw it.
    """

    ceiling: int
    limit: float = 0
    _floor_latency: float = float("inf")
    _latency: float = 0
    _deaf_until: float = 0
    _eager: bool = True

    def __post_init__(self) -> None:
        self.limit = self.limit or float(min(8, self.ceiling))

    def answered(self, latency: float, now: float) -> None:
        """A call came back well, after `latency`."""
        self._floor_latency = min(self._floor_latency * 1.0005, latency)
        self._latency = latency if self._latency == 0 else 0.9 * self._latency + 0.1 * latency
        if self._latency > 4 * self._floor_latency + 0.25:
            self._back_off(now, 0.8)
        elif self.limit < self.ceiling:
            self.limit = min(self.ceiling, self.limit + (1.0 if self._eager else 1.0 / self.limit))

    def troubled(self, now: float) -> None:
        """A call came back busy, or not at all."""
        self._back_off(now, 0.5)

    def _back_off(self, now: float, factor: float) -> None:
        if now >= self._deaf_until:
            self.limit = max(1.0, self.limit * factor)
            self._deaf_until = now + max(self._latency, 0.05)
            self._eager = False


@dataclass(slots=True)
class Rate:
    """At most `per_second` calls a second, with a burst of a tenth of a second (GCRA). 0 sets no limit."""

    per_second: float
    _next: float = 0

    def wait(self, now: float) -> float:
        """Seconds until a call may start; 0 means now."""
        if self.per_second <= 0:
            return 0.0
        burst = max(0.1, 1 / self.per_second)
        return max(0.0, self._next - now - burst + 1 / self.per_second)

    def spend(self, now: float) -> None:
        """A call starts."""
        if self.per_second > 0:
            self._next = max(self._next, now) + 1 / self.per_second


@dataclass(slots=True)
class Breaker:
    """Opens after `threshold` calls in a row without a good answer; then one call at a time probes, after a pause
    that doubles from 1 to 60 seconds."""

    random: Random
    threshold: int = 20
    failures: int = 0
    _trips: int = 0
    _closed_again: float = 0
    _probing: bool = field(default=False)

    @property
    def open(self) -> bool:
        """Whether calls are held back."""
        return self.failures >= self.threshold

    def wait(self, now: float) -> float:
        """Seconds until a call may start: 0 when closed or when a probe is due, infinity while one is under way."""
        if not self.open:
            return 0.0
        return float("inf") if self._probing else max(0.0, self._closed_again - now)

    def started(self) -> None:
        """A call starts; while open it is the probe."""
        self._probing = self._probing or self.open

    def answered(self) -> None:
        """The platform is there."""
        self.failures = self._trips = 0
        self._probing = False

    def failed(self, now: float) -> None:
        """No good answer."""
        self.failures += 1
        if self.open and (self._probing or self.failures == self.threshold):
            self._probing = False
            self._trips += 1
            ceiling = min(60.0, 2.0 ** (self._trips - 1))
            self._closed_again = now + self.random.uniform(ceiling / 2, ceiling)
