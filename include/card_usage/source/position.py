"""Position: how far a feed's stream has come, and how to go on from there without a gap or a duplicate."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, time
from typing import Any

from card_usage.events import SourceRow
from card_usage.source.feeds import Feed
from card_usage.standard.misplaced import said_key
from card_usage.standard.normalize import occurred_at
from card_usage.windows import local


class StreamPosition:
    """The start of a window, then the last row that came.

    To resume, the same SQL is executed again from the last instant that came, and what came of that instant is skipped,
    key by key: rows of one instant need no order among themselves, and a row that comes twice in the HIS comes twice
    here. Keeps the keys of one instant only.
    """

    def __init__(self, feed: Feed, start: datetime) -> None:
        self._feed = feed
        self._start = start
        self._instant: Any = None
        self._keys_of_instant: Counter[object] = Counter()
        self.last: SourceRow | None = None

    def __str__(self) -> str:
        if self.last is None:
            return f"the start of the window, {self._start}"
        # A column may hold what belongs into another one: what does not look like a time or a key is not said.
        at = self.last.occurred_at if occurred_at(self.last.occurred_at) else "a row without a readable time"
        return f"{at}, key {said_key(self.last)}"

    def edge(self) -> str | datetime:
        """Where to ask from: the window's start, or the last instant (its whole second: drivers round the rest)."""
        if self.last is None:
            return self._feed.edge(self._start)
        if self._feed.as_text:
            return str(self.last.occurred_at)
        whole: datetime = self._instant.replace(microsecond=0)
        return max(self._start, whole)

    def advance(self, batch: list[SourceRow]) -> None:
        """These rows have come."""
        self.last = batch[-1]
        instant = self._instant_of(self.last)
        if instant != self._instant:
            self._instant, self._keys_of_instant = instant, Counter()
        for row in reversed(batch):
            if row.occurred_at != self.last.occurred_at and self._instant_of(row) != instant:
                break
            self._keys_of_instant[row.source_id] += 1

    def unread(self, batches: Iterator[list[SourceRow]]) -> Iterator[list[SourceRow]]:
        """What of a stream that starts at `edge` has not come before."""
        if self.last is not None:
            instant, came = self._instant, self._keys_of_instant.copy()
            for batch in batches:
                remaining = [row for row in batch if not self._came(row, instant, came)]
                if remaining:
                    yield remaining
                if self._instant_of(batch[-1]) != instant:
                    break
        yield from batches

    def _came(self, row: SourceRow, instant: Any, came: Counter[object]) -> bool:
        of_row = self._instant_of(row)
        if of_row == instant and came[row.source_id]:
            came[row.source_id] -= 1
            return True
        return not self._feed.as_text and bool(of_row < instant)

    def _instant_of(self, row: SourceRow) -> Any:
        """As text: without padding. Else a datetime, whatever the driver made of it."""
        moment: Any = row.occurred_at
        if self._feed.as_text:
            return str(moment).rstrip()
        if not isinstance(moment, datetime):
            return datetime.combine(moment, time())
        return local(moment).replace(tzinfo=None) if moment.tzinfo else moment
