"""Deliver: everything due in a scope, each event at most once, whatever happens in between.

One run is one deliverer: it claims events in batches, sends them side by side, writes outcomes in batches, and shows
every two seconds that it lives. The plug may be pulled at any await: what was claimed is in the ledger before the first
byte leaves, and whoever comes next sends it again under the same request id. What an answer means is decided in
outcome.py, what may be claimed in claims.py, how fast to go in pace.py, which token to use in tokens.py, when to stop
in brakes.py, who lives in presence.py, what is due every two seconds in pulse.py, how outcomes reach the ledger in
unwritten.py; this file puts them together.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Final

from sqlalchemy import Connection

from card_usage.clock import Clock
from card_usage.config.hospital import Hospital
from card_usage.config.keyring import Keyring
from card_usage.delivery import workers
from card_usage.delivery.claims import BATCH, Claims, Open
from card_usage.delivery.flow_control import backoff
from card_usage.delivery.heartbeat import Progress, Pulse
from card_usage.delivery.membership import Fenced, Presence
from card_usage.delivery.outcome_buffer import Unwritten
from card_usage.delivery.sender import Caller, Sender
from card_usage.delivery.stopping import Brakes
from card_usage.delivery.tokens import NoToken, Tokens
from card_usage.delivery.transitions import Attempt, Backlog, Settled, backlog
from card_usage.errors import CardUsageError
from card_usage.ledger.executor import LedgerExecutor
from card_usage.ledger.process import Identity
from card_usage.ledger.scope import Scope
from card_usage.platform.outcome import Answer, Reply, Step, settle
from card_usage.standard.code_tables import CodeTable

log = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 0.1
LINGER: Final = timedelta(seconds=60)  # how long a run waits for an event that falls due later
TOKEN_TRIES: Final = 3  # calls of one event under fresh tokens before it waits in the ledger


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivered:
    """What a run came to: events by the state it gave them, calls by the class of their answer.

    `refreshes`: tokens got. `left`: open events of the scope at the end. `stopped_by`: what ended the run early: a kind
    of hold, 'deadline', 'unreachable', 'fenced', or None.
    """

    states: Mapping[str, int]
    answers: Mapping[str, int]
    calls: int
    refreshes: int
    left: int
    stopped_by: str | None
    seconds: float

    @property
    def settled(self) -> bool:
        """Whether nothing that was due is left, and nothing of this run waits for a decision."""
        return self.left == 0 and not self.states.get("rejected") and not self.states.get("unconfirmed")

    def summary(self) -> dict[str, object]:
        """Counts only, fit for logs and XCom."""
        return {**asdict(self), "settled": self.settled}


class Delivery:
    """One run over one scope. Use once: `await Delivery(...).run()`."""

    def __init__(
        self,
        *,
        hospital: Hospital,
        scope: Scope,
        app_id: str,
        executor: LedgerExecutor,
        keyring: Keyring,
        caller: Caller,
        tables: Mapping[str, CodeTable],
        clock: Clock,
        random: Random,
        identity: Identity,
        until: datetime | None = None,
        linger: timedelta = LINGER,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._hospital, self._scope, self._app_id = hospital, scope, app_id
        self._executor, self._keyring, self._caller = executor, keyring, caller
        self._clock, self._random = clock, random
        self._until, self._linger = until, linger
        self._sender = Sender(
            hospital=hospital, keyring=keyring, caller=caller, tables=tables, clock=clock, random=random
        )
        self._presence = Presence(hospital=hospital, app_id=app_id, identity=identity, executor=executor, clock=clock)
        self._brakes = Brakes(hospital, self._wake)
        self._queue: deque[Open] = deque()
        self._calls: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Event()  # something changed for the dispatcher
        self._pulse = Pulse(
            hospital=hospital.id,
            presence=self._presence,
            brakes=self._brakes,
            sender=self._sender,
            clock=clock,
            done=lambda: self._unwritten.states.total(),
            looked=self._turn.set,
            on_progress=on_progress,
        )
        self._due_to_write = asyncio.Event()
        self._idle = asyncio.Event()  # nothing is queued, under way or unwritten
        self._fed = False

    # -- the run ------------------------------------------------------------------------------------------------

    async def run(self) -> Delivered:
        """Deliver until nothing is due soon, a hold says stop, or `until` has come. Raises LedgerUnreachable."""
        began = self._clock.monotonic()
        await self._sign_on()
        try:
            await self._work(began)
        except asyncio.CancelledError:
            # Interrupted in mid-air: say so now, rather than let the next run find out by our silence.
            await self._sign_off()
            raise
        if self._brakes.stopped_by != "fenced":
            await self._sign_off()
        left = (await self._executor.write(self._count)).open
        return Delivered(
            states=dict(self._unwritten.states),
            answers=dict(self._sender.answers),
            calls=sum(self._sender.answers.values()),
            refreshes=self._tokens.refreshes,
            left=left,
            stopped_by=self._brakes.stopped_by,
            seconds=round(self._clock.monotonic() - began, 3),
        )

    async def _work(self, began: float) -> None:
        """All tasks of the run, until the last is done."""
        try:
            await self._pulse.look_around()
            if not self._hospital.platform.live:
                await self._caller.read_clock()  # the platform's day rations its calls
            due = (await self._executor.write(self._count)).open
            async with asyncio.TaskGroup() as group:
                pulse = group.create_task(self._pulse.go_on(began, due))
                dispatcher = group.create_task(self._dispatcher(group))
                writer = group.create_task(self._writer())
                await self._feeder()
                self._fed = True
                self._turn.set()
                await dispatcher
                self._due_to_write.set()
                await writer
                pulse.cancel()
        except* Fenced:
            log.error(
                "deliverer %d was called dead by another one; its claims are in other hands", self._presence.worker
            )
            self._brakes.stopped_by = "fenced"
        except* CardUsageError as errors:
            raise errors.exceptions[0] from None

    async def _sign_on(self) -> None:
        await self._presence.sign_on()
        self._claims = Claims(
            hospital=self._hospital,
            scope=self._scope,
            worker=self._presence.worker,
            executor=self._executor,
            clock=self._clock,
            clock_seen=lambda: self._caller.clock_seen,
        )
        self._unwritten = Unwritten(
            worker=self._presence.worker,
            claims=self._claims,
            brakes=self._brakes,
            executor=self._executor,
            clock=self._clock,
        )
        self._tokens = Tokens(
            executor=self._executor,
            source=self._caller,
            keyring=self._keyring,
            clock=self._clock,
            random=self._random,
            app_id=self._app_id,
            hospital=self._hospital.id,
            hospital_id=self._hospital.platform.hospital_id,
            worker=self._presence.worker,
            reserve=self._claims.reserve_token_call,
        )

    async def _sign_off(self) -> None:
        """Write the last outcomes, give back what was never sent, and leave."""
        await self._unwritten.write()
        await self._release_queue()
        await self._presence.sign_off()

    def _count(self, connection: Connection) -> Backlog:
        return backlog(connection, self._scope, self._clock.now())

    def _wake(self) -> None:
        """Let dispatcher and writer see what has changed."""
        self._turn.set()
        self._due_to_write.set()

    # -- claiming -----------------------------------------------------------------------------------------------

    async def _feeder(self) -> None:
        """Keep the queue filled until nothing more is due within the linger, or the run must stop."""
        low_water = max(64, 2 * self._hospital.platform.concurrency)
        pause = 0.02
        while not self._over():
            if self._brakes.paused:
                await self._release_queue()
                await self._clock.sleep(0.2)
            elif len(self._queue) >= low_water:
                await self._clock.sleep(0.005)
            elif claimed := await self._executor.write(self._claims.take):
                self._claims.remember(claimed)
                self._queue.extend(claimed)
                self._turn.set()
                pause = 0.02
            elif self._queue or self._calls or self._unwritten:
                # Nothing to claim now; asking the ledger at once again would only keep it busy.
                await self._until_idle(pause)
                pause = min(1.0, 2 * pause)
            elif not await self._something_falls_due():
                return

    async def _until_idle(self, seconds: float) -> None:
        """Wait, but no longer than until the last outcome is written: the end of a run is not to be slept through."""
        self._idle.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()

    def _over(self) -> bool:
        if self._until is not None and self._clock.now() >= self._until:
            self._brakes.stop("deadline", "its time is over")
        return self._brakes.stopped_by is not None or self._brakes.drained

    async def _something_falls_due(self) -> bool:
        """Wait a little for what is due next; False when that is not soon."""
        waiting = await self._executor.write(self._count)
        now = self._clock.now()
        if waiting.due:
            if self._claims.out_of_quota:
                self._brakes.stop("out of quota", "today's calls are used up")
            await self._clock.sleep(0.05)  # another deliverer may hold it
            return True
        if self._presence.others_in_doubt:
            # Claims of a deliverer that died elsewhere fall due once we have watched it for long enough, and nobody
            # else may ever watch.
            await self._clock.sleep(workers.BEAT_SECONDS)
            return True
        if waiting.next_due is None or waiting.next_due - now > self._linger:
            return False
        await self._clock.sleep(min(workers.BEAT_SECONDS, max(0.01, (waiting.next_due - now).total_seconds())))
        return True

    async def _release_queue(self) -> None:
        if unsent := list(self._queue):
            self._queue.clear()
            await self._executor.write(partial(self._claims.release, unsent=unsent))
            self._claims.forget(one.claimed.id for one in unsent)

    # -- sending ------------------------------------------------------------------------------------------------

    async def _dispatcher(self, group: asyncio.TaskGroup) -> None:
        """Start calls as pace, rates, breaker and holds allow."""
        while True:
            if self._queue and self._clear_to_send():
                wait = self._sender.wait(len(self._calls))
                if wait <= 0:
                    self._sender.start()
                    call = group.create_task(self._send(self._queue.popleft()))
                    self._calls.add(call)
                    call.add_done_callback(self._ended)
                    continue
            else:
                wait = float("inf")
            if self._fed and not self._calls and (not self._queue or self._brakes.stopped_by is not None):
                return
            self._turn.clear()
            if wait == float("inf"):
                await self._turn.wait()  # an ended call, news or a beat says when: a timer for each call is dear
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(min(wait, 0.5)):
                    await self._turn.wait()

    def _ended(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._turn.set()

    def _clear_to_send(self) -> bool:
        return self._presence.certain and not self._brakes.on and not self._claims.reservation_is_stale

    async def _send(self, one: Open) -> None:
        try:
            held = await self._tokens.token()
        except NoToken as refusal:
            self._no_token(one, refusal.reply)
            return
        if not self._clear_to_send():  # the token took its time
            self._queue.appendleft(one)
            return
        called = await self._sender.call(one.claimed, held, self._tokens)
        self._decide(one, called.reply, called.at)

    # -- deciding -----------------------------------------------------------------------------------------------

    def _decide(self, one: Open, reply: Reply, at: datetime) -> None:
        """Settle one answer in memory; the writer brings it to the ledger."""
        outcome = settle(one.past, reply.answer)
        one.past.append(reply.answer)
        one.calls.append(Attempt(at, reply, outcome.status))
        self._brakes.learn(reply)
        due: datetime | None = None
        match outcome.step:
            case Step.RENEW:
                if len(one.calls) < TOKEN_TRIES and self._hospital.platform.live and self._clear_to_send():
                    self._queue.appendleft(one)
                    return
                due = self._later(1)
            case Step.RETRY | Step.SLOW:
                due = self._later(one.claimed.attempts + len(one.calls))
            case Step.NEXT_DAY:
                due = self._claims.next_platform_day()
                self._brakes.stop("quota", "the platform's calls of today are used up (10034)", until=due)
            case Step.STOP:
                code = reply.result_code if reply.result_code is not None else reply.detail
                self._brakes.stop("misconfigured", f"the platform answers {code}")
            case Step.SETTLE | Step.DECIDE:
                pass
        self._outcome(one, outcome.status, due, reply.result_code)

    def _no_token(self, one: Open, reply: Reply) -> None:
        """No call could be made for want of a token: the event goes back as it was."""
        if reply.answer is Answer.QUOTA:
            reason = "the platform's getAppToken calls of today are used up"
            self._brakes.stop("quota", reason, until=self._claims.next_platform_day())
        elif reply.answer in {Answer.NO_ANSWER, Answer.NOT_SENT, Answer.BUSY, Answer.UNLISTED, Answer.THROTTLED}:
            self._sender.feel(reply.answer, 0.0)
        else:
            self._brakes.stop("misconfigured", f"getAppToken is answered {reply.result_code or reply.detail}")
        status = one.calls[-1].status if one.calls else one.claimed.before
        self._outcome(one, status, self._later(2), None)

    def _later(self, failures: int) -> datetime:
        return self._clock.now() + timedelta(seconds=backoff(max(1, failures), self._random))

    def _outcome(self, one: Open, status: str, due: datetime | None, code: int | None) -> None:
        self._unwritten.add(Settled(one.claimed, status, due, code, tuple(one.calls)))
        self._due_to_write.set()

    # -- writing ------------------------------------------------------------------------------------------------

    async def _writer(self) -> None:
        """Bring outcomes to the ledger, some hundred at a time."""
        while not (self._fed and not self._calls and not self._queue and not self._unwritten):
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._due_to_write.wait()
            self._due_to_write.clear()
            if 0 < len(self._unwritten) < BATCH and self._calls:
                await self._clock.sleep(FLUSH_SECONDS)  # more are coming: one transaction for all
            await self._unwritten.write()
            if self._claims.reservation_is_stale or self._brakes.stopped_by is not None:
                await self._release_queue()
            if not (self._queue or self._calls or self._unwritten):
                self._idle.set()
