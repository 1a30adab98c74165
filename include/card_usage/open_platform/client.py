"""Client: calls any interface with a typed request, and gives its typed answer.

    async with opened(ledger, hospital, connection=connection, tables=tables) as platform:  # session.py
        answered = await platform.call(RegisterHealthCard(wechat_code=code, name=name, ...))
        card = answered.result()

A request is validated before anything is sent. A call never raises for what the wire or the platform did: `Answered`
says what is known, and `result` raises for whoever wants the answer or nothing. A token that was lost is renewed once.
What a repetition after no answer does differs by interface (Repetition), so it is made only where it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Generic, Protocol, TypeVar
from uuid import uuid4

from card_usage.errors import CallRefused, RequestRefused
from card_usage.interfaces.declaration import Interface, Message, Repetition, Request
from card_usage.interfaces.messages import BatchAnswer, BindCardRelation, Bound, RegisterBatchHealthCard
from card_usage.interfaces.table import interface_of
from card_usage.open_platform.reading import read
from card_usage.open_platform.validation import Parted, Tables, checked, parted
from card_usage.platform.outcome import UNAVAILABLE, Answer, Reply, meanings
from card_usage.platform.reader import Unreadable

R = TypeVar("R", bound=Message)

_AGAIN: Final = UNAVAILABLE | {Answer.THROTTLED, Answer.LIMITED}
"""Answers after which the same call may succeed a little later."""


class Caller(Protocol):
    """Makes one call: platform.client.Platform."""

    async def call(
        self, path: str, *, token: str, request_id: str, hospital_id: str, req: Mapping[str, object], now: datetime
    ) -> tuple[Reply, Mapping[str, object]]: ...


class Gate(Protocol):
    """What a call needs beside its request: a token, a share of the day's quota, a timestamp."""

    async def token(self) -> str | Reply:
        """The token to use now, or why there is none."""
        ...

    async def lost(self, token: str) -> None:
        """The platform does not know this token (any more)."""
        ...

    async def admit(self, interface: str) -> bool:
        """Count one call of the interface. False: the hospital has none left today."""
        ...

    async def exhausted(self, interface: str) -> None:
        """The platform says that none is left today."""
        ...

    async def bound(self, patid: str, qr_code_text: str) -> None:
        """A card was bound to the hospital's own id of a patient."""
        ...

    async def pause(self, failures: int) -> None:
        """Wait after so many failures in a row."""
        ...

    def now(self) -> datetime:
        """The time to date a call with, aware."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered(Generic[R]):
    """What came of one call. `rsp`: only of one that was accepted."""

    interface: Interface
    request_id: str
    reply: Reply
    rsp: R | None

    @property
    def meaning(self) -> str:
        """What the document says about the result code; a technical word where there is none."""
        code = self.reply.result_code
        if code is None or (code == 0 and self.rsp is None):
            return self.reply.detail
        return meanings().get(code, "")

    def result(self) -> R:
        """The answer. Raises CallRefused where there is none."""
        if self.rsp is None:
            raise CallRefused(
                interface=self.interface.name,
                answer=self.reply.answer.value,
                code="-" if self.reply.result_code is None else self.reply.result_code,
                meaning=self.meaning or "-",
                request_id=self.request_id,
            )
        return self.rsp


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchAnswered:
    """What came of a batch. `parted`: the items that were sent, and the problems of the others; `answered`: None if
    nothing was sent."""

    parted: Parted
    answered: Answered[BatchAnswer] | None


def new_request_id() -> str:
    """32 hexadecimal digits in capitals, as the document's Java sample makes them (3.1.3.4)."""
    return uuid4().hex.upper()


class OpenPlatform:
    """Every interface of 3.2, for one hospital. `tables`: the code tables that requests are checked against."""

    def __init__(self, caller: Caller, gate: Gate, *, hospital_id: str, tables: Tables, profile: str = "v2.1") -> None:
        self._caller, self._gate = caller, gate
        self.hospital_id = hospital_id
        self.profile = profile
        self._tables = tables

    def now(self) -> datetime:
        """The time by which calls are dated, aware."""
        return self._gate.now()

    async def call(self, request: Request[R], *, request_id: str | None = None, tries: int = 1) -> Answered[R]:
        """Make one call. `request_id`: of a call that was stored before; it is then never replaced.

        `tries`: repeat it after no answer, as the interface's repetition allows: under the same id where another would
        count twice. 10054 to such a repetition has no `rsp`: it was carried out, and its answer is lost.

        Raises RequestRefused for a request that is not as the document demands, before anything is sent.
        """
        interface = interface_of(checked(request, self._tables, self.profile))
        if interface.name == "getAppToken":
            # Every token kills the one before it, which others are using.
            problem = "tokens are fetched by the client itself, one for all who share the appId"
            raise RequestRefused(interface=interface.name, count=1, problems=problem)
        given = request_id is not None
        keep = given or interface.repetition is Repetition.SAME_ID
        request_id = request_id or new_request_id()
        renewed = False
        for failures in range(1, tries + 1):
            answered = await self._once(interface, request, request_id)
            if answered.reply.answer is Answer.TOKEN and not renewed:
                renewed = True
                # A definite refusal: a platform that remembers ids on sight would answer 10054 to this one.
                request_id = request_id if given or (keep and failures > 1) else new_request_id()
                answered = await self._once(interface, request, request_id)
            if answered.reply.answer not in _AGAIN or failures == tries:
                break
            await self._gate.pause(failures)
            if not keep:
                request_id = new_request_id()
        if isinstance(request, BindCardRelation) and isinstance(answered.rsp, Bound) and answered.rsp.result:
            await self._gate.bound(request.patid, request.qr_code_text)
        return answered

    async def register(
        self, batch: RegisterBatchHealthCard, *, request_id: str | None = None, tries: int = 1
    ) -> BatchAnswered:
        """registerBatchHealthCard with the good items of a batch; the bad ones are told, not sent."""
        sides = parted(batch, self._tables, self.profile)
        if sides.good is None:
            return BatchAnswered(parted=sides, answered=None)
        return BatchAnswered(parted=sides, answered=await self.call(sides.good, request_id=request_id, tries=tries))

    async def _once(self, interface: Interface, request: Request[R], request_id: str) -> Answered[R]:
        reply, rsp = await self._reply(interface, request.to_wire(), request_id)
        found: Any = None
        if reply.answer is Answer.ACCEPTED:
            try:
                found = read(interface.response, rsp)
            except Unreadable as problem:
                reply = replace(reply, answer=Answer.NO_ANSWER, detail=str(problem))
        return Answered(interface=interface, request_id=request_id, reply=reply, rsp=found)

    async def _reply(
        self, interface: Interface, req: Mapping[str, object], request_id: str
    ) -> tuple[Reply, Mapping[str, object]]:
        token = await self._gate.token()
        if isinstance(token, Reply):
            return token, {}
        if interface.counted and not await self._gate.admit(interface.name):
            return Reply(Answer.QUOTA, detail="own count"), {}
        reply, rsp = await self._caller.call(
            interface.path,
            token=token,
            request_id=request_id,
            hospital_id=self.hospital_id,
            req=req,
            now=self._gate.now(),
        )
        if reply.answer is Answer.TOKEN:
            await self._gate.lost(token)
        elif reply.answer is Answer.QUOTA:
            await self._gate.exhausted(interface.name)
        return reply, rsp
