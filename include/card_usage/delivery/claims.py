"""Claims: what one deliverer has taken from the ledger, and the calls it may make for it today.

For a hospital that is not yet live every call is reserved before it is made, in the transaction that claims the event:
the platform's day never sees more calls than its quota, whoever crashes. Live events come first; backfill gets what
the recent need of live events leaves over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from card_usage.clock import Clock
from card_usage.config.hospital import Hospital
from card_usage.delivery import quota
from card_usage.delivery.transitions import Attempt, Claimed, Settled, claim, history, recover
from card_usage.delivery.transitions import release as give_up
from card_usage.delivery.transitions import settle as write_down
from card_usage.ledger.executor import LedgerExecutor
from card_usage.ledger.scope import BACKFILL, LIVE, Scope
from card_usage.platform.outcome import Answer
from card_usage.windows import instant, local

BATCH = 256


@dataclass(slots=True)
class Open:
    """A claimed event on its way: earlier answers to its request id, and the calls of this claim."""

    claimed: Claimed
    past: list[Answer]
    calls: list[Attempt] = field(default_factory=list)


class Claims:
    """Taken events of one deliverer `worker`. Its methods run inside the caller's transaction."""

    def __init__(
        self,
        *,
        hospital: Hospital,
        scope: Scope,
        worker: int,
        executor: LedgerExecutor,
        clock: Clock,
        clock_seen: Callable[[], tuple[datetime, float] | None],
    ) -> None:
        self.out_of_quota = False
        self._hospital, self._scope, self._worker = hospital, scope, worker
        self._executor, self._clock, self._seen = executor, clock, clock_seen
        self._taken: dict[int, Open] = {}
        self._retries_seen = executor.retries
        self._reserved_day: date | None = None

    def take(self, connection: Connection) -> list[Open]:
        """Claim the next batch: live events before backfill. To be remembered once it is committed, and not before: a
        try whose commit was never confirmed is found by the next one, and given up."""
        now = self._clock.now()
        if self._executor.retries != self._retries_seen:
            # A claim whose commit was never confirmed may stand in our name: nobody else would ever touch it.
            self._retries_seen = self._executor.retries
            recover(connection, self._worker, now=now, detail="ledger lost", keep=list(self._taken))
        claimed: list[Claimed] = []
        self.out_of_quota = False
        for lane in (LIVE, BACKFILL):
            room = self._room(connection, lane, BATCH - len(claimed))
            if room:
                found = claim(
                    connection,
                    self._scope,
                    lane=lane,
                    worker=self._worker,
                    limit=room,
                    now=now,
                    newest_first=lane == BACKFILL and self._hospital.platform.backfill_order == "newest",
                    except_ids=self._taken.keys(),
                )
                self._refund(connection, lane, room - len(found))
                claimed += found
        past = history(connection, claimed)
        return [Open(one, past.get(one.id, [])) for one in claimed]

    def reserve_token_call(self, connection: Connection) -> bool:
        """Whether getAppToken may be called once more today; counted before it is made."""
        settings = self._hospital.platform
        return settings.live or bool(
            quota.reserve(
                connection,
                1,
                hospital=self._hospital.id,
                interface=quota.TOKEN,
                day=self.platform_day(),
                limit=settings.daily_quota,
            )
        )

    def remember(self, opened: Iterable[Open]) -> None:
        """These were taken, and committed."""
        self._taken.update((one.claimed.id, one) for one in opened)

    def release(self, connection: Connection, unsent: Iterable[Open]) -> None:
        """Give back events whose turn did not come. One that was tried goes to where its last answer left it."""
        unsent = list(unsent)
        now = self._clock.now()
        tried = [
            Settled(one.claimed, one.calls[-1].status, None, None, tuple(one.calls)) for one in unsent if one.calls
        ]
        write_down(connection, tried, worker=self._worker, now=now)
        for lane in (LIVE, BACKFILL):
            fresh = [one.claimed for one in unsent if not one.calls and one.claimed.lane == lane]
            self._refund(connection, lane, give_up(connection, fresh, worker=self._worker))

    def forget(self, ids: Iterable[int]) -> None:
        """These are settled or released, and committed."""
        for event_id in ids:
            self._taken.pop(event_id, None)

    def platform_now(self) -> datetime:
        """The platform's own time, aware: what its last answer said, and what has passed since on a clock that does not
        jump. Before any answer, ours."""
        seen = self._seen()
        if seen is None:
            return self._clock.now()
        return seen[0] + timedelta(seconds=self._clock.monotonic() - seen[1])

    def platform_day(self) -> date:
        """The platform's calendar day now."""
        return local(self.platform_now()).date()

    def next_platform_day(self) -> datetime:
        """When the platform's next day begins, by our clock, and a little later."""
        now = self.platform_now()
        tomorrow = local(now).date() + timedelta(days=1)
        midnight = instant(datetime(tomorrow.year, tomorrow.month, tomorrow.day))  # noqa: DTZ001 - local by design
        return self._clock.now() + (midnight - now) + timedelta(seconds=5)

    @property
    def reservation_is_stale(self) -> bool:
        """Whether the calls reserved may no longer be made: their platform day is over, or so nearly that they might
        arrive on the next one."""
        if self._hospital.platform.live:
            return False
        return self._arrival_day() != self._reserved_day or self.platform_day() != self._reserved_day

    def _arrival_day(self) -> date:
        """The day on which a call made now arrives at the latest."""
        longest = timedelta(seconds=2 * self._hospital.platform.call_timeout_seconds)
        return local(self.platform_now() + longest).date()

    def _room(self, connection: Connection, lane: int, wanted: int) -> int:
        if self._hospital.platform.live or not wanted:
            return wanted
        today = self.platform_day()
        if self._arrival_day() != today or (self._taken and self._reserved_day != today):
            return 0  # just before midnight, or what was reserved for yesterday is not yet given back
        self._reserved_day = today
        granted = quota.reserve(
            connection,
            wanted,
            hospital=self._hospital.id,
            interface=quota.REPORT,
            day=today,
            limit=self._hospital.platform.daily_quota,
            for_live=lane == LIVE,
        )
        self.out_of_quota = granted == 0
        return granted

    def _refund(self, connection: Connection, lane: int, calls: int) -> None:
        if calls and self._reserved_day is not None:
            quota.give_back(
                connection,
                calls,
                hospital=self._hospital.id,
                interface=quota.REPORT,
                day=self._reserved_day,
                for_live=lane == LIVE,
            )
