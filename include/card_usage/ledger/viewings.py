"""Viewings: one row for each report or page that somebody opened, written by the pages' own login."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import DBAPIError

from card_usage.ledger.database import create_ledger_engine, unusable
from card_usage.ledger.schema import viewing


class Viewing(NamedTuple):
    """Who opened what, when, and the answer (HTTP status)."""

    viewer: str
    path: str
    status: int
    at: datetime


def note(url: str, seen: Viewing) -> None:
    """Write one row. Raises LedgerUnreachable or LedgerNotWritable: what cannot be recorded is not to be shown."""
    engine = create_ledger_engine(url)
    values = seen._replace(viewer=seen.viewer[:64], path=seen.path[:300])._asdict()
    try:
        with engine.begin() as connection:
            connection.execute(insert(viewing).inline().values(values))
    except DBAPIError as error:
        raise unusable(engine.url, error) from None
    finally:
        engine.dispose()


def viewings(connection: Connection, *, most: int) -> list[Viewing]:
    """The newest first."""
    columns = (viewing.c[name] for name in Viewing._fields)
    return [
        Viewing._make(row) for row in connection.execute(select(*columns).order_by(viewing.c.id.desc()).limit(most))
    ]
