"""PostgreSQL, read with psycopg."""

import re
import socket
import struct
from functools import partial
from typing import Final

from sqlalchemy import URL, text

from card_usage.config.hospital import His
from card_usage.source.dialect import (
    APPLICATION,
    BINARY,
    COUNTED_COLUMNS,
    DATE,
    LOGIN_SECONDS,
    MOMENT,
    NUMBER,
    TEXT,
    Dialect,
    SessionSettings,
    server_url,
)
from card_usage.source.tls import Line, directly, read_exactly, refuse_weaker, transport
from card_usage.windows import ZONE

_WEAK: Final = frozenset({"disable", "allow", "prefer"})


def _opening(plain: socket.socket) -> Line | None:
    """SSLRequest (PostgreSQL's protocol 55.2.11)."""
    plain.sendall(struct.pack(">II", 8, 80877103))
    return directly(plain) if read_exactly(plain, 1) == b"S" else None


def _session(url: URL, his: His) -> SessionSettings:
    named, own = (str(url.query.get(name, "")) for name in ("sslmode", "sslrootcert"))
    way = transport(url, his, port=5432, opening=_opening, own_authority=own)
    refuse_weaker(his, way, "sslmode", named, _WEAK)
    tls: dict[str, str] = {}
    if way.protection == "verified":
        tls = {"sslmode": named if named == "verify-ca" else "verify-full", "sslrootcert": way.authorities}
    elif way.protection == "encrypted":
        tls = {"sslmode": named or "require"}
    locks, queries = round(his.lock_timeout_seconds * 1000), his.query_timeout_seconds * 1000
    isolation = his.isolation.upper()
    return SessionSettings(
        url=url,
        connect_args={
            **tls,
            "application_name": APPLICATION,
            "connect_timeout": LOGIN_SECONDS,
            "options": (
                f"-c default_transaction_read_only=on -c lock_timeout={locks} -c statement_timeout={queries}"
                # What a timestamptz shows, and what a window's edge means to it.
                f" -c TimeZone={ZONE.key}"
            ),
        },
        isolation="REPEATABLE READ" if isolation == "SNAPSHOT" else isolation,
        transport=way,
    )


DIALECT: Final = Dialect(
    names=("postgresql",),
    conn_types=("postgres", "postgresql"),
    url=partial(server_url, "postgresql+psycopg"),
    extras=frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "target_session_attrs"}),
    session=_session,
    missing_object=re.compile(r"(?:column|relation) \"?([\w.]+)\"? does not exist", re.IGNORECASE),
    denied_object=re.compile(r"permission denied for (\S+ \S+)"),
    conversion_errors=frozenset({"42883", "42804", "22007", "22008", "22P02"}),
    time_conversion_errors=frozenset({"42883", "22007", "22008"}),
    transient_states=re.compile(r"08...|57P0[123]|57014|40001|40P01|55P03"),
    lost_without_code=frozenset({"OperationalError"}),  # psycopg has no state for a connection that just ended
    # PostgreSQL's own type numbers.
    column_kinds={
        **dict.fromkeys((18, 19, 25, 1042, 1043, 2950), TEXT),
        **dict.fromkeys((16, 20, 21, 23, 700, 701, 1700), NUMBER),
        **dict.fromkeys((1114, 1184), MOMENT),
        1082: DATE,
        17: BINARY,
    },
    # Half the cost of two EXTRACTs, which count in numeric.
    minute_of_datetime="DATE_TRUNC('minute', counted.occurred_at)",
    checksum=f"SUM(hashtextextended(CAST(ROW({', '.join(COUNTED_COLUMNS)}) AS text), 0))",
    adapted=partial(re.compile(r"(\bVOIDED\s*=\s*)1\b", re.IGNORECASE).sub, r"\1'1'"),  # of a number or a boolean
    is_voided="CAST(counted.voided AS text) !~ '^(0+([.]0*)?|false)$'",
    clock="SELECT LOCALTIMESTAMP",
    replication=text(
        "SELECT 1 AS databases, pg_last_xact_replay_timestamp() AS upto,"
        " CASE WHEN pg_is_in_recovery() THEN 0 ELSE 1 END AS is_primary"
    ),
    can_write=lambda table: (
        f"SELECT CASE WHEN has_table_privilege('{table}', 'INSERT, UPDATE, DELETE') THEN 1 ELSE 0 END"
    ),
)
