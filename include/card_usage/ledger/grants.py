"""Grants: what the database role of the pages may read of a ledger on PostgreSQL: names of report files, nothing else.

No event, no sealed field, no token: whoever takes over the web server learns no more from the ledger than the lists of
reports say. The role is made by the database's administrator (scripts/postgres-init.sh); this gives it its rights.
"""

from __future__ import annotations

import re
from typing import Final

from sqlalchemy.exc import DBAPIError

from card_usage.errors import LedgerUnreachable, SettingsError
from card_usage.ledger.database import create_ledger_engine
from card_usage.ledger.schema import report_file

PAGES: Final = (report_file.name, "alembic_version")
"""Tables that pages read."""


def allow_pages(url: str, role: str) -> tuple[str, ...]:
    """Give a role the right to read what pages show, and take every other; returns the tables. Safe to repeat.

    Raises SettingsError, BadLedgerUrl, LedgerUnreachable.
    """
    engine = create_ledger_engine(url)
    try:
        if engine.dialect.name != "postgresql":
            raise SettingsError(
                problem="a SQLite ledger has no roles", remedy="rights on its file decide who can read it"
            )
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", role):
            raise SettingsError(problem="that is no name of a role", remedy="take small letters, digits and _")
        with engine.begin() as connection:
            connection.exec_driver_sql(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}")
            connection.exec_driver_sql(f"GRANT CONNECT ON DATABASE {engine.url.database} TO {role}")
            connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA public TO {role}")
            connection.exec_driver_sql(f"GRANT SELECT ON {', '.join(PAGES)} TO {role}")
    except DBAPIError as error:
        raise LedgerUnreachable(url=engine.url.render_as_string(), reason=type(error.orig).__name__) from None
    finally:
        engine.dispose()
    return PAGES
