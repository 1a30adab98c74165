"""Platform clock: what calls are dated with, and which refusals say nothing about an event; virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest
from card_usage.delivery.deliverer import deliver_run
from card_usage.delivery.platform_clock import TRIES, PlatformClock
from card_usage.delivery.result import Delivered
from card_usage.ledger.scope import LIVE, Scope
from card_usage.platform.client import Grant
from card_usage.platform.outcome import Answer, Reply
from card_usage.staging.intake import take_in
from simulation.loop import VirtualLoop
from simulation.platform import EPOCH, Platform, Weather
from simulation.scenario import DAY, Event, draft
from simulation.world import WorkerClock, World, hospital, new_ledger

ALLOWED = timedelta(minutes=10)
REFUSED = Reply(Answer.REFUSED, 10036, 200)


class Watching:
    """A platform that refuses what is dated more than ten minutes from its clock. Its answers show a clock that is
    `shown` seconds away from it."""

    base_url = "http://watching"

    def __init__(self, loop: VirtualLoop) -> None:
        self.clock_seen: tuple[datetime, float] | None = None
        self.offset, self.shown, self.jump_after = 0.0, 0.0, 10**9
        self.jump: Callable[[], None] = lambda: None
        self.accepted: list[str] = []
        self.refused = self.calls = 0
        self.never: set[str] = set()
        self._loop = loop

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._loop.time() + self.offset)

    async def read_clock(self) -> None:
        self.clock_seen = self.now() + timedelta(seconds=self.shown), self._loop.time()

    async def app_token(self, *, now: datetime, **_: object) -> Grant | Reply:
        await self.read_clock()
        return Grant("token", 7200) if abs(now - self.now()) <= ALLOWED else Reply(Answer.MISCONFIGURED, 20000, 200)

    async def report(self, *, req: Mapping[str, str], now: datetime, **_: object) -> Reply:
        self.calls += 1
        if self.calls == self.jump_after:
            self.jump()
        await self.read_clock()
        if abs(now - self.now()) > ALLOWED or req["name"] in self.never:
            self.refused += 1
            return REFUSED
        self.accepted.append(req["name"])
        return Reply(Answer.ACCEPTED, 0, 200)


class Stage:
    """One run over so many events."""

    def __init__(self, events: int = 300) -> None:
        self.loop = VirtualLoop(Random(0))
        simulated = Platform(loop=self.loop, random=Random(0), weather=Weather(), seen=Counter())
        self.world = World(self.loop, Random(0), simulated, new_ledger())
        self.platform = Watching(self.loop)
        self.labels = [f"event {n}" for n in range(events)]
        drafts = [draft(Event(label, "main", n)) for n, label in enumerate(self.labels)]
        with self.world.ledger.write() as connection:
            take_in(connection, "main", "payment", drafts, lane=LIVE, now=EPOCH)
        scope = Scope("main", DAY, DAY)
        run = self.world.run(1, hospital("main"), scope, host="h", random=Random(0))
        self.run = replace(run, platform=self.platform, linger=timedelta(minutes=10))

    @property
    def our_clock(self) -> WorkerClock:
        return self.world.clocks[1]

    def deliver(self) -> Delivered:
        ended: list[Delivered] = []

        async def play() -> None:
            ended.append(await deliver_run(self.run))

        self.loop.run(play())
        return ended[0]


@pytest.mark.parametrize("offset", [-86_400.0, -700.0, 0.0, 700.0, 7200.0])
def test_a_wrong_clock_of_ours_rejects_nothing_and_is_said_once(
    offset: float, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage()
    stage.our_clock.offset = offset
    delivered = stage.deliver()
    assert (delivered.states["delivered"], delivered.states.get("rejected"), delivered.stop) == (300, None, None)
    assert stage.platform.refused == 0
    said = [record for record in caplog.records if "set the clocks right" in record.getMessage()]
    assert len(said) == (offset != 0)


@pytest.mark.parametrize("jump", [-3600.0, -660.0, 660.0, 3600.0])
@pytest.mark.parametrize("whose", ["ours", "the platform's"])
def test_a_clock_that_jumps_in_mid_run_rejects_nothing(jump: float, whose: str) -> None:
    stage = Stage()

    def move() -> None:
        if whose == "ours":
            stage.our_clock.offset += jump
        else:
            stage.platform.offset += jump

    stage.platform.jump_after, stage.platform.jump = 100, move
    delivered = stage.deliver()
    assert (delivered.states["delivered"], delivered.states.get("rejected"), delivered.stop) == (300, None, None)
    assert sorted(stage.platform.accepted) == sorted(stage.labels)
    assert stage.platform.refused <= 4, "what was under way"


def test_a_clock_that_only_a_proxy_shows_is_found_out_and_rejects_nothing() -> None:
    stage = Stage()
    stage.platform.shown = 5000.0
    delivered = stage.deliver()
    assert (delivered.states["delivered"], delivered.states.get("rejected"), delivered.stop) == (300, None, None)
    assert stage.platform.refused <= 2 * TRIES


@pytest.mark.parametrize("offset", [0.0, 7200.0])
def test_what_the_platform_refuses_for_itself_is_rejected_whatever_the_clocks(offset: float) -> None:
    stage = Stage()
    stage.our_clock.offset = offset
    stage.platform.never = set(stage.labels[:20])
    delivered = stage.deliver()
    assert delivered.states["delivered"] == 280
    # One that was refused while the clocks were in doubt may be remembered by the platform.
    assert delivered.states.get("rejected", 0) + delivered.states.get("unconfirmed", 0) == 20
    assert delivered.states.get("unconfirmed", 0) <= 2 * TRIES
    assert delivered.stop is None


def test_a_refusal_counts_once_both_clocks_were_tried() -> None:
    stage = Stage(0)
    clock = PlatformClock(stage.run)
    stage.platform.clock_seen = EPOCH + timedelta(hours=3), 0.0
    judged = []
    for _ in range(2 * TRIES + 1):
        sent = clock.timestamp()
        judged.append((sent.by_platform, clock.judged(REFUSED, sent).answer))
    assert judged == [
        *[(True, Answer.UNTIMELY)] * TRIES,
        *[(False, Answer.UNTIMELY)] * TRIES,
        (True, Answer.REFUSED),
    ]
