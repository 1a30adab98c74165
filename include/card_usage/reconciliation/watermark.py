"""Watermark: up to which moment everything of a feed is accounted for, without a gap (verified_through).

It goes on over a day only when all of it holds: the day was reconciled and came out clean (counted at the HIS, nothing
late, nothing under way, no remainder), its windows are closed and cover it, and no statement of the platform says
otherwise. Days follow each other; none is skipped.

What is verified may begin earlier than it did: days before its first one that are staged later (history) join it when
they close clean, the nearest first, without a gap.

A difference that shows up later in a day that was verified takes the mark back to the start of that day, with the
reason (table `verified_move`, which only grows); it goes on again by itself once the day is clean.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, func, insert, or_, select

from card_usage.config.hospital import Hospital
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import feed_window, reconciliation, verified, verified_move
from card_usage.ledger.upsert import upsert
from card_usage.reconciliation.reconcile import EVERY_FEED
from card_usage.windows import DAY, day_window, merged

_AGAINST: Final = ("late_in_source", "moved_here", "refunds_not_staged", "open", "remainder", "missing", "surplus")
"""What keeps a reconciled day from being clean, as its stored counts name it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """How far one feed is verified. `through` is outside; None: not a single day yet. `stands`: why it goes no further.

    `moved`: by how many days the last look moved it, back if negative. `earlier`: by how many days it begins earlier
    now. `begins`: the day before `since` and what keeps it out; "" if no earlier day was staged.
    """

    hospital: str
    feed: str
    since: date | None
    through: datetime | None
    stands: str
    moved: int = 0
    earlier: int = 0
    begins: str = ""

    def summary(self) -> dict[str, object]:
        """Fit for logs and XCom."""
        return {
            "hospital": self.hospital,
            "feed": self.feed,
            "since": None if self.since is None else self.since.isoformat(),
            "verified_through": None if self.through is None else self.through.isoformat(" ", "minutes"),
            "moved_days": self.moved,
            "stands": self.stands,
            "begins": self.begins,
        }


class _Day(NamedTuple):
    clean: bool
    provisional: bool
    counts: dict[str, Any]

    @property
    def against(self) -> str:
        """What speaks against it, in classes and counts; "" for what was only not counted."""
        return ", ".join(f"{name} {self.counts[name]}" for name in _AGAINST if self.counts.get(name))


def advance(ledger: Ledger, hospital: Hospital, *, now: datetime) -> tuple[Mark, ...]:
    """Move each feed's mark as far as it may stand now, forwards or back."""
    moved = []
    for feed in hospital.his.feeds:
        with ledger.write() as connection:
            moved.append(_advance(connection, hospital, feed, now))
    return tuple(moved)


def marks(connection: Connection, hospital: Hospital) -> tuple[Mark, ...]:
    """Where each feed's mark stands, and why there."""
    return tuple(_look(connection, hospital, feed)[0] for feed in hospital.his.feeds)


def verified_edges(connection: Connection, hospitals: Iterable[Hospital]) -> Mapping[str, datetime | None]:
    """By hospital: up to when (local, outside) everything of all feeds is accounted for; None: a feed is nowhere."""
    listed = list(hospitals)
    query = select(verified.c.hospital, verified.c.feed, verified.c.through)
    rows = connection.execute(query.where(verified.c.hospital.in_([hospital.id for hospital in listed])))
    through: dict[tuple[str, str], datetime] = {(row.hospital, row.feed): row.through for row in rows}
    edges: dict[str, datetime | None] = {}
    for hospital in listed:
        of_feeds = [through.get((hospital.id, feed)) for feed in hospital.his.feeds]
        reached = [edge for edge in of_feeds if edge is not None]
        edges[hospital.id] = min(reached) if reached and len(reached) == len(of_feeds) else None
    return edges


def verified_through(connection: Connection, hospital: Hospital) -> date | None:
    """The last day that is verified for every feed; None: there is none."""
    edge = verified_edges(connection, [hospital])[hospital.id]
    return None if edge is None else edge.date() - DAY


def verified_days(connection: Connection, hospital: Hospital) -> tuple[date, date] | None:
    """First and last day of what is verified for every feed; None: nothing is."""
    last = verified_through(connection, hospital)
    since = connection.scalar(select(func.max(verified.c.since)).where(verified.c.hospital == hospital.id))
    return None if last is None or since is None or since.date() > last else (since.date(), last)


def _advance(connection: Connection, hospital: Hospital, feed: str, now: datetime) -> Mark:
    mark, before, reason = _look(connection, hospital, feed)
    if mark.through is None or mark.since is None or (mark.through == before and not mark.earlier):
        return mark
    values = {"since": datetime.combine(mark.since, time()), "through": mark.through, "at": now}
    key = {"hospital": hospital.id, "feed": feed}
    upsert(connection, verified, key, values)
    reasons = [reason] if mark.through != before else []
    if mark.earlier:
        reasons.append(f"begins {mark.since} now, {mark.earlier} days earlier: they closed clean")
    for why in reasons:
        move = {**key, "before": before, "after": mark.through, "reason": why[:200], "at": now}
        connection.execute(insert(verified_move).values(**move))
    return mark


def _look(connection: Connection, hospital: Hospital, feed: str) -> tuple[Mark, datetime | None, str]:
    """The mark as it should stand, where it stood, and the reason for the move."""
    of_feed = (verified.c.hospital == hospital.id, verified.c.feed == feed)
    known = connection.execute(select(verified.c.since, verified.c.through).where(*of_feed)).one_or_none()
    since = known.since if known else _first(connection, hospital, feed)
    if since is None:
        mark = Mark(hospital=hospital.id, feed=feed, since=None, through=None, stands="nothing was staged yet")
        return mark, None, ""
    before: datetime | None = known.through if known else None
    edge = before or since
    days = _reconciled(connection, hospital.id, feed, since.date(), edge.date())
    platform = _reconciled(connection, hospital.id, EVERY_FEED, since.date(), edge.date())
    closed = _closed(connection, hospital.id, feed, edge)
    at: datetime = since
    while True:
        day = at.date()
        if before is not None and at < before:
            # Verified once: it stays so until something speaks against it. Not being counted again says nothing.
            stands = _disputed(days.get(day), platform.get(day))
        elif hospital.has_ended(day):
            stands = f"the hospital ended with {hospital.end}"
        else:
            stands = _stands(day, days.get(day), platform.get(day), closed)
        if stands:
            break
        at += DAY
    through = at if at > since or known else None
    moved = 0 if through is None else (through - (before or since)) // DAY
    begin, begins = _begin(connection, hospital, feed, since) if known else (since, "")
    mark = Mark(
        hospital=hospital.id,
        feed=feed,
        since=begin.date(),
        through=through,
        stands=stands,
        moved=moved,
        earlier=(since - begin) // DAY,
        begins=begins,
    )
    return mark, before, f"{day}: {stands}" if moved < 0 else "days closed clean"


def _begin(connection: Connection, hospital: Hospital, feed: str, since: datetime) -> tuple[datetime, str]:
    """Where what is verified may begin by now, and what keeps the day before out; "" if none was staged."""
    first = _first(connection, hospital, feed)
    if first is None or first >= since:
        return since, ""
    days = _reconciled(connection, hospital.id, feed, first.date(), first.date(), last=since.date())
    platform = _reconciled(connection, hospital.id, EVERY_FEED, first.date(), first.date(), last=since.date())
    closed = _closed(connection, hospital.id, feed, first)
    at = since
    while at > first:
        day = (at - DAY).date()
        if stands := _stands(day, days.get(day), platform.get(day), closed):
            return at, f"{day}: {stands}"
        at -= DAY
    return at, ""


def _first(connection: Connection, hospital: Hospital, feed: str) -> datetime | None:
    """Midnight of the first day that was staged, not before the hospital's own first day."""
    query = select(func.min(feed_window.c.start)).where(
        feed_window.c.hospital == hospital.id, feed_window.c.feed == feed
    )
    first = connection.scalar(query)
    if first is None:
        return None
    day = max(first.date(), hospital.start) if hospital.start else first.date()
    return datetime.combine(day, time())


def _reconciled(
    connection: Connection, hospital: str, feed: str, first: date, edge: date, last: date = date.max
) -> dict[date, _Day]:
    """What is stored of days from `first` to `last`: of those before `edge`, only what is not clean."""
    query = select(
        reconciliation.c.day, reconciliation.c.clean, reconciliation.c.provisional, reconciliation.c.counts
    ).where(
        reconciliation.c.hospital == hospital,
        reconciliation.c.feed == feed,
        reconciliation.c.day.between(first, last),
        or_(reconciliation.c.day >= edge, reconciliation.c.clean.is_(False)),
    )
    return {
        day: _Day(clean, provisional, {} if clean else json.loads(counts))
        for day, clean, provisional, counts in connection.execute(query)
    }


def _closed(connection: Connection, hospital: str, feed: str, since: datetime) -> Sequence[tuple[datetime, datetime]]:
    """Stretches that are covered by closed windows, merged, in order."""
    query = (
        select(feed_window.c.start, feed_window.c.end)
        .where(
            feed_window.c.hospital == hospital,
            feed_window.c.feed == feed,
            feed_window.c.end > since,
            feed_window.c.status == "closed",
        )
        .order_by(feed_window.c.start)
    )
    return merged((row.start, row.end) for row in connection.execute(query))


def _stands(
    day: date, reconciled: _Day | None, platform: _Day | None, closed: Sequence[tuple[datetime, datetime]]
) -> str:
    """Why the mark cannot pass the day; "" if it can."""
    window = day_window(day)
    if not any(start <= window.start and window.end <= end for start, end in closed):
        return "its windows are not all closed"
    if reconciled is None:
        return "not reconciled yet"
    if reconciled.provisional:
        return "can still grow"
    if not reconciled.clean:
        return reconciled.against or "not counted at the HIS"
    if platform is not None and not platform.clean:
        return f"platform: {platform.against}"
    return ""


def _disputed(reconciled: _Day | None, platform: _Day | None) -> str:
    """What speaks against a day that was verified; "" for nothing."""
    if reconciled is not None and not reconciled.clean and reconciled.against:
        return reconciled.against
    return f"platform: {platform.against}" if platform is not None and not platform.clean else ""


def moves(connection: Connection, hospital: str, *, most: int = 50) -> list[dict[str, object]]:
    """The last moves of a hospital's marks, the newest first."""
    query = (
        select(verified_move)
        .where(verified_move.c.hospital == hospital)
        .order_by(verified_move.c.id.desc())
        .limit(most)
    )
    return [
        {
            "feed": row.feed,
            "before": None if row.before is None else row.before.isoformat(" ", "minutes"),
            "after": row.after.isoformat(" ", "minutes"),
            "reason": row.reason,
            "at": row.at.isoformat(" ", "seconds"),
        }
        for row in connection.execute(query)
    ]
