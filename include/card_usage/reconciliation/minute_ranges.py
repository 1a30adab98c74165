"""Minute ranges: which windows of a day have to be compared record by record, by what its minutes count and sum up to.

Promises: every minute that may differ lies in a window; no more than `MOST_ASKED` windows a day but where one window
would hold more than `SLICE` records; minutes that lie between two of them and hold few records are compared along,
for a query costs the HIS more than they do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import chain, pairwise
from typing import Final, NamedTuple

from card_usage.ledger.counts import MinuteCount
from card_usage.reconciliation.source_checksums import Mark, Marker
from card_usage.source.tallies import MinuteTally
from card_usage.windows import Window

SLICE: Final = 50_000
"""Records that are compared at a time, at most as many as the HIS has in one second."""

MOST_ASKED: Final = 60
"""Windows of a day that are asked for one by one; if there are more, whole hours are."""

FEW: Final = 100
"""Records between two windows that are compared along."""

MINUTES: Final = range(24 * 60)
_MINUTE: Final = timedelta(minutes=1)


class Differing(NamedTuple):
    """Minutes of a day where HIS and ledger may differ, and those of them where the HIS has changed since its mark."""

    odd: frozenset[int]
    changed: frozenset[int]

    @classmethod
    def all(cls) -> Differing:
        """Every record's key has to be looked for."""
        return cls(frozenset(MINUTES), frozenset())


class Part(NamedTuple):
    """One window to compare, and whether the contents of its records may have changed or only their number."""

    window: Window
    changed: bool


def differing(
    tallies: Iterable[MinuteTally], held: Iterable[MinuteCount], marks: Mapping[int, Mark], marker: Marker
) -> Differing:
    """Set the HIS's minutes against the ledger's. Where one side has a record whose time says no minute, it may be
    any."""
    changed = {hour * 60 + n for hour in range(24) for n in marker.changed(hour, marks.get(hour))}
    theirs = {tally.minute: (tally.rows, tally.voided) for tally in tallies}
    ours = {count.minute: (count.present, count.voided) for count in held if count.present}
    uneven = {minute for minute in {*theirs, *ours} if theirs.get(minute) != ours.get(minute)}
    if None in uneven:
        return Differing(frozenset(MINUTES), frozenset(changed))
    odd = changed | {minute for minute in uneven if minute is not None}
    return Differing(frozenset(odd), frozenset(changed))


def expected(tallies: Iterable[MinuteTally], held: Iterable[MinuteCount]) -> list[int]:
    """Records of each of the 1440 minutes: of HIS or ledger, whichever has more."""
    rows = [0] * len(MINUTES)
    theirs = ((tally.minute, tally.rows) for tally in tallies)
    ours = ((count.minute, count.present + count.vanished) for count in held)
    for minute, records in chain(theirs, ours):
        if minute is not None:
            rows[minute] = max(rows[minute], records)
    return rows


def parts(day: Window, found: Differing, rows: Sequence[int]) -> tuple[list[Part], frozenset[int]]:
    """The minutes as windows in the order of time, and all minutes in them. `rows`: of `expected`."""
    runs = _runs(found.odd, rows)
    if len(runs) > MOST_ASKED:
        hours = {minute // 60 for minute in found.odd}
        runs = _runs([minute for minute in MINUTES if minute // 60 in hours], rows)
    windows = [
        Part(window, not found.changed.isdisjoint(range(first, end)))
        for run in runs
        for first, end in _cut(*run, rows)
        for window in _windows(day, first, end, sum(rows[first:end]))
    ]
    return windows, frozenset(minute for first, end in runs for minute in range(first, end))


def _runs(minutes: Iterable[int], rows: Sequence[int]) -> list[tuple[int, int]]:
    """Minutes as stretches from one inside to one outside."""
    runs: list[tuple[int, int]] = []
    for minute in sorted(minutes):
        if runs and sum(rows[runs[-1][1] : minute]) <= FEW:
            runs[-1] = (runs[-1][0], minute + 1)
        else:
            runs.append((minute, minute + 1))
    return runs


def _cut(first: int, end: int, rows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """A stretch in pieces that hold at most SLICE records, or are one minute."""
    begun, held = first, 0
    for minute in range(first, end):
        if minute > begun and held + rows[minute] > SLICE:
            yield begun, minute
            begun, held = minute, 0
        held += rows[minute]
    yield begun, end


def _windows(day: Window, first: int, end: int, rows: int) -> Iterator[Window]:
    """Minutes as a window, one that is too full parted into whole seconds: that is what a HIS's text bounds can say."""
    start, length = day.start + _MINUTE * first, _MINUTE * (end - first)
    pieces = min(-(-rows // SLICE) or 1, 60)
    edges = [(start + length * n / pieces).replace(microsecond=0) for n in range(pieces)] + [start + length]
    yield from (Window(one, other) for one, other in pairwise(edges))
