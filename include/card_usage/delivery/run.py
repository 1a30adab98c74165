"""Run: what one delivery works on, what it works with, and how long it may take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final, Protocol

from card_usage.clock import Clock
from card_usage.config.day_keys import HospitalKeys
from card_usage.config.hospital import Hospital
from card_usage.config.keyring import Keyring
from card_usage.delivery.binding import Target
from card_usage.delivery.platform_memory import host_of
from card_usage.delivery.progress import Progress
from card_usage.ledger.executor import LedgerExecutor
from card_usage.ledger.process import Identity
from card_usage.ledger.scope import Scope
from card_usage.platform.client import Grant
from card_usage.platform.outcome import Reply
from card_usage.standard.code_tables import CodeTable

LINGER: Final = timedelta(seconds=60)


class PlatformClient(Protocol):
    """What a deliverer needs of the platform. `base_url` names it in errors.

    `clock_seen`: the platform's clock (aware) by its last answer, and our monotonic seconds at that moment; None before
    the first answer.
    """

    base_url: str
    clock_seen: tuple[datetime, float] | None

    async def read_clock(self) -> None:
        """Read the platform's clock without a call that counts. Silent where that fails."""
        ...

    async def report(
        self, *, token: str, request_id: str, hospital_id: str, req: Mapping[str, str], now: datetime
    ) -> Reply:
        """Report one card use: reportHISData."""
        ...

    async def app_token(self, *, request_id: str, hospital_id: str, now: datetime) -> Grant | Reply:
        """Ask for a new token: getAppToken."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run over one scope, as all its parts are given it.

    `siblings`: other live hospitals under the same appId, each with its id on the platform. `identity`: the process
    that delivers. `until`: when it must end, whatever is left. `linger`: how long it waits for an event that falls due
    later.
    """

    hospital: Hospital
    scope: Scope
    app_id: str
    executor: LedgerExecutor
    keyring: Keyring
    keys: HospitalKeys
    platform: PlatformClient
    tables: Mapping[str, CodeTable]
    clock: Clock
    random: Random
    identity: Identity
    siblings: Mapping[str, str] = field(default_factory=dict)
    until: datetime | None = None
    linger: timedelta = LINGER
    on_progress: Callable[[Progress], None] | None = None

    @property
    def target(self) -> Target:
        """The platform that the run reports to."""
        return Target(host_of(self.platform.base_url), self.app_id, self.hospital.platform.hospital_id)
