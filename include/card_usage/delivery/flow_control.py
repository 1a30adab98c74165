"""Flow control: calls at once, calls a second, pauses after failures, and a circuit breaker.

All of it is arithmetic on times that are passed in; nothing here sleeps or reads a clock. Seconds throughout.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Final

from card_usage.config.hospital import Platform

RETRY_BASE: Final = 1.0
RETRY_CAP: Final = 300.0


def backoff(failures: int, random: Random) -> float:
    """Pause before the next try after `failures` (>= 1) failed ones: full jitter below 1, 2, 4 ... 300 seconds."""
    ceiling = RETRY_CAP if failures > 10 else min(RETRY_CAP, RETRY_BASE * 2 ** (failures - 1))
    return random.uniform(0, ceiling)


@dataclass(slots=True)
class ConcurrencyLimiter:
    """How many calls may be under way: additive increase, multiplicative decrease (AIMD).

    The limit doubles per round trip until the first overload, then grows by one. Overload is a busy answer, none at
    all, or a latency several times the lowest; it counts once per round trip, however many calls saw it.
    """

    ceiling: int
    limit: float = 0
    _lowest_latency: float = float("inf")
    _latency: float = 0
    _ignore_until: float = 0
    _slow_start: bool = True

    def __post_init__(self) -> None:
        self.limit = self.limit or float(min(8, self.ceiling))

    def record_success(self, latency: float, now: float) -> None:
        """A call was answered, after `latency`."""
        self._lowest_latency = min(self._lowest_latency * 1.0005, latency)
        self._latency = latency if self._latency == 0 else 0.9 * self._latency + 0.1 * latency
        if self._latency > 4 * self._lowest_latency + 0.25:
            self._back_off(now, 0.8)
        elif self.limit < self.ceiling:
            self.limit = min(self.ceiling, self.limit + (1.0 if self._slow_start else 1.0 / self.limit))

    def record_overload(self, now: float) -> None:
        """A call was answered busy, or not at all."""
        self._back_off(now, 0.5)

    def _back_off(self, now: float, factor: float) -> None:
        if now >= self._ignore_until:
            self.limit = max(1.0, self.limit * factor)
            self._ignore_until = now + max(self._latency, 0.05)
            self._slow_start = False


@dataclass(slots=True)
class RateLimiter:
    """At most `per_second` calls a second, with a burst of a tenth of a second (GCRA). 0 sets no limit."""

    per_second: float
    _next: float = 0

    def wait(self, now: float) -> float:
        """Seconds until a call may start; 0 means now."""
        if self.per_second <= 0:
            return 0.0
        burst = max(0.1, 1 / self.per_second)
        return max(0.0, self._next - now - burst + 1 / self.per_second)

    def record_call(self, now: float) -> None:
        """A call starts."""
        if self.per_second > 0:
            self._next = max(self._next, now) + 1 / self.per_second


class SharedRates:
    """A run's part of the calls a second that its hospital, and its appId, may make."""

    def __init__(self, settings: Platform) -> None:
        self._settings = settings
        self._hospital = RateLimiter(settings.requests_per_second)
        self._app = RateLimiter(settings.app_requests_per_second)

    def share(self, under_app: int, of_hospital: int) -> None:
        """So many deliverers work under this appId, and for this hospital: each takes its part."""
        self._app.per_second = self._settings.app_requests_per_second / max(1, under_app)
        self._hospital.per_second = self._settings.requests_per_second / max(1, of_hospital)

    def wait(self, now: float) -> float:
        """Seconds until a call may start; 0 means now."""
        return max(self._hospital.wait(now), self._app.wait(now))

    def record_call(self, now: float) -> None:
        """A call starts."""
        self._hospital.record_call(now)
        self._app.record_call(now)


@dataclass(slots=True)
class CircuitBreaker:
    """Opens after `threshold` calls in a row without a good answer; half-open, one call at a time probes, after a pause
    that doubles from 1 to 60 seconds."""

    random: Random
    threshold: int = 20
    failures: int = 0
    _trips: int = 0
    _probe_at: float = 0
    _probing: bool = field(default=False)

    @property
    def is_open(self) -> bool:
        """Whether calls are held back."""
        return self.failures >= self.threshold

    def wait(self, now: float) -> float:
        """Seconds until a call may start: 0 when closed or when a probe is due, infinity while one is under way."""
        if not self.is_open:
            return 0.0
        return float("inf") if self._probing else max(0.0, self._probe_at - now)

    def record_call(self) -> None:
        """A call starts; while open it is the probe."""
        self._probing = self._probing or self.is_open

    def call_off(self) -> None:
        """A call that was started is not made: if it was to be the probe, another one is."""
        self._probing = False

    def record_success(self) -> None:
        """The platform answered."""
        self.failures = self._trips = 0
        self._probing = False

    def record_failure(self, now: float) -> None:
        """No good answer."""
        self.failures += 1
        if self.is_open and (self._probing or self.failures == self.threshold):
            self._probing = False
            self._trips += 1
            ceiling = min(60.0, 2.0 ** (self._trips - 1))
            self._probe_at = now + self.random.uniform(ceiling / 2, ceiling)
