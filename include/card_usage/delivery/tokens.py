"""appToken (document 3.2.1): shared through the ledger, because a new one kills the old one.

One row per appId. Whoever sees a token fail reports its serial; only if that serial still is the newest does one
deliverer, and only one, ask for another. Everybody else takes over what it wrote down. If somebody outside keeps
taking tokens with our appId, the pauses between ours grow, and a notice says so: we do not fight.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any, Final, Protocol
from uuid import UUID

from sqlalchemy import Connection, and_, bindparam, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from card_usage.clock import Clock
from card_usage.config.keyring import Keyring, Sealed
from card_usage.delivery.flow_control import backoff
from card_usage.ledger import holds
from card_usage.ledger.executor import LedgerExecutor
from card_usage.ledger.schema import deliverer, token
from card_usage.platform.client import Grant
from card_usage.platform.outcome import Answer, Reply

log = logging.getLogger(__name__)

MARGIN: Final = timedelta(seconds=60)
CONTESTED_AFTER: Final = 3
CONTESTED_WITHIN: Final = timedelta(minutes=10)


# What a deliverer says to the row of its appId; made once, for many say it at once when a token dies.
_READ: Final = select(token).where(token.c.app_id == bindparam("of_app"))
_FREE: Final = or_(
    token.c.refresher.is_(None),
    token.c.refresher == bindparam("worker"),
    token.c.refresher.not_in(select(deliverer.c.id).where(deliverer.c.ended_at.is_(None))),
)
_OF_SERIAL: Final = and_(token.c.app_id == bindparam("of_app"), token.c.serial == bindparam("of_serial"))
_TAKE: Final = update(token).where(_OF_SERIAL, _FREE).values(refresher=bindparam("worker"))
_MINE: Final = update(token).where(_OF_SERIAL, token.c.refresher == bindparam("worker"))
_LET_GO: Final = _MINE.values(refresher=None)


class TokenSource(Protocol):
    """The platform's getAppToken."""

    async def app_token(self, *, request_id: str, hospital_id: str, now: datetime) -> Grant | Reply: ...


@dataclass(frozen=True, slots=True)
class Held:
    """A token as the ledger knows it. `serial` counts tokens of the appId."""

    serial: int
    text: str = field(repr=False)
    expires_at: datetime


class NoToken(Exception):
    """The platform gave no token; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.answer.value)
        self.reply = reply


class Tokens:
    """The token of one appId, for one deliverer."""

    def __init__(
        self,
        *,
        executor: LedgerExecutor,
        source: TokenSource,
        keyring: Keyring,
        clock: Clock,
        random: Random,
        app_id: str,
        hospital: str,
        hospital_id: str,
        worker: int,
        reserve: Callable[[Connection], bool] = lambda _: True,
    ) -> None:
        self.refreshes = 0
        self._executor = executor
        self._source = source
        self._keyring = keyring
        self._clock = clock
        self._random = random
        self._app_id = app_id
        self._hospital = hospital
        self._hospital_id = hospital_id
        self._worker = worker
        self._reserve = reserve
        self._held: Held | None = None
        self._lost = 0
        self._one_at_a_time = asyncio.Lock()
        self._refusals = 0
        self._refused: Reply | None = None

    async def token(self) -> Held:
        """The token to use now. Raises NoToken when the platform gives none.

        Whoever comes while another one asks takes what that one gets, a refusal too: a platform that is away, or does
        not know our secret, is not asked once more for each event that waits.
        """
        if self._held is not None and self._usable(self._held):
            return self._held
        known = self._refusals
        async with self._one_at_a_time:
            if self._held is not None and self._usable(self._held):
                return self._held
            if self._refused is not None and self._refusals != known:
                raise NoToken(self._refused)
            try:
                return await self._newest()
            except NoToken as refusal:
                self._refusals += 1
                self._refused = refusal.reply
                raise

    def lost(self, serial: int) -> None:
        """A call with this token was answered with a token code: it is never used again."""
        self._lost = max(self._lost, serial)

    async def _newest(self) -> Held:
        failures = 0
        while True:
            stored, pause = await self._executor.write(self._read)
            if stored is not None and self._usable(stored):
                self._held = stored
                return stored
            if pause > 0:
                await self._clock.sleep(pause)
            serial = stored.serial if stored else 0
            taken = await self._executor.write(partial(self._take, serial=serial))
            if taken is None:
                raise NoToken(Reply(Answer.QUOTA, detail="own count"))
            if not taken:
                await self._clock.sleep(self._random.uniform(0.1, 0.5))
                continue
            grant = await self._ask()
            if isinstance(grant, Grant):
                self.refreshes += 1
                self._held = await self._executor.write(partial(self._store, serial=serial, grant=grant))
                if self._held is not None:
                    return self._held
                continue
            await self._executor.write(partial(self._let_go, serial=serial))
            failures += 1
            if grant.answer not in {Answer.NO_ANSWER, Answer.NOT_SENT, Answer.BUSY, Answer.UNLISTED} or failures >= 4:
                raise NoToken(grant)
            await self._clock.sleep(backoff(failures, self._random))

    def _usable(self, held: Held) -> bool:
        return held.serial > self._lost and self._clock.now() < held.expires_at - MARGIN

    def _read(self, connection: Connection) -> tuple[Held | None, float]:
        """The stored token, and how long to wait before replacing it if it was lost to somebody else."""
        row = connection.execute(_READ, {"of_app": self._app_id}).one_or_none()
        if row is None:
            try:
                with connection.begin_nested():
                    connection.execute(insert(token).values(app_id=self._app_id, serial=0))
            except IntegrityError:
                pass  # another deliverer was first
            return None, 0.0
        if row.sealed is None:
            return None, 0.0
        plain = self._keyring.open(Sealed(row.key_id, row.sealed), bound_to=self._app_id.encode())
        contested = max(0, row.losses - CONTESTED_AFTER + 1) if self._recent(row.last_loss_at) else 0
        return Held(row.serial, plain.decode(), row.expires_at), min(60.0, 2.0**contested - 1) if contested else 0.0

    def _recent(self, moment: datetime | None) -> bool:
        return moment is not None and abs(self._clock.now() - moment) < CONTESTED_WITHIN

    def _take(self, connection: Connection, serial: int) -> bool | None:
        """Become the one that asks for the successor of `serial`. False: another living deliverer already is; None:
        the hospital has no such call left today."""
        if connection.execute(_TAKE, self._as_of(serial)).rowcount == 0:
            return False
        if not self._reserve(connection):
            self._let_go(connection, serial)
            return None
        return True

    async def _ask(self) -> Grant | Reply:
        request_id = UUID(int=self._random.getrandbits(128), version=4).hex.upper()
        log.info("asking for a new appToken")
        return await self._source.app_token(request_id=request_id, hospital_id=self._hospital_id, now=self._clock.now())

    def _store(self, connection: Connection, serial: int, grant: Grant) -> Held | None:
        now = self._clock.now()
        before = connection.execute(_READ, {"of_app": self._app_id}).one()
        early = before.expires_at is not None and serial > 0 and now < before.expires_at - MARGIN
        losses = (before.losses if self._recent(before.last_loss_at) else 0) + 1 if early else before.losses
        sealed = self._keyring.seal(grant.token.encode(), bound_to=self._app_id.encode())
        expires_at = now + timedelta(seconds=grant.expires_in)
        values = {
            "serial": serial + 1,
            "key_id": sealed.key_id,
            "sealed": sealed.blob,
            "obtained_at": now,
            "expires_at": expires_at,
            "refresher": None,
            "losses": losses,
            "last_loss_at": now if early else before.last_loss_at,
        }
        if connection.execute(_MINE.values(values), self._as_of(serial)).rowcount == 0:
            return None
        if early and losses >= CONTESTED_AFTER:
            holds.place(
                connection,
                hospital=self._hospital,
                kind="contested",
                reason=f"appToken replaced {losses} times by another system that uses this appId",
                by="deliverer",
                now=now,
                until=now + CONTESTED_WITHIN,
            )
        return Held(serial + 1, grant.token, expires_at)

    def _let_go(self, connection: Connection, serial: int) -> None:
        connection.execute(_LET_GO, self._as_of(serial))

    def _as_of(self, serial: int) -> dict[str, Any]:
        return {"of_app": self._app_id, "of_serial": serial, "worker": self._worker}
