"""Balance: one feed's day as arithmetic over counts, every difference under a name.

    HIS          = staged + late - vanished
    staged       = sum of the states
    quarantined  = sum of its causes
    delivered    = answers of the platform that prove it
    voided       = refunds on record

Each equation is computed from counts that were read apart from each other, and what is left over of any of them is the
remainder: it should be 0, and if it is not, no class explains it and somebody has to look.

Nothing here reads or writes. Late and vanished rows follow from the two counts alone, or from a comparison event by
event where somebody made one (`Difference`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Final, NamedTuple

from card_usage.ledger.schema import STATES

OPEN_CLASSES: Final = ("due", "held", "in_flight", "unknown")
"""States from which an event still moves by itself."""

STATE_CLASSES: Final[Mapping[str, str]] = MappingProxyType({state: state for state in STATES} | {"ready": "due"})
"""State in the ledger -> class of the reconciliation."""

CLASSES: Final = (
    "delivered",
    "quarantined",
    "rejected",
    "unconfirmed",
    "due",
    "held",
    "in_flight",
    "unknown",
    "voided",
)
"""Where a staged event can stand; each stands in exactly one."""

DIFFERENCES: Final = (
    "late_in_source",
    "vanished_from_source",
    "refunds_not_staged",
    "voided_after_delivery",
    "changed_after_delivery",
)
"""What sets the HIS apart from the ledger, or from what the platform was told."""

SENT: Final = ("delivered", "unconfirmed", "unknown", "in_flight")
"""States in which the platform was, or may have been, told of an event."""


class SourceCount(NamedTuple):
    """What the HIS has of one feed and day now: all records, and how many of them are refunded (None: not counted)."""

    events: int
    voided: int | None = None


class Difference(NamedTuple):
    """Records that only one side has, known one by one or, failing that, from the two counts."""

    late: int
    vanished: int

    @classmethod
    def by_count(cls, source: int, staged: int, vanished: int) -> Difference:
        """The least that explains the two counts; `vanished` are marked already and count on top."""
        present = staged - vanished
        return cls(late=max(0, source - present), vanished=vanished + max(0, present - source))


class Equation(NamedTuple):
    """Two figures that must be the same."""

    name: str
    left: int
    right: int

    @property
    def gap(self) -> int:
        """What is left over; 0 where the equation holds."""
        return self.left - self.right


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedDay:
    """One feed's day, all counts. `source` None: the HIS was not counted. `provisional`: the day can still grow.

    `states` holds every state that occurs, `causes` quarantined events by rule, `acknowledged` delivered events whose
    proof is on record, `refunded` voided events whose refund is on record.
    """

    hospital: str
    feed: str
    day: date
    source: SourceCount | None
    states: Mapping[str, int]
    causes: Mapping[str, int] = field(default_factory=dict)
    acknowledged: int = 0
    refunded: int = 0
    voided_marks: int = 0
    voided_after_delivery: int = 0
    changed_after_delivery: int = 0
    vanished_marks: int = 0
    provisional: bool = False
    compared: Difference | None = None

    @property
    def staged(self) -> int:
        """Events in the ledger."""
        return sum(self.states.values())

    @property
    def difference(self) -> Difference:
        """Late and vanished records; nothing is known without a count of the HIS but what is marked already."""
        if self.compared is not None:
            return self.compared
        if self.source is None:
            return Difference(0, self.vanished_marks)
        return Difference.by_count(self.source.events, self.staged, self.vanished_marks)

    @property
    def refunds_not_staged(self) -> int:
        """Refunds that the HIS has and the ledger does not know yet."""
        if self.source is None or self.source.voided is None:
            return 0
        return max(0, self.source.voided - self.voided_marks)

    @property
    def classes(self) -> Mapping[str, int]:
        """Staged events by class, all of CLASSES, zeros included."""
        found = dict.fromkeys(CLASSES, 0)
        for state, events in self.states.items():
            if state in STATE_CLASSES:
                found[STATE_CLASSES[state]] += events
        return found

    @property
    def differences(self) -> Mapping[str, int]:
        """Records by difference, all of DIFFERENCES, zeros included."""
        late, vanished = self.difference
        figures = (
            late,
            vanished,
            self.refunds_not_staged,
            self.voided_after_delivery,
            self.changed_after_delivery,
        )
        return dict(zip(DIFFERENCES, figures, strict=True))

    @property
    def equations(self) -> tuple[Equation, ...]:
        """What must hold. The first is left out where the HIS was not counted."""
        late, vanished = self.difference
        classes = self.classes
        found = [
            Equation("states", self.staged, sum(classes.values())),
            Equation("causes", classes["quarantined"], sum(self.causes.values())),
            Equation("acknowledged", classes["delivered"], self.acknowledged),
            Equation("voided", classes["voided"], self.refunded),
        ]
        if self.source is not None:
            found.insert(0, Equation("source", self.source.events, self.staged + late - vanished))
        return tuple(found)

    @property
    def remainders(self) -> Mapping[str, int]:
        """Equations that do not hold, with what is left over of each."""
        return {equation.name: equation.gap for equation in self.equations if equation.gap}

    @property
    def remainder(self) -> int:
        """Records that no class explains."""
        return sum(abs(gap) for gap in self.remainders.values())

    @property
    def open(self) -> int:
        """Events that still move: due, held, in flight, without an answer."""
        classes = self.classes
        return sum(classes[name] for name in OPEN_CLASSES)

    @property
    def clean(self) -> bool:
        """Counted at the source, nothing late, nothing due, nothing unexplained. Quarantined ones have their reason."""
        if self.source is None:
            return False
        return not (self.remainder or self.open or self.difference.late or self.refunds_not_staged)

    def summary(self) -> dict[str, object]:
        """All figures by name, fit for JSON."""
        return {
            "feed": self.feed,
            "day": self.day.isoformat(),
            "source": None if self.source is None else self.source.events,
            "source_voided": None if self.source is None else self.source.voided,
            "staged": self.staged,
            **self.classes,
            **self.differences,
            "open": self.open,
            "remainder": self.remainder,
            "remainders": dict(self.remainders),
            "provisional": self.provisional,
            "clean": self.clean,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconciliation:
    """A hospital's feeds and days, each by itself."""

    hospital: str
    parts: tuple[FeedDay, ...]

    @classmethod
    def of(cls, several: Iterable[Reconciliation]) -> Reconciliation:
        """Days of one hospital as one. Raises ValueError for none, or for more than one hospital."""
        found = tuple(several)
        (hospital,) = {one.hospital for one in found}
        return cls(hospital=hospital, parts=tuple(part for one in found for part in one.parts))

    @property
    def clean(self) -> bool:
        """Every feed and day is."""
        return all(part.clean for part in self.parts)

    @property
    def provisional(self) -> bool:
        """Some feed's day can still grow."""
        return any(part.provisional for part in self.parts)

    @property
    def counted(self) -> bool:
        """Every feed was counted at the source."""
        return all(part.source is not None for part in self.parts)

    @property
    def remainder(self) -> int:
        """Records that no class explains, of all feeds and days."""
        return sum(part.remainder for part in self.parts)

    @property
    def open(self) -> int:
        """Events that still move."""
        return sum(part.open for part in self.parts)

    @property
    def classes(self) -> Mapping[str, int]:
        """Staged events by class."""
        return {name: sum(part.classes[name] for part in self.parts) for name in CLASSES}

    @property
    def differences(self) -> Mapping[str, int]:
        """Records by difference."""
        return {name: sum(part.differences[name] for part in self.parts) for name in DIFFERENCES}

    @property
    def source(self) -> int | None:
        """Records of the HIS; None unless every feed was counted."""
        return sum(part.source.events for part in self.parts if part.source) if self.counted else None

    @property
    def source_voided(self) -> int | None:
        """Refunded records of the HIS; None unless every feed says."""
        voided = [part.source.voided if part.source else None for part in self.parts]
        return None if None in voided else sum(one for one in voided if one is not None)

    @property
    def staged(self) -> int:
        """Events in the ledger."""
        return sum(part.staged for part in self.parts)

    def summary(self) -> dict[str, object]:
        """Counts only, fit for logs and XCom: the totals, then each feed and day."""
        return {
            "hospital": self.hospital,
            "clean": self.clean,
            "provisional": self.provisional,
            "source": self.source,
            "staged": self.staged,
            **self.classes,
            **self.differences,
            "open": self.open,
            "remainder": self.remainder,
            "feeds": [part.summary() for part in self.parts],
        }
