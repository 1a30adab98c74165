"""Untimed: rows of the HIS whose time puts them into no day: none at all, a text that sorts outside every day, before
1970, or after the end of tomorrow's year.

No window reads them and no day's equation counts them, so they are counted apart, once a day; as long as there are any,
at each reconciliation, so that those that were mended go, and with their keys, the first KEYS_KEPT of a feed. One query
a feed without a window, another one for keys: with an index on the column of time, three short ranges of it.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, select

from card_usage.config.hospital import Hospital
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import untimed
from card_usage.ledger.schema.untimed import KEYS_KEPT
from card_usage.ledger.upsert import upsert
from card_usage.source.reader import Source
from card_usage.standard.misplaced import shown_key
from card_usage.windows import local

KIND: Final = "no_usable_time"
"""Their name beside the classes of differences."""
_SAME_RUN: Final = timedelta(minutes=30)
"""A count of just now: a run reconciles several days, one after the other."""

_OF_FEEDS: Final = select(untimed.c.feed, untimed.c.rows, untimed.c.since, untimed.c.at).where(
    untimed.c.hospital == bindparam("hospital")
)


class Listed(NamedTuple):
    """A feed's rows, as last counted, and the first of their keys, as they may be shown. `since`: first counted."""

    feed: str
    rows: int
    keys: tuple[str, ...]
    since: datetime


def count(ledger: Ledger, source: Source, hospital: Hospital, *, now: datetime) -> dict[str, int]:
    """Count them where it is time to, write down what came of it, and return the rows by feed, zeros left out.

    A feed whose SQL leaves no way to ask is left out.
    """
    with ledger.read() as connection:
        last = {row.feed: row for row in connection.execute(_OF_FEEDS, {"hospital": hospital.id})}
    feeds = [feed for feed in hospital.his.feeds if feed not in last or _is_due(last[feed].rows, last[feed].at, now)]
    counted = {feed: found for feed in feeds if (found := source.untimed(feed, local(now), keys=KEYS_KEPT))}
    with ledger.write() as connection:
        connection.execute(
            delete(untimed).where(untimed.c.hospital == hospital.id, untimed.c.feed.not_in(hospital.his.feeds))
        )
        for feed, found in counted.items():
            since = last[feed].since if feed in last and last[feed].rows and found.rows else now
            keys = dict.fromkeys(shown_key(hospital.id, feed, key) for key in found.keys)
            values = {"rows": found.rows, "keys": json.dumps([*keys]), "since": since, "at": now}
            upsert(connection, untimed, {"hospital": hospital.id, "feed": feed}, values)
        return stored(connection, hospital.id)


def _is_due(rows: int, last: datetime, now: datetime) -> bool:
    return now - last >= _SAME_RUN if rows else local(now).date() != local(last).date()


def stored(connection: Connection, hospital: str) -> dict[str, int]:
    """Rows by feed, as last counted; feeds without any are left out."""
    return {row.feed: row.rows for row in connection.execute(_OF_FEEDS, {"hospital": hospital}) if row.rows}


def listed(connection: Connection, hospital: str) -> list[Listed]:
    """Feeds that have any, as last counted."""
    of = untimed.c
    query = select(of.feed, of.rows, of["keys"], of.since).where(of.hospital == hospital, of.rows > 0)
    return [
        Listed(feed, rows, tuple(json.loads(keys)), since)
        for feed, rows, keys, since in connection.execute(query.order_by(of.feed))
    ]
