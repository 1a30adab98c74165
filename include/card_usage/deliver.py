"""Deliver: everything due in a scope, each event at most once, whatever happens in between.

One run is one deliverer: it claims events in batches, sends them side by side, writes outcomes in batches, and shows
every two seconds that it lives. The plug may be pulled at any await: what was claimed is in the ledger before the first
byte leaves, and whoever comes next sends it again under the same request id. What an answer means is decided in
outcome.py, how fast to go in pace.py, which token to use in tokens.py; this file only puts them together.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, Final, Protocol

from sqlalchemy import Connection

from card_usage import rules
from card_usage.clock import Clock
from card_usage.codes import CodeTable
from card_usage.events import CardUse
from card_usage.hospitals import Hospital
from card_usage.keyring import Keyring, Sealed
from card_usage.ledger import holds, quota, workers
from card_usage.ledger.delivery import Attempt, Backlog, Claimed, Scope, Settled, backlog, claim, history, recover
from card_usage.ledger.delivery import release as give_up
from card_usage.ledger.delivery import settle as write_down
from card_usage.ledger.door import Door
from card_usage.outcome import Answer, Reply, Step, settle
from card_usage.pace import Breaker, Concurrency, Rate, backoff
from card_usage.tokens import NoToken, Tokens, TokenSource
from card_usage.windows import instant, local

log = logging.getLogger(__name__)

BATCH: Final = 256
FLUSH_SECONDS: Final = 0.05
LINGER: Final = timedelta(seconds=60)
TOKEN_TRIES: Final = 3
REFUSED_IN_A_ROW: Final = 50
PROGRESS_SECONDS: Final = 5.0


class Caller(TokenSource, Protocol):
    """What a deliverer needs of the platform."""

    clock_offset: float | None

    async def report(
        self, *, token: str, request_id: str, hospital_id: str, req: Mapping[str, str], now: datetime
    ) -> Reply: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a run is: events done by it, events it still has, per second, and seconds left (None: unknown)."""

    done: int
    due: int
    per_second: float
    seconds_left: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivered:
    """What a run came to, in events by the state it gave them, and in calls.

    `left`: open events of the scope at the end; `stopped_by`: the hold that ended the run early, 'deadline', or None.
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
        """Whether nothing that was due is left, and nothing waits for a decision."""
        return self.left == 0 and not self.states.get("rejected") and not self.states.get("unconfirmed")

    def summary(self) -> dict[str, object]:
        """Counts only, fit for logs and XCom."""
        return {**asdict(self), "settled": self.settled}


@dataclass(slots=True)
class _Open:
    """A claimed event on its way: earlier answers to its request id, and the calls of this claim."""

    claimed: Claimed
    past: list[Answer]
    calls: list[Attempt] = field(default_factory=list)


class Fenced(Exception):
    """Another deliverer called this one dead and took its claims over."""


class Delivery:
    """One run over one scope. Use once: `await Delivery(...).run()`."""

    def __init__(
        self,
        *,
        hospital: Hospital,
        scope: Scope,
        app_id: str,
        door: Door,
        keyring: Keyring,
        caller: Caller,
        tables: Mapping[str, CodeTable],
        clock: Clock,
        random: Random,
        identity: workers.Identity,
        until: datetime | None = None,
        linger: timedelta = LINGER,
        dead_after: float = workers.DEAD_AFTER,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._hospital, self._scope, self._app_id = hospital, scope, app_id
        self._door, self._keyring, self._caller, self._tables = door, keyring, caller, tables
        self._clock, self._random, self._identity = clock, random, identity
        self._until, self._linger, self._on_progress = until, linger, on_progress
        settings = hospital.platform
        self._concurrency = Concurrency(settings.concurrency)
        self._rates = (Rate(settings.requests_per_second), Rate(settings.app_requests_per_second))
        self._breaker = Breaker(random)
        self._call_timeout = settings.call_timeout_seconds
        self._dead_after = max(dead_after, 2 * self._call_timeout + 10)
        self._watch = workers.Watch(identity, self._dead_after)
        self._queue: deque[_Open] = deque()
        self._answered: list[Settled] = []
        self._at_work: dict[int, _Open] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Event()  # something changed for the dispatcher
        self._written = asyncio.Event()  # something to write, or written
        self._states: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()
        self._paused = self._draining = self._exhausted = False
        self._stopped_by: str | None = None
        self._refused_in_a_row = self._token_losses = self._stumbles = 0
        self._reserved_day: date | None = None
        self._worker = 0
        self._last_beat = 0.0
        self._backlog = Backlog(0, 0, None)

    # -- the run ------------------------------------------------------------------------------------------------

    async def run(self) -> Delivered:
        """Deliver until nothing is due soon, a hold says stop, or `until` has come."""
        began = self._clock.monotonic()
        self._last_beat = began
        register = {"hospital": self._hospital.id, "app_id": self._app_id, "identity": self._identity}
        self._worker = await self._door.write(
            lambda connection: workers.register(connection, **register, now=self._clock.now())  # type: ignore[arg-type]
        )
        self._tokens = Tokens(
            door=self._door,
            source=self._caller,
            keyring=self._keyring,
            clock=self._clock,
            random=self._random,
            app_id=self._app_id,
            hospital=self._hospital.id,
            hospital_id=self._hospital.platform.hospital_id,
            worker=self._worker,
        )
        left = 0
        try:
            await self._look_around()
            self._backlog = await self._door.write(self._count)
            async with asyncio.TaskGroup() as group:
                heart = group.create_task(self._heart(began))
                writer = group.create_task(self._writer())
                dispatcher = group.create_task(self._dispatcher())
                await self._feeder()
                self._exhausted = True
                self._turn.set()
                await dispatcher
                self._written.set()
                await writer
                heart.cancel()
        except* Fenced:
            log.error("deliverer %d was called dead by another one; its claims are in other hands", self._worker)
            self._stopped_by = "fenced"
        finally:
            for call in self._calls:
                call.cancel()
        if self._stopped_by != "fenced":
            await self._leave()
        left = (await self._door.write(self._count)).open
        return Delivered(
            states=dict(self._states),
            answers=dict(self._answers),
            calls=sum(self._answers.values()),
            refreshes=self._tokens.refreshes,
            left=left,
            stopped_by=self._stopped_by,
            seconds=round(self._clock.monotonic() - began, 3),
        )

    def _count(self, connection: Connection) -> Backlog:
        return backlog(connection, self._scope, self._clock.now())

    async def _leave(self) -> None:
        """Write the last outcomes, give back what was never sent, sign off."""
        unsent = [one.claimed for one in self._queue]
        self._queue.clear()

        def sign_off(connection: Connection) -> None:
            self._give_back(connection, unsent)
            workers.end(connection, self._worker, self._clock.now())

        await self._flush()
        await self._door.write(sign_off)

    # -- claiming -----------------------------------------------------------------------------------------------

    async def _feeder(self) -> None:
        """Keep the queue filled until nothing more is due within the linger, or the run must stop."""
        low_water = max(64, 2 * self._hospital.platform.concurrency)
        while not self._stopping():
            if self._paused:
                await self._release_queue()
                await self._clock.sleep(0.2)
                continue
            if len(self._queue) >= low_water:
                await self._clock.sleep(0.005)
                continue
            claimed = await self._door.write(self._claim)
            if claimed:
                self._queue.extend(claimed)
                self._turn.set()
                continue
            if self._queue or self._calls or self._answered:
                await self._clock.sleep(0.01)
                continue
            self._backlog = await self._door.write(self._count)
            now = self._clock.now()
            if self._backlog.due and self._quota_left is not False:
                continue
            later = self._backlog.next_due
            if later is None or later - now > self._linger:
                return
            await self._clock.sleep(min(1.0, max(0.01, (later - now).total_seconds())))

    def _stopping(self) -> bool:
        if self._stopped_by is None and self._until is not None and self._clock.now() >= self._until:
            self._stopped_by = "deadline"
        return self._stopped_by is not None or self._draining

    @property
    def _quota_left(self) -> bool | None:
        """None: no quota; else whether the last claim found calls left today."""
        return None if self._hospital.platform.live else self._last_grant > 0

    _last_grant: int = 1

    def _claim(self, connection: Connection) -> list[_Open]:
        if self._door.stumbles != self._stumbles:
            # A claim whose commit was never confirmed may stand in our name: nobody else would ever touch it.
            keep = list(self._at_work)
            recover(connection, [self._worker], now=self._clock.now(), detail="ledger lost", keep=keep)
            self._stumbles = self._door.stumbles
        settings = self._hospital.platform
        room = BATCH if settings.live else self._reserve(connection)
        if room == 0:
            return []
        claimed = claim(
            connection,
            self._scope,
            worker=self._worker,
            limit=room,
            now=self._clock.now(),
            backfill_order=settings.backfill_order,
        )
        if not settings.live and len(claimed) < room:
            self._refund(connection, room - len(claimed))
        past = history(connection, claimed)
        opened = [_Open(one, past.get(one.id, [])) for one in claimed]
        self._at_work.update((one.claimed.id, one) for one in opened)
        return opened

    def _platform_day(self) -> date:
        offset = timedelta(seconds=self._caller.clock_offset or 0)
        return local(self._clock.now() + offset).date()

    def _reserve(self, connection: Connection) -> int:
        """Calls of the platform's day for one batch, taken before they are made."""
        self._reserved_day = self._platform_day()
        self._last_grant = quota.reserve(
            connection,
            BATCH,
            hospital=self._hospital.id,
            interface=quota.REPORT,
            day=self._reserved_day,
            limit=self._hospital.platform.daily_quota,
        )
        return self._last_grant

    def _refund(self, connection: Connection, calls: int) -> None:
        if calls and self._reserved_day is not None:
            quota.give_back(
                connection, calls, hospital=self._hospital.id, interface=quota.REPORT, day=self._reserved_day
            )

    def _give_back(self, connection: Connection, unsent: list[Claimed]) -> None:
        moved = give_up(connection, unsent, worker=self._worker)
        if not self._hospital.platform.live:
            self._refund(connection, moved)

    async def _release_queue(self) -> None:
        if self._queue:
            unsent = [one.claimed for one in self._queue]
            self._queue.clear()
            await self._door.write(lambda connection: self._give_back(connection, unsent))
            for one in unsent:
                self._at_work.pop(one.id, None)

    # -- sending ------------------------------------------------------------------------------------------------

    async def _dispatcher(self) -> None:
        """Start calls as concurrency, rates and the breaker allow."""
        while True:
            wait = self._may_start()
            if wait == 0.0:
                self._start(self._queue.popleft())
                continue
            if self._exhausted and not self._calls and (not self._queue or self._stopped_by is not None):
                return
            self._turn.clear()
            if wait is None:
                await self._turn.wait()
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(wait, 1.0)):
                        await self._turn.wait()

    def _may_start(self) -> float | None:
        """0.0: start one now; seconds: not before; None: not before something changes."""
        if not self._queue or self._paused or self._stopped_by is not None:
            return None
        if len(self._calls) >= int(self._concurrency.limit):
            return None
        now = self._clock.monotonic()
        if now - self._last_beat > self._dead_after - self._call_timeout - 5:
            return 0.5  # others may soon think us dead: no new call before a beat has succeeded
        if not self._hospital.platform.live and self._platform_day() != self._reserved_day:
            self._stale_reservation = True
            return None
        wait = max(self._breaker.wait(now), *(rate.wait(now) for rate in self._rates))
        return None if wait == float("inf") else wait

    _stale_reservation: bool = False

    def _start(self, one: _Open) -> None:
        now = self._clock.monotonic()
        for rate in self._rates:
            rate.spend(now)
        self._breaker.started()
        call = asyncio.create_task(self._send(one))
        self._calls.add(call)
        call.add_done_callback(self._finished)

    def _finished(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._turn.set()
        if not call.cancelled() and call.exception() is not None:
            self._failure = call.exception()
            self._written.set()

    _failure: BaseException | None = None

    async def _send(self, one: _Open) -> None:
        claimed = one.claimed
        try:
            held = await self._tokens.token()
        except NoToken as refusal:
            self._no_token(one, refusal.reply)
            return
        req = self._request(claimed)
        began = self._clock.monotonic()
        at = self._clock.now()
        reply = await self._caller.report(
            token=held.text,
            request_id=claimed.request_id,
            hospital_id=self._hospital.platform.hospital_id,
            req=req,
            now=at,
        )
        now = self._clock.monotonic()
        self._answers[reply.answer] += 1
        self._feel(reply, now - began, now)
        if reply.answer is Answer.TOKEN:
            self._tokens.lost(held.serial)
        self._decide(one, reply, at)

    def _request(self, claimed: Claimed) -> dict[str, str]:
        sealed = Sealed(claimed.key_id, claimed.sealed)
        patient = json.loads(self._keyring.open(sealed, bound_to=claimed.key.encode()))
        use = CardUse(
            occurred_at=claimed.occurred_at,
            scene=claimed.scene,
            department=claimed.department,
            card_type=claimed.card_type,
            channel=claimed.channel,
            cost_type=claimed.cost_type,
            id_number=patient["idCardNumber"],
            name=patient["name"],
            qr_code_text=patient["qrCodeText"],
        )
        settings = self._hospital.platform
        return rules.payload(
            use,
            settings.hospital_id,
            settings.profile,
            settings.department_format,
            self._tables,
            claimed.department_name,
        )

    def _feel(self, reply: Reply, latency: float, now: float) -> None:
        """Let pace and breaker learn from an answer."""
        if reply.answer in {Answer.NO_ANSWER, Answer.NOT_SENT, Answer.BUSY, Answer.UNLISTED}:
            self._concurrency.troubled(now)
            self._breaker.failed(now)
        else:
            self._breaker.answered()
            if reply.answer is Answer.THROTTLED:
                self._concurrency.troubled(now)
            else:
                self._concurrency.answered(latency, now)

    # -- deciding -----------------------------------------------------------------------------------------------

    def _decide(self, one: _Open, reply: Reply, at: datetime) -> None:
        """Settle one answer in memory; the writer brings it to the ledger."""
        outcome = settle(one.past, reply.answer)
        one.past.append(reply.answer)
        one.calls.append(Attempt(at, reply, outcome.status))
        if reply.answer in {Answer.ACCEPTED, Answer.REPEATED}:
            self._refused_in_a_row = self._token_losses = 0
        elif reply.answer is Answer.REFUSED:
            self._refused_in_a_row += 1
            if self._refused_in_a_row >= REFUSED_IN_A_ROW:
                self._hold("misconfigured", f"{REFUSED_IN_A_ROW} refusals in a row, the last with {reply.result_code}")
        due: datetime | None = None
        match outcome.step:
            case Step.RENEW:
                self._token_losses += 1
                if self._token_losses >= max(TOKEN_TRIES * 64, 4 * self._hospital.platform.concurrency):
                    self._hold("misconfigured", f"every new appToken is refused with {reply.result_code}")
                elif self._hospital.platform.live and len(one.calls) < TOKEN_TRIES and not self._stopping():
                    self._queue.appendleft(one)
                    self._turn.set()
                    return
                due = self._later(1)
            case Step.RETRY | Step.SLOW:
                due = self._later(one.claimed.attempts + len(one.calls))
            case Step.NEXT_DAY:
                due = self._next_platform_day()
                self._hold("quota", "the platform's calls of today are used up (10034)", until=due)
            case Step.STOP:
                code = reply.result_code if reply.result_code is not None else reply.detail
                self._hold("misconfigured", f"the platform answers {code}")
            case Step.SETTLE | Step.DECIDE:
                pass
        self._settled(one, outcome.status, due, reply.result_code)

    def _no_token(self, one: _Open, reply: Reply) -> None:
        """No call could be made for want of a token: the event goes back as it was."""
        if reply.answer in {Answer.MISCONFIGURED, Answer.REFUSED, Answer.BARRED, Answer.TOKEN}:
            self._hold("misconfigured", f"getAppToken is answered {reply.result_code or reply.detail}")
        elif reply.answer is Answer.QUOTA:
            reason = "the platform's getAppToken calls of today are used up (10034)"
            self._hold("quota", reason, until=self._next_platform_day())
        else:
            self._breaker.failed(self._clock.monotonic())
            self._concurrency.troubled(self._clock.monotonic())
        self._settled(one, one.claimed.before if not one.calls else one.calls[-1].status, self._later(2), None)

    def _later(self, failures: int) -> datetime:
        return self._clock.now() + timedelta(seconds=backoff(max(1, failures), self._random))

    def _next_platform_day(self) -> datetime:
        tomorrow = self._platform_day() + timedelta(days=1)
        midnight = instant(datetime(tomorrow.year, tomorrow.month, tomorrow.day))  # noqa: DTZ001 - local by design
        # A little after it, for what the offset does not say.
        return midnight - timedelta(seconds=self._caller.clock_offset or 0) + timedelta(seconds=5)

    def _hold(self, kind: str, reason: str, until: datetime | None = None) -> None:
        if self._stopped_by is None:
            log.warning("%s: stop sending: %s", self._hospital.id, reason)
            self._stopped_by = kind
            self._new_hold = (kind, reason, until)
            self._turn.set()

    _new_hold: tuple[str, str, datetime | None] | None = None

    def _settled(self, one: _Open, status: str, due: datetime | None, code: int | None) -> None:
        self._answered.append(Settled(one.claimed, status, due, code, tuple(one.calls)))
        if len(self._answered) >= BATCH:
            self._written.set()

    # -- writing ------------------------------------------------------------------------------------------------

    async def _writer(self) -> None:
        """Bring outcomes to the ledger, some hundred at a time."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._written.wait()
            self._written.clear()
            if self._failure is not None:
                raise self._failure
            await self._flush()
            if self._stale_reservation:
                self._stale_reservation = False
                await self._release_queue()
            if self._exhausted and not self._calls and not self._answered:
                return

    async def _flush(self) -> None:
        batch, self._answered = self._answered, []
        hold, self._new_hold = self._new_hold, None
        if not batch and hold is None:
            return

        def write(connection: Connection) -> set[int]:
            now = self._clock.now()
            if hold is not None:
                self._write_hold(connection, hold, now)
            return write_down(connection, batch, worker=self._worker, now=now)

        moved = await self._door.write(write)
        for one in batch:
            self._at_work.pop(one.claimed.id, None)
            self._states[one.status] += 1
        if len(moved) < len(batch):
            log.warning("%d outcomes were already written, or are in other hands", len(batch) - len(moved))

    def _write_hold(self, connection: Connection, hold: tuple[str, str, datetime | None], now: datetime) -> None:
        kind, reason, until = hold
        holds.place(
            connection, hospital=self._hospital.id, kind=kind, reason=reason, by="deliverer", now=now, until=until
        )
        if kind == "quota":
            day = self._platform_day()
            limit = self._hospital.platform.daily_quota
            quota.exhausted(
                connection, hospital=self._hospital.id, interface=quota.REPORT, day=day, limit=limit, now=now
            )

    # -- living -------------------------------------------------------------------------------------------------

    async def _heart(self, began: float) -> None:
        """Beat, look after the dead and after holds, and say how far we are."""
        said = began
        while True:
            await self._clock.sleep(workers.BEAT_SECONDS)
            await self._look_around()
            now = self._clock.monotonic()
            if now - said >= PROGRESS_SECONDS:
                said = now
                self._say(now - began)

    async def _look_around(self) -> None:
        asked = self._clock.monotonic()
        alive = await self._door.write(lambda connection: self._beat(connection, asked))
        if not alive:
            raise Fenced
        self._last_beat = asked
        self._turn.set()

    def _beat(self, connection: Connection, monotonic: float) -> bool:
        now = self._clock.now()
        if not workers.beat(connection, self._worker, sum(self._states.values())):
            return False
        for lost in self._watch.dead(
            workers.others(connection, hospital=self._hospital.id, worker=self._worker), monotonic
        ):
            if workers.call_dead(connection, lost, now):
                found = recover(connection, [lost.worker], now=now, detail="deliverer died")
                log.warning("deliverer %d died: %d events are unknown and go again", lost.worker, found)
        hold = holds.blocking(holds.active(connection, self._hospital.id, now))
        kind = hold.kind if hold else None
        self._paused = kind == "pause"
        self._draining = self._draining or kind == "drain"
        if (kind in {"quota", "misconfigured"} and self._stopped_by is None) or (
            kind == "drain" and self._stopped_by is None and not self._queue
        ):
            self._stopped_by = kind
        shares = max(1, workers.sharing_app(connection, self._app_id))
        self._rates[1].per_second = self._hospital.platform.app_requests_per_second / shares
        return True

    def _say(self, seconds: float) -> None:
        done = sum(self._states.values())
        due = max(0, self._backlog.open - done)
        rate = done / seconds if seconds > 0 else 0.0
        left = due / rate if rate > 0 else None
        log.info("delivered %d, %d due, %.0f/s, %s s left", done, due, rate, "?" if left is None else f"{left:.0f}")
        if self._on_progress is not None:
            self._on_progress(Progress(done=done, due=due, per_second=rate, seconds_left=left))


def run(delivery: Coroutine[Any, Any, Delivered]) -> Delivered:
    """Run a delivery to its end, from code that is not asynchronous."""
    return asyncio.run(delivery)
