"""Where the tests over the wire happen: the look-alike, or the real SQL Server that HIS_MSSQL_URL names.

Either way a database of its own, collated Chinese_PRC_CI_AS, with an administrator and a login `reader` that may only
read. A real server is asked for by  HIS_MSSQL_URL='mssql+pymssql://sa:...@127.0.0.1:1433/master'.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, make_url
from tds import Drop, Fails, LookAlike, Slow, Stalls

REAL = "HIS_MSSQL_URL"
_PASSWORD = "Reader-only-1"


@dataclass(frozen=True, kw_only=True)
class Stand:
    """`admin`, `reader`: SQLAlchemy URLs. `server`: the look-alike, None on a real SQL Server."""

    admin: str
    reader: str
    server: LookAlike | None

    def run(self, *statements: str) -> None:
        """As the administrator, each by itself."""
        engine = create_engine(self.admin, poolclass=NullPool)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def look_alike(self) -> LookAlike:
        """For what only the look-alike can do; skips on a real server."""
        if self.server is None:
            pytest.skip("only the look-alike breaks the wire on purpose")
        return self.server

    def breaks(self, fault: Drop | Fails | Slow | Stalls) -> None:
        """Let a fault wait for the next query that it matches."""
        self.look_alike().faults.add(fault)


@contextmanager
def stand(folder: Path) -> Iterator[Stand]:
    """A fresh database, gone at the end."""
    if not (real := os.environ.get(REAL)):
        with LookAlike(folder / "THIS4.db") as server:
            yield Stand(admin=server.url("sa"), reader=server.url("reader"), server=server)
        return
    name = f"card_usage_test_{secrets.token_hex(4)}"
    root = create_engine(make_url(real).update_query_dict({"charset": "utf8"}), poolclass=NullPool)
    url = root.url.set(database=name)
    with root.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} COLLATE Chinese_PRC_CI_AS")
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET ALLOW_SNAPSHOT_ISOLATION ON")
        connection.exec_driver_sql(f"CREATE LOGIN {name} WITH PASSWORD = '{_PASSWORD}'")
        connection.exec_driver_sql(f"GRANT VIEW SERVER STATE TO {name}")
    try:
        with create_engine(url, poolclass=NullPool).connect().execution_options(isolation_level="AUTOCOMMIT") as inside:
            inside.exec_driver_sql(f"CREATE USER reader FOR LOGIN {name}")
            inside.exec_driver_sql("ALTER ROLE db_datareader ADD MEMBER reader")
        reader = url.set(username=name, password=_PASSWORD)
        shown = [one.render_as_string(hide_password=False) for one in (url, reader)]
        yield Stand(admin=shown[0], reader=shown[1], server=None)
    finally:
        with root.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET SINGLE_USER WITH ROLLBACK IMMEDIATE")
            connection.exec_driver_sql(f"DROP DATABASE {name}")
            connection.exec_driver_sql(f"DROP LOGIN {name}")
