"""Differences: the records behind the counts, one by one, each under the class that it counts in.

For whoever has to look something up: keys of the HIS, request ids and states, nothing about a patient. What the page
and the reconciliation count is what is listed here (tests hold both equal).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import Connection, and_, not_, or_, select

from card_usage.ledger import counts
from card_usage.ledger.counts import Cell
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import absent, event
from card_usage.reconciliation import untimed
from card_usage.reconciliation.classes import AGREED, class_of
from card_usage.reconciliation.reconcile import held_back
from card_usage.windows import Window, day_window


class Named(NamedTuple):
    """One record. `by`: the rule, result code or holder that the class goes by; "" where it goes by none.

    `request_id` and `state` are "" for records that the ledger does not have. `day` None: its time puts it into none.
    """

    kind: str
    feed: str
    day: date | None
    source_id: str
    request_id: str
    state: str
    by: str


def differences_of(ledger: Ledger, hospital: str, window: Window, *, now: datetime) -> Iterator[Named]:
    """Every difference of the window's days, as of the last reconciliation, oldest day first, and then what stands in
    no day: of these the keys that are kept."""
    with ledger.read() as connection:
        for day in window.days:
            yield from named(connection, hospital, day, now=now)
        for feed, _, keys, _ in untimed.listed(connection, hospital):
            for key in keys:
                yield Named(untimed.KIND, feed, None, key, "", "", "")


def named(connection: Connection, hospital: str, day: date, *, now: datetime) -> Iterator[Named]:
    """Every record of a hospital's day in HIS or ledger that is a difference, as of the last reconciliation."""
    holders = held_back(connection, hospital, day, now)
    growing = counts.provisional_feeds(connection, hospital, day_window(day))
    ended = day_window(day).ended_by(now)
    taken_back: set[tuple[str, str]] = set()
    of_day = (absent.c.hospital == hospital, absent.c.day == day)
    query = select(absent.c.kind, absent.c.feed, absent.c.source_id).where(*of_day).order_by(absent.c.id)
    for kind, feed, source_id in connection.execute(query):
        if kind == "refunds_not_staged":
            taken_back.add((feed, source_id))
        elif kind == "late_in_source" and (feed in growing or not ended):
            kind = "provisional_window"
        yield Named(kind, feed, day, source_id, "", "", "")
    marks = [event.c[name] for name in ("vanished_at", "voided_at", "changed_at")]
    agreed = or_(
        and_(event.c.status == "delivered", *(mark.is_(None) for mark in marks)),
        and_(event.c.status == "voided", event.c.vanished_at.is_(None)),
    )
    columns = (event.c.feed, event.c.source_id, event.c.request_id, event.c.status, event.c.reason, event.c.result_code)
    events = (
        select(*columns, *(mark.is_not(None) for mark in marks))
        .where(event.c.hospital == hospital, event.c.day == day, not_(agreed))
        .order_by(event.c.feed, event.c.id)
    )
    for feed, source_id, request_id, status, rule, code, *marked in connection.execute(events):
        held_by = holders.of(feed)
        kind = class_of(Cell(status, *map(bool, marked)), held_by)
        if kind in AGREED or (feed, source_id) in taken_back:
            continue
        by = {
            "quarantined": rule,
            "rejected": None if code is None else str(code),
            "held": "quota" if status == "held" else held_by,
        }.get(kind)
        yield Named(kind, feed, day, source_id, request_id, status, by or "")
