"""What a reader of the demo HIS must find: rows of every feed and day by outcome, counted while they were invented.

Outcomes: `clean`, `voided` (returned, refunded), or the id of the one rule that the row breaks. `planted` counts rows
by what was done to them; `not_events` counts rows in the tables that no feed may return.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

FEEDS: Final = ("registration", "payment", "dispensing", "examination", "laboratory")
CLEAN, VOIDED = "clean", "voided"


def _empty() -> dict[str, Counter[str]]:
    return {feed: Counter() for feed in FEEDS}


@dataclass(kw_only=True, slots=True)
class DayExpectation:
    """One local day. All values are counts of rows."""

    day: date
    outcomes: dict[str, Counter[str]] = field(default_factory=_empty)
    planted: dict[str, Counter[str]] = field(default_factory=_empty)
    not_events: Counter[str] = field(default_factory=Counter)
    late: dict[str, Counter[str]] = field(default_factory=_empty)
    """What comes the next day, by feed: `rows` (clean ones, with this day's time) and `refunded` (clean -> voided)."""
    late_arrived: bool = False

    def rows(self, feed: str) -> int:
        """Rows that the feed returns for the day, voided ones included."""
        return self.outcomes[feed].total()

    @property
    def uses(self) -> int:
        """Successful card uses, clean or flawed, of all feeds."""
        return sum(counts.total() - counts[VOIDED] for counts in self.outcomes.values())

    def total(self) -> Counter[str]:
        """Outcomes of all feeds together."""
        return sum(self.outcomes.values(), Counter())

    def after_late(self, not_events_with_them: Mapping[str, int]) -> "DayExpectation":
        """The day once its late rows have arrived and its late refunds were made."""
        outcomes = {feed: Counter(counts) for feed, counts in self.outcomes.items()}
        not_events = self.not_events + Counter(not_events_with_them)
        for feed, late in self.late.items():
            outcomes[feed][CLEAN] += late["rows"] - late["refunded"]
            outcomes[feed][VOIDED] += late["refunded"]
            not_events["reversal"] += late["refunded"]
        return DayExpectation(
            day=self.day,
            outcomes=outcomes,
            planted=self.planted,
            not_events=not_events,
            late=self.late,
            late_arrived=True,
        )

    def as_json(self) -> dict[str, Any]:
        """Plain numbers, feeds in their order, counts by name."""
        return {
            "day": self.day.isoformat(),
            "late_arrived": self.late_arrived,
            "uses": self.uses,
            "rows": sum(self.rows(feed) for feed in FEEDS),
            "outcomes": dict(sorted(self.total().items())),
            "feeds": {
                feed: {
                    "rows": self.rows(feed),
                    "outcomes": _plain(self.outcomes[feed]),
                    "planted": _plain(self.planted[feed]),
                    "late": _plain(self.late[feed]),
                }
                for feed in FEEDS
            },
            "not_events": _plain(self.not_events),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "DayExpectation":
        """The inverse of `as_json`."""
        feeds = fields["feeds"]
        return cls(
            day=date.fromisoformat(fields["day"]),
            outcomes={feed: Counter(feeds[feed]["outcomes"]) for feed in FEEDS},
            planted={feed: Counter(feeds[feed]["planted"]) for feed in FEEDS},
            not_events=Counter(fields["not_events"]),
            late={feed: Counter(feeds[feed]["late"]) for feed in FEEDS},
            late_arrived=fields["late_arrived"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """Several days, oldest first."""

    days: tuple[DayExpectation, ...]

    @classmethod
    def of(cls, days: Iterable[DayExpectation]) -> "Expectation":
        """In the order of the calendar, whatever order they come in."""
        return cls(days=tuple(sorted(days, key=lambda day: day.day)))

    def __getitem__(self, day: date) -> DayExpectation:
        for expected in self.days:
            if expected.day == day:
                return expected
        raise KeyError(day)

    def total(self) -> Counter[str]:
        """Outcomes of all days and feeds together."""
        return sum((day.total() for day in self.days), Counter())

    @property
    def uses(self) -> int:
        """Successful card uses of all days."""
        return sum(day.uses for day in self.days)

    def as_json(self) -> dict[str, Any]:
        """Days by ISO date, and their total."""
        return {
            "days": {day.day.isoformat(): day.as_json() for day in self.days},
            "uses": self.uses,
            "outcomes": dict(sorted(self.total().items())),
        }

    def __str__(self) -> str:
        return json.dumps(self.as_json(), ensure_ascii=False, indent=2)


def _plain(counts: Counter[str]) -> dict[str, int]:
    return {name: number for name, number in sorted(counts.items()) if number}
