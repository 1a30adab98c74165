"""SQL Server, read with pymssql.

Each query is a transaction of its own: else the driver begins one at login and after each query, which stays open while
the session waits in the pool, and holds the primary's log and version store.
ApplicationIntent=ReadOnly lets an availability group send us to a readable secondary.
"""

import re
import socket
import struct
from typing import Any, Final

from sqlalchemy import URL, text

from card_usage.config.connections import Connection
from card_usage.config.hospital import His
from card_usage.errors import BadConnection
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
from card_usage.source.freetds import checked_server
from card_usage.source.tls import Line, read_exactly, refuse_weaker, transport

_PORT: Final = 1433
_PRELOGIN: Final = 0x12


def _opening(plain: socket.socket) -> Line | None:
    """PRELOGIN (MS-TDS 2.2.6.5), which asks for encryption; the handshake travels in packets of its kind."""

    def send(body: bytes) -> None:
        plain.sendall(struct.pack(">BBHHBB", _PRELOGIN, 1, len(body) + 8, 0, 1, 0) + body)

    def receive() -> bytes:
        *_, size = struct.unpack(">BBH", read_exactly(plain, 4))
        return read_exactly(plain, size - 4)[4:]

    # VERSION, ENCRYPTION (1: on), and the end.
    send(struct.pack(">BHHBHHB", 0, 11, 6, 1, 17, 1, 0xFF) + bytes(6) + b"\1")
    answer, position = receive(), 0
    while answer[position] != 0xFF:
        token, offset, _ = struct.unpack_from(">BHH", answer, position)
        if token == 1:
            return None if answer[offset] == 2 else Line(send, receive)  # 2: not supported
        position += 5
    return None


def _url(connection: Connection) -> URL:
    url = server_url("mssql+pymssql", connection)
    return url if "charset" in url.query else url.update_query_dict({"charset": "utf8"})


def _session(url: URL, his: His) -> SessionSettings:
    named, own = (str(url.query.get(name, "")) for name in ("encryption", "ca_file"))
    way = transport(url, his, port=_PORT, opening=_opening, own_authority=own)
    refuse_weaker(his, way, "encryption", named, frozenset({"off", "request"}))
    url = url.difference_update_query(["ca_file"])
    arguments: dict[str, Any] = {
        "appname": APPLICATION,
        "login_timeout": LOGIN_SECONDS,
        "timeout": his.query_timeout_seconds,
        "read_only": True,
        "autocommit": True,
    }
    if way.protection == "verified":
        if "\\" in way.host:
            problem = "names an instance: its certificate can be checked only where host and port are named"
            raise BadConnection(conn_id=his.connection, variable=his.connection.upper(), problem=problem)
        arguments |= {"host": checked_server(way.host, way.port, way.authorities), "port": str(way.port)}
    elif way.protection == "encrypted" and not named:
        arguments["encryption"] = "require"
    return SessionSettings(
        url=url if "charset" in url.query else url.update_query_dict({"charset": "utf8"}),
        connect_args=arguments if url.get_driver_name() == "pymssql" else {},
        isolation="AUTOCOMMIT",
        transport=way,
        statements=(
            f"SET TRANSACTION ISOLATION LEVEL {his.isolation.upper()}",
            f"SET LOCK_TIMEOUT {round(his.lock_timeout_seconds * 1000)}",
            "SET DEADLOCK_PRIORITY LOW",
            # A window's edge travels as text, which a login with another language reads as day and month.
            "SET DATEFORMAT ymd",
        ),
    )


DIALECT: Final = Dialect(
    names=("mssql",),
    conn_types=("mssql",),
    url=_url,
    extras=frozenset({"charset", "encryption", "ca_file", "tds_version"}),
    session=_session,
    missing_object=re.compile(r"Invalid (?:column|object) name '([^']+)'", re.IGNORECASE),
    denied_object=re.compile(r"permission was denied on the (?:object|column) '([^']+)'"),
    conversion_errors=frozenset({206, 241, 242, 245, 248, 295, 402, 529, 8114}),
    time_conversion_errors=frozenset({241, 242, 295}),
    transient_errors={
        1205: "chosen as deadlock victim",
        1222: "lock time-out",
        596: "session killed",
        601: "data moved during the scan",
        922: "database is being recovered",
        701: "server is out of memory",
        976: "secondary of the availability group not accessible",
        983: "availability group changes roles",
        1204: "server is out of locks",
        3958: "snapshot's row version is gone",
        3960: "snapshot conflict",
        3961: "snapshot and schema change",
        6005: "server shuts down",
        8628: "time-out while the query was planned",
        8645: "time-out while the query waited for memory",
        10053: "connection lost",
        10054: "connection lost",
        # At the first connection these two are a mistake, and only while a stream goes on do they pass: nothing is
        # retried before a query has reached the server once.
        4060: "the login may not open this database, or the server is still opening it",
        18401: "server upgrades or recovers, logins are refused",
        20002: "the server ended the login: it may be starting, or offer TLS 1.0 only (docs/his-over-the-wire.md)",
        20003: "query time-out",
        20004: "connection lost",
        20006: "connection lost",
        20009: "server does not answer",
        20017: "connection lost",
        20047: "connection lost",
    },
    meanings={
        300: "the login lacks VIEW SERVER STATE, which the probe 'replication' needs",
        468: "columns of two collations are compared: the DBA gives the side table that of the HIS",
        916: "the login is no user of a database that the SQL reads: the DBA adds it there",
        3952: "the database does not allow snapshot isolation: ALLOW_SNAPSHOT_ISOLATION ON, or 'read committed'",
        4413: "a view names what no longer exists: the DBA runs sp_refreshview or corrects it",
        18456: "login or password is wrong, or the login is disabled",
    },
    # pymssql: STRING 1, NUMBER 3, DATETIME 4, DECIMAL 5. BINARY 2 says nothing: datetime2 and uniqueidentifier come so.
    column_kinds={1: TEXT, 3: NUMBER, 4: MOMENT, 5: NUMBER},
    minute_of_datetime="DATEPART(HOUR, counted.occurred_at) * 100 + DATEPART(MINUTE, counted.occurred_at)",
    checksum=f"SUM(CAST(BINARY_CHECKSUM({', '.join(COUNTED_COLUMNS)}) AS bigint))",
    # One core: a report gives way to the hospital's own queries.
    is_voided="CAST(counted.voided AS float) <> 0",
    page=lambda sql, rows: f"SELECT TOP ({rows}) {sql.removeprefix('SELECT ')}",
    query_suffix="\nOPTION (MAXDOP 1)",
    clock="SELECT GETDATE()",
    # One row a database of the group that this server holds itself. A primary follows nobody: it is never behind. The
    # role is the replica's, for is_primary_replica of the database is there from SQL Server 2014 on.
    replication=text(
        "SELECT COUNT(*) AS databases, MIN(s.last_commit_time) AS upto,"
        " MAX(CASE WHEN r.role = 1 THEN 1 ELSE 0 END) AS is_primary"
        " FROM sys.dm_hadr_database_replica_states s"
        " LEFT JOIN sys.dm_hadr_availability_replica_states r"
        " ON r.group_id = s.group_id AND r.replica_id = s.replica_id"
        " WHERE s.is_local = 1 AND s.database_id = DB_ID()"
    ),
    can_write=lambda table: (
        f"SELECT HAS_PERMS_BY_NAME('{table}', 'OBJECT', 'INSERT') + HAS_PERMS_BY_NAME('{table}', 'OBJECT', 'UPDATE')"
        f" + HAS_PERMS_BY_NAME('{table}', 'OBJECT', 'DELETE')"
    ),
)
