"""Scope: which events one run of a delivery may claim, and the lane each event waits in."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any, Final, NamedTuple

LIVE: Final = 0
"""The lane of events reported as they happen; it is claimed before `BACKFILL`."""
BACKFILL: Final = 1
"""The lane of history, which takes what the live lane leaves of a day's quota."""


class Withheld(NamedTuple):
    """A part of local time (half-open) whose events stay here; of these `feeds` alone, or of all (empty)."""

    start: datetime
    end: datetime
    feeds: tuple[str, ...] = ()


class Scope(NamedTuple):
    """What one run may claim: a hospital's events of the days `first` to `last` (local), without what is withheld."""

    hospital: str
    first: date
    last: date
    withheld: tuple[Withheld, ...] = ()

    def bounds(self) -> dict[str, Any]:
        """Values of the statements' parameters."""
        bounds: dict[str, Any] = {
            "in_hospital": self.hospital,
            "from_time": datetime.combine(self.first, time()),
            "to_time": datetime.combine(self.last + timedelta(days=1), time()),
        }
        for n, part in enumerate(self.withheld):
            bounds |= {f"withheld_from_{n}": part.start, f"withheld_to_{n}": part.end}
            if part.feeds:
                bounds[f"withheld_feeds_{n}"] = part.feeds
        return bounds

    @property
    def form(self) -> tuple[bool, ...]:
        """What the statement depends on: for each withheld part, whether it names feeds."""
        return tuple(bool(part.feeds) for part in self.withheld)
