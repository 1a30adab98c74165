"""Balance: one feed's day as arithmetic over counts, every record in exactly one class.

    HIS          = staged + late + moved here - vanished
    staged       = sum of the states
    records      = sum of the classes (each record of HIS or ledger stands in one: `classes.class_of`)
    quarantined  = sum of its causes
    refused      = sum of the platform's codes
    delivered    = answers of the platform that prove it
    voided       = refunds on record
    statement    = delivered - missing + surplus + taken without an answer   (a day of the hospital, all feeds)

Each equation is computed from counts that were read apart from each other, and what is left over of any of them is the
remainder: it should be 0, and if it is not, no class explains it and somebody has to look.

Nothing here reads or writes. Late and vanished records follow from the two counts alone, or from a comparison event by
event where somebody made one (`Difference`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from card_usage.ledger.counts import Cell
from card_usage.reconciliation.classes import (
    CLASSES,
    DIFFERENCES,
    HOLDERS,
    NAMED,
    OPEN_CLASSES,
    STATE_CLASSES,
    class_of,
    standing_class,
)
from card_usage.reconciliation.statement_match import PlatformDay


class SourceCount(NamedTuple):
    """What the HIS has of one feed and day now: all records, and how many of them are refunded (None: not counted)."""

    events: int
    voided: int | None = None


class Difference(NamedTuple):
    """Records that only one side has, known one by one or, failing that, from the two counts.

    `moved_here`: the HIS has them on this day, the ledger under another. `refunds`: their refund was taken back at the
    HIS, and the ledger still holds them as refunded; None: not compared one by one. `staged`: the events that the
    ledger had then; if it has others by now, only the counts say what is true.
    """

    late: int
    vanished: int
    moved_here: int = 0
    refunds: int | None = None
    staged: int | None = None

    @classmethod
    def by_count(cls, source: int, staged: int, vanished: int, moved_here: int = 0) -> Difference:
        """The least that explains the two counts; `vanished` are marked already and count on top."""
        present = staged - vanished + moved_here
        return cls(late=max(0, source - present), vanished=vanished + max(0, present - source), moved_here=moved_here)


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

    `cells` holds every mix of state and marks that occurs, `causes` quarantined events by rule, `refusals` refused ones
    by result code, `acknowledged` delivered events whose proof is on record. `held_by`: what holds ready events back.
    `moved_here`: found by an earlier comparison. `compared`: of a comparison made just now.
    """

    hospital: str
    feed: str
    day: date
    source: SourceCount | None
    cells: Mapping[Cell, int]
    causes: Mapping[str, int] = field(default_factory=dict)
    refusals: Mapping[int | None, int] = field(default_factory=dict)
    acknowledged: int = 0
    held_by: str | None = None
    moved_here: int = 0
    provisional: bool = False
    compared: Difference | None = None

    def _sum(self, **wanted: object) -> int:
        return sum(
            events
            for cell, events in self.cells.items()
            if all(getattr(cell, name) == value for name, value in wanted.items())
        )

    @property
    def staged(self) -> int:
        """Events in the ledger."""
        return sum(self.cells.values())

    @property
    def vanished_marks(self) -> int:
        """Events that a comparison did not find in the HIS."""
        return self._sum(vanished=True)

    @property
    def difference(self) -> Difference:
        """Late and vanished records; nothing is known without a count of the HIS but what is marked already."""
        moved_here = self.moved_here
        if self.compared is not None:
            if self.compared.staged in (None, self.staged):
                return self.compared
            moved_here = self.compared.moved_here
        if self.source is None:
            return Difference(0, self.vanished_marks, moved_here)
        return Difference.by_count(self.source.events, self.staged, self.vanished_marks, moved_here)

    @property
    def refunds_not_staged(self) -> int:
        """Records that the HIS and the ledger do not agree about: refunded, or not."""
        if self.difference.refunds is not None:
            return self.difference.refunds
        if self.source is None or self.source.voided is None:
            return 0
        # A late record may be a refunded one: it is late, and counts as nothing else.
        known = self._sum(voided=True, vanished=False)
        more = self.source.voided - known
        return max(-more, more - self.difference.late - self.difference.moved_here, 0)

    @property
    def classes(self) -> Mapping[str, int]:
        """Staged events by where they stand, all of CLASSES, zeros included."""
        classes = dict.fromkeys(CLASSES, 0)
        for cell, events in self.cells.items():
            if cell.status in STATE_CLASSES:
                classes[standing_class(cell.status, self.held_by)] += events
        return classes

    @property
    def held(self) -> Mapping[str, int]:
        """Held events by what holds them, all of HOLDERS; they add up to `classes["held"]`."""
        held = dict.fromkeys(HOLDERS, 0)
        held["quota"] += self._sum(status="held")
        if self.held_by:
            held[self.held_by] += self._sum(status="ready")
        return held

    @property
    def named(self) -> Mapping[str, int]:
        """Every record of HIS and ledger by its one class, all of NAMED, zeros included."""
        named = dict.fromkeys(NAMED, 0)
        for cell, events in self.cells.items():
            if cell.status in STATE_CLASSES:
                named[class_of(cell, self.held_by)] += events
        difference = self.difference
        named["provisional_window" if self.provisional else "late_in_source"] += difference.late
        named["moved_here"] += difference.moved_here
        refunds = min(difference.refunds or 0, named["voided"])
        named["voided"] -= refunds
        named["refunds_not_staged"] += refunds
        return named

    @property
    def differences(self) -> Mapping[str, int]:
        """Records by difference, all of DIFFERENCES, zeros included. The platform's are those of the whole day."""
        difference, named = self.difference, self.named
        return {
            "late_in_source": named["late_in_source"],
            "provisional_window": named["provisional_window"],
            "moved_here": difference.moved_here,
            "vanished_from_source": difference.vanished,
            "refunds_not_staged": self.refunds_not_staged,
            "voided_after_delivery": named["voided_after_delivery"],
            "changed_after_delivery": named["changed_after_delivery"],
            "platform_missing": 0,
            "platform_surplus": 0,
        }

    @property
    def equations(self) -> tuple[Equation, ...]:
        """What must hold. The first is left out where the HIS was not counted."""
        late, vanished, moved_here = self.difference[:3]
        classes = self.classes
        equations = [
            Equation("states", self.staged, sum(classes.values())),
            Equation("named", sum(classes.values()) + late + moved_here, sum(self.named.values())),
            Equation("causes", classes["quarantined"], sum(self.causes.values())),
            Equation("refusals", classes["rejected"], sum(self.refusals.values())),
            Equation("acknowledged", classes["delivered"], self.acknowledged),
            Equation("voided", classes["voided"], self._sum(status="voided", voided=True)),
        ]
        if self.source is not None:
            equations.insert(0, Equation("source", self.source.events, self.staged + late + moved_here - vanished))
        return tuple(equations)

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
            **{name: count for name, count in self.differences.items() if not name.startswith("platform_")},
            "open": self.open,
            "remainder": self.remainder,
            "remainders": dict(self.remainders),
            "provisional": self.provisional,
            "clean": self.clean,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconciliation:
    """A hospital's feeds and days, each by itself, and its days against the platform's statements, where there are."""

    hospital: str
    parts: tuple[FeedDay, ...]
    platform: tuple[PlatformDay, ...] = ()
    untimed: Mapping[str, int] = field(default_factory=dict)
    """By feed, rows of the HIS whose time puts them into no day, and so into no equation."""

    @classmethod
    def of(cls, several: Iterable[Reconciliation]) -> Reconciliation:
        """Days of one hospital as one. Raises ValueError for none, or for more than one hospital."""
        days = tuple(several)
        (hospital,) = {reconciled.hospital for reconciled in days}
        return cls(
            hospital=hospital,
            parts=tuple(part for reconciled in days for part in reconciled.parts),
            platform=tuple(day for reconciled in days for day in reconciled.platform),
        )

    @property
    def clean(self) -> bool:
        """Every feed and day is, and no statement says otherwise."""
        return all(part.clean for part in self.parts) and all(day.clean for day in self.platform)

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
        return sum(part.remainder for part in self.parts) + sum(abs(day.remainder) for day in self.platform)

    @property
    def open(self) -> int:
        """Events that still move."""
        return sum(part.open for part in self.parts)

    @property
    def classes(self) -> Mapping[str, int]:
        """Staged events by where they stand."""
        return {name: sum(part.classes[name] for part in self.parts) for name in CLASSES}

    @property
    def named(self) -> Mapping[str, int]:
        """Every record by its one class."""
        named = dict.fromkeys(NAMED, 0)
        for part in self.parts:
            for name, events in part.named.items():
                named[name] += events
        return named

    @property
    def held(self) -> Mapping[str, int]:
        """Held events by what holds them."""
        return {name: sum(part.held[name] for part in self.parts) for name in HOLDERS}

    @property
    def differences(self) -> Mapping[str, int]:
        """Records by difference."""
        differences = {name: sum(part.differences[name] for part in self.parts) for name in DIFFERENCES}
        differences["platform_missing"] = sum(day.missing for day in self.platform)
        differences["platform_surplus"] = sum(day.surplus for day in self.platform)
        return differences

    @property
    def equations(self) -> tuple[tuple[str, int, int, int], ...]:
        """Each equation over all feeds and days: name, left, right, gap. A gap of one is never hidden by another's."""
        totals: dict[str, list[int]] = {}
        equations = [equation for part in self.parts for equation in part.equations]
        equations += [Equation("platform", day.stated, day.accounted) for day in self.platform]
        for equation in equations:
            total = totals.setdefault(equation.name, [0, 0, 0])
            for at, figure in enumerate((equation.left, equation.right, abs(equation.gap))):
                total[at] += figure
        return tuple((name, left, right, gap) for name, (left, right, gap) in totals.items())

    @property
    def source(self) -> int | None:
        """Records of the HIS; None unless every feed was counted."""
        return sum(part.source.events for part in self.parts if part.source) if self.counted else None

    @property
    def source_voided(self) -> int | None:
        """Refunded records of the HIS; None unless every feed says."""
        voided = [part.source.voided if part.source else None for part in self.parts]
        return None if None in voided else sum(refunds for refunds in voided if refunds is not None)

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
            "held_by": {name: events for name, events in self.held.items() if events},
            "equations": [
                {"equation": name, "left": left, "right": right, "gap": gap}
                for name, left, right, gap in self.equations
            ],
            "no_usable_time": dict(self.untimed),
            "feeds": [part.summary() for part in self.parts],
            "platform": [day.summary() for day in self.platform],
        }
