"""Dispatcher: starts a call for each queued event, as fast as limits, breaker and holds allow."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from card_usage.delivery.answers import AnswerHandler
from card_usage.delivery.refused_tokens import RefusedTokens
from card_usage.delivery.send_gate import SendGate
from card_usage.delivery.sender import Sender
from card_usage.delivery.stopping import StopControl
from card_usage.delivery.tokens import NoToken, TokenManager
from card_usage.delivery.workload import InFlight, Workload


class Dispatcher:
    """Of one run."""

    def __init__(
        self,
        *,
        workload: Workload,
        gate: SendGate,
        stopping: StopControl,
        sender: Sender,
        tokens: TokenManager,
        refused_tokens: RefusedTokens,
        answers: AnswerHandler,
    ) -> None:
        self._workload, self._gate, self._stopping = workload, gate, stopping
        self._sender, self._tokens, self._answers = sender, tokens, answers
        self._refused_tokens = refused_tokens

    async def run(self, group: asyncio.TaskGroup) -> None:
        """Start calls until all that was claimed has been called and no call is under way."""
        workload = self._workload
        while True:
            if workload.queue and self._gate.is_open:
                wait = self._sender.wait(len(workload.calls))
                if wait <= 0:
                    self._sender.start()
                    call = group.create_task(self._send(workload.queue.popleft()))
                    workload.calls.add(call)
                    call.add_done_callback(self._ended)
                    continue
            else:
                wait = float("inf")
            over = not workload.queue or self._stopping.current is not None
            if over and workload.all_claimed and not workload.calls:
                return
            workload.changed.clear()
            if wait == float("inf"):
                await workload.changed.wait()  # set by an ended call, a batch or a beat: a timer for each call is dear
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(min(wait, 0.5)):
                    await workload.changed.wait()

    def _ended(self, call: asyncio.Task[None]) -> None:
        self._workload.calls.discard(call)
        self._workload.changed.set()

    async def _send(self, event: InFlight) -> None:
        try:
            token = await self._tokens.current()
        except NoToken as refusal:
            self._answers.without_token(event, refusal.reply)
            return
        if not self._gate.is_open:  # the token took its time
            self._sender.call_off()
            self._workload.queue.appendleft(event)
            return
        call = await self._sender.call(event.claimed, token)
        await self._refused_tokens.observe(token, call.reply)
        self._answers.answered(event, call.reply, call.at)
