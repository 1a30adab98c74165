"""Connections: parse Airflow's AIRFLOW_CONN_<ID> variables (URI or JSON) without importing Airflow.

The command line and Airflow share one configuration. In a task the plugin passes the connection that Airflow resolved
(from its database or a secrets backend) as the same `Connection`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from card_usage.errors import BadConnection, MissingSetting

CONNECTIONS = "CARD_USAGE_CONNECTIONS"
_PORT = re.compile(r":\d{1,5}$")
_PLACE = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
_PATH = re.compile(r"[\w.~/-]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """An Airflow connection. `password` and `extra` are left out of the repr."""

    conn_id: str
    conn_type: str
    host: str = ""
    port: int | None = None
    login: str = ""
    password: str = field(default="", repr=False)
    schema: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def base_url(self) -> str:
        """Scheme, host and port of the platform, and the path of a gateway if the host has one; no trailing slash.

        The scheme is https unless the host begins with http:// or the connection's schema is http, because patient
        data is sent there. Raises BadConnection.
        """
        if not self.host:
            raise _bad(self.conn_id, "names no host")
        scheme, separator, rest = self.host.rpartition("://")
        if not separator:
            scheme = self.schema if self.schema in {"http", "https"} else "https"
        place, slash, path = rest.rstrip("/").partition("/")
        if place.count(":") > 1 and not place.startswith("["):
            place = f"[{place}]"  # an IPv6 address
        if self.port and not _PORT.search(place):
            place += f":{self.port}"
        if scheme not in {"http", "https"} or not _PLACE.fullmatch(place) or not _PATH.fullmatch(path):
            raise _bad(self.conn_id, "names no host that can be called: write https://platform.example or its address")
        return f"{scheme}://{place}{slash}{path}"


def connection_from_environment(conn_id: str, environment: Mapping[str, str]) -> Connection:
    """Read AIRFLOW_CONN_<ID>, or CARD_USAGE_CONNECTIONS, a file.

    Raises MissingSetting or BadConnection, neither quoting the value.
    """
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    text = environment.get(variable, "").strip() or _from_file(conn_id, environment.get(CONNECTIONS, "").strip())
    if not text:
        raise MissingSetting(setting=variable, purpose=f"connection '{conn_id}' of a hospital's file")
    try:
        return _from_json(conn_id, text) if text.startswith("{") else _from_uri(conn_id, text)
    except (ValueError, TypeError, AttributeError):
        raise _bad(conn_id, "is neither a URI nor the JSON of an Airflow connection") from None


def _from_file(conn_id: str, place: str) -> str:
    """The connection in a JSON file of all of them by id, as Airflow's LocalFilesystemBackend reads it."""
    if not place:
        return ""
    try:
        known = json.loads(Path(place).read_text(encoding="utf-8-sig"))
        found = known.get(conn_id, "")
    except (OSError, ValueError, AttributeError):
        raise _bad(conn_id, f"cannot be looked up: {CONNECTIONS} names no JSON file of connections by id") from None
    return found if isinstance(found, str) else json.dumps(found)


def _from_json(conn_id: str, text: str) -> Connection:
    fields = json.loads(text)
    return Connection(
        conn_id=conn_id,
        conn_type=_conn_type(_text(fields, "conn_type") or _text(fields, "connType")),
        host=_text(fields, "host"),
        port=int(fields["port"]) if fields.get("port") else None,
        login=_text(fields, "login"),
        password=_text(fields, "password"),
        schema=_text(fields, "schema"),
        extra=_extra(fields.get("extra")),
    )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is no text")
    return value or ""


def _extra(value: object) -> Mapping[str, Any]:
    extra = json.loads(value) if value and isinstance(value, str) else value or {}
    if not isinstance(extra, dict):
        raise ValueError("extra is no object")
    return extra


def _from_uri(conn_id: str, text: str) -> Connection:
    """Parse a URI as Airflow does: in `http://https://login:password@host` the host includes the scheme."""
    conn_type, separator, rest = text.partition("://")
    if not conn_type or not separator:
        raise ValueError("no scheme")
    carries_scheme = "://" in rest.partition("?")[0]
    parts = urlsplit(rest if carries_scheme else f"//{rest}")
    host = _host(parts.netloc)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Connection(
        conn_id=conn_id,
        conn_type=_conn_type(conn_type),
        host=f"{parts.scheme}://{host}" if carries_scheme and host else host,
        port=parts.port,
        login=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        # sqlite:////var/his.db has an empty host and an absolute path after three slashes, as in SQLAlchemy.
        schema=unquote(parts.path.removeprefix("/")),
        extra=_extra(query.get("__extra__")) if "__extra__" in query else query,
    )


def _host(netloc: str) -> str:
    """The host in its original case: `urlsplit().hostname` is lower case, and the host may be a SQLite file name."""
    place = netloc.rpartition("@")[2]
    bracketed, closed, _ = place.partition("]")
    return unquote(bracketed.removeprefix("[") if closed else place.partition(":")[0])


def _conn_type(text: str) -> str:
    return text.lower().replace("-", "_")


def _bad(conn_id: str, problem: str) -> BadConnection:
    return BadConnection(conn_id=conn_id, variable=conn_id.upper(), problem=problem)
