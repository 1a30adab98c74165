"""Platform leg: what the platform's statement counts, against what its answers prove. Pure; nothing here reads.

A statement has no records, only counts, told apart as far as it goes (hour, scene, channel, card type, department). In
each slot:

    stated < proved           missing: answers prove more than the statement shows
    stated > proved + open    surplus: the statement shows more than we ever sent
    between                   taken without an answer: of those that are in flight, unknown or unconfirmed

`proved` are deliveries that the platform had answered when the statement was made; later ones may be in it and count as
open. So an event in flight is never a difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, NamedTuple

FIELDS: Final = ("hour", "scene", "channel", "card_type", "department")
"""What statements may tell apart, beside hospital and day."""


class Slot(NamedTuple):
    """What is counted together. None: the statement does not tell it apart, or has no such code."""

    hour: int | None = None
    scene: str | None = None
    channel: str | None = None
    card_type: str | None = None
    department: str | None = None

    def only(self, fields: tuple[str, ...]) -> Slot:
        """The same with every other field left out."""
        return Slot(**{name: getattr(self, name) for name in fields})


class Ours(NamedTuple):
    """What the ledger has of a slot: proved by an answer, and what the platform may have taken besides."""

    proved: int
    open: int


class Gap(NamedTuple):
    """A slot in which the statement and the answers differ: negative is missing, positive surplus."""

    slot: Slot
    stated: int
    proved: int
    gap: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PlatformDay:
    """A hospital's day on the platform. `uses`: the statement's own total. `told_apart`: the fields it goes down to."""

    hospital: str
    day: date
    as_of: datetime
    told_apart: tuple[str, ...]
    stated: int
    proved: int
    missing: int
    surplus: int
    unanswered: int
    gaps: tuple[Gap, ...]

    @property
    def accounted(self) -> int:
        """What the statement's total must be."""
        return self.proved - self.missing + self.surplus + self.unanswered

    @property
    def remainder(self) -> int:
        """Uses of the statement that no class explains."""
        return self.stated - self.accounted

    @property
    def clean(self) -> bool:
        """The statement shows what the answers prove."""
        return not (self.missing or self.surplus or self.remainder)

    def by(self, field: str) -> Mapping[str | int | None, tuple[int, int]]:
        """Missing and surplus by one of the fields that the statement tells apart."""
        found: dict[str | int | None, tuple[int, int]] = {}
        for one in self.gaps:
            value = getattr(one.slot, field)
            missing, surplus = found.get(value, (0, 0))
            found[value] = (missing + max(0, -one.gap), surplus + max(0, one.gap))
        return dict(sorted(found.items(), key=lambda pair: (pair[0] is None, str(pair[0]).zfill(2))))

    def summary(self) -> dict[str, object]:
        """Counts and codes, fit for JSON."""
        return {
            "day": self.day.isoformat(),
            "as_of": self.as_of.isoformat(),
            "told_apart": list(self.told_apart),
            "stated": self.stated,
            "proved": self.proved,
            "unanswered": self.unanswered,
            "missing": self.missing,
            "surplus": self.surplus,
            "remainder": self.remainder,
            "clean": self.clean,
            "by": {
                name: {
                    "" if value is None else str(value): {"missing": missing, "surplus": surplus}
                    for value, (missing, surplus) in self.by(name).items()
                }
                for name in self.told_apart
                if self.gaps
            },
        }


def compare(
    hospital: str,
    day: date,
    *,
    as_of: datetime,
    uses: int,
    told_apart: tuple[str, ...],
    stated: Mapping[Slot, int],
    ours: Mapping[Slot, Ours],
) -> PlatformDay:
    """A statement's day against the ledger's. Slots of either side are first brought to what the statement goes to."""
    theirs: Counter[Slot] = Counter()
    for slot, count in stated.items():
        theirs[slot.only(told_apart)] += count
    proved: Counter[Slot] = Counter()
    doubtful: Counter[Slot] = Counter()
    for slot, (sure, maybe) in ours.items():
        proved[slot.only(told_apart)] += sure
        doubtful[slot.only(told_apart)] += maybe
    gaps = []
    missing = surplus = unanswered = 0
    for slot in sorted({*theirs, *proved}, key=lambda one: tuple(map(str, one))):
        more = theirs[slot] - proved[slot]
        explained = min(max(more, 0), doubtful[slot])
        unanswered += explained
        gap = more - explained
        if gap:
            gaps.append(Gap(slot, theirs[slot], proved[slot], gap))
            missing += max(0, -gap)
            surplus += max(0, gap)
    return PlatformDay(
        hospital=hospital,
        day=day,
        as_of=as_of,
        told_apart=told_apart,
        stated=uses,
        proved=proved.total(),
        missing=missing,
        surplus=surplus,
        unanswered=unanswered,
        gaps=tuple(gaps),
    )
