"""Session: an open platform for one hospital, with the token that all share and the day's quota, both in the ledger.

Whoever asks for a token of its own kills the one that a running delivery uses; so calls take the shared one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial

from card_usage.clock import SystemClock
from card_usage.config.connections import Connection
from card_usage.config.hospital import Hospital
from card_usage.delivery import quota
from card_usage.delivery.call_budget import CallBudget
from card_usage.delivery.deliverer import opened_run
from card_usage.delivery.flow_control import SharedRates, backoff
from card_usage.delivery.membership import BEAT_SECONDS, Fenced, Membership
from card_usage.delivery.platform_clock import PlatformClock
from card_usage.delivery.run import Run
from card_usage.delivery.tokens import NoToken, StoredToken, TokenManager
from card_usage.ledger.database import Ledger
from card_usage.ledger.patient_cards import Card, keep, record_key
from card_usage.ledger.scope import Scope
from card_usage.open_platform.client import Caller, OpenPlatform
from card_usage.platform.client import Platform
from card_usage.platform.outcome import Reply
from card_usage.standard.code_tables import CodeTable, fold
from card_usage.windows import local


class LedgerGate:
    """Token, quota and clock of one run. `clock`: the platform's; `haste`: what pauses are multiplied by.

    `worker`: its number among the deliverers; `alive`: nobody has declared it dead.
    """

    def __init__(self, run: Run, tokens: TokenManager, clock: PlatformClock, membership: Membership) -> None:
        self.run, self._tokens, self.clock, self.worker = run, tokens, clock, membership.worker
        self.alive = True
        self._membership = membership
        self._settings = run.hospital.platform
        self.haste = 1.0
        self._current: StoredToken | None = None
        self._rates = SharedRates(self._settings)
        self._longest_call = timedelta(seconds=2 * self._settings.call_timeout_seconds)

    @property
    def others_unclear(self) -> bool:
        """Whether there is a deliverer of the hospital of whom it is not yet known whether he lives."""
        return self._membership.has_undetermined_peers

    async def look(self) -> None:
        """Show that this process lives, and see whether others of this machine are gone."""
        try:
            await self.beat()
        except Fenced:
            self.alive = False

    async def beat(self) -> None:
        """The same, and take our part of the rates among those who are there. Raises Fenced."""
        view = await self._membership.beat(0)
        self._rates.share(view.deliverers, view.of_hospital)

    async def token(self) -> str | Reply:
        try:
            self._current = await self._tokens.current()
        except NoToken as refusal:
            return refusal.reply
        return self._current.text

    async def lost(self, token: str) -> None:
        if self._current is not None and self._current.text == token:
            self._tokens.invalidate(self._current.serial)

    async def admit(self, interface: str) -> bool:
        if not self._membership.is_certain:
            # This process was suspended: somebody may have declared it dead and have its work.
            await self.look()
        if not self.alive:
            return False
        while (wait := self._rates.wait(self.run.clock.monotonic())) > 0:
            await self.run.clock.sleep(wait)
        self._rates.record_call(self.run.clock.monotonic())
        if self._settings.live:
            return True
        if self.clock.day_after(self._longest_call) != self.clock.today():
            return False  # just before midnight: it might arrive on a day that it was not counted for
        reserve = partial(
            quota.reserve,
            wanted=1,
            hospital=self.run.hospital.id,
            interface=interface,
            day=self.clock.today(),
            limit=self._settings.daily_quota,
        )
        return bool(await self.run.executor.write(reserve))

    async def exhausted(self, interface: str) -> None:
        if self._settings.live:
            return
        write = partial(
            quota.exhausted,
            hospital=self.run.hospital.id,
            interface=interface,
            day=self.clock.today(),
            limit=self._settings.daily_quota,
            now=self.run.clock.now(),
        )
        await self.run.executor.write(write)

    async def bound(self, patid: str, qr_code_text: str) -> None:
        hospital, keyring = self.run.hospital.id, self.run.keyring
        card = Card(record_key(keyring, hospital, fold(patid)), qr_code_text)
        now = self.run.clock.now()
        await self.run.executor.write(lambda connection: keep(connection, keyring, hospital, [card], "binding", now))

    async def pause(self, failures: int) -> None:
        await self.run.clock.sleep(self.haste * backoff(failures, self.run.random))

    def now(self) -> datetime:
        return self.clock.timestamp().at


@asynccontextmanager
async def opened(
    ledger: Ledger, hospital: Hospital, *, connection: Connection, tables: Mapping[str, CodeTable]
) -> AsyncIterator[OpenPlatform]:
    """A hospital's open platform; in the ledger it is one more deliverer as long as the block lasts.

    Raises BadConnection and LedgerUnreachable.
    """
    async with opened_gate(ledger, hospital, connection=connection, tables=tables) as (caller, gate):
        settings = hospital.platform
        yield OpenPlatform(caller, gate, hospital_id=settings.hospital_id, tables=tables, profile=settings.profile)


@asynccontextmanager
async def opened_gate(
    ledger: Ledger, hospital: Hospital, *, connection: Connection, tables: Mapping[str, CodeTable]
) -> AsyncIterator[tuple[Platform, LedgerGate]]:
    """The same in its parts."""
    today = local(SystemClock().now()).date()
    async with opened_run(
        ledger, hospital, Scope(hospital.id, today, today), connection=connection, tables=tables
    ) as run:
        platform = run.platform
        assert isinstance(platform, Platform)  # noqa: S101 - opened_run makes no other
        async with gate_of(run) as gate:
            yield platform, gate


@asynccontextmanager
async def gate_of(run: Run) -> AsyncIterator[LedgerGate]:
    """The gate of a run, which is one more deliverer as long as the block lasts."""
    membership = await Membership.join(run)
    clock = PlatformClock(run)
    tokens = TokenManager(run, membership.worker, CallBudget(run, clock))
    gate = LedgerGate(run, tokens, clock, membership)
    beating = asyncio.create_task(_beat(gate))
    try:
        await run.platform.read_clock()
        yield gate
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating
        await membership.leave()


async def _beat(gate: LedgerGate) -> None:
    """Show that this process lives, so that nobody waits for it or asks for a token in its place."""
    with suppress(Fenced):
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            await gate.beat()
    gate.alive = False


_: type[Caller] = Platform
