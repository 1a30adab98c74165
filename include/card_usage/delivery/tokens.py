"""Tokens: the appToken (document 3.2.1), shared through the ledger because a new one invalidates the old one.

One row per appId. A deliverer that sees a token fail reports its serial; only if that serial still is the newest does
one deliverer, and only one, ask for another. All others read what it stored. If somebody outside keeps taking tokens
with our appId, each request of ours ends his token as his ended ours. Then we take turns: before we ask, he has his
token three times as long as we had ours, and a notice says so. The measure of it: docs/delivery.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, and_, bindparam, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from card_usage.config.keyring import Sealed
from card_usage.delivery.call_budget import CallBudget
from card_usage.delivery.flow_control import backoff
from card_usage.delivery.run import Run
from card_usage.ledger import holds
from card_usage.ledger.holds import HoldKind
from card_usage.ledger.schema import deliverer, token
from card_usage.platform.client import Grant
from card_usage.platform.outcome import UNAVAILABLE, Answer, Reply

log = logging.getLogger(__name__)

EXPIRY_MARGIN: Final = timedelta(seconds=60)  # a token is renewed this long before its end
EXPIRY_SHARE: Final = 4  # or in the last quarter of a short life, which the margin would use up
CONTESTED_AFTER: Final = 3
CONTESTED_WITHIN: Final = timedelta(minutes=10)
YIELD: Final = 3.0  # times the life of our lost token that a contested one is left to the other system
YIELD_SECONDS: Final = (1.0, 60.0)  # and at least and at most so long
_MAY_PASS: Final = UNAVAILABLE | {Answer.UNTIMELY}


# Statements on the row of an appId; made once, for many deliverers execute them at once when a token is lost.
_READ: Final = select(token).where(token.c.app_id == bindparam("of_app"))
_FREE: Final = or_(
    token.c.refresher.is_(None),
    token.c.refresher == bindparam("worker"),
    token.c.refresher.not_in(select(deliverer.c.id).where(deliverer.c.ended_at.is_(None))),
)
_OF_SERIAL: Final = and_(token.c.app_id == bindparam("of_app"), token.c.serial == bindparam("of_serial"))
_ACQUIRE: Final = update(token).where(_OF_SERIAL, _FREE).values(refresher=bindparam("worker"))
_OWN: Final = update(token).where(_OF_SERIAL, token.c.refresher == bindparam("worker"))
_RELEASE: Final = _OWN.values(refresher=None)


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token as it stands in the ledger. `serial` counts tokens of the appId."""

    serial: int
    text: str = field(repr=False)
    obtained_at: datetime
    expires_at: datetime

    @property
    def renew_at(self) -> datetime:
        """From when on it is replaced."""
        return renewal(self.obtained_at, self.expires_at)


def renewal(obtained_at: datetime, expires_at: datetime) -> datetime:
    """When a token of this life is replaced: a margin before its end, and never before three quarters of its life."""
    return expires_at - min(EXPIRY_MARGIN, (expires_at - obtained_at) / EXPIRY_SHARE)


class NoToken(Exception):
    """The platform gave no token; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.answer.value)
        self.reply = reply


class TokenManager:
    """The token of one appId, for one deliverer `worker`. `refreshes` counts the tokens that it has asked for."""

    def __init__(self, run: Run, worker: int, budget: CallBudget) -> None:
        self.refreshes = 0
        self._executor, self._platform, self._keyring = run.executor, run.platform, run.keyring
        self._clock, self._random = run.clock, run.random
        self._app_id, self._hospital = run.app_id, run.hospital
        self._worker, self._budget = worker, budget
        self._token: StoredToken | None = None
        self._invalid_through = 0  # the highest serial that was lost
        self._lost_at: datetime | None = None  # when that was seen
        self._given_up: Reply | None = None
        self._never_worked = 0  # the highest serial that was refused at once
        self._one_at_a_time = asyncio.Lock()
        self._refusals = 0
        self._last_refusal: Reply | None = None

    async def current(self) -> StoredToken:
        """The token to use now. Raises NoToken when the platform gives none.

        Who comes while a request is under way shares its result, a refusal too: a platform that is away, or does not
        know our secret, is not asked once more for each event that waits.
        """
        if self._token is not None and self._usable(self._token):
            return self._token
        refusals_before = self._refusals
        async with self._one_at_a_time:
            if self._token is not None and self._usable(self._token):
                return self._token
            if self._given_up is not None:
                raise NoToken(self._given_up)
            if self._last_refusal is not None and self._refusals != refusals_before:
                raise NoToken(self._last_refusal)
            try:
                return await self._obtain()
            except NoToken as refusal:
                self._refusals += 1
                self._last_refusal = refusal.reply
                raise

    def invalidate(self, serial: int, *, worked: bool = True) -> None:
        """A call with this token was answered with a token code: it is never used again.

        `worked`: it was taken before, so somebody has replaced it; one that never was proves nothing about others.
        """
        if serial > self._invalid_through:
            self._invalid_through = serial
            self._lost_at = self._clock.now()
        if not worked:
            self._never_worked = max(self._never_worked, serial)

    def give_up(self, reply: Reply) -> None:
        """Ask for no further token: calls are answered so under any."""
        self._given_up = reply

    @asynccontextmanager
    async def unchanged(self) -> AsyncIterator[None]:
        """Within the block this deliverer asks for no other token."""
        async with self._one_at_a_time:
            yield

    async def _obtain(self) -> StoredToken:
        failures = 0
        yielded: StoredToken | None = None
        while True:
            stored, pause = await self._executor.write(self._read)
            if stored is not None and self._usable(stored):
                self._token = stored
                return stored
            if pause > 0 and yielded != stored:
                yielded = stored
                log.info("the appToken is contested: leaving it to the other system for %.0f s", pause)
                await self._clock.sleep(pause)
                continue  # another deliverer may have asked meanwhile
            serial = stored.serial if stored else 0
            acquired = await self._executor.write(partial(self._acquire_refresh, serial=serial))
            if acquired is None:
                raise NoToken(Reply(Answer.QUOTA, detail="own count"))
            if not acquired:
                await self._clock.sleep(self._random.uniform(0.1, 0.5))
                continue
            grant = await self._request()
            if isinstance(grant, Grant):
                self.refreshes += 1
                self._token = await self._executor.write(partial(self._store, serial=serial, grant=grant))
                if self._token is not None:
                    return self._token
                continue
            await self._executor.write(partial(self._release_refresh, serial=serial))
            failures += 1
            if grant.answer not in _MAY_PASS or failures >= 4:
                raise NoToken(grant)
            await self._clock.sleep(backoff(failures, self._random))

    def _usable(self, stored: StoredToken) -> bool:
        return stored.serial > self._invalid_through and self._clock.now() < stored.renew_at

    def _read(self, connection: Connection) -> tuple[StoredToken | None, float]:
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
        stored = StoredToken(row.serial, plain.decode(), row.obtained_at, row.expires_at)
        contested = row.losses >= CONTESTED_AFTER and self._recent(row.last_loss_at)
        return stored, self._turn(stored) if contested and not self._usable(stored) else 0.0

    def _turn(self, lost: StoredToken) -> float:
        """How long the other system has its token before we end it, in seconds."""
        lived = (self._lost_at or self._clock.now()) - lost.obtained_at
        least, most = YIELD_SECONDS
        return min(most, max(least, YIELD * lived.total_seconds()))

    def _recent(self, moment: datetime | None) -> bool:
        return moment is not None and abs(self._clock.now() - moment) < CONTESTED_WITHIN

    def _acquire_refresh(self, connection: Connection, serial: int) -> bool | None:
        """Become the one deliverer that asks for the successor of `serial`. False: another living one already is; None:
        the hospital has no such call left today."""
        if connection.execute(_ACQUIRE, self._parameters(serial)).rowcount == 0:
            return False
        if not self._budget.reserve_token_call(connection):
            self._release_refresh(connection, serial)
            return None
        return True

    async def _request(self) -> Grant | Reply:
        request_id = UUID(int=self._random.getrandbits(128), version=4).hex.upper()
        log.info("asking for a new appToken")
        hospital_id = self._hospital.platform.hospital_id
        timestamp = self._budget.platform_clock.timestamp()
        granted = await self._platform.app_token(request_id=request_id, hospital_id=hospital_id, now=timestamp.at)
        return granted if isinstance(granted, Grant) else self._budget.platform_clock.judged(granted, timestamp)

    def _store(self, connection: Connection, serial: int, grant: Grant) -> StoredToken | None:
        now = self._clock.now()
        before = connection.execute(_READ, {"of_app": self._app_id}).one()
        early = before.expires_at is not None and serial > 0 and now < renewal(before.obtained_at, before.expires_at)
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
        if connection.execute(_OWN.values(values), self._parameters(serial)).rowcount == 0:
            return None
        if early and losses >= CONTESTED_AFTER and serial != self._never_worked:
            holds.place(
                connection,
                hospital=self._hospital.id,
                kind=HoldKind.CONTESTED,
                reason=f"appToken replaced {losses} times by another system that uses this appId",
                by="deliverer",
                now=now,
                until=now + CONTESTED_WITHIN,
            )
        return StoredToken(serial + 1, grant.token, now, expires_at)

    def _release_refresh(self, connection: Connection, serial: int) -> None:
        connection.execute(_RELEASE, self._parameters(serial))

    def _parameters(self, serial: int) -> dict[str, Any]:
        return {"of_app": self._app_id, "of_serial": serial, "worker": self._worker}
