"""Sending: one claimed event becomes one signed call, no faster than pace, rates and breaker allow."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Protocol

from card_usage.clock import Clock
from card_usage.config.hospital import Hospital
from card_usage.config.keyring import Keyring, Sealed
from card_usage.delivery.flow_control import Breaker, Concurrency, Rate
from card_usage.delivery.tokens import Held, Tokens, TokenSource
from card_usage.delivery.transitions import Claimed
from card_usage.events import CardUse
from card_usage.platform.outcome import Answer, Reply
from card_usage.standard import rules
from card_usage.standard.code_tables import CodeTable

_NOT_THERE = frozenset({Answer.NO_ANSWER, Answer.NOT_SENT, Answer.BUSY, Answer.UNLISTED})


class Caller(TokenSource, Protocol):
    """What a deliverer needs of the platform. `clock_seen`: its clock (aware) by its last answer, and our monotonic
    seconds at that moment; None before the first one."""

    clock_seen: tuple[datetime, float] | None

    async def read_clock(self) -> None:
        """Look at the platform's clock without a call that counts. Silent where that fails."""
        ...

    async def report(
        self, *, token: str, request_id: str, hospital_id: str, req: Mapping[str, str], now: datetime
    ) -> Reply: ...


@dataclass(frozen=True, slots=True)
class Called:
    """One call: its answer, when it was made, and the token's serial."""

    reply: Reply
    at: datetime
    serial: int


class Sender:
    """Sends for one hospital. `wait` says whether a call may start; `call` makes it."""

    def __init__(
        self,
        *,
        hospital: Hospital,
        keyring: Keyring,
        caller: Caller,
        tables: Mapping[str, CodeTable],
        clock: Clock,
        random: Random,
    ) -> None:
        settings = hospital.platform
        self.answers: Counter[str] = Counter()
        self.concurrency = Concurrency(settings.concurrency)
        self.breaker = Breaker(random)
        self.last_good = clock.monotonic()
        self.ever_good = False
        self._settings = settings
        self._keyring, self._caller, self._tables, self._clock = keyring, caller, tables, clock
        self._hospital_rate = Rate(settings.requests_per_second)
        self._app_rate = Rate(settings.app_requests_per_second)

    def share_app(self, deliverers: int) -> None:
        """So many deliverers work under this appId: each takes its part of the rate."""
        self._app_rate.per_second = self._settings.app_requests_per_second / max(1, deliverers)

    def wait(self, under_way: int) -> float:
        """Seconds until a call may start: 0 now, infinity: not before one under way has ended."""
        if under_way >= int(self.concurrency.limit):
            return float("inf")
        now = self._clock.monotonic()
        return max(self.breaker.wait(now), self._hospital_rate.wait(now), self._app_rate.wait(now))

    def silence(self, now: float) -> float:
        """Seconds since the last good answer; 0 while nothing fails."""
        return now - self.last_good if self.breaker.failures else 0.0

    def start(self) -> None:
        """A call is about to be made."""
        now = self._clock.monotonic()
        self._hospital_rate.spend(now)
        self._app_rate.spend(now)
        self.breaker.started()

    async def call(self, claimed: Claimed, held: Held, tokens: Tokens) -> Called:
        """Open the patient fields, sign and send; learn from the answer."""
        began, at = self._clock.monotonic(), self._clock.now()
        reply = await self._caller.report(
            token=held.text,
            request_id=claimed.request_id,
            hospital_id=self._settings.hospital_id,
            req=self._request(claimed),
            now=at,
        )
        if reply.answer is Answer.TOKEN:
            tokens.lost(held.serial)
        self.answers[reply.answer.value] += 1
        self.feel(reply.answer, self._clock.monotonic() - began)
        return Called(reply, at, held.serial)

    def feel(self, answer: Answer, latency: float) -> None:
        """Let pace and breaker learn from an answer that took `latency` seconds."""
        now = self._clock.monotonic()
        if answer in _NOT_THERE:
            self.concurrency.troubled(now)
            self.breaker.failed(now)
            return
        self.breaker.answered()
        self.last_good, self.ever_good = now, True
        if answer is Answer.THROTTLED:
            self.concurrency.troubled(now)
        else:
            self.concurrency.answered(latency, now)

    def _request(self, claimed: Claimed) -> dict[str, str]:
        sealed = Sealed(claimed.key_id, claimed.sealed)
        patient = json.loads(self._keyring.open(sealed, bound_to=claimed.key.encode()))
        use = CardUse(
            claimed.occurred_at,
            claimed.scene,
            claimed.department,
            claimed.card_type,
            claimed.channel,
            claimed.cost_type,
            patient["idCardNumber"],
            patient["name"],
            patient["qrCodeText"],
        )
        return rules.payload(
            use,
            self._settings.hospital_id,
            self._settings.profile,
            self._settings.department_format,
            self._tables,
            claimed.department_name,
        )
