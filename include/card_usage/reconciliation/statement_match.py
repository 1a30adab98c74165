"""Statement match: what the platform's statement counts, against what its answers prove. Pure; nothing here reads.

A statement has no records, only counts, told apart as far as it goes (hour, scene, channel, card type, department). In
each bucket:

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


class Bucket(NamedTuple):
    """What is counted together. None: the statement does not tell it apart, or has no such code."""

    hour: int | None = None
    scene: str | None = None
    channel: str | None = None
    card_type: str | None = None
    department: str | None = None

    def only(self, fields: tuple[str, ...]) -> Bucket:
        """The same with every other field left out."""
        return Bucket(**{name: getattr(self, name) for name in fields})


class Ours(NamedTuple):
    """What the ledger has of a bucket: proved by an answer, and what the platform may have taken besides."""

    proved: int
    open: int


class Gap(NamedTuple):
    """A bucket in which the statement and the answers differ: negative is missing, positive surplus."""

    bucket: Bucket
    stated: int
    proved: int
    gap: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PlatformDay:
    """A hospital's day on the platform. `uses`: the statement's own total. `dimensions`: the fields it goes down to."""

    hospital: str
    day: date
    as_of: datetime
    dimensions: tuple[str, ...]
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
        sums: dict[str | int | None, tuple[int, int]] = {}
        for gap in self.gaps:
            value = getattr(gap.bucket, field)
            missing, surplus = sums.get(value, (0, 0))
            sums[value] = (missing + max(0, -gap.gap), surplus + max(0, gap.gap))
        return dict(sorted(sums.items(), key=lambda pair: (pair[0] is None, str(pair[0]).zfill(2))))

    def summary(self) -> dict[str, object]:
        """Counts and codes, fit for JSON."""
        return {
            "day": self.day.isoformat(),
            "as_of": self.as_of.isoformat(),
            "told_apart": list(self.dimensions),
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
                for name in self.dimensions
                if self.gaps
            },
        }


def compare(
    hospital: str,
    day: date,
    *,
    as_of: datetime,
    uses: int,
    dimensions: tuple[str, ...],
    stated: Mapping[Bucket, int],
    ours: Mapping[Bucket, Ours],
) -> PlatformDay:
    """A statement's day against the ledger's. Buckets of both sides are first brought to its dimensions."""
    theirs: Counter[Bucket] = Counter()
    for bucket, count in stated.items():
        theirs[bucket.only(dimensions)] += count
    proved: Counter[Bucket] = Counter()
    doubtful: Counter[Bucket] = Counter()
    for bucket, (sure, maybe) in ours.items():
        proved[bucket.only(dimensions)] += sure
        doubtful[bucket.only(dimensions)] += maybe
    gaps = []
    missing = surplus = unanswered = 0
    for bucket in sorted({*theirs, *proved}, key=lambda bucket: tuple(map(str, bucket))):
        more = theirs[bucket] - proved[bucket]
        explained = min(max(more, 0), doubtful[bucket])
        unanswered += explained
        gap = more - explained
        if gap:
            gaps.append(Gap(bucket, theirs[bucket], proved[bucket], gap))
            missing += max(0, -gap)
            surplus += max(0, gap)
    return PlatformDay(
        hospital=hospital,
        day=day,
        as_of=as_of,
        dimensions=dimensions,
        stated=uses,
        proved=proved.total(),
        missing=missing,
        surplus=surplus,
        unanswered=unanswered,
        gaps=tuple(gaps),
    )
