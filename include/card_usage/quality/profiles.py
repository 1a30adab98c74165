"""Profiles: a window of one hospital in a few dozen counts, saved so that later windows have a
history without reading its events again.

    measure         of          amount: standing events (refunded ones left out) ...
    volume          feed, ''    ... of the feed; of all feeds
    quarantined     feed, ''    ... quarantined
    unmapped        feed, ''    ... quarantined because a code is not mapped
    doubled         feed, ''    ... beyond the first with the same person, second, scene and codes
    future          feed, ''    ... later than the present
    midnight        feed, ''    ... at 00:00:00 sharp, as dates without a time of day are
    scene, channel, card_type   code   ... with that standard code
    repeated        feed, ''    rows that the feed gave twice under one key, when it was staged
    quiet           feed        minutes from the feed's last event to the window's end (or to the present)

Promises: two grouped queries over the index of days; counts only, nothing about a patient.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, case, delete, func, insert, or_, select
from sqlalchemy.sql.elements import ColumnElement

from card_usage.ledger.counts import CODE_RULES
from card_usage.ledger.schema import event, feed_window, window_profile
from card_usage.windows import Window

Profile = Mapping[tuple[str, str], int]
"""(measure, of) -> amount; what is not there is nothing."""

CODE_KINDS: Final = ("scene", "channel", "card_type")
"""Codes whose shares are watched."""

_SLACK: Final = timedelta(minutes=5)
"""How much the clock of a HIS may differ from ours."""


def inside(hospital_id: str, window: Window) -> ColumnElement[bool]:
    """The hospital's events of the window. Those without a time belong to every part of their day."""
    parts = [event.c.hospital == hospital_id, event.c.day.between(window.days[0], window.days[-1])]
    if window.start.time() != time() or window.end.time() != time():
        timed = and_(event.c.occurred_at >= window.start, event.c.occurred_at < window.end)
        parts.append(or_(event.c.occurred_at.is_(None), timed))
    return and_(*parts)


def measure(connection: Connection, hospital_id: str, window: Window, *, present: datetime) -> Profile:
    """Count the window's events. `present`: naive local time. An empty window has an empty profile."""
    standing = and_(inside(hospital_id, window), event.c.status != "voided")
    quarantined = case((event.c.status == "quarantined", 1), else_=0)
    at = event.c.occurred_at
    midnights = [datetime.combine(day, time()) for day in window.days]
    codes = [event.c[kind] for kind in CODE_KINDS]
    groups = (event.c.feed, *codes, quarantined, event.c.reason)
    query = (
        select(
            *groups,
            func.count(),
            func.max(at),
            func.sum(case((at > present + _SLACK, 1), else_=0)),
            func.sum(case((at.in_(midnights), 1), else_=0)),
        )
        .where(standing)
        .group_by(*groups)
    )
    profile: Counter[tuple[str, str]] = Counter()
    last: dict[str, datetime] = {}
    for feed, *codes_of_kinds, is_quarantined, reason, events, latest, future, midnight in connection.execute(query):
        unmapped = events if is_quarantined and reason in CODE_RULES else 0
        amounts = {"volume": events, "quarantined": events * is_quarantined, "unmapped": unmapped}
        for name, amount in (amounts | {"future": future, "midnight": midnight}).items():
            profile[name, feed] += amount
            profile[name, ""] += amount
        for kind, code in zip(CODE_KINDS, codes_of_kinds, strict=True):
            if code is not None:
                profile[kind, code] += events
        if latest is not None:
            last[feed] = max(latest, last.get(feed, latest))
    if not profile:
        return {}
    alike = select(event.c.feed, func.count() - func.count(event.c.digest.distinct())).where(standing)
    for name, pairs in (
        ("doubled", connection.execute(alike.group_by(event.c.feed))),
        ("repeated", connection.execute(_repeated(hospital_id, window))),
    ):
        for feed, amount in pairs:
            profile[name, feed] += amount
            profile[name, ""] += amount
    end = min(window.end, max(present, window.start))
    for feed, latest in last.items():
        profile["quiet", feed] = max(0, int((end - latest).total_seconds() // 60))
    return dict(profile)


def _repeated(hospital_id: str, window: Window) -> Select[Any]:
    """A look-back stages a day again that its hours had staged: the most of one staging, not the sum."""
    of = feed_window.c
    within = and_(of.hospital == hospital_id, of.start >= window.start, of.end <= window.end)
    return select(of.feed, func.max(of.repeated_rows)).where(within).group_by(of.feed)


def save(connection: Connection, hospital_id: str, window: Window, profile: Profile) -> None:
    """Write the profile in the place of an earlier one."""
    same = {"hospital": hospital_id, "start": window.start, "end": window.end}
    connection.execute(delete(window_profile).where(*(window_profile.c[name] == value for name, value in same.items())))
    rows = [{**same, "measure": name, "of": of, "amount": amount} for (name, of), amount in profile.items()]
    if rows:
        connection.execute(insert(window_profile), rows)


def load(connection: Connection, hospital_id: str, window: Window) -> Profile | None:
    """The profile as it was saved; None if the window was never measured."""
    of = window_profile.c
    same = and_(of.hospital == hospital_id, of.start == window.start, of.end == window.end)
    query = select(of.measure, of["of"], of.amount).where(same)
    return {(name, value): amount for name, value, amount in connection.execute(query)} or None
