"""Which sessions on a HIS have to be encrypted, and what a connection may say about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from card_usage.config.connections import Connection, connection_from_environment
from card_usage.config.hospital import His
from card_usage.config.outgoing import is_here
from card_usage.errors import BadConnection
from card_usage.source.dialect import SessionSettings
from card_usage.source.dialect_registry import all_dialects, database_url, dialect_named
from card_usage.source.freetds import checked_server
from card_usage.source.tls import transport
from sqlalchemy import make_url

SERVERS = [dialect for dialect in all_dialects() if dialect.conn_types != ("sqlite",)]
KINDS = [dialect.conn_types[0] for dialect in SERVERS]


def his(**changes: Any) -> His:
    return His(connection="replica", shape="card_use_view", feeds=("payment",), **changes)


def settings(kind: str, ours: His, *, host: str = "10.1.2.3", **extra: Any) -> SessionSettings:
    connection = Connection(conn_id="replica", conn_type=kind, host=host, schema="HIS", extra=extra)
    url = database_url(connection)
    return dialect_named(url.get_backend_name()).session(url, ours)


@pytest.mark.parametrize("kind", KINDS)
def test_every_server_is_read_over_tls_unless_the_hospitals_file_opts_out(kind: str) -> None:
    assert settings(kind, his()).transport.protection == "encrypted"
    assert settings(kind, his(tls="optional")).transport.protection == "optional"
    arguments = settings(kind, his()).connect_args
    opted_out = settings(kind, his(tls="optional")).connect_args
    assert arguments != opted_out, "the driver is told"


@pytest.mark.parametrize("kind", KINDS)
def test_a_known_authority_has_the_certificate_checked(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import certifi

    monkeypatch.setenv("CARD_USAGE_CA", certifi.where())
    assert settings(kind, his()).transport.protection == "verified"
    assert settings(kind, his(tls="encrypted")).transport.protection == "encrypted"


def test_a_database_on_this_machine_is_left_alone_unless_the_file_says_otherwise() -> None:
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost", "/run/postgresql", ""):
        assert is_here(host)
    for host in ("10.0.0.1", "his.example", "127.0.0.1.example", "0.0.0.0"):  # noqa: S104
        assert not is_here(host)
    here = make_url("postgresql+psycopg://127.0.0.1/x")
    for stated in ("verified", "encrypted", "optional"):
        made = transport(here, his(tls=stated), port=1, opening=lambda plain: None, environment={})
        assert made.protection == stated


@pytest.mark.parametrize("dialect", all_dialects(), ids=lambda dialect: dialect.names[0])
@pytest.mark.parametrize("extra", ["sslmod", "Encrypt", "trustServerCertificate", "ssl"])
def test_an_extra_that_nobody_would_heed_is_refused_by_name_in_every_form_of_a_connection(
    dialect: Any, extra: str
) -> None:
    kind = dialect.conn_types[0]
    for text in (
        f"{kind}://u:Pa55@h/x?{extra}=secret",
        f'{{"conn_type": "{kind}", "host": "h", "password": "Pa55", "extra": {{"{extra}": "secret"}}}}',
    ):
        connection = connection_from_environment("his", {"AIRFLOW_CONN_HIS": text})
        with pytest.raises(BadConnection) as refused:
            database_url(connection)
        line = str(refused.value)
        assert f"has the extra '{extra}'" in line
        assert "secret" not in line
        assert "Pa55" not in line


@pytest.mark.parametrize(
    ("kind", "extra", "wanted"),
    [
        ("mssql", {"encryption": "strict"}, ("query", "encryption", "strict")),
        ("mssql", {}, ("arguments", "encryption", "require")),
        ("mssql", {"charset": "cp936"}, ("query", "charset", "cp936")),
        ("mssql", {"tds_version": "7.3"}, ("query", "tds_version", "7.3")),
        ("postgres", {"sslmode": "require"}, ("arguments", "sslmode", "require")),
        ("postgres", {"sslcert": "/c.pem"}, ("query", "sslcert", "/c.pem")),
        ("postgres", {"target_session_attrs": "standby"}, ("query", "target_session_attrs", "standby")),
    ],
)
def test_an_extra_reaches_the_driver(kind: str, extra: dict[str, Any], wanted: tuple[str, str, str]) -> None:
    made = settings(kind, his(), **extra)
    where, name, value = wanted
    assert (made.url.query if where == "query" else made.connect_args)[name] == value


def test_oracle_is_called_by_tcps_and_a_service_may_be_named() -> None:
    by_sid = settings("oracle", his()).connect_args["dsn"]
    assert "(PROTOCOL=tcps)(HOST=10.1.2.3)(PORT=2484)" in by_sid
    assert "(SID=HIS)" in by_sid
    assert "(SERVICE_NAME=S)" in settings("oracle", his(), service_name="S").connect_args["dsn"]
    assert "dsn" not in settings("oracle", his(tls="optional")).connect_args
    with pytest.raises(BadConnection, match="protocol=tcp"):
        settings("oracle", his(), protocol="tcp")


def test_the_certificate_of_a_named_instance_cannot_be_checked_and_that_is_said() -> None:
    with pytest.raises(BadConnection, match="names an instance"):
        settings("mssql", his(tls="verified"), host="db\\HIS")


def test_the_file_for_freetds_keeps_what_the_operator_wrote_and_has_a_section_a_server(tmp_path: Path) -> None:
    theirs = tmp_path / "freetds.conf"
    theirs.write_text("[global]\n\tenable tls v1 = yes\n", encoding="utf-8")
    environment = {"FREETDSCONF": str(theirs)}
    names = {checked_server(host, 1433, "/ca.pem", environment) for host in ("a", "b", "a")}
    assert len(names) == 2
    written = Path(environment["FREETDSCONF"]).read_text(encoding="utf-8")
    assert theirs.read_text(encoding="utf-8") == "[global]\n\tenable tls v1 = yes\n"
    assert "enable tls v1 = yes" in written
    for name in names:
        assert written.count(f"[{name}]") == 1
    assert written.count("check certificate hostname = yes") >= 2
