"""Index of what was written about a hospital's day or month: which file is the newest of its kind."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Connection

from card_usage.ledger.schema import report_file
from card_usage.ledger.upsert import upsert


def index(connection: Connection, hospital: str, day: date, kind: str, name: str, now: datetime) -> None:
    """The file `name` stands in the place of an earlier one of this kind."""
    key = {"hospital": hospital, "day": day, "kind": kind}
    upsert(connection, report_file, key, {"path": name, "at": now})
