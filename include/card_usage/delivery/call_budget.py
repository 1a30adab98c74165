"""Call budget: the calls that a run may still make on the platform's present day.

For a hospital that is not yet live every call is reserved before it is made, in the transaction that claims the event:
the platform's day never sees more calls than its quota, whichever process crashes. Backfill gets what the recent need
of live events leaves over. A live hospital has no quota.
"""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import Connection

from card_usage.delivery import quota
from card_usage.delivery.platform_clock import PlatformClock
from card_usage.delivery.run import Run
from card_usage.ledger.scope import LIVE


class CallBudget:
    """Of one run. Methods run in the caller's transaction.

    `exhausted`: the last reservation was granted no call. `platform_clock`: whose day the calls are counted by.
    """

    def __init__(self, run: Run, platform_clock: PlatformClock) -> None:
        self.exhausted = False
        self._hospital, self._settings = run.hospital.id, run.hospital.platform
        self.platform_clock = platform_clock
        self._longest_call = timedelta(seconds=2 * self._settings.call_timeout_seconds)
        self._reserved_day: date | None = None

    def reserve(self, connection: Connection, lane: int, wanted: int, *, others_reserved: bool) -> int:
        """Reserve up to `wanted` calls for events of a lane; returns how many. `others_reserved`: the run still has
        calls of an earlier reservation."""
        if self._settings.live or not wanted:
            return wanted
        today = self.platform_clock.today()
        if self.platform_clock.day_after(self._longest_call) != today:
            return 0  # just before midnight
        if others_reserved and self._reserved_day != today:
            return 0  # what was reserved for yesterday is not yet given back
        self._reserved_day = today
        granted = quota.reserve(
            connection,
            wanted,
            hospital=self._hospital,
            interface=quota.REPORT,
            day=today,
            limit=self._settings.daily_quota,
            for_live=lane == LIVE,
        )
        self.exhausted = granted == 0
        return granted

    def refund(self, connection: Connection, lane: int, calls: int) -> None:
        """Give back reserved calls that were not made."""
        if calls and self._reserved_day is not None:
            quota.give_back(
                connection,
                calls,
                hospital=self._hospital,
                interface=quota.REPORT,
                day=self._reserved_day,
                for_live=lane == LIVE,
            )

    def reserve_token_call(self, connection: Connection) -> bool:
        """Whether getAppToken may be called once more today; counted before it is called."""
        return self._settings.live or bool(
            quota.reserve(
                connection,
                1,
                hospital=self._hospital,
                interface=quota.TOKEN,
                day=self.platform_clock.today(),
                limit=self._settings.daily_quota,
            )
        )

    @property
    def is_stale(self) -> bool:
        """Whether the reserved calls may no longer be made: their platform day is over, or so nearly that they might
        arrive on the next one."""
        if self._settings.live:
            return False
        arrival_day = self.platform_clock.day_after(self._longest_call)
        return arrival_day != self._reserved_day or self.platform_clock.today() != self._reserved_day
