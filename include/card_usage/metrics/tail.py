"""Tail: counts what was added to a growing table since the last look, so that a counter never reads the whole of it.

Ids are given before a transaction commits, so that a row may appear behind one that was seen already. Rows of the last
`SETTLING` are therefore read again, and counted when they were not: a transaction that takes longer is not counted.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Column, Connection, Select, func, select

SETTLING: Final = timedelta(minutes=2)
_LARGEST_STEP: Final = 200_000
"""Rows that one look reads at most; what is more is read by the next."""


class Tail:
    """Rows of a table by labels, counted from the first look on.

    `rows`: a statement with the columns id, time and the labels. `number`, `at`: the table's own columns of the first
    two, by which it is cut.
    """

    def __init__(self, rows: Select[Any], number: Column[Any], at: Column[Any]) -> None:
        self.counted: Counter[tuple[str, ...]] = Counter()
        self._rows = rows
        self._number = number
        self._at = at
        self._settled: int | None = None
        self._seen: dict[int, datetime] = {}

    def look(self, connection: Connection, now: datetime) -> None:
        """Count what has come since the last look; the first one only marks where the table ends."""
        if self._settled is None:
            self._settled = connection.scalar(select(func.max(self._number))) or 0
            return
        query = self._rows.where(self._number > self._settled).order_by(self._number).limit(_LARGEST_STEP)
        for number, at, *labels in connection.execute(query):
            if number not in self._seen:
                self._seen[number] = at
                self.counted[tuple(str(label) for label in labels)] += 1
        self._settle(now)

    def _settle(self, now: datetime) -> None:
        """Forget the rows before which nothing can appear any more."""
        for number in sorted(self._seen):
            if self._seen[number] > now - SETTLING and len(self._seen) < _LARGEST_STEP:
                break
            self._settled = number
            del self._seen[number]
