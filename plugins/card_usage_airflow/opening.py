"""A pipeline inside a task: CARD_USAGE_* from the environment, connections from wherever Airflow keeps them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from card_usage.errors import MissingSetting

if TYPE_CHECKING:
    from card_usage.connections import Connection
    from card_usage.pipeline import Pipeline
    from card_usage.settings import Settings


@contextmanager
def hospital_pipeline(hospital_id: str) -> Iterator[Pipeline]:
    """The hospital's pipeline, closed at the end of the block. Raises the errors of settings, hospital and ledger."""
    # Not at the top: DAG files import this module, and parsing them must not load database drivers.
    from card_usage.pipeline import Pipeline

    for chatty in ("alembic", "great_expectations"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with Pipeline.open(hospital_id, settings(), connection_of) as pipeline:
        yield pipeline


def settings() -> Settings:
    """CARD_USAGE_*; reports at a URL go through Airflow's object storage, with the connection that the URL names."""
    from card_usage.settings import Settings

    found = Settings.from_environment(os.environ)
    if not isinstance(found.reports, str):
        return found
    from airflow.sdk import ObjectStoragePath

    return replace(found, reports=ObjectStoragePath(found.reports))


def connection_of(conn_id: str) -> Connection:
    """What Airflow knows under this id (secrets backend, environment, its database, in Airflow's own order)."""
    from card_usage.connections import Connection

    try:
        found = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        purpose = f"connection '{conn_id}' of a hospital's file (or add it under Admin, Connections)"
        raise MissingSetting(setting=f"AIRFLOW_CONN_{conn_id.upper()}", purpose=purpose) from None
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
