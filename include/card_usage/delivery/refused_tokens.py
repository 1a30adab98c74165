"""Refused tokens: tell a token that somebody else replaced from a hospital id that the platform does not take.

21004 means either. A token that has worked and no longer does was replaced. One that is refused at once, twice in a
row, raises the question, and the platform is asked with a hospital under the same appId of which the ledger knows that
it works: if the very same token is taken there, the hospital id is wrong, and no further token is spent on it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, select

from card_usage.delivery.platform_clock import PlatformClock
from card_usage.delivery.run import Run
from card_usage.delivery.stopping import StopControl
from card_usage.delivery.tokens import StoredToken, TokenManager
from card_usage.ledger.schema import event
from card_usage.platform.outcome import MERE_STATUS, UNAVAILABLE, Answer, Reply

log = logging.getLogger(__name__)

ASK_AFTER: Final = 2  # fresh tokens refused at once, in a row
GIVE_UP_AFTER: Final = 10  # the same, where nobody can be asked and the hospital never had anything accepted


class RefusedTokens:
    """Of one run."""

    def __init__(self, run: Run, *, tokens: TokenManager, stopping: StopControl, platform_clock: PlatformClock) -> None:
        self._run, self._tokens, self._stopping, self._platform_clock = run, tokens, stopping, platform_clock
        self._worked_through = 0  # the newest serial that the platform has taken
        self._refused: set[int] = set()  # serials that were refused at once, since one has worked

    async def observe(self, token: StoredToken, reply: Reply) -> None:
        """A call with this token was answered so. Stops the run if the hospital id is what the platform refuses."""
        if reply.answer is not Answer.TOKEN:
            if reply.answer not in UNAVAILABLE and reply.result_code is not None:
                self._worked_through = max(self._worked_through, token.serial)
                self._refused.clear()
            return
        if token.serial <= self._worked_through:
            self._tokens.invalidate(token.serial)
            return
        if token.serial in self._refused:
            return
        self._refused.add(token.serial)
        # Nobody may replace the token while it is tried out.
        async with self._tokens.unchanged():
            self._tokens.invalidate(token.serial, worked=False)
            if len(self._refused) >= ASK_AFTER:
                await self._find_out(token, reply)

    async def _find_out(self, token: StoredToken, reply: Reply) -> None:
        hospital_id = self._run.hospital.platform.hospital_id
        working = await self._run.executor.write(self._working)
        for other in working:
            if self._stopping.holds_calls:
                return  # paused or stopped meanwhile: this call counts as any other
            answer = await self._ask(token, self._run.siblings[other])
            if answer is Answer.TOKEN:
                self._refused.clear()  # it was the token
                return
            if answer not in UNAVAILABLE | MERE_STATUS and answer is not Answer.THROTTLED:
                detail = f"hospitalId {hospital_id} is refused, the same appToken is taken for {other}"
                self._stop(detail, reply)
                return
        if len(self._refused) >= GIVE_UP_AFTER and not await self._run.executor.write(self._has_delivered):
            detail = f"{len(self._refused)} new appTokens in a row are refused at once for hospitalId {hospital_id}"
            self._stop(detail, reply)

    def _stop(self, detail: str, reply: Reply) -> None:
        self._tokens.give_up(reply)
        self._stopping.misconfigured(detail[:200], reply, explains=True)

    async def _ask(self, token: StoredToken, hospital_id: str) -> Answer:
        """What the platform answers to a call that lacks everything but its hospital, and so reports nothing."""
        request_id = UUID(int=self._run.random.getrandbits(128), version=4).hex.upper()
        log.info("a new appToken was refused at once: asking whether another hospital may use it")
        reply = await self._run.platform.report(
            token=token.text,
            request_id=request_id,
            hospital_id=hospital_id,
            req={"hospitalId": hospital_id},
            now=self._platform_clock.timestamp().at,
        )
        return reply.answer

    def _working(self, connection: Connection) -> Sequence[str]:
        return [other for other in sorted(self._run.siblings) if _delivered(connection, other)]

    def _has_delivered(self, connection: Connection) -> bool:
        return _delivered(connection, self._run.hospital.id)


def _delivered(connection: Connection, hospital: str) -> bool:
    query = select(event.c.id).where(event.c.hospital == hospital, event.c.status == "delivered").limit(1)
    return connection.scalar(query) is not None
