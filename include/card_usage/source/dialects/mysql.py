"""MySQL and MariaDB, read with PyMySQL."""

import re
import socket
import ssl
import struct
from functools import partial
from typing import Final

from sqlalchemy import URL

from card_usage.config.hospital import His
from card_usage.errors import BadConnection
from card_usage.source.dialect import (
    APPLICATION,
    COUNTED_COLUMNS,
    LOGIN_SECONDS,
    OFFSET,
    Dialect,
    SessionSettings,
    server_url,
)
from card_usage.source.tls import Line, directly, read_exactly, transport

_EXTRAS: Final = frozenset({"ssl_ca", "ssl_cert", "ssl_key"})
_PORT: Final = 3306
_CAN_TLS: Final = 0x0800


def _opening(plain: socket.socket) -> Line | None:
    """Initial handshake and SSLRequest (MySQL's client/server protocol)."""
    head = read_exactly(plain, 4)
    greeting = read_exactly(plain, int.from_bytes(head[:3], "little"))
    # Version of the protocol, the server's ending with NUL, thread, 8 bytes of salt, a filler, capabilities.
    after = greeting.index(0, 1) + 1 + 4 + 8 + 1
    if not int.from_bytes(greeting[after : after + 2], "little") & _CAN_TLS:
        return None
    # CLIENT_PROTOCOL_41, CLIENT_SSL, CLIENT_SECURE_CONNECTION; utf8mb4.
    plain.sendall(b"\x20\0\0\1" + struct.pack("<IIB23x", 0x0200 | _CAN_TLS | 0x8000, 1 << 24, 45))
    return directly(plain)


def _session(url: URL, his: His) -> SessionSettings:
    own, certificate, key = (str(url.query.get(name, "")) for name in ("ssl_ca", "ssl_cert", "ssl_key"))
    way = transport(url, his, port=_PORT, opening=_opening, own_authority=own)
    tls: dict[str, ssl.SSLContext] = {}
    if way.protection != "optional" or certificate:
        try:
            tls = {"ssl": way.context()}
            if certificate:
                tls["ssl"].load_cert_chain(certificate, key or None)
        except (OSError, ValueError) as error:
            problem = f"names ssl_ca, ssl_cert or ssl_key that cannot be used ({type(error).__name__})"
            raise BadConnection(conn_id=his.connection, variable=his.connection.upper(), problem=problem) from None
    url = url.difference_update_query(sorted(_EXTRAS))
    locks, isolation = max(1, round(his.lock_timeout_seconds)), his.isolation.upper()
    return SessionSettings(
        url=url,
        connect_args={
            **tls,
            "program_name": APPLICATION,
            "connect_timeout": LOGIN_SECONDS,
            "read_timeout": his.query_timeout_seconds,
            "charset": "utf8mb4",
        },
        isolation="REPEATABLE READ" if isolation == "SNAPSHOT" else isolation,
        transport=way,
        statements=(
            "SET SESSION TRANSACTION READ ONLY",
            # What a TIMESTAMP shows, and what a window's edge means to it: the server may be set to another zone.
            f"SET SESSION time_zone = '{OFFSET}'",
            f"SET SESSION lock_wait_timeout = {locks}",
            f"SET SESSION innodb_lock_wait_timeout = {locks}",
            # While a batch goes into the ledger we do not read; the server may not give us up meanwhile.
            f"SET SESSION net_write_timeout = {his.query_timeout_seconds}",
        ),
    )


_MARKED: Final = ", ".join(f"COALESCE(CAST({column} AS CHAR), '~')" for column in COUNTED_COLUMNS)

DIALECT: Final = Dialect(
    names=("mysql", "mariadb"),
    conn_types=("mysql",),
    url=partial(server_url, "mysql+pymysql"),
    extras=_EXTRAS,
    session=_session,
    missing_object=re.compile(r"Unknown column '([^']+)'|Table '([^']+)' doesn't exist", re.IGNORECASE),
    denied_object=re.compile(r"SELECT command denied to user \S+ for (table \S+)"),
    conversion_errors=frozenset({1292, 1525}),
    time_conversion_errors=frozenset({1292, 1525}),
    transient_errors={
        1053: "server shuts down",
        1205: "lock time-out",
        1213: "chosen as deadlock victim",
        1317: "query interrupted",
        1927: "session killed",
        1969: "query time-out",
        2003: "server does not answer",
        2006: "connection lost",
        2013: "connection lost",
        3024: "query time-out",
    },
    is_voided="counted.voided + 0 <> 0",
    clock="SELECT NOW()",
    checksum=f"SUM(CRC32(CONCAT_WS('|', {_MARKED})))",
)
