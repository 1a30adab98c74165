"""SQL Server, read with pymssql.

ApplicationIntent=ReadOnly lets an availability group send us to a readable secondary.
"""

import re
from typing import Final

from sqlalchemy import URL, text

from card_usage.config.connections import Connection
from card_usage.config.hospital import His
from card_usage.source.dialect import (
    APPLICATION,
    COUNTED_COLUMNS,
    LOGIN_SECONDS,
    MOMENT,
    NUMBER,
    TEXT,
    Dialect,
    SessionSettings,
    server_url,
)


def _url(connection: Connection) -> URL:
    return server_url("mssql+pymssql", connection, charset=str(connection.extra.get("charset", "utf8")))


def _session(url: URL, his: His) -> SessionSettings:
    arguments = {
        "appname": APPLICATION,
        "login_timeout": LOGIN_SECONDS,
        "timeout": his.query_timeout_seconds,
        "read_only": True,
    }
    return SessionSettings(
        url=url if "charset" in url.query else url.update_query_dict({"charset": "utf8"}),
        connect_args=arguments if url.get_driver_name() == "pymssql" else {},
        isolation=his.isolation.upper(),
        statements=(f"SET LOCK_TIMEOUT {round(his.lock_timeout_seconds * 1000)}",),
    )


DIALECT: Final = Dialect(
    names=("mssql",),
    conn_types=("mssql",),
    url=_url,
    session=_session,
    missing_object=re.compile(r"Invalid (?:column|object) name '([^']+)'", re.IGNORECASE),
    denied_object=re.compile(r"permission was denied on the (?:object|column) '([^']+)'"),
    conversion_errors=frozenset({206, 241, 242, 245, 295, 402, 529, 8114}),
    time_conversion_errors=frozenset({241, 242, 295}),
    transient_errors={
        1205: "chosen as deadlock victim",
        1222: "lock time-out",
        596: "session killed",
        601: "data moved during the scan",
        922: "database is being recovered",
        976: "secondary of the availability group not accessible",
        983: "availability group changes roles",
        3960: "snapshot conflict",
        3961: "snapshot and schema change",
        6005: "server shuts down",
        10053: "connection lost",
        10054: "connection lost",
        20003: "query time-out",
        20004: "connection lost",
        20006: "connection lost",
        20009: "server does not answer",
        20017: "connection lost",
        20047: "connection lost",
    },
    # pymssql: STRING 1, NUMBER 3, DATETIME 4, DECIMAL 5. BINARY 2 says nothing: datetime2 and uniqueidentifier come so.
    column_kinds={1: TEXT, 3: NUMBER, 4: MOMENT, 5: NUMBER},
    minute_of_datetime="DATEPART(HOUR, counted.occurred_at) * 100 + DATEPART(MINUTE, counted.occurred_at)",
    checksum=f"SUM(CAST(BINARY_CHECKSUM({', '.join(COUNTED_COLUMNS)}) AS bigint))",
    # One row a database of the group that this server holds itself. A primary follows nobody: it is never behind.
    replication=text(
        "SELECT COUNT(*) AS databases, MIN(s.last_commit_time) AS upto,"
        " MAX(CASE WHEN s.is_primary_replica = 1 THEN 1 ELSE 0 END) AS is_primary"
        " FROM sys.dm_hadr_database_replica_states s WHERE s.is_local = 1 AND s.database_id = DB_ID()"
    ),
    can_write=lambda table: (
        f"SELECT HAS_PERMS_BY_NAME('{table}', 'OBJECT', 'INSERT') + HAS_PERMS_BY_NAME('{table}', 'OBJECT', 'UPDATE')"
        f" + HAS_PERMS_BY_NAME('{table}', 'OBJECT', 'DELETE')"
    ),
)
