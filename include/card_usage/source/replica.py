"""Replica: an engine for a hospital's database that reads only and never waits or runs longer than the file allows.

A session says who it is; how each kind of database is told so stands in its dialect. No error shows parameters.
"""

from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url

from card_usage.config.connections import Connection
from card_usage.config.hospital import His
from card_usage.source.dialect_registry import database_url, dialect_named
from card_usage.source.tls import Transport


def connect(target: str | URL | Connection, his: His | None = None) -> Engine:
    """An engine for a HIS replica with the limits of `his`; nothing is connected yet. Raises BadConnection."""
    url = database_url(target) if isinstance(target, Connection) else make_url(target)
    limits = his or His.model_construct(connection="", shape="", feeds=())
    settings = dialect_named(url.get_backend_name()).session(url, limits)
    options: dict[str, Any] = {"isolation_level": settings.isolation} if settings.isolation else {}
    engine = create_engine(
        settings.url, pool_pre_ping=True, hide_parameters=True, connect_args=dict(settings.connect_args), **options
    )
    engine.update_execution_options(card_usage_transport=settings.transport)
    if settings.statements:

        @event.listens_for(engine, "connect")
        def execute_statements(raw: Any, _record: object) -> None:
            cursor = raw.cursor()
            for statement in settings.statements:
                cursor.execute(statement)
            cursor.close()

    return engine


def transport_of(engine: Engine) -> Transport:
    """How sessions of this engine travel."""
    known = engine.get_execution_options().get("card_usage_transport")
    return known if isinstance(known, Transport) else Transport(protection="optional")
