"""appToken: one refresh a loss, no call with a dead one, no war with a stranger; virtual time and a real ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import pytest
from card_usage.delivery import membership
from card_usage.delivery.call_budget import CallBudget
from card_usage.delivery.platform_clock import PlatformClock
from card_usage.delivery.tokens import NoToken, TokenManager
from card_usage.ledger import holds
from card_usage.ledger.scope import Scope
from card_usage.platform.client import Grant
from card_usage.platform.outcome import Answer, Reply
from simulation.loop import VirtualLoop
from simulation.platform import EPOCH, TOKEN_LIFE, Platform, Weather
from simulation.world import APP_ID, SimCaller, WorkerClock, World, hospital, new_ledger


class Stage:
    """Any number of deliverers under one appId."""

    def __init__(self, seed: int = 0) -> None:
        self.loop = VirtualLoop(Random(seed))
        self.platform = Platform(loop=self.loop, random=Random(seed), weather=Weather(), seen=Counter())
        self.world = World(self.loop, Random(seed), self.platform, new_ledger())

    def tokens(self, number: int) -> TokenManager:
        scope = Scope("main", EPOCH.date(), EPOCH.date())
        run = self.world.run(number, hospital("main"), scope, host=f"h{number}", random=Random(number))
        now = run.clock.now()
        with self.world.ledger.write() as connection:
            worker = membership.register(connection, hospital="main", app_id=APP_ID, identity=run.identity, now=now)
        return TokenManager(run, worker, CallBudget(run, PlatformClock(run)))

    @property
    def refreshes(self) -> int:
        return self.platform.seen["token calls"]


def test_fifty_deliverers_and_one_expiry_make_one_refresh() -> None:
    stage = Stage()

    async def play() -> None:
        keepers = [stage.tokens(n) for n in range(1, 51)]
        first = {(await keeper.current()).text for keeper in keepers}
        assert stage.refreshes == 1
        await asyncio.sleep(TOKEN_LIFE)
        second = set(await asyncio.gather(*(keeper.current() for keeper in keepers)))
        assert len(first) == len({held.text for held in second}) == 1
        assert stage.refreshes == 2

    stage.loop.run(play())


@pytest.mark.parametrize(("life", "most"), [(1, 800), (10, 80), (45, 18), (59, 14), (61, 14), (240, 4), (7200, 1)])
def test_a_token_of_a_short_life_is_used_for_most_of_it(life: int, most: int) -> None:
    """600 calls in ten minutes: no refresh a call, none with a token past its life."""
    stage = Stage()

    async def play() -> None:
        keeper = stage.tokens(1)
        source = Granting(stage, life)
        keeper._platform = source  # type: ignore[assignment]
        for _ in range(600):
            held = await keeper.current()
            await asyncio.sleep(0)
            assert held.text == source.text
            assert stage.loop.time() < source.until
            await asyncio.sleep(1)
        assert 600 / life <= source.asked <= most
        assert keeper.refreshes == source.asked
        with stage.world.ledger.read() as connection:
            assert holds.active(connection, "main", WorkerClock(stage.loop).now()) == []

    stage.loop.run(play())


class Granting:
    """A platform whose tokens live so many seconds."""

    def __init__(self, stage: Stage, life: int) -> None:
        self.stage, self.life, self.asked, self.until, self.text = stage, life, 0, 0.0, ""

    async def app_token(self, **_: object) -> Grant:
        self.asked += 1
        self.until, self.text = self.stage.loop.time() + self.life, f"token-{self.asked}"
        return Grant(self.text, self.life)


class Refusing:
    """A platform that gives no token."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.asked = answer, 0

    async def app_token(self, **_: object) -> Reply:
        self.asked += 1
        await asyncio.sleep(0.01)
        return Reply(self.answer)


@pytest.mark.parametrize(("answer", "calls"), [(Answer.NOT_SENT, 4), (Answer.MISCONFIGURED, 1)])
def test_64_who_wait_for_a_token_share_one_refusal_and_who_comes_later_asks_again(answer: Answer, calls: int) -> None:
    stage = Stage()

    async def play() -> None:
        keeper = stage.tokens(1)
        source = Refusing(answer)
        keeper._platform = source  # type: ignore[assignment]
        for rounds in (1, 2):
            told = await asyncio.gather(*(keeper.current() for _ in range(64)), return_exceptions=True)
            assert {refusal.reply.answer for refusal in told if isinstance(refusal, NoToken)} == {answer}
            assert len(told) == 64
            assert source.asked == rounds * calls
        assert keeper.refreshes == 0
        keeper._platform = SimCaller(stage.world, 1)
        assert len({held.text for held in await asyncio.gather(*(keeper.current() for _ in range(64)))}) == 1
        assert keeper.refreshes == stage.refreshes == 1

    stage.loop.run(play())


def test_a_token_lost_under_64_calls_costs_at_most_those_and_no_new_call_starts_with_it() -> None:
    stage = Stage()
    failed = dead_starts = 0

    async def play() -> None:
        nonlocal failed, dead_starts
        keeper = stage.tokens(1)
        known_dead = False

        async def call(after: float) -> None:
            nonlocal failed, dead_starts, known_dead
            await asyncio.sleep(after)
            held = await keeper.current()
            dead_starts += known_dead and held.text != stage.platform.tokens[-1][0]
            await asyncio.sleep(0.1)
            if held.text != stage.platform.tokens[-1][0]:
                failed += 1
                known_dead = True
                keeper.invalidate(held.serial)

        await keeper.current()
        under_way = [asyncio.ensure_future(call(0.0)) for _ in range(64)]
        await asyncio.sleep(0.05)
        stage.platform.evict()
        later = [asyncio.ensure_future(call(0.06 + n * 0.001)) for n in range(200)]
        await asyncio.gather(*under_way, *later)

    stage.loop.run(play())
    assert failed == 64
    assert dead_starts == 0
    assert stage.refreshes == 2


def test_a_stranger_who_keeps_taking_tokens_is_named_and_not_fought() -> None:
    stage = Stage()

    async def play() -> None:
        keeper = stage.tokens(1)
        delivered = 0
        while stage.loop.time() < 1800:
            held = await keeper.current()
            await asyncio.sleep(1)
            if held.text == stage.platform.tokens[-1][0]:
                delivered += 1
            else:
                keeper.invalidate(held.serial)
            if int(stage.loop.time()) % 10 == 0:
                stage.platform.evict()
        assert delivered > 200, "deliveries go on"

    stage.loop.run(play())
    now = WorkerClock(stage.loop).now()
    with stage.world.ledger.read() as connection:
        notices = holds.active(connection, "main", now)
    assert [notice.kind for notice in notices] == ["contested"]
    assert "another system" in notices[0].reason
    # A token of ours lives for ten seconds at most; then the stranger has his own three times as long.
    assert stage.refreshes <= 1800 / 10 / 2


def test_a_refresher_that_dies_is_replaced_once_it_is_called_dead() -> None:
    stage = Stage()

    async def play() -> None:
        first, second = stage.tokens(1), stage.tokens(2)
        with stage.world.ledger.write() as connection:
            first._read(connection)
            assert first._acquire_refresh(connection, 0)
        waiting = asyncio.ensure_future(second.current())
        await asyncio.sleep(5)
        assert not waiting.done()
        with stage.world.ledger.write() as connection:
            membership.end(connection, first._worker, EPOCH)
        assert (await waiting).serial == 1
        assert stage.refreshes == 1

    stage.loop.run(play())
