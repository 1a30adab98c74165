"""Task context: a hospital's context in a task, with settings from the environment and connections from Airflow."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException
from card_usage.errors import CardUsageError, MissingSetting, Unforeseen
from card_usage.plain_text import raised_at

if TYPE_CHECKING:
    from card_usage.config.connections import Connection
    from card_usage.config.settings import PageSettings, Settings
    from card_usage.context import Context


_Settings = TypeVar("_Settings", "Settings", "PageSettings")

PATIENCE: Final = timedelta(minutes=10)
"""How long a task waits for a query slot while it occupies a worker; then it fails and is retried later."""


@contextmanager
def open_context(
    hospital_id: str,
    *,
    patience: timedelta = PATIENCE,
    resolve: Callable[[str], Connection] | None = None,
    guarded: bool = True,
) -> Iterator[Context]:
    """The hospital's context, closed at the end of the block. Raises the errors of settings, hospital and ledger.

    What nobody foresaw leaves the block as Unforeseen: Airflow writes an exception's text into the task's log, and a
    library's text may quote what it stumbled over. Not `guarded`: it leaves as it is, for a block that is not ours.
    `resolve`: how to look up a connection; None: as a task does.
    """
    # Imported here: DAG files import this module, and parsing them must not load database drivers.
    from card_usage.context import Context

    for verbose in ("alembic", "great_expectations"):
        logging.getLogger(verbose).setLevel(logging.WARNING)
    try:
        with Context.open(hospital_id, settings(), resolve or connection_of, patience=patience) as context:
            yield context
    except (CardUsageError, AirflowException, OSError):
        raise
    except Exception as error:
        if not guarded:
            raise
        raise Unforeseen(error=raised_at(error)) from None


def settings() -> Settings:
    """CARD_USAGE_*; a reports URL is opened with Airflow's object storage and the connection that the URL names."""
    from card_usage.config.settings import Settings

    return _with_object_storage(Settings.from_environment)


def page_settings() -> PageSettings:
    """The same for pages: without a key."""
    from card_usage.config.settings import PageSettings

    return _with_object_storage(PageSettings.from_environment)


def _with_object_storage(read: Callable[[Mapping[str, str]], _Settings]) -> _Settings:
    """What both have: log lines without control characters, a hospital's own authorities, reports in object storage."""
    from card_usage.config.outgoing import trust_own_authorities
    from card_usage.plain_text import make_log_lines_visible

    make_log_lines_visible()
    trust_own_authorities()
    from_environment = read(os.environ)
    if not isinstance(from_environment.reports, str):
        return from_environment
    from airflow.sdk import ObjectStoragePath

    return replace(from_environment, reports=ObjectStoragePath(from_environment.reports))


def connection_of(conn_id: str) -> Connection:
    """Look up a connection in Airflow: secrets backend, environment, database, in Airflow's own order."""
    try:
        return _converted(conn_id, BaseHook.get_connection(conn_id))
    except AirflowNotFoundException:
        raise _missing(conn_id) from None


async def awaited_connection_of(conn_id: str) -> Connection:
    """The same on the triggerer's event loop, without blocking it."""
    try:
        return _converted(conn_id, await BaseHook.aget_connection(conn_id))
    except AirflowNotFoundException:
        raise _missing(conn_id) from None


def _missing(conn_id: str) -> MissingSetting:
    purpose = f"connection '{conn_id}' of a hospital's file (or add it under Admin, Connections)"
    return MissingSetting(setting=f"AIRFLOW_CONN_{conn_id.upper()}", purpose=purpose)


def _converted(conn_id: str, found: Any) -> Connection:
    from card_usage.config.connections import Connection

    return Connection(
        conn_id=conn_id,
        conn_type=found.conn_type or "",
        host=found.host or "",
        port=found.port,
        login=found.login or "",
        password=found.password or "",
        schema=found.schema or "",
        extra=found.extra_dejson,
    )
