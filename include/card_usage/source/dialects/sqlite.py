"""SQLite: a file, for demonstrations and tests. Opened read-only: a wrong path is an error, not a new database."""

import re
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import URL

from card_usage.config.connections import Connection
from card_usage.config.hospital import His
from card_usage.errors import BadConnection
from card_usage.source.dialect import Dialect, SessionSettings


def _url(connection: Connection) -> URL:
    file = connection.schema or connection.host
    if not file:
        variable = connection.conn_id.upper()
        raise BadConnection(conn_id=connection.conn_id, variable=variable, problem="names no database file")
    return URL.create("sqlite", database=file)


def _session(url: URL, _: His) -> SessionSettings:
    if url.database and url.database != ":memory:" and not url.database.startswith("file:"):
        path = quote(str(Path(url.database).resolve()))
        url = url.set(database=f"file:{path}").update_query_dict({"mode": "ro", "uri": "true"})
    return SessionSettings(url=url)


DIALECT: Final = Dialect(
    names=("sqlite",),
    conn_types=("sqlite",),
    url=_url,
    session=_session,
    missing_object=re.compile(r"no such (?:column|table): ([\w.]+)", re.IGNORECASE),
    transient_states=re.compile(r"SQLITE_BUSY|SQLITE_LOCKED"),
    times_as_text=True,
    minute_of_datetime="STRFTIME('%H%M', counted.occurred_at)",
)
