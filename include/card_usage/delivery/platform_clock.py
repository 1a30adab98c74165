"""Platform clock: the platform's own time and calendar day, by which it counts and limits calls."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from card_usage.delivery.run import Run
from card_usage.windows import instant, local


class PlatformClock:
    """As the platform's last answer shows it; ours before the first answer."""

    def __init__(self, run: Run) -> None:
        self._platform, self._clock = run.platform, run.clock

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
