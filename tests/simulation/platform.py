"""The platform of the simulation: what it accepts, remembers, counts and forgets, and what the wire does to an answer.

It runs on the world's own time and clock. What it knows is the truth that the ledger is compared with.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Literal

from card_usage.platform.client import Grant
from card_usage.platform.outcome import Answer, Reply, classify
from card_usage.windows import local

from simulation.loop import OWNER, VirtualLoop

EPOCH = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
CALL_TIMEOUT = 5.0
TOKEN_LIFE = 7200
_FAULTS = (
    *("not_sent", "lost_before", "error_before", "lost_after", "error_after", "late"),
    *("gateway_before", "gateway_after"),
)
BUSY = (-1, -2, 1, 10001, 10005, -10044, 20003)


class Violation(AssertionError):
    """An invariant of the delivery does not hold."""


@dataclass(kw_only=True)
class Weather:
    """Shares of calls that something happens to, 0 to 1."""

    not_sent: float = 0.0  # no connection
    lost_before: float = 0.0  # the request never arrives, the client waits for nothing
    error_before: float = 0.0  # HTTP 5xx before anything was done
    lost_after: float = 0.0  # done, and the answer is lost
    error_after: float = 0.0  # done, and the client sees HTTP 5xx
    late: float = 0.0  # arrives after the client has given up
    gateway_before: float = 0.0  # HTTP 403 or 429 of a gateway, nothing was done
    gateway_after: float = 0.0  # done, and the gateway answers 403 or 429
    busy: float = 0.0
    unlisted: float = 0.0
    throttled: float = 0.0
    token_lost: float = 0.0  # somebody else takes a token, before this call

    def calm(self) -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, 0.0)


@dataclass(slots=True)
class Call:
    """A call of a client that is still waiting for its answer."""

    worker: int
    event: str
    request_id: str
    hospital: str
    started: float
    content: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Platform:
    """Accepts each request id once. `remembers` ids once they are accepted, as soon as the interface sees them, or as
    soon as the gate does."""

    loop: VirtualLoop
    random: Random
    weather: Weather
    seen: Counter[str]
    remembers: Literal["acceptance", "sight", "gate"] = "acceptance"
    skew: float = 0.0
    quotas: Mapping[str, int] = field(default_factory=dict)
    refuses: frozenset[str] = frozenset()
    accepted: dict[str, str] = field(default_factory=dict)
    of_event: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    asked: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    latest: dict[str, str] = field(default_factory=dict)
    remembered: set[str] = field(default_factory=set)
    told_failed: set[str] = field(default_factory=set)
    told_repeated: set[str] = field(default_factory=set)
    doubted: set[str] = field(default_factory=set)
    contents: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    calls_of_day: Counter[Any] = field(default_factory=Counter)
    over_quota: dict[str, tuple[Any, int]] = field(default_factory=dict)
    tokens: list[tuple[str, float]] = field(default_factory=list)
    foreign: int = 0
    under_way: dict[int, Call] = field(default_factory=dict)
    dead_workers: set[int] = field(default_factory=set)
    paused_since: dict[str, float] = field(default_factory=dict)
    _numbers: int = 0

    def now(self) -> datetime:
        """The platform's own clock."""
        return EPOCH + timedelta(seconds=self.loop.time() + self.skew)

    def day(self) -> Any:
        """The platform's calendar day."""
        return local(self.now()).date()

    # -- what arrives -------------------------------------------------------------------------------------------

    def new_token(self) -> str:
        """A new token; the old one is dead."""
        self.tokens.append((f"token-{len(self.tokens)}", self.loop.time() + TOKEN_LIFE))
        return self.tokens[-1][0]

    def evict(self) -> None:
        """Somebody else takes a token with our appId."""
        self.foreign += 1
        self.seen["token lost to others"] += 1
        self.new_token()

    def report(self, call: Call, token: str) -> int:
        """Result code of one report, in the order of checks of a gateway with a business behind it."""
        if self.remembers == "gate":
            if call.request_id in self.remembered:
                return self._repeated(call)
            self.remembered.add(call.request_id)
        if not self.tokens or token != self.tokens[-1][0]:
            return 21004
        if self.loop.time() >= self.tokens[-1][1]:
            return 21003
        if self.random.random() < self.weather.throttled:
            return 21007
        quota = self.quotas.get(call.hospital)
        if quota is not None:
            self.calls_of_day[call.hospital, self.day()] += 1
            if self.calls_of_day[call.hospital, self.day()] > quota:
                return 10034
        if self.remembers != "gate" and call.request_id in self.accepted.keys() | self.remembered:
            return self._repeated(call)
        if self.remembers == "sight":
            self.remembered.add(call.request_id)
        if self.random.random() < self.weather.busy:
            self.told_failed.add(call.event)
            return self.random.choice(BUSY)
        if self.random.random() < self.weather.unlisted:
            self.told_failed.add(call.event)
            return 31415
        if call.event in self.refuses:
            return 10042
        self.accepted[call.request_id] = call.event
        self.of_event[call.event].append(call.request_id)
        if len(self.of_event[call.event]) > 1:
            raise Violation(f"event {call.event} was accepted twice, as {self.of_event[call.event]}")
        return 0

    def _repeated(self, call: Call) -> int:
        self.told_repeated.add(call.event)
        return 10054

    # -- what a client sees -------------------------------------------------------------------------------------

    def starts(self, call: Call) -> int:
        """A client starts a call: nobody else may have one under way for this event, nor may this be a second id."""
        for other in self.under_way.values():
            if other.event == call.event and other.worker not in self.dead_workers:
                raise Violation(f"event {call.event}: workers {other.worker} and {call.worker} have a call under way")
        spent = self.asked[call.event] - {call.request_id}
        if spent & self.accepted.keys():
            raise Violation(f"event {call.event}: a second request id while the first one was accepted")
        if call.request_id in self.asked[call.event] and call.request_id != self.latest[call.event]:
            raise Violation(f"event {call.event}: back to an earlier request id")
        self.asked[call.event].add(call.request_id)
        self.latest[call.event] = call.request_id
        if self.contents.setdefault(call.request_id, call.content) != call.content:
            if call.request_id in self.accepted:
                raise Violation(f"event {call.event}: other content under a request id that was accepted")
            self.contents[call.request_id] = call.content
        over = self.over_quota.get(call.hospital)
        if over is not None and over[:2] == (self.day(), call.worker):
            raise Violation(f"{call.hospital}: worker {call.worker} calls again after 10034 on the same day")
        paused = self.paused_since.get(call.hospital)
        if paused is not None and call.started > paused + 5.0:
            raise Violation(f"{call.hospital}: a call {call.started - paused:.1f} s after pause")
        self._numbers += 1
        self.under_way[self._numbers] = call
        return self._numbers

    async def answer(self, call: Call, token: str) -> Reply:
        """The answer to a call, as weather lets it through."""
        number = self.starts(call)
        self.seen["calls"] += 1
        try:
            return await self._wire(call, token)
        finally:
            del self.under_way[number]

    async def _wire(self, call: Call, token: str) -> Reply:
        weather, random = self.weather, self.random
        if random.random() < weather.token_lost:
            self.evict()
        fault = self._drawn()
        if fault:
            self.seen[fault] += 1
        if fault == "not_sent":
            await asyncio.sleep(random.uniform(0, 0.01))
            return Reply(Answer.NOT_SENT, detail="refused")
        answered: asyncio.Future[Reply] = self.loop.create_future()
        travel = random.uniform(0.001, 0.05) if fault != "late" else random.uniform(CALL_TIMEOUT, 2 * CALL_TIMEOUT)
        if fault != "lost_before":
            # The platform works whether or not the client still lives: its steps are the world's, not the worker's.
            outside = OWNER.set(0)
            self.loop.call_later(travel, self._arrive, call, token, fault, answered)
            OWNER.reset(outside)
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                reply = await answered
        except TimeoutError:
            self.doubted.add(call.event)
            return Reply(Answer.NO_ANSWER, detail="timeout")
        if reply.result_code is None:
            self.doubted.add(call.event)
        if reply.answer is Answer.QUOTA:
            self.over_quota[call.hospital] = (self.day(), call.worker)
        return reply

    def _drawn(self) -> str:
        draw = self.random.random()
        for name in _FAULTS:
            draw -= getattr(self.weather, name)
            if draw < 0:
                return name
        return ""

    def _arrive(self, call: Call, token: str, fault: str, answered: asyncio.Future[Reply]) -> None:
        if fault == "error_before":
            reply = Reply(Answer.NO_ANSWER, None, 502, "http 502")
        elif fault == "gateway_before":
            reply = self._of_a_gateway()
        else:
            code = self.report(call, token)
            self.seen[f"code {classify(code)}"] += 1
            reply = Reply(classify(code), code, 200)
            if fault == "lost_after":
                return
            if fault == "error_after":
                reply = Reply(Answer.NO_ANSWER, None, 500, "http 500")
            if fault == "gateway_after":
                reply = self._of_a_gateway()
        back = self.random.uniform(0.001, 0.05)
        self.loop.call_later(back, lambda: answered.done() or answered.set_result(reply))

    def _of_a_gateway(self) -> Reply:
        """Mostly 'too many', for a 403 stops the hospital until somebody resumes it."""
        status = 403 if self.random.random() < 0.2 else 429
        self.seen[f"http {status}"] += 1
        return Reply(Answer.BARRED if status == 403 else Answer.LIMITED, None, status, f"http {status}")

    async def grant(self) -> Grant | Reply:
        """The answer to getAppToken."""
        self.seen["token calls"] += 1
        fault = self._drawn()
        if fault:
            self.seen[f"{fault} of a token call"] += 1
        await asyncio.sleep(self.random.uniform(0.001, 0.1))
        if fault == "not_sent":
            return Reply(Answer.NOT_SENT, detail="refused")
        if fault in {"lost_before", "error_before", "gateway_before"}:
            return Reply(Answer.NO_ANSWER, detail="lost")
        token = self.new_token()
        if fault:
            return Reply(Answer.NO_ANSWER, detail="lost")
        return Grant(token, TOKEN_LIFE)
