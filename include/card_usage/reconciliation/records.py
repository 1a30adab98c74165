"""Records: what is compared of a feed's day, as each side has it, and what a comparison found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, NamedTuple, Protocol

from card_usage.events import SourceRow
from card_usage.key_set import KeySet
from card_usage.ledger.database import Ledger
from card_usage.source.tallies import MinuteTally, SourceKey
from card_usage.staging.changes import Change, StoredEvent, compare
from card_usage.staging.drafts import Draft
from card_usage.standard.misplaced import MASK
from card_usage.windows import Window

BATCH: Final = 5_000
"""Rows that are read or written in one statement."""

SOURCE_ID: Final = 128
"""Letters of a key of the HIS that the ledger stores."""

CONTENT_CHANGES: Final = {Change.CHANGED_LATE: True, Change.RESTORED: False}
"""Of what a row may mean, what is said about its content: whether it gets a mark."""


class His(Protocol):
    """What a comparison asks of a `card_usage.source.reader.Source`."""

    def minutes(self, feed: str, window_start: datetime, window_end: datetime) -> list[MinuteTally]:
        """Records, refunds and checksum by minute."""
        ...

    def keys(self, feed: str, window_start: datetime, window_end: datetime) -> list[SourceKey]:
        """Every record's own key, and whether it is refunded."""
        ...

    def rows(self, feed: str, window_start: datetime, window_end: datetime) -> Iterator[list[SourceRow]]:
        """Whole rows."""
        ...


Normalize = Callable[[SourceRow, Window], Draft]
"""How staging normalizes a row of a window (`stage.Drafter.draft`)."""


class FeedOfDay(NamedTuple):
    """One feed's day, with both sides that know it. `draft`: how staging would normalize a row of it."""

    ledger: Ledger
    his: His
    hospital: str
    feed: str
    window: Window
    draft: Normalize
    now: datetime

    @property
    def day(self) -> date:
        """The local day."""
        return self.window.day


class ContentChange(NamedTuple):
    """An event whose content is another now at the HIS, or is again what was sent. `at`: its time in the ledger."""

    change: Change
    event_id: int
    at: datetime | None


class LedgerRow(NamedTuple):
    """One event of the ledger, as far as it is compared. `at`: None where the HIS says no readable time."""

    id: int
    source_id: str
    status: str
    voided: bool
    vanished: bool
    changed: bool
    digest: str
    at: datetime | None
    digest_key: str | None = None

    def against(self, draft: Draft) -> Change:
        """What the HIS's row means for it, by the table of intake."""
        return compare(
            StoredEvent(
                self.id,
                "",
                self.status,
                self.digest,
                "",
                0,
                self.at,
                self.voided,
                self.changed,
                False,
                (),
                self.digest_key,
            ),
            draft,
        )


@dataclass(slots=True)
class Found:
    """What a comparison found. `records` and `voided` count what the HIS has in the compared windows.

    `only_his`: keys, and whether refunded; of these `late` are nowhere in the ledger, `moved` stand there under another
    day, and `elsewhere` says that some stand there under a minute that was not compared, or have come only now.
    `seen`, `refunded_keys`: keys that came; `refunded_again`: keys of which a later copy alone is refunded.
    `masked`: by key of the HIS, what the ledger has instead of one that is patient data.
    `taken_back`: keys whose refund the HIS took back before they were sent; `unrefunded`: the same after it.
    """

    records: int = 0
    voided: int = 0
    only_his: dict[str, bool] = field(default_factory=dict)
    only_ledger: list[LedgerRow] = field(default_factory=list)
    reappeared: list[int] = field(default_factory=list)
    refunded: list[LedgerRow] = field(default_factory=list)
    unrefunded: list[int] = field(default_factory=list)
    taken_back: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    elsewhere: bool = False
    seen: KeySet = field(default_factory=KeySet)
    refunded_keys: KeySet = field(default_factory=KeySet)
    refunded_again: set[str] = field(default_factory=set)
    masked: dict[str, str] = field(default_factory=dict)

    def matched(self, row: LedgerRow, source_id: str, is_voided: bool) -> None:
        """A record that both sides have: what its marks have to become."""
        if row.source_id.startswith(MASK):
            self.masked[source_id] = row.source_id
        if row.vanished:
            self.reappeared.append(row.id)
        if is_voided and not row.voided:
            self.refunded.append(row)
        elif row.voided and not is_voided:
            if row.status == "voided":
                self.taken_back.append(source_id)
            else:
                self.unrefunded.append(row.id)
