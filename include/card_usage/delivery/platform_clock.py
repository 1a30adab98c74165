"""Platform clock: the platform's own time and calendar day, by which it counts, limits and dates calls.

A platform refuses calls whose timestamp is some minutes away from its clock, whatever the event. Where ours differs,
calls carry the platform's time as its answers show it; and a refusal of a call that was dated otherwise says nothing
about its event.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from card_usage.delivery.run import Run
from card_usage.platform.outcome import Answer, Reply
from card_usage.windows import instant, local

log = logging.getLogger(__name__)

CLOCKS_DIFFER: Final = timedelta(seconds=60)
"""From here on calls are dated by the platform's clock. Platforms that look at the timestamp allow some minutes."""
TRIES: Final = 8  # refused calls by one clock before the other is tried


class Timestamp(NamedTuple):
    """What a call is dated with. `by_platform`: by the platform's clock; None: the two agree."""

    at: datetime
    by_platform: bool | None


class PlatformClock:
    """As the platform's last answer shows it; ours before the first answer."""

    def __init__(self, run: Run) -> None:
        self._platform, self._clock, self._hospital = run.platform, run.clock, run.hospital.id
        self._accepted_by_platform: bool | None = None  # the clock that dated an accepted call; None: not yet known
        self._refused = 0
        self._said = False

    def now(self) -> datetime:
        """The platform's time, aware: what its last answer said, and what has passed since on a monotonic clock."""
        seen = self._platform.clock_seen
        if seen is None:
            return self._clock.now()
        return seen[0] + timedelta(seconds=self._clock.monotonic() - seen[1])

    def today(self) -> date:
        """The platform's calendar day now."""
        return local(self.now()).date()

    def day_after(self, longest: timedelta) -> date:
        """The platform's calendar day once `longest` has passed."""
        return local(self.now() + longest).date()

    def next_day(self) -> datetime:
        """When the platform's next day begins, by our clock, and a little later."""
        now = self.now()
        tomorrow = local(now).date() + timedelta(days=1)
        midnight = instant(datetime(tomorrow.year, tomorrow.month, tomorrow.day))  # noqa: DTZ001 - local by design
        return self._clock.now() + (midnight - now) + timedelta(seconds=5)

    def timestamp(self) -> Timestamp:
        """The time to date a call with now."""
        ours, theirs = self._clock.now(), self.now()
        if abs(theirs - ours) <= CLOCKS_DIFFER:
            return Timestamp(ours, None)
        if not self._said:
            self._said = True
            seconds = (ours - theirs).total_seconds()
            side = "ahead of" if seconds > 0 else "behind"
            text = "%s: our clock is %.0f s %s the platform's: calls are dated by the platform's; set the clocks right"
            log.warning(text, self._hospital, abs(seconds), side)
        by_platform = self._accepted_by_platform
        if by_platform is None:
            by_platform = not TRIES <= self._refused < 2 * TRIES
        return Timestamp(theirs if by_platform else ours, by_platform)

    def judged(self, reply: Reply, sent: Timestamp) -> Reply:
        """The reply to a call that was dated so; UNTIMELY instead of a refusal that the date may have caused.

        The clock that answers show may be a proxy's. So while clocks differ and nothing was accepted yet, some refused
        calls are tried by the other clock before a refusal is believed.
        """
        if reply.answer is Answer.ACCEPTED and sent.by_platform is not None:
            self._accepted_by_platform = sent.by_platform
        if reply.answer not in {Answer.REFUSED, Answer.MISCONFIGURED}:
            return reply
        if sent.by_platform is None:
            # The clock that dated it has jumped, or the platform's has, as its answer shows.
            doubtful = self._accepted_by_platform is not False and abs(self.now() - sent.at) > 2 * CLOCKS_DIFFER
        elif self._accepted_by_platform is None:
            self._refused += 1
            doubtful = self._refused <= 2 * TRIES
        else:
            doubtful = sent.by_platform is not self._accepted_by_platform
        return replace(reply, answer=Answer.UNTIMELY, detail="timestamp") if doubtful else reply
