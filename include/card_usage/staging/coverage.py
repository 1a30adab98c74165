"""Unstaged: what of a window was never read from the HIS. Nobody can say of it that all is well."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select

from card_usage.ledger.schema import feed_window
from card_usage.windows import Window, gaps


class Unstaged(NamedTuple):
    """A part of local time (half-open) in which `feeds` were never staged."""

    start: datetime
    end: datetime
    feeds: tuple[str, ...]


def unstaged(connection: Connection, hospital: str, feeds: Sequence[str], window: Window) -> list[Unstaged]:
    """Oldest first; feeds that lack the same part stand together, in the order given."""
    columns = feed_window.c
    query = select(columns.feed, columns.start, columns.end).where(
        columns.hospital == hospital,
        columns.start < window.end,
        columns.end > window.start,
        columns.staged_at.is_not(None),
    )
    read: dict[str, list[tuple[datetime, datetime]]] = {feed: [] for feed in feeds}
    for feed, start, end in connection.execute(query.order_by(columns.start)):
        if feed in read:
            read[feed].append((start, end))
    lacking: dict[tuple[datetime, datetime], list[str]] = {}
    for feed, stretches in read.items():
        for part in gaps(window, stretches):
            lacking.setdefault(part, []).append(feed)
    return [Unstaged(start, end, tuple(of)) for (start, end), of in sorted(lacking.items())]
