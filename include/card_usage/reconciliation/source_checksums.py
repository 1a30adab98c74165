"""Source checksums: what each hour of the HIS counted and summed up to when the ledger was level with it.

As long as the HIS's own checksum stays the same, nothing behind it has changed, so counts are enough. An hour has one
mark, a busy one has one for each of its minutes, so that a change leads to few rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Final, Protocol

from sqlalchemy import Connection, select

from card_usage.ledger.schema import source_mark
from card_usage.ledger.upsert import upsert
from card_usage.source.tallies import MinuteTally

BUSY: Final = 600
"""Rows from which on an hour is marked minute by minute: fewer are compared as quickly as they are told apart."""

_OF_A_MINUTE: Final = 12

Mark = str | list[str]
"""Of an hour: its digest, or 60 of them ("": a minute without a row)."""


class DigestKey(Protocol):
    """What keys the marks: the day's data key."""

    def digest(self, text: str, /) -> str:
        """32 hex characters."""
        ...


class Marker:
    """Marks of one feed's day as the HIS tells it, keyed, for its checksums cover patients' fields. `key` None: the
    day's key is destroyed, and nothing is marked."""

    def __init__(
        self, key: DigestKey | None, hospital: str, feed: str, day: date, tallies: Iterable[MinuteTally]
    ) -> None:
        self._key, self._of = key, f"{hospital} {feed} {day}"
        self._hours: dict[int, dict[int, MinuteTally]] = {}
        for tally in tallies:
            if tally.minute is not None:
                self._hours.setdefault(tally.minute // 60, {})[tally.minute % 60] = tally

    def mark(self, hour: int) -> Mark | None:
        """What to write down. None: there is no row, or the HIS has no checksum."""
        busy = sum(tally.rows for tally in self._hours.get(hour, {}).values()) >= BUSY
        return self._minutes(hour) if busy else self._whole(hour)

    def marks(self, hours: Iterable[int] = range(24)) -> dict[int, Mark]:
        """Of all hours that have one."""
        marks = {hour: self.mark(hour) for hour in hours}
        return {hour: mark for hour, mark in marks.items() if mark is not None}

    def changed(self, hour: int, stored: Mark | None) -> Sequence[int]:
        """Minutes of the hour, 0 to 59, that may not be as they were when `stored` was written down."""
        if isinstance(stored, list):
            now = self._minutes(hour)
            return [n for n in range(60) if now is None or now[n] != stored[n]]
        if hour not in self._hours and stored is None:
            return ()
        now_whole = self._whole(hour)
        return () if now_whole is not None and now_whole == stored else range(60)

    def _whole(self, hour: int) -> str | None:
        tallies = self._hours.get(hour, {}).values()
        checksums = [tally.checksum for tally in tallies if tally.checksum is not None]
        if self._key is None or not tallies or len(checksums) < len(tallies):
            return None
        rows, voided = sum(tally.rows for tally in tallies), sum(tally.voided for tally in tallies)
        return self._key.digest(f"{self._of} {hour} {rows} {voided} {sum(checksums)}")

    def _minutes(self, hour: int) -> list[str] | None:
        tallies = self._hours.get(hour, {})
        if self._key is None or any(tally.checksum is None for tally in tallies.values()):
            return None
        minutes = [""] * 60
        for n, tally in tallies.items():
            text = f"{self._of} {hour}:{n} {tally.rows} {tally.voided} {tally.checksum}"
            minutes[n] = self._key.digest(text)[:_OF_A_MINUTE]
        return minutes


def load(connection: Connection, hospital: str, feed: str, day: date) -> dict[int, Mark]:
    """Marks by hour."""
    text = connection.scalar(
        select(source_mark.c.hours).where(
            source_mark.c.hospital == hospital, source_mark.c.feed == feed, source_mark.c.day == day
        )
    )
    return {} if text is None else {int(hour): mark for hour, mark in json.loads(text).items()}


def save(
    connection: Connection,
    hospital: str,
    feed: str,
    day: date,
    marks: Mapping[int, Mark],
    *,
    hours: range = range(24),
    now: datetime,
) -> None:
    """Write the marks of these hours down; hours without one are forgotten, others stay as they are."""
    before = load(connection, hospital, feed, day)
    after = {hour: mark for hour, mark in before.items() if hour not in hours}
    after |= {hour: marks[hour] for hour in hours if hour in marks}
    if after == before:
        return
    values = {"hours": json.dumps(after, sort_keys=True), "at": now}
    key = {"hospital": hospital, "feed": feed, "day": day}
    upsert(connection, source_mark, key, values)
