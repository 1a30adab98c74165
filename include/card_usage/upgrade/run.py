"""Run: sends the batches of an upgrade one after the other, until nobody is left or something says stop.

A batch stands in the ledger with its request id before it is sent. After no answer the same batch goes again under the
same id; 10054 then says that it was carried out and its answer is lost, and another id gets the answer again, because
who has a card is given that one (FAQ 5). A batch that is refused as a whole is halved until the one who is the reason
stands alone. So the process may be killed at any moment: nobody is lost, and nobody gets two cards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Final

from sqlalchemy import Connection

from card_usage.context import Context
from card_usage.delivery.membership import BEAT_SECONDS
from card_usage.errors import UpgradeUnderWay
from card_usage.interfaces.messages import RegisterBatchHealthCard
from card_usage.ledger import holds
from card_usage.open_platform.client import OpenPlatform, new_request_id
from card_usage.open_platform.session import LedgerGate
from card_usage.platform.outcome import Answer
from card_usage.upgrade import store

FAILURES: Final = 8
"""Calls in a row that settled nobody, after which a run ends; the next one goes on."""


class Step(StrEnum):
    """What becomes of a batch after an answer."""

    SETTLE = "settle"
    RENEW = "renew"  # the same under another request id
    HALVE = "halve"
    AGAIN = "again"  # the same under the same request id, a little later
    STOP = "stop"  # it stays open


STEPS: Final = {
    Answer.ACCEPTED: Step.SETTLE,
    Answer.REPEATED: Step.RENEW,
    Answer.REFUSED: Step.HALVE,
    Answer.TOKEN: Step.STOP,
    Answer.BUSY: Step.AGAIN,
    Answer.UNLISTED: Step.AGAIN,
    Answer.QUOTA: Step.STOP,
    Answer.THROTTLED: Step.AGAIN,
    Answer.MISCONFIGURED: Step.STOP,
    Answer.BARRED: Step.STOP,
    Answer.LIMITED: Step.AGAIN,
    Answer.UNTIMELY: Step.AGAIN,
    Answer.NOT_SENT: Step.AGAIN,
    Answer.NO_ANSWER: Step.AGAIN,
}
"""One decision for each class of answer."""


@dataclass(kw_only=True)
class Upgraded:
    """What a run came to. `counts`: registered, refused, unnamed; `stopped`: why it ended before all was done, and
    `code` the result code of that, if any; `bounded`: because it was to make no more calls, or to go on no longer;
    `used_up`: because today's calls are."""

    counts: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    stopped: str = ""
    code: int | None = None
    bounded: bool = False
    used_up: bool = False


async def send(
    context: Context,
    platform: OpenPlatform,
    gate: LedgerGate,
    *,
    size: int,
    calls: int | None = None,
    until: datetime | None = None,
    on_batch: Callable[[Counter[str]], None] | None = None,
) -> Upgraded:
    """Send every batch, or as many as `calls` calls or the time `until` allow. `size`: patients of a new one.

    Raises UpgradeUnderWay and LedgerUnreachable.
    """
    hospital, write = context.hospital.id, gate.run.executor.write
    acquire = partial(store.acquire, hospital=hospital, worker=gate.worker)
    while not await write(acquire):
        # The one who sends may have been killed, on another machine too: then his beat stands still.
        await gate.look()
        if await write(acquire):
            break
        if not (gate.alive and gate.others_unclear):
            raise UpgradeUnderWay(hospital=hospital)
        await gate.run.clock.sleep(BEAT_SECONDS)
    try:
        return await _Sending(context, platform, gate, size, calls, until, on_batch).run()
    finally:
        await write(partial(store.release, hospital=hospital, worker=gate.worker))


class _Sending:
    def __init__(
        self,
        context: Context,
        platform: OpenPlatform,
        gate: LedgerGate,
        size: int,
        calls: int | None,
        until: datetime | None,
        on_batch: Callable[[Counter[str]], None] | None,
    ) -> None:
        self._calls, self._until = calls, until
        self._hospital, self._keyring = context.hospital.id, context.ledger.keyring
        self._platform, self._gate, self._size, self._on_batch = platform, gate, size, on_batch
        self._write, self._clock = gate.run.executor.write, gate.run.clock
        self.done = Upgraded()

    async def run(self) -> Upgraded:
        failures = 0
        while not self.done.stopped:
            if not self._gate.alive:
                self.done.stopped = "another process took over"
                break
            if self._calls is not None and self.done.calls >= self._calls:
                self.done.stopped, self.done.bounded = f"{self._calls} calls, as many as were allowed", True
                break
            if self._until is not None and self._clock.now() >= self._until:
                self.done.stopped, self.done.bounded = "its time is over", True
                break
            batch = await self._write(self._next)
            if batch is None or self.done.stopped:
                break
            step = await self._one(batch)
            # An answer that is always lost looks like AGAIN and RENEW in turn.
            failures = failures + 1 if step in (Step.AGAIN, Step.RENEW) else 0
            if failures >= FAILURES:
                self.done.stopped = "no answer"
            elif step is Step.AGAIN:
                await self._gate.pause(failures)
        return self.done

    def _next(self, connection: Connection) -> store.Batch | None:
        now = self._clock.now()
        hold = holds.blocking(holds.active(connection, self._hospital, now))
        if hold is not None:
            self.done.stopped = f"{hold.kind}: {hold.reason}"
            return None
        request_id = new_request_id()
        return store.next_batch(
            connection, self._keyring, self._hospital, size=self._size, request_id=request_id, now=now
        )

    async def _one(self, batch: store.Batch) -> Step:
        request = RegisterBatchHealthCard(health_card_items=tuple(batch.patients.values()))
        answered = await self._platform.call(request, request_id=batch.request_id)
        self.done.calls += 1
        reply, now = answered.reply, self._clock.now()
        step = STEPS[reply.answer]
        if step is Step.SETTLE and answered.rsp is not None:
            items, keyring = answered.rsp.rsp_items, self._keyring
            counts = await self._write(partial(store.settle, keyring=keyring, batch=batch, items=items, now=now))
            self.done.counts += counts
            if counts["unnamed"]:
                # Its answer left people out; they are sent again, but not for ever.
                return Step.AGAIN
            if self._on_batch is not None:
                self._on_batch(counts)
        elif step is Step.RENEW:
            await self._write(partial(store.renew, batch=batch, request_id=new_request_id()))
        elif step is Step.HALVE and len(batch.patients) > 1:
            ids = (new_request_id(), new_request_id())
            await self._write(partial(store.split, batch=batch, request_ids=ids, now=now))
        elif step is Step.HALVE:
            await self._write(partial(store.refuse, batch=batch, result_code=reply.result_code, now=now))
            self.done.counts["refused"] += 1
        else:
            await self._write(partial(store.tried, batch=batch, result_code=reply.result_code))
            if step is Step.STOP:
                self.done.stopped = reply.detail or reply.answer.value
                self.done.code = reply.result_code
                self.done.used_up = reply.answer is Answer.QUOTA and self._gate.alive
        return step
