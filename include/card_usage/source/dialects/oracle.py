"""Oracle, read with oracledb, which whoever has an Oracle installs. Untested (docs/adr/0012)."""

import re
from functools import partial
from typing import Any, Final

from sqlalchemy import URL

from card_usage.config.hospital import His
from card_usage.source.dialect import OFFSET, Dialect, SessionSettings, server_url
from card_usage.source.tls import directly, refuse_weaker, transport

_TLS_PORT: Final = 2484


def _session(url: URL, his: His) -> SessionSettings:
    own, protocol, service = (str(url.query.get(name, "")) for name in ("ssl_ca", "protocol", "service_name"))
    way = transport(url, his, port=_TLS_PORT, opening=directly, own_authority=own)
    refuse_weaker(his, way, "protocol", protocol, frozenset({"tcp"}))
    url = url.difference_update_query(["ssl_ca", "protocol"])
    arguments: dict[str, Any] = {}
    if way.protection != "optional" or protocol.lower() == "tcps":
        within = f"(SERVICE_NAME={service})" if service else f"(SID={url.database or ''})"
        place = f"(ADDRESS=(PROTOCOL=tcps)(HOST={url.host})(PORT={url.port or _TLS_PORT}))"
        dsn = f"(DESCRIPTION={place}(CONNECT_DATA={within}))"
        arguments = {"dsn": dsn, "ssl_context": way.context(), "ssl_server_dn_match": way.protection == "verified"}
    return SessionSettings(
        url=url,
        connect_args=arguments,
        # What a TIMESTAMP WITH (LOCAL) TIME ZONE shows, and what a window's edge means to it.
        statements=(f"ALTER SESSION SET TIME_ZONE = '{OFFSET}'",),
        transport=way,
    )


DIALECT: Final = Dialect(
    names=("oracle",),
    conn_types=("oracle",),
    url=partial(server_url, "oracle+oracledb"),
    extras=frozenset({"protocol", "service_name", "ssl_ca"}),
    session=_session,
    missing_object=re.compile(r"ORA-00904: ([\w\".]+): invalid identifier", re.IGNORECASE),
    # From Oracle's own documents. DPY are the driver's.
    transient_errors={
        "ORA-00028": "session killed",
        "ORA-00054": "lock time-out",
        "ORA-00060": "chosen as deadlock victim",
        "ORA-01012": "session ended",
        "ORA-01013": "query time-out",
        "ORA-01033": "server starts or shuts down",
        "ORA-01034": "server is down",
        "ORA-01089": "server shuts down",
        "ORA-01092": "server shuts down",
        "ORA-01555": "snapshot too old",
        "ORA-02396": "session ended, idle too long",
        "ORA-03113": "connection lost",
        "ORA-03114": "connection lost",
        "ORA-03135": "connection lost",
        "ORA-03136": "server does not answer",
        "ORA-04021": "lock time-out",
        "ORA-12170": "server does not answer",
        "ORA-12514": "server is not ready",
        "ORA-12528": "server is not ready",
        "ORA-12537": "connection lost",
        "ORA-12541": "server does not answer",
        "ORA-12547": "connection lost",
        "ORA-12570": "connection lost",
        "ORA-12571": "connection lost",
        "ORA-30006": "lock time-out",
        "DPY-4011": "connection lost",
        "DPY-4024": "query time-out",
        "DPY-6005": "server does not answer",
    },
    clock="SELECT LOCALTIMESTAMP FROM DUAL",
    minute_of_text="SUBSTR(counted.occurred_at, 9, 5)",
    page=lambda sql, rows: f"{sql}\nFETCH FIRST {rows} ROWS ONLY",
    minute_of_datetime="TO_CHAR(counted.occurred_at, 'HH24MI')",
)
