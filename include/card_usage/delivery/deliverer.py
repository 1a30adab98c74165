"""Deliverer: sends everything due in a scope, each event at most once, whatever fails in between.

One run is one deliverer: it claims events in batches, sends them concurrently, writes outcomes in batches, and shows
every two seconds that it lives. The process may be killed at any await: what was claimed is in the ledger before the
first byte is sent, and the next run sends it again under the same request id.

What each part hides:

    run.py             what a run works on and with; a value that all parts share
    binding.py         which platform the hospital's events stand for
    membership.py      which deliverers live, and the claims of those that died
    feeder.py          claiming: claims.py, call_budget.py and quota.py, platform_clock.py
    dispatcher.py      sending: send_gate.py, sender.py, flow_control.py, tokens.py, refused_tokens.py
    answers.py         what an answer means for event and run (platform/outcome.py has the table)
    stopping.py        why a run stops, and the hold that it leaves
    outcome_buffer.py  outcomes on their way to the ledger; transitions.py has the statements
    platform_memory.py when the platform remembers a request id, as far as it is known
    bodies.py          what is sent of an event, out of its sealed part
    heartbeat.py       what is due every two seconds
    termination.py     what a SIGTERM does
    result.py          what a run came to

This file joins the membership, builds the parts and runs them side by side.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from random import SystemRandom
from types import MappingProxyType
from typing import Final

from card_usage.clock import SystemClock
from card_usage.config.connections import Connection
from card_usage.config.hospital import Hospital
from card_usage.config.platform_address import platform_url
from card_usage.delivery.answers import AnswerHandler
from card_usage.delivery.binding import bind
from card_usage.delivery.call_budget import CallBudget
from card_usage.delivery.claims import BATCH, Claims
from card_usage.delivery.dispatcher import Dispatcher
from card_usage.delivery.feeder import Feeder
from card_usage.delivery.heartbeat import Heartbeat
from card_usage.delivery.membership import Fenced, Membership
from card_usage.delivery.outcome_buffer import OutcomeBuffer
from card_usage.delivery.platform_clock import PlatformClock
from card_usage.delivery.progress import Progress
from card_usage.delivery.redelivery import standing_unconfirmed
from card_usage.delivery.refused_tokens import RefusedTokens
from card_usage.delivery.result import Delivered
from card_usage.delivery.run import Run
from card_usage.delivery.send_gate import SendGate
from card_usage.delivery.sender import Sender
from card_usage.delivery.stopping import Stop, StopControl, StopReason
from card_usage.delivery.termination import on_sigterm
from card_usage.delivery.tokens import TokenManager
from card_usage.delivery.workload import Workload
from card_usage.errors import CardUsageError
from card_usage.gc_tuning import infrequent_collection
from card_usage.ledger.database import Ledger
from card_usage.ledger.executor import ThreadedExecutor
from card_usage.ledger.process import Identity
from card_usage.ledger.scope import Scope
from card_usage.platform.client import Credentials, Platform
from card_usage.standard.code_tables import CodeTable

log = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 0.1


def deliver(
    ledger: Ledger,
    hospital: Hospital,
    scope: Scope,
    *,
    connection: Connection,
    tables: Mapping[str, CodeTable],
    siblings: Mapping[str, str] = MappingProxyType({}),
    until: datetime | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Delivered:
    """Send everything due in the scope over the platform's `connection`; blocks until the run has ended.

    `siblings`: see Run. `until`: leave by then, what is left stays due. Raises BadConnection, PlatformChanged and
    LedgerUnreachable.
    """
    platform_url(connection, hospital.platform)  # a wrong one is said before anything is done

    async def run() -> Delivered:
        async with opened_run(ledger, hospital, scope, connection=connection, tables=tables) as opened:
            return await deliver_run(replace(opened, siblings=siblings, until=until, on_progress=on_progress))

    # An event loop in C costs less a call. Imported here, so that no DAG's parsing pays for it.
    import uvloop

    with infrequent_collection():
        return uvloop.run(run())


@asynccontextmanager
async def opened_run(
    ledger: Ledger,
    hospital: Hospital,
    scope: Scope,
    *,
    connection: Connection,
    tables: Mapping[str, CodeTable],
) -> AsyncIterator[Run]:
    """A run of this process, with the platform's connections open."""
    settings = hospital.platform
    url = platform_url(connection, settings)
    credentials = Credentials(app_id=connection.login, app_secret=connection.password)
    executor = ThreadedExecutor(ledger)
    try:
        async with Platform(
            url,
            credentials,
            connections=settings.concurrency + 1,
            call_timeout=settings.call_timeout_seconds,
            channel_num=settings.channel_num,
        ) as platform:
            yield Run(
                hospital=hospital,
                scope=scope,
                app_id=credentials.app_id,
                executor=executor,
                keyring=ledger.keyring,
                keys=ledger.day_keys.of(hospital.id),
                platform=platform,
                tables=tables,
                clock=SystemClock(),
                random=SystemRandom(),
                identity=Identity.of_this_process(),
            )
    finally:
        executor.close()


async def deliver_run(run: Run) -> Delivered:
    """Deliver until nothing is due soon, a hold says stop, or `run.until` has come.

    Raises PlatformChanged and LedgerUnreachable.
    """
    began = run.clock.monotonic()
    await run.executor.write(lambda connection: bind(connection, run.hospital, run.target, now=run.clock.now()))
    membership = await Membership.join(run)
    deliverer = Deliverer(run, membership)
    with on_sigterm(deliverer.drain):
        return await deliverer.run(began)


class Deliverer:
    """A deliverer that has joined, with all parts of its run. Used once."""

    def __init__(self, run: Run, membership: Membership) -> None:
        worker = membership.worker
        self._run, self._membership = run, membership
        self._workload = workload = Workload()
        self._stopping = stopping = StopControl(run.hospital, workload)
        platform_clock = PlatformClock(run)
        self._budget = budget = CallBudget(run, platform_clock)
        claims = Claims(run, worker, budget)
        self._outcomes = outcomes = OutcomeBuffer(
            run, worker, claims=claims, stopping=stopping, platform_clock=platform_clock
        )
        self._tokens = tokens = TokenManager(run, worker, budget)
        self._sender = sender = Sender(run, platform_clock)
        gate = SendGate(membership, stopping, budget)
        self._feeder = Feeder(
            run, membership, workload=workload, budget=budget, claims=claims, stopping=stopping, outcomes=outcomes
        )
        answers = AnswerHandler(
            run,
            workload=workload,
            gate=gate,
            stopping=stopping,
            sender=sender,
            outcomes=outcomes,
            platform_clock=platform_clock,
        )
        refused_tokens = RefusedTokens(run, tokens=tokens, stopping=stopping, platform_clock=platform_clock)
        self._dispatcher = Dispatcher(
            workload=workload,
            gate=gate,
            stopping=stopping,
            sender=sender,
            tokens=tokens,
            refused_tokens=refused_tokens,
            answers=answers,
        )
        self._heartbeat = Heartbeat(
            run, membership, workload=workload, stopping=stopping, sender=sender, outcomes=outcomes
        )

    def drain(self) -> None:
        """Start no further call; `run` ends once those under way have."""
        self._stopping.stop(Stop(reason=StopReason.INTERRUPTED, detail="the process was asked to end"))

    async def run(self, began: float) -> Delivered:
        """The whole run, which began at that monotonic second."""
        try:
            await self._work(began)
        except CardUsageError:
            raise  # the ledger is away: there is nobody to leave
        except BaseException:
            # Interrupted in the middle of calls: say so now, rather than let the next run find out by our silence.
            await self._leave()
            raise
        stop = self._stopping.final
        if stop is None or stop.reason is not StopReason.FENCED:
            await self._leave()
        left = (await self._feeder.backlog()).open
        scope = self._run.scope
        unconfirmed = await self._run.executor.write(lambda connection: standing_unconfirmed(connection, scope))
        return Delivered(
            hospital=self._run.hospital.id,
            platform=self._run.platform.base_url,
            states=dict(self._outcomes.states),
            answers=dict(self._sender.answers),
            calls=sum(self._sender.answers.values()),
            refreshes=self._tokens.refreshes,
            left=left,
            unconfirmed=unconfirmed,
            stop=stop,
            seconds=round(self._run.clock.monotonic() - began, 3),
        )

    async def _work(self, began: float) -> None:
        """All tasks of the run, until the last is done."""
        workload = self._workload
        try:
            await self._run.platform.read_clock()  # it dates the calls, and its day limits them
            await self._heartbeat.tick()  # after it: a pause that came meanwhile must be seen before the first call
            due = (await self._feeder.backlog()).open
            async with asyncio.TaskGroup() as group:
                heartbeat = group.create_task(self._heartbeat.run(began, due))
                dispatcher = group.create_task(self._dispatcher.run(group))
                writer = group.create_task(self._write_outcomes())
                await self._feeder.run()
                workload.all_claimed = True
                workload.changed.set()
                await dispatcher
                workload.flush_due.set()
                await writer
                heartbeat.cancel()
        except* Fenced:
            worker = self._membership.worker
            log.error("deliverer %d was called dead by another one; its claims are in other hands", worker)
            self._stopping.fence()
        except* CardUsageError as errors:
            raise errors.exceptions[0] from None

    async def _write_outcomes(self) -> None:
        """Bring outcomes to the ledger, some hundred at a time."""
        workload = self._workload
        while not (workload.all_claimed and not workload.calls and not workload.queue and not self._outcomes):
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await workload.flush_due.wait()
            workload.flush_due.clear()
            if 0 < len(self._outcomes) < BATCH and workload.calls:
                await self._run.clock.sleep(FLUSH_SECONDS)  # more are coming: one transaction for all
            await self._outcomes.flush()
            if self._budget.is_stale or self._stopping.current is not None:
                await self._feeder.release_queue()
            if not (workload.queue or workload.calls or self._outcomes):
                workload.idle.set()

    async def _leave(self) -> None:
        """Write the last outcomes, give back what was never sent, and leave."""
        await self._outcomes.flush()
        await self._feeder.release_queue()
        await self._membership.leave()
