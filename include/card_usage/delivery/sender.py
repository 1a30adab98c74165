"""Sender: one claimed event becomes one signed call, no faster than concurrency, rates and breaker allow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from card_usage.delivery.bodies import body
from card_usage.delivery.flow_control import CircuitBreaker, ConcurrencyLimiter, SharedRates
from card_usage.delivery.platform_clock import PlatformClock
from card_usage.delivery.run import Run
from card_usage.delivery.tokens import StoredToken
from card_usage.delivery.transitions import Claimed
from card_usage.platform.outcome import SLOWED, UNAVAILABLE, Answer, Reply

_NO_GOOD: Final = UNAVAILABLE | SLOWED | {Answer.BARRED}
"""Answers to which, where there are no others, more calls are no answer: they go on one by one."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its answer, and when it was made."""

    reply: Reply
    at: datetime


class Sender:
    """Of one run. `wait` says whether a call may start; `call` makes it. `answers` counts calls by their answer,
    `last_failure` is the last one that was no good."""

    def __init__(self, run: Run, platform_clock: PlatformClock) -> None:
        settings = run.hospital.platform
        self.answers: Counter[str] = Counter()
        self.breaker = CircuitBreaker(run.random)
        self.ever_answered = False
        self.last_failure: Reply | None = None
        self._settings, self._clock, self._platform_clock = settings, run.clock, platform_clock
        self._keys, self._platform = run.keys, run.platform
        self._concurrency = ConcurrencyLimiter(settings.concurrency)
        self.rates = SharedRates(settings)
        self._last_answered = run.clock.monotonic()

    def wait(self, under_way: int) -> float:
        """Seconds until a call may start: 0 now, infinity: not before one under way has ended."""
        if under_way >= int(self._concurrency.limit):
            return float("inf")
        now = self._clock.monotonic()
        return max(self.breaker.wait(now), self.rates.wait(now))

    def silence(self, now: float) -> float:
        """Seconds since the last good answer; 0 while nothing fails."""
        return now - self._last_answered if self.breaker.failures else 0.0

    def start(self) -> None:
        """A call is about to be made."""
        now = self._clock.monotonic()
        self.rates.record_call(now)
        self.breaker.record_call()

    async def call(self, claimed: Claimed, token: StoredToken) -> Call:
        """Decrypt the body, sign and send; adapt to the answer."""
        began, at = self._clock.monotonic(), self._clock.now()
        timestamp = self._platform_clock.timestamp()
        reply = await self._platform.report(
            token=token.text,
            request_id=claimed.request_id,
            hospital_id=self._settings.hospital_id,
            req=body(self._keys, claimed),
            now=timestamp.at,
        )
        reply = self._platform_clock.judged(reply, timestamp)
        self.answers[reply.answer.value] += 1
        if reply.answer is not Answer.BARRED:  # which is about the platform or about this event: AnswerHandler knows
            self.record(reply, self._clock.monotonic() - began)
        return Call(reply, at)

    def record(self, reply: Reply, latency: float) -> None:
        """Adapt concurrency and breaker to an answer that took `latency` seconds."""
        now, answer = self._clock.monotonic(), reply.answer
        if answer in _NO_GOOD:
            self.last_failure = reply
            self.ever_answered = self.ever_answered or answer not in UNAVAILABLE
            self._concurrency.record_overload(now)
            self.breaker.record_failure(now)
            return
        self.breaker.record_success()
        self._last_answered, self.ever_answered = now, True
        self._concurrency.record_success(latency, now)

    def record_turned_away(self, reply: Reply, *, alone: bool) -> None:
        """Adapt to an HTTP 3xx or 4xx. `alone`: others pass, so it says nothing about the platform."""
        if alone:
            self.breaker.record_success()
        else:
            self.record(reply, 0.0)

    def call_off(self) -> None:
        """A call that was started is not made."""
        self.breaker.call_off()
