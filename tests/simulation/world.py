"""The world of one seed: a ledger, workers that may be killed at any step, and how they reach ledger and platform."""

from __future__ import annotations

import asyncio
import contextvars
import math
import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from random import Random
from typing import Any, TypeVar

from card_usage.config.hospital import Hospital, load_hospital
from card_usage.config.keyring import Keyring
from card_usage.delivery import membership
from card_usage.delivery.deliverer import deliver_run
from card_usage.delivery.result import Delivered
from card_usage.delivery.run import Run
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.database import Ledger
from card_usage.ledger.process import Identity
from card_usage.ledger.schema import metadata
from card_usage.ledger.scope import Scope
from card_usage.platform.client import Grant
from card_usage.platform.outcome import Reply
from card_usage.standard.code_tables import load_tables
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from simulation.loop import OWNER, VirtualLoop
from simulation.platform import CALL_TIMEOUT, EPOCH, Call, Platform

T = TypeVar("T")
# A minute of watching a silent deliverer teaches nothing that this does not.
membership.DEAD_AFTER = 22.0  # type: ignore[misc]
KEYRING = Keyring.parse("sim:" + "A" * 43 + "=")
APP_ID = "simulated-app"
TABLES = load_tables()


@cache
def _hospital() -> Hospital:
    return load_hospital(SHIPPED / "hospitals", "demo_hospital")


def hospital(hospital_id: str, **platform: Any) -> Hospital:
    """The demo hospital under another id, with other settings of [platform]."""
    known = _hospital()
    settings = {"hospital_id": hospital_id, "call_timeout_seconds": CALL_TIMEOUT, "concurrency": 4} | platform
    return known.model_copy(update={"id": hospital_id, "platform": known.platform.model_copy(update=settings)})


@cache
def _shared() -> tuple[sqlite3.Connection, sqlite3.Connection, Ledger]:
    """An empty ledger to copy, the database of the present world, and its ledger. One engine for all worlds of a
    process: each of its own would compile every statement again."""
    raw, template = (sqlite3.connect(":memory:", check_same_thread=False) for _ in range(2))
    raw.isolation_level = None
    engine: Engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool, hide_parameters=True)
    metadata.create_all(engine)
    raw.backup(template)
    event.listen(engine, "begin", lambda connection: connection.connection.driver_connection.execute("BEGIN"))
    return template, raw, Ledger(engine, KEYRING)


@cache
def _connection() -> Connection:
    """What all workers write through, one after the other: taking one out of a pool costs as much as a statement."""
    return _shared()[2].engine.connect()


def new_ledger() -> Ledger:
    """An empty ledger in memory. The one of the world before is gone with it."""
    template, raw, ledger = _shared()
    template.backup(raw)
    return ledger


class WorkerClock:
    """Wall time that may step, monotonic time that does not."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.offset = 0.0
        self._loop = loop

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._loop.time() + self.offset)

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class World:
    """Ledger, platform and workers of one seed."""

    def __init__(self, loop: VirtualLoop, random: Random, platform: Platform, ledger: Ledger) -> None:
        self.loop, self.random, self.platform, self.ledger = loop, random, platform, ledger
        self.seen = platform.seen
        self.crash_share = 0.0
        self.stumble_share = 0.0
        self.ended: list[Delivered] = []
        self.workers: dict[int, asyncio.Task[Delivered]] = {}
        self.clocks: dict[int, WorkerClock] = {}
        self._next = 1

    def start(self, of: Hospital, scope: Scope, *, host: str = "", offset: float = 0.0) -> int:
        """A new worker process delivering for a hospital."""
        number = self._next
        self._next += 1
        run = self.run(number, of, scope, host=host or f"host-{number}", random=Random(self.random.random()))
        self.clocks[number].offset = offset
        context = contextvars.copy_context()
        context.run(OWNER.set, number)
        self.workers[number] = self.loop.create_task(deliver_run(run), context=context)
        self.seen["workers"] += 1
        return number

    def run(self, number: int, of: Hospital, scope: Scope, *, host: str, random: Random) -> Run:
        """What a worker process is given; it has a clock of its own."""
        clock = self.clocks[number] = WorkerClock(self.loop)
        return Run(
            hospital=of,
            scope=scope,
            app_id=APP_ID,
            executor=SimExecutor(self, number),
            keyring=KEYRING,
            keys=self.ledger.day_keys.of(of.id),
            platform=SimCaller(self, number),
            tables=TABLES,
            clock=clock,
            random=random,
            # Each on a host of its own: nobody can look up whether another process lives.
            linger=timedelta(seconds=6),
            identity=Identity(host=host, pid=number, process_start="0"),
        )

    def kill(self, worker: int, how: str) -> None:
        """kill -9: no step of it is ever made again. Its requests that are on the wire arrive all the same."""
        if worker in self.platform.dead_workers:
            return
        self.seen[f"killed {how}"] += 1
        self.platform.dead_workers.add(worker)
        self.loop.stalled[worker] = math.inf
        self.workers.pop(worker, None)

    def living(self) -> list[int]:
        """Workers that are neither dead nor done; raises what one of them raised."""
        for worker, task in list(self.workers.items()):
            if task.done():
                del self.workers[worker]
                self.ended.append(task.result())
        return list(self.workers)


class SimExecutor:
    """The ledger as a worker reaches it: each transaction may be the last thing that happens."""

    def __init__(self, world: World, worker: int) -> None:
        self.retries = 0
        self._world, self._worker = world, worker

    async def write(self, transaction: Callable[[Connection], T]) -> T:
        world = self._world
        while True:
            await asyncio.sleep(world.random.uniform(0, 0.004))
            await self._perhaps_die("before a transaction")
            draw = world.random.random()
            if draw < world.stumble_share:
                world.seen["ledger lost before commit"] += 1
                await self._stumble()
                continue
            connection = _connection()
            with connection.begin():
                result = transaction(connection)
            if draw > 1 - world.stumble_share:
                world.seen["ledger lost after commit"] += 1
                await self._stumble()
                continue
            await self._perhaps_die("after a commit")
            return result

    async def _stumble(self) -> None:
        self.retries += 1
        await asyncio.sleep(self._world.random.uniform(0.1, 2.0))

    async def _perhaps_die(self, when: str) -> None:
        if self._world.random.random() < self._world.crash_share:
            self._world.kill(self._worker, when)
            await asyncio.sleep(0)  # never comes back


class SimCaller:
    """The platform as a worker reaches it."""

    def __init__(self, world: World, worker: int) -> None:
        self.base_url = "simulated"
        self.clock_seen: tuple[datetime, float] | None = None
        self._world, self._worker = world, worker

    def _note_clock(self) -> None:
        self.clock_seen = (self._world.platform.now().replace(microsecond=0), self._world.loop.time())

    async def read_clock(self) -> None:
        await asyncio.sleep(self._world.random.uniform(0.001, 0.1))
        self._note_clock()

    async def report(
        self, *, token: str, request_id: str, hospital_id: str, req: Mapping[str, str], now: datetime
    ) -> Reply:
        world = self._world
        if world.random.random() < world.crash_share:
            world.kill(self._worker, "before a call")
            await asyncio.sleep(0)
        call = Call(self._worker, req["name"], request_id, hospital_id, world.loop.time(), tuple(req.items()))
        reply = await world.platform.answer(call, token)
        if reply.http_status is not None:
            self._note_clock()
        if world.random.random() < world.crash_share:
            world.kill(self._worker, "after an answer")
            await asyncio.sleep(0)
        return reply

    async def app_token(self, *, request_id: str, hospital_id: str, now: datetime) -> Grant | Reply:
        world = self._world
        answer = await world.platform.grant()
        if world.random.random() < 2 * world.crash_share:
            world.kill(self._worker, "while it asked for a token")
            await asyncio.sleep(0)
        if isinstance(answer, Grant):
            self._note_clock()
        return answer
