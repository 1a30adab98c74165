"""One appId, two systems: what each of them gets done while both ask for tokens. Virtual time, the real delivery.

`python -m tests.simulation.contested` prints the table of docs/delivery.md. The other system either takes a token at a
share of our calls, whatever becomes of its own, or makes calls of its own at a pace and asks for a token when one of
them is refused, as we do.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from random import Random

from card_usage.delivery.deliverer import deliver_run
from card_usage.ledger.scope import LIVE, Scope
from card_usage.platform.client import Grant
from card_usage.platform.outcome import Answer, Reply
from card_usage.staging.intake import take_in

# Run as `python -m tests.simulation.contested` from the project's root, and imported by tests as `simulation`.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from simulation.loop import VirtualLoop
from simulation.platform import EPOCH, Platform, Weather
from simulation.scenario import DAY, Event, draft
from simulation.world import World, hospital, new_ledger

LATENCY = 0.03  # seconds of a call, there and back


@dataclass(frozen=True, kw_only=True, slots=True)
class Stranger:
    """The other system. `share` of our calls at which it takes a token; `every`: seconds between calls of its own."""

    share: float = 0.0
    every: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What both got done. `per_second`: our events. `at_once`: share of the stranger's calls whose token was alive
    (None: it makes none). `per_minute`: tokens that we asked for."""

    events: int
    seconds: float
    per_second: float
    at_once: float | None
    per_minute: float


@dataclass(kw_only=True)
class Shared:
    """The platform: one token at a time. `ours` counts the tokens that we asked for."""

    stranger: Stranger
    random: Random
    base_url: str = "http://shared"
    clock_seen: tuple[datetime, float] | None = None
    token: str = ""
    tokens: int = 0
    ours: int = 0
    foreign: Counter[bool] = field(default_factory=Counter)

    def renewed(self) -> str:
        self.tokens += 1
        self.token = f"token-{self.tokens}"
        return self.token

    async def read_clock(self) -> None:
        return None

    async def app_token(self, **_: object) -> Grant:
        await asyncio.sleep(LATENCY)
        self.ours += 1
        return Grant(self.renewed(), 7200)

    async def report(self, *, token: str, req: Mapping[str, str], **_: object) -> Reply:
        if self.random.random() < self.stranger.share:
            self.renewed()
        await asyncio.sleep(LATENCY)
        return Reply(Answer.ACCEPTED, 0, 200) if token == self.token else Reply(Answer.TOKEN, 21004, 200)

    async def work(self) -> None:
        """The stranger's own calls."""
        held = ""
        while True:
            await asyncio.sleep(self.stranger.every)
            alive = held == self.token
            self.foreign[alive] += 1
            if not alive:
                await asyncio.sleep(LATENCY)
                held = self.renewed()


def measure(stranger: Stranger, *, events: int = 1_000, concurrency: int = 8, seed: int = 0) -> Measured:
    """Deliver so many events beside the stranger."""
    loop = VirtualLoop(Random(seed))
    simulated = Platform(loop=loop, random=Random(seed), weather=Weather(), seen=Counter())
    world = World(loop, Random(seed), simulated, new_ledger())
    with world.ledger.write() as connection:
        drafts = [draft(Event(f"use {n}", "main", n)) for n in range(events)]
        take_in(connection, "main", "payment", drafts, lane=LIVE, now=EPOCH)
    of = hospital("main", concurrency=concurrency)
    run = world.run(1, of, Scope("main", DAY, DAY), host="h", random=Random(seed))
    shared = Shared(stranger=stranger, random=Random(seed))
    done: list[int] = []

    async def play() -> None:
        other = asyncio.ensure_future(shared.work()) if stranger.every else None
        done.append((await deliver_run(replace(run, platform=shared))).states["delivered"])
        if other is not None:
            other.cancel()

    loop.run(play(), most_steps=20_000_000)
    seconds = loop.time()
    calls = shared.foreign.total()
    return Measured(
        events=done[0],
        seconds=seconds,
        per_second=done[0] / seconds,
        at_once=shared.foreign[True] / calls if calls else None,
        per_minute=60 * shared.ours / seconds,
    )


CASES = (
    ("takes a token at 1 % of our calls", Stranger(share=0.01), 2_000),
    ("makes ten calls a second", Stranger(every=0.1), 1_000),
    ("makes a call a second", Stranger(every=1.0), 4_000),
    ("makes a call each 10 s", Stranger(every=10.0), 20_000),
)
"""What the other system does, and how many events it takes to see it."""


def main() -> None:
    """Print the table."""
    print("| the other system | our events a second | its calls that go through at once | tokens we ask for a minute |")
    print("| --- | ---: | ---: | ---: |")
    print(f"| is not there | {measure(Stranger()).per_second:.0f} | | |")
    for name, stranger, events in CASES:
        got = measure(stranger, events=events)
        share = "" if got.at_once is None else f"{got.at_once:.0%}"
        print(f"| {name} | {got.per_second:.0f} | {share} | {got.per_minute:.0f} |")


if __name__ == "__main__":
    main()
