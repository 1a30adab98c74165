"""Source: what the HIS or its replica lacks: windows that are late or provisional, days with far fewer rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Set
from datetime import date, datetime, time, timedelta
from typing import Final, NamedTuple

from sqlalchemy import and_, func, select

from card_usage.alerts.incidents import Condition
from card_usage.alerts.situation import REACH, RECENT, Situation
from card_usage.ledger.schema import feed_window, untimed, window_profile
from card_usage.quality.baseline import expected
from card_usage.windows import DAY, HOUR, day_window, instant, local

LEAST_USUAL: Final = 20
"""Events that a feed must usually have for its volume to be judged."""

MOST_KEYS: Final = 6
"""Keys of the HIS that a message names."""


def _replica_late(situation: Situation) -> Iterator[Condition]:
    hospital = situation.hospital
    due = _due_until(situation)
    if due is None:
        return
    reached = _reached(situation)
    late = {feed: reached[feed] for feed in hospital.his.feeds if feed in reached and reached[feed] < due}
    if late:
        oldest = min(late.values())
        # Counted from the end of the window that is missing: what has not ended yet is not late.
        cadence = DAY if hospital.cadence == "daily" else HOUR
        hours = int((local(situation.now) - oldest - cadence) / HOUR)
        yield Condition(
            cause="replica_late",
            severity="critical" if hours >= 24 else "warning",
            count=max(1, hours),
            since=instant(oldest),
            parts=tuple(sorted(late)),
            facts={
                "feeds": ",".join(sorted(late)),
                "all": int(len(late) == len(hospital.his.feeds)),
                "run_day": str(oldest.date()),
            },
        )


def _due_until(situation: Situation) -> datetime | None:
    """Up to where every feed should have been read by now (local); None: nothing was ever staged."""
    if situation.first_day is None:
        return None
    until = local(situation.now) - timedelta(hours=situation.hospital.alerts.late_hours)
    whole = until.replace(minute=0, second=0, microsecond=0)
    due = whole if situation.hospital.cadence == "hourly" else datetime.combine(until.date(), time())
    end = situation.hospital.end
    return due if end is None else min(due, day_window(end).end)


def _reached(situation: Situation) -> dict[str, datetime]:
    """By feed, where its newest closed window ends (local)."""
    of = feed_window.c
    recent = datetime.combine(situation.first_seen(REACH, "replica_late"), time())
    reached = {}
    for feed in situation.hospital.his.feeds:  # by the index, which begins with hospital and feed
        mine = and_(of.hospital == situation.hospital.id, of.feed == feed)
        closed = select(func.max(of.end)).where(mine, of.status == "closed", of.start >= recent)
        if (end := situation.connection.scalar(closed)) is not None:
            reached[feed] = end
    return reached


def _provisional_window(situation: Situation) -> Iterator[Condition]:
    of = feed_window.c
    before = local(situation.now) - timedelta(hours=situation.hospital.alerts.settle_hours)
    first = situation.first_seen(RECENT, "provisional_window")
    query = (
        select(of.feed, func.min(of.end))
        .where(
            of.hospital == situation.hospital.id,
            of.feed.in_(situation.hospital.his.feeds),
            of.start >= min(before - RECENT, datetime.combine(first, time())),
            of.status == "provisional",
            of.end <= before,
        )
        .group_by(of.feed)
        .order_by(of.feed)
    )
    ends: dict[str, datetime] = {feed: end for feed, end in situation.connection.execute(query)}
    if ends:
        oldest, feeds = min(ends.values()), tuple(sorted(ends))
        yield Condition(
            cause="provisional_window",
            severity="warning",
            count=int((local(situation.now) - oldest) / HOUR),
            since=instant(oldest),
            parts=feeds,
            facts={"feeds": ",".join(feeds), "run_day": str(min(situation.today, (oldest - HOUR).date()))},
        )


class _Drop(NamedTuple):
    """A feed with far fewer rows than usual."""

    feed: str
    rows: int
    usual: int


def _volume_drop(situation: Situation) -> Iterator[Condition]:
    hospital = situation.hospital
    day = situation.today - DAY
    if hospital.has_ended(day):
        return
    similar, ordinary = hospital.calendar.comparable(day)
    limit = hospital.alerts.drop_share
    if hospital.calendar.is_holiday(day):
        limit = max(limit, hospital.gate.holiday_drop)
    volumes = situation.volumes(frozenset((day, *similar, *ordinary)))
    drops: list[_Drop] = []
    measured = _measured(situation, frozenset((day, *similar, *ordinary)))
    for feed in hospital.his.feeds:
        by_day = {volume.day: volume.rows for volume in volumes if volume.feed == feed}
        if feed in measured and day in measured[feed]:
            by_day |= measured[feed]
        usual = expected(*([by_day[past] for past in days if past in by_day] for days in (similar, ordinary)))
        if day not in by_day or usual is None:
            continue
        if usual >= LEAST_USUAL and by_day[day] <= (1 - limit) * usual:
            drops.append(_Drop(feed, by_day[day], int(usual)))
    if drops:
        rows, usual = sum(drop.rows for drop in drops), sum(drop.usual for drop in drops)
        yield Condition(
            cause="volume_drop",
            severity="critical" if rows <= usual // 10 else "warning",
            count=usual - rows,
            since=instant(datetime.combine(day, time())),
            parts=tuple(drop.feed for drop in drops),
            facts={
                "day": str(day),
                "found": rows,
                "usual": usual,
                "named": "\n".join(f"{drop.feed}\t{drop.rows}\t{drop.usual}" for drop in drops),
            },
        )


def _measured(situation: Situation, days: Set[date]) -> dict[str, dict[date, int]]:
    """By feed and day, the volume that the gate measured: what it says and what this says are one figure."""
    of = window_profile.c
    query = select(of["of"], of.start, of.end, of.amount).where(
        of.hospital == situation.hospital.id,
        of.measure == "volume",
        of.start.in_([datetime.combine(day, time()) for day in days]),
    )
    measured: dict[str, dict[date, int]] = {}
    for feed, start, end, events in situation.connection.execute(query):
        if end - start == DAY:
            measured.setdefault(feed, {})[start.date()] = events
    return measured


def _no_usable_time(situation: Situation) -> Iterator[Condition]:
    of = untimed.c
    query = select(of.feed, of.rows, of["keys"], of.since).where(
        of.hospital == situation.hospital.id, of.rows > 0, of.feed.in_(situation.hospital.his.feeds)
    )
    found = situation.connection.execute(query.order_by(of.feed)).all()
    if found:
        # As they may be shown: what may be patient data was masked when they were counted.
        keys = [key for row in found for key in json.loads(row[2])]
        yield Condition(
            cause="no_usable_time",
            severity="warning",
            count=sum(row.rows for row in found),
            since=min(row.since for row in found),
            parts=tuple(row.feed for row in found),
            facts={"feeds": ",".join(row.feed for row in found), "keys": ", ".join(keys[:MOST_KEYS]) or "-"},
        )


DETECTORS = (_replica_late, _provisional_window, _volume_drop, _no_usable_time)
