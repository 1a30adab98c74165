"""Index of what was written about a hospital's day or month: which file is the newest of its kind."""

from __future__ import annotations

import hashlib
from datetime import date, datetime

from sqlalchemy import Connection

from card_usage.ledger.macs import made
from card_usage.ledger.schema import report_file
from card_usage.ledger.upsert import upsert


def index(
    connection: Connection, hospital: str, day: date, kind: str, name: str, content: bytes, now: datetime
) -> None:
    """The file `name` stands in the place of an earlier one of this kind; its content is kept as a digest."""
    key = {"hospital": hospital, "day": day, "kind": kind}
    values = {"path": name, "at": now, "digest": hashlib.sha256(content).hexdigest()}
    sealed = made(connection, "report", *key.values(), *values.values())
    upsert(connection, report_file, key, {**values, "mac": sealed})
