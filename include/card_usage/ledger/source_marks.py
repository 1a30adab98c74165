"""Marks of the HIS: what its hours counted and checked up to when the ledger was level with them.

As long as the HIS's own checksum of an hour stays the same, nothing in that hour has changed, so counts are enough.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime

from sqlalchemy import Connection, select

from card_usage.keyring import Keyring
from card_usage.ledger.schema import source_mark
from card_usage.ledger.upsert import upsert
from card_usage.source import HourTally


def digest(keyring: Keyring, hospital: str, feed: str, day: date, tally: HourTally) -> str | None:
    """The HIS's checksum as it may be kept: keyed, for it covers patients' fields. None: the HIS cannot make one."""
    if tally.checksum is None:
        return None
    return keyring.digest(f"{hospital} {feed} {day} {tally.hour} {tally.rows} {tally.voided} {tally.checksum}")


def find(connection: Connection, hospital: str, feed: str, day: date) -> dict[int, str]:
    """Digest by hour."""
    text = connection.scalar(
        select(source_mark.c.hours).where(
            source_mark.c.hospital == hospital, source_mark.c.feed == feed, source_mark.c.day == day
        )
    )
    return {} if text is None else {int(hour): kept for hour, kept in json.loads(text).items()}


def keep(
    connection: Connection,
    hospital: str,
    feed: str,
    day: date,
    digests: Mapping[int, str | None],
    *,
    hours: Iterable[int] = range(24),
    now: datetime,
) -> None:
    """Write the digests of these hours down; hours without one are forgotten, others stay as they are."""
    found = find(connection, hospital, feed, day)
    for hour in hours:
        found.pop(hour, None)
        if kept := digests.get(hour):
            found[hour] = kept
    values = {"hours": json.dumps(found, sort_keys=True), "at": now}
    key = {"hospital": hospital, "feed": feed, "day": day}
    upsert(connection, source_mark, key, values)
