"""Untimed: rows of the HIS whose time puts them into no day: none at all, a text that sorts outside every day, before
1970, or after the end of tomorrow's year.

No window reads them and no day's equation counts them, so they are counted apart, once a reconciliation, with two of
their keys. One grouped query a feed without a window: with an index on the column of time, three short ranges of it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, delete, select

from card_usage.config.hospital import Hospital
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import untimed
from card_usage.ledger.upsert import upsert
from card_usage.source.reader import Source
from card_usage.source.tallies import Untimed
from card_usage.windows import local

_OF_FEEDS: Final = select(untimed.c.feed, untimed.c.rows, untimed.c.since).where(
    untimed.c.hospital == bindparam("hospital")
)


def count(ledger: Ledger, source: Source, hospital: Hospital, *, now: datetime) -> dict[str, Untimed]:
    """Count them, by feed, and write down what came of it. A feed whose SQL leaves no way to ask is left out."""
    counted = {feed: found for feed in hospital.his.feeds if (found := source.untimed(feed, local(now))) is not None}
    with ledger.write() as connection:
        before = {row.feed: (row.rows, row.since) for row in connection.execute(_OF_FEEDS, {"hospital": hospital.id})}
        connection.execute(delete(untimed).where(untimed.c.hospital == hospital.id, untimed.c.feed.not_in(counted)))
        for feed, found in counted.items():
            rows, since = before.get(feed, (0, now))
            values = {
                "rows": found.rows,
                "first_key": found.first_key,
                "last_key": found.last_key,
                "since": since if rows and found.rows else now,
                "at": now,
            }
            upsert(connection, untimed, {"hospital": hospital.id, "feed": feed}, values)
    return counted


def stored(connection: Connection, hospital: str) -> dict[str, int]:
    """Rows by feed, as last counted; feeds without any are left out."""
    return {row.feed: row.rows for row in connection.execute(_OF_FEEDS, {"hospital": hospital}) if row.rows}
