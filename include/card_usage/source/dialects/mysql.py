"""MySQL and MariaDB, read with PyMySQL."""

import re
from functools import partial
from typing import Final

from sqlalchemy import URL

from card_usage.config.hospital import His
from card_usage.source.dialect import (
    APPLICATION,
    COUNTED_COLUMNS,
    LOGIN_SECONDS,
    OFFSET,
    Dialect,
    SessionSettings,
    server_url,
)


def _session(url: URL, his: His) -> SessionSettings:
    locks, isolation = max(1, round(his.lock_timeout_seconds)), his.isolation.upper()
    return SessionSettings(
        url=url,
        connect_args={
            "program_name": APPLICATION,
            "connect_timeout": LOGIN_SECONDS,
            "read_timeout": his.query_timeout_seconds,
            "charset": "utf8mb4",
        },
        isolation="REPEATABLE READ" if isolation == "SNAPSHOT" else isolation,
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
