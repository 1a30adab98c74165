"""Upgrades in virtual time: the real run and ledger against a platform that registers, forgets and falls silent.

One seed is one hospital's patients, a platform of some kind, rough weather, and workers that are killed, suspended and
started again, two at a time too. In the end everybody who can have a card has the one that the platform gave him.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from random import Random
from types import SimpleNamespace
from typing import Any

from card_usage.delivery import quota
from card_usage.errors import UpgradeUnderWay
from card_usage.interfaces.messages import PatientToRegister
from card_usage.ledger.schema import upgrade_patient
from card_usage.ledger.scope import Scope
from card_usage.open_platform.client import OpenPlatform
from card_usage.open_platform.session import gate_of
from card_usage.platform.outcome import Answer, Reply, classify
from card_usage.upgrade import store
from card_usage.upgrade.run import Upgraded, send
from card_usage.upgrade.steps import INTERFACE
from region import id_number
from sqlalchemy import select

from simulation.loop import OWNER, VirtualLoop
from simulation.platform import BUSY, CALL_TIMEOUT, EPOCH, Platform, Violation, Weather
from simulation.scenario import DAY
from simulation.world import KEYRING, TABLES, SimCaller, World, hospital, new_ledger

HOSPITAL = "upgrading"


def person(at: int) -> PatientToRegister:
    return PatientToRegister(
        wechat_code="0" * 32,
        name="张示范",
        gender="男",
        nation="汉族",
        birthday="1990-03-07",
        id_number=id_number(at),
        id_type="01",
        phone1="13800000001",
        patid=f"P{at}",
        open_id=f"o-{at}",
        wechat_url="https://isv.example.org/list",
    )


class Cards:
    """What the platform knows of cards. `spoils`: whoever is in a batch with one of these gets it refused as a whole;
    `unverified`: refused alone, without a reason."""

    def __init__(self, world: UpgradeWorld, spoils: frozenset[str], unverified: frozenset[str], quota: int | None):
        self._world = world
        self.spoils, self.unverified, self.quota = spoils, unverified, quota
        self.of: dict[str, str] = {}
        self.contents: dict[str, tuple[str, ...]] = {}
        self.remembered: set[str] = set()
        self.answered: set[str] = set()
        self.under: dict[str, str] = {}
        self.calls_of_day: Counter[Any] = Counter()
        self.under_way: Counter[int] = Counter()
        self.began: dict[int, float] = {}

    def starts(self, worker: int, request_id: str, numbers: tuple[str, ...]) -> None:
        """A client starts a call."""
        world, now = self._world, self._world.loop.time()
        others = [other for other, calls in self.under_way.items() if calls and other != worker]
        # Whoever is suspended in a call sends nothing, and his call has ended at the platform long ago.
        asleep = {
            other
            for other in others
            if world.loop.stalled.get(other, 0) > now and now - self.began[other] > 2 * CALL_TIMEOUT
        }
        if any(other not in world.platform.dead_workers and other not in asleep for other in others):
            raise Violation(f"workers {others} and {worker} send batches at once")
        if self.contents.setdefault(request_id, numbers) != numbers:
            raise Violation("other patients under a request id that was sent before")
        settled = world.states("registered")
        for number in numbers:
            if number in settled:
                raise Violation("a patient is sent who is registered")
            before = self.under.get(number, request_id)
            if before != request_id and before not in self.answered:
                raise Violation("a patient goes under another request id before the platform has answered the first")
            self.under[number] = request_id

    def arrives(self, request_id: str, numbers: tuple[str, ...], token: str) -> tuple[int, list[dict[str, str]]]:
        """Result code and items, in the order of checks of a gateway with a business behind it."""
        world, platform = self._world, self._world.platform
        if platform.remembers == "gate":
            if request_id in self.remembered:
                return 10054, []
            self.remembered.add(request_id)
        if not platform.tokens or token != platform.tokens[-1][0]:
            return 21004, []
        self.calls_of_day[platform.day()] += 1
        if self.quota is not None and self.calls_of_day[platform.day()] > self.quota:
            raise Violation(f"more than {self.quota} calls on a day of the platform")
        if platform.remembers != "gate" and request_id in self.remembered:
            return 10054, []
        if platform.remembers == "sight":
            self.remembered.add(request_id)
        if world.random.random() < platform.weather.busy:
            return world.random.choice(BUSY), []
        if self.spoils.intersection(numbers):
            return 10042, []
        self.remembered.add(request_id)
        items = []
        for number in numbers:
            if number in self.unverified:
                items.append({"idNumber": number, "qrCodeText": ""})
                continue
            if number in self.of:
                world.seen["had a card"] += 1
            text = self.of.setdefault(number, f"QR-{len(self.of)}")
            if world.random.random() < world.unnamed:
                world.seen["unnamed"] += 1
                continue
            items.append({"idNumber": number, "qrCodeText": text})
        return 0, items


class CardCaller(SimCaller):
    """The same as of other workers, for any interface; here one alone is called."""

    async def call(
        self, path: str, *, token: str, request_id: str, hospital_id: str, req: Mapping[str, Any], now: object
    ) -> tuple[Reply, Mapping[str, object]]:
        world: UpgradeWorld = self._world  # type: ignore[assignment]
        await self._perhaps_die("before a call")
        numbers = tuple(item["idNumber"] for item in req["healthCardItems"])
        world.cards.starts(self._worker, request_id, numbers)
        world.cards.under_way[self._worker] += 1
        world.cards.began[self._worker] = world.loop.time()
        try:
            answered = await self._wire(request_id, numbers, token)
        finally:
            world.cards.under_way[self._worker] -= 1
        if answered[0].http_status is not None:
            self._note_clock()
        await self._perhaps_die("after an answer")
        return answered

    async def _perhaps_die(self, when: str) -> None:
        if self._world.random.random() < self._world.crash_share:
            self._world.kill(self._worker, when)
            await asyncio.sleep(0)

    async def _wire(self, request_id: str, numbers: tuple[str, ...], token: str) -> tuple[Reply, Mapping[str, object]]:
        world: UpgradeWorld = self._world  # type: ignore[assignment]
        platform, random = world.platform, world.random
        world.seen["calls"] += 1
        if random.random() < platform.weather.token_lost:
            platform.evict()
        fault = platform._drawn()
        if fault:
            world.seen[fault] += 1
        if fault == "not_sent":
            await asyncio.sleep(random.uniform(0, 0.01))
            return Reply(Answer.NOT_SENT, detail="refused"), {}
        answered: asyncio.Future[tuple[Reply, Mapping[str, object]]] = world.loop.create_future()
        travel = random.uniform(0.001, 0.05) if fault != "late" else random.uniform(CALL_TIMEOUT, 2 * CALL_TIMEOUT)

        def arrive() -> None:
            if fault in {"error_before", "gateway_before"}:
                code, items = None, []
            else:
                code, items = world.cards.arrives(request_id, numbers, token)
                world.seen[f"code {classify(code)}"] += 1
            if fault == "lost_after":
                return
            reply = Reply(Answer.NO_ANSWER, None, 502, "http 502")
            if code is not None and fault not in {"error_after", "gateway_after"}:
                reply = Reply(classify(code), code, 200)
            back = random.uniform(0.001, 0.05)
            world.loop.call_later(back, lambda: answered.done() or answered.set_result((reply, {"rspItems": items})))

        if fault != "lost_before":
            outside = OWNER.set(0)
            world.loop.call_later(travel, guarded(world, arrive))
            OWNER.reset(outside)
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                reply, rsp = await answered
        except TimeoutError:
            return Reply(Answer.NO_ANSWER, detail="timeout"), {}
        if reply.result_code is not None:
            world.cards.answered.add(request_id)
        return reply, rsp


def guarded(world: UpgradeWorld, arrive: Any) -> Any:
    """A violation that is found on the platform's own time is the world's."""

    def run() -> None:
        try:
            arrive()
        except Violation as violation:
            world.violation = violation

    return run


class UpgradeWorld(World):
    """Ledger, platform and workers of one seed. `unnamed`: share of the items that an answer leaves out."""

    def __init__(self, seed: int) -> None:
        random = Random(seed)
        loop = VirtualLoop(Random(seed))
        weather = Weather(
            **{
                name: random.choice((0.0, 0.0, 0.04, 0.15))
                for name in ("not_sent", "lost_before", "error_before", "lost_after", "error_after", "late", "busy")
            },
            gateway_before=random.choice((0.0, 0.05)),
            gateway_after=random.choice((0.0, 0.05)),
            token_lost=random.choice((0.0, 0.0, 0.05)),
        )
        remembers = random.choice(("acceptance", "sight", "gate"))
        platform = Platform(loop=loop, random=random, weather=weather, seen=Counter(), remembers=remembers)
        super().__init__(loop, random, platform, new_ledger())
        self.crash_share = random.choice((0.0, 0.01, 0.03))
        self.stumble_share = random.choice((0.0, 0.02, 0.1))
        self.unnamed = random.choice((0.0, 0.0, 0.05))
        self.people = [person(at) for at in range(random.randint(1, 40))]
        numbers = [each.id_number for each in self.people]
        spoils = frozenset(number for number in numbers if random.random() < 0.05)
        unverified = frozenset(number for number in numbers if number not in spoils and random.random() < 0.1)
        quota = random.choice((None, None, 8, 30))
        self.cards = Cards(self, spoils, unverified, quota)
        self.hospital = hospital(HOSPITAL, live=quota is None, daily_quota=quota or 100)
        self.size = random.choice((1, 3, 10, 50))
        self.violation: Violation | None = None
        with self.ledger.write() as connection:
            store.take_in(connection, KEYRING, HOSPITAL, self.people, EPOCH)

    def states(self, state: str) -> set[str]:
        """ID numbers of those in a state of the ledger."""
        keys = {store.key_of(KEYRING, HOSPITAL, each): each.id_number for each in self.people}
        with self.ledger.read() as connection:
            query = select(upgrade_patient.c.key).where(upgrade_patient.c.state == state)
            return {keys[key] for key in connection.execute(query).scalars()}

    def begin(self) -> None:
        """A new worker process that registers the hospital's patients."""
        number = self._next
        self._next += 1
        run = self.run(
            number, self.hospital, Scope(HOSPITAL, DAY, DAY), host=f"host-{number}", random=Random(self.random.random())
        )
        object.__setattr__(run, "platform", CardCaller(self, number))
        context = contextvars.copy_context()
        context.run(OWNER.set, number)
        self.workers[number] = self.loop.create_task(self._upgrade(run), context=context)  # type: ignore[assignment]
        self.seen["workers"] += 1

    async def _upgrade(self, run: Any) -> Upgraded | None:
        context: Any = SimpleNamespace(hospital=self.hospital, ledger=SimpleNamespace(keyring=KEYRING))
        async with gate_of(run) as gate:
            platform = OpenPlatform(run.platform, gate, hospital_id="1", tables=TABLES)
            try:
                return await send(context, platform, gate, size=self.size)
            except UpgradeUnderWay:
                self.seen["under way elsewhere"] += 1
                return None

    async def play(self) -> None:
        """Until everybody is settled: workers begin, end, are suspended; in the end the weather is fair."""
        calm_after = self.random.uniform(600, 6000)
        while self.states("ready") or self.states("batched"):
            if self.violation is not None:
                raise self.violation
            if self.loop.time() > calm_after:
                self.platform.weather.calm()
                self.crash_share = self.stumble_share = self.unnamed = 0.0
            living = self.living()
            if len(living) < self.random.choice((1, 1, 2)):
                self.begin()
            elif self.crash_share and self.random.random() < 0.1:
                self.seen["suspended"] += 1
                self.loop.stalled[self.random.choice(living)] = self.loop.time() + self.random.uniform(1, 90)
            await asyncio.sleep(20_000 if self._used_up() else self.random.choice((1, 20, 200)))
            if self.loop.time() > timedelta(days=30).total_seconds():
                raise Violation("not done after a month")
        if self.violation is not None:
            raise self.violation

    def _used_up(self) -> bool:
        """Whether nothing can be sent before tomorrow, so that nobody need begin."""
        if self.cards.quota is None:
            return False
        with self.ledger.read() as connection:
            of_day = {"hospital": HOSPITAL, "interface": INTERFACE, "day": self.platform.day()}
            return quota.used(connection, **of_day) >= self.cards.quota

    def check(self) -> None:
        """Nobody is lost, nobody is registered who is not, and each has the platform's own card."""
        cards = self.cards
        registered, refused = self.states("registered"), self.states("refused")
        numbers = {each.id_number for each in self.people}
        if registered | refused != numbers or registered & refused:
            raise Violation("somebody is lost")
        if refused != cards.spoils | cards.unverified:
            raise Violation("somebody was refused who can be registered, or the other way round")
        if registered != cards.of.keys():
            raise Violation("the platform and the ledger do not know the same cards")
        with self.ledger.read() as connection:
            of = {f"P{at}": each.id_number for at, each in enumerate(self.people)}
            for card in store.cards(connection, KEYRING, HOSPITAL):
                if cards.of[of[card["patid"]]] != card["qrCodeText"]:
                    raise Violation("somebody has another one's card")


def play(seed: int) -> Counter[str]:
    """One seed; what it exercised. Raises Violation, or Stuck."""
    world = UpgradeWorld(seed)
    assert math.isfinite(world.loop.time())
    world.loop.run(world.play())
    world.check()
    world.seen["patients"] += len(world.people)
    return world.seen
