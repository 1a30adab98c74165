"""Grants: what database roles may do with a ledger on PostgreSQL that its owner has migrated.

The pages read names of report files and who viewed what, and add to the latter, nothing else. The workers work, and can
neither change nor delete evidence, calls, decisions, moves and viewings, nor delete events. The exporter of figures
reads states, counts and times.

No sealed field, no token: whoever takes over the web server learns no more from the ledger than the lists of reports
say. The role is made by the database's administrator (scripts/postgres-init.sh); this gives it its rights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from sqlalchemy.exc import DBAPIError

from card_usage.errors import LedgerUnreachable, SettingsError
from card_usage.ledger.database import create_ledger_engine
from card_usage.ledger.schema import (
    attempt,
    decision,
    deliverer,
    event,
    evidence,
    feed_window,
    hold,
    incident,
    platform_move,
    quota_day,
    report_file,
    token,
    verdict,
    verified,
    verified_move,
    viewing,
)

PAGES: Final = (report_file.name, viewing.name, "alembic_version")
"""Tables that pages read; to `viewing` they add rows."""
APPEND_ONLY: Final = tuple(table.name for table in (evidence, attempt, decision, platform_move, verified_move, viewing))
"""Tables of which the workers' role can change and delete no row."""
KEPT: Final = (*APPEND_ONLY, event.name)
"""Tables of which it can delete none."""

FIGURES: Final[Mapping[str, tuple[str, ...]]] = {
    event.name: ("id", "hospital", "feed", "lane", "status", "due_at", "staged_at"),
    attempt.name: ("id", "event_id", "at", "answer", "status"),
    feed_window.name: ("hospital", "feed", "start", "end", "status"),
    verdict.name: ("id", "hospital", "start", "end", "verdict", "decision"),
    verified.name: ("hospital", "feed", "through"),
    hold.name: ("hospital", "kind", "until"),
    incident.name: ("hospital", "cause", "severity", "closed_at"),
    deliverer.name: ("hospital", "started_at", "ended_at"),
    quota_day.name: ("hospital", "interface", "day", "used", "exhausted_at"),
    token.name: ("app_id", "serial"),
    "alembic_version": ("version_num",),
}
"""Columns that the exporter of figures reads, by table: states, counts and times."""


def allow_pages(url: str, role: str) -> tuple[str, ...]:
    """Give a role the right to read what pages show, and take every other; returns the tables. Safe to repeat.

    Raises SettingsError, BadLedgerUrl, LedgerUnreachable.
    """
    _grant(
        url,
        role,
        f"GRANT SELECT ON {', '.join(PAGES)} TO {role}",
        f"GRANT INSERT ON {viewing.name} TO {role}",
        f"GRANT USAGE ON SEQUENCE {viewing.name}_id_seq TO {role}",
    )
    return PAGES


def allow_workers(url: str, role: str) -> tuple[str, ...]:
    """Give a role what the workers need; returns the tables of which it can change no row. Safe to repeat; to be run by
    the ledger's owner after each migration. `platform forget` needs the owner. Raises as `allow_pages`.
    """
    _grant(
        url,
        role,
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
        f"REVOKE UPDATE, DELETE ON {', '.join(APPEND_ONLY)} FROM {role}",
        f"REVOKE DELETE ON {', '.join(KEPT)} FROM {role}",
        f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {role}",
    )
    return APPEND_ONLY


def allow_metrics(url: str, role: str) -> tuple[str, ...]:
    """Give a role the right to read the columns of FIGURES, and take every other; returns the tables. Safe to repeat.

    Raises as `allow_pages`.
    """
    columns = {table: ", ".join(f'"{name}"' for name in names) for table, names in FIGURES.items()}
    _grant(url, role, *(f"GRANT SELECT ({names}) ON {table} TO {role}" for table, names in columns.items()))
    return tuple(FIGURES)


def _grant(url: str, role: str, *statements: str) -> None:
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
            for statement in statements:
                connection.exec_driver_sql(statement)
    except DBAPIError as error:
        raise LedgerUnreachable(url=engine.url.render_as_string(), reason=type(error.orig).__name__) from None
    finally:
        engine.dispose()
