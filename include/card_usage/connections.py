"""Connections: Airflow's own AIRFLOW_CONN_<ID> variables, read without Airflow, as URI or JSON.

One set of settings serves the command line and Airflow. In a task the plugin hands over what Airflow resolved (its
database, a secrets backend) in the same form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sqlalchemy import URL

from card_usage.errors import BadConnection, MissingSetting

# Airflow's connection types, and the SQLAlchemy driver each is read with.
_DRIVERS = {
    "mssql": "mssql+pymssql",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "oracle": "oracle+oracledb",
    "sqlite": "sqlite",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """What Airflow knows of one external system. The password never shows in a repr."""

    conn_id: str
    conn_type: str
    host: str = ""
    port: int | None = None
    login: str = ""
    password: str = field(default="", repr=False)
    schema: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def database_url(self) -> URL:
        """The SQLAlchemy URL of a HIS replica. Raises BadConnection for a type that is no database."""
        driver = _DRIVERS.get(self.conn_type)
        if driver is None:
            raise _bad(self.conn_id, f"has type '{self.conn_type}', which is no database known here")
        if driver == "sqlite":
            return URL.create("sqlite", database=self.schema or self.host or None)
        query = {"charset": str(self.extra.get("charset", "utf8"))} if self.conn_type == "mssql" else {}
        return URL.create(
            driver,
            username=self.login or None,
            password=self.password or None,
            host=self.host,
            port=self.port,
            database=self.schema or None,
            query=query,
        )

    def base_url(self) -> str:
        """Scheme, host and port of the platform, without a trailing slash.

        https unless the connection's schema says http: patient data goes over this wire.
        """
        if not self.host:
            raise _bad(self.conn_id, "names no host")
        if "://" in self.host:
            return self.host.rstrip("/")
        scheme = self.schema if self.schema in {"http", "https"} else "https"
        return f"{scheme}://{self.host}" + (f":{self.port}" if self.port else "")


def connection_from_environment(conn_id: str, environment: Mapping[str, str]) -> Connection:
    """Read AIRFLOW_CONN_<ID>. Raises MissingSetting or BadConnection, neither quoting the value."""
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    text = environment.get(variable, "").strip()
    if not text:
        raise MissingSetting(setting=variable, purpose=f"connection '{conn_id}' of a hospital's file")
    try:
        return _from_json(conn_id, text) if text.startswith("{") else _from_uri(conn_id, text)
    except (ValueError, TypeError, AttributeError):
        raise _bad(conn_id, "is neither a URI nor the JSON of an Airflow connection") from None


def _from_json(conn_id: str, text: str) -> Connection:
    fields = json.loads(text)
    extra = fields.get("extra") or {}
    if isinstance(extra, str):
        extra = json.loads(extra)
    return Connection(
        conn_id=conn_id,
        conn_type=str(fields["conn_type"] if "conn_type" in fields else fields.get("connType", "")).lower(),
        host=fields.get("host") or "",
        port=int(fields["port"]) if fields.get("port") else None,
        login=fields.get("login") or "",
        password=fields.get("password") or "",
        schema=fields.get("schema") or "",
        extra=extra,
    )


def _from_uri(conn_id: str, text: str) -> Connection:
    parts = urlsplit(text)
    if not parts.scheme:
        raise ValueError("no scheme")
    query = dict(parse_qsl(parts.query))
    extra = json.loads(query["__extra__"]) if "__extra__" in query else query
    # sqlite:////var/his.db has an empty host and an absolute path after three slashes, as in SQLAlchemy.
    path = unquote(parts.path[1:] if parts.path.startswith("/") else parts.path)
    return Connection(
        conn_id=conn_id,
        conn_type=parts.scheme.lower().replace("-", "_"),
        host=unquote(parts.hostname or ""),
        port=parts.port,
        login=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        schema=path,
        extra=extra,
    )


def _bad(conn_id: str, problem: str) -> BadConnection:
    return BadConnection(conn_id=conn_id, variable=conn_id.upper(), problem=problem)
