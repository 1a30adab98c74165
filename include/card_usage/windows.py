"""Windows of local time: half-open calendar days and hours in Asia/Shanghai.

Local time is a naive datetime in the hospital's zone (China has one zone and no daylight saving); an instant is an
aware datetime in UTC. Nothing here reads the clock: the edge passes `now` in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Shanghai")
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """Local time from `start` (inside) to `end` (outside); both naive, `start` < `end`."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo or self.end.tzinfo:
            raise ValueError("a window's edges are naive local times")
        if self.start >= self.end:
            raise ValueError(f"a window ends after it starts: {self.start} .. {self.end}")

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    def __str__(self) -> str:
        if self.start.time() == self.end.time() == time():
            first, last = self.days[0], self.days[-1]
            return first.isoformat() if first == last else f"{first}..{last}"
        return f"{self.start:%Y-%m-%dT%H:%M}/{self.end:%Y-%m-%dT%H:%M}"

    @property
    def day(self) -> date:
        """The local day in which the window starts."""
        return self.start.date()

    @property
    def days(self) -> tuple[date, ...]:
        """The local days that the window touches, oldest first."""
        last = (self.end - timedelta(microseconds=1)).date()
        return tuple(self.start.date() + DAY * n for n in range((last - self.start.date()).days + 1))

    @property
    def by_day(self) -> tuple[Window, ...]:
        """The window cut at midnight, oldest part first: whatever is judged or recorded is so of one day."""
        edges = [datetime.combine(day, time()) for day in self.days[1:]]
        return tuple(Window(start, end) for start, end in pairwise((self.start, *edges, self.end)))

    def ended_by(self, now: datetime) -> bool:
        """Whether the window has passed at the instant `now` (aware)."""
        return local(now) >= self.end


def day_window(day: date) -> Window:
    """The 24 local hours of one calendar day."""
    start = datetime.combine(day, time())
    return Window(start, start + DAY)


def day_windows(first: date, last: date) -> Iterator[Window]:
    """One window a local day, `first` to `last`, both inside."""
    for n in range((last - first).days + 1):
        yield day_window(first + DAY * n)


def local(instant: datetime) -> datetime:
    """An aware instant as naive local time."""
    return instant.astimezone(ZONE).replace(tzinfo=None)


def instant(local_time: datetime) -> datetime:
    """Naive local time as an aware instant in UTC."""
    return local_time.replace(tzinfo=ZONE).astimezone(UTC)


def window_between(start: datetime, end: datetime) -> Window:
    """The window between two instants (aware), as a scheduler's data interval gives them."""
    return Window(local(start), local(end))


def merged(intervals: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Intervals in order of their start; those that touch or overlap become one."""
    result: list[tuple[datetime, datetime]] = []
    for start, end in intervals:
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def gaps(window: Window, intervals: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Parts of the window that none of the intervals, in order of their start, covers."""
    uncovered: list[tuple[datetime, datetime]] = []
    at = window.start
    for start, end in merged(intervals):
        if at < min(start, window.end):
            uncovered.append((at, min(start, window.end)))
        at = max(at, end)
    if at < window.end:
        uncovered.append((at, window.end))
    return uncovered


def recount_days(today: date, days: int) -> tuple[date, date]:
    """First and last day that a morning's recount goes over: the last `days`, on the 3rd the whole month before too."""
    first, last = today - DAY * days, today - DAY
    if today.day == 3:
        first = min(first, (today.replace(day=1) - DAY).replace(day=1))
    return first, last
