"""TLS to the HIS on real servers: with the hospital's own authority, with a wrong one, and with none at all."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from ssl import TLSVersion
from typing import Any

import mariadb
import planted
import postgres as pg
import pytest
from authority import Authority
from card_usage.config.connections import Connection, connection_from_environment
from card_usage.errors import BadConnection, SourceNotProtected, SourceUnreachable
from card_usage.source.reader import Source
from card_usage.source.replica import connect
from needs import needed
from sqlalchemy import text
from tds import LookAlike

KINDS = ["postgres", "mysql", "mssql"]
PASSWORD = "Hush-hush-1"
ASKED = {
    "postgres": "SELECT COALESCE(MAX(version), '-') FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    "mysql": "SHOW STATUS LIKE 'Ssl_version'",
}
OWN = {"postgres": "sslrootcert", "mysql": "ssl_ca", "mssql": "ca_file"}


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server on loopback. `secure`: whether it offers TLS, with a certificate for 127.0.0.1."""

    kind: str
    port: int
    login: str
    schema: str
    secure: bool
    look_alike: LookAlike | None = field(default=None)

    def connection(self, *, host: str = "127.0.0.1", password: str = PASSWORD, **extra: Any) -> Connection:
        given = {
            "conn_type": self.kind, "host": host, "port": self.port, "login": self.login, "password": password,
            "schema": self.schema, "extra": extra,
        }  # fmt: skip
        return connection_from_environment("replica", {"AIRFLOW_CONN_REPLICA": json.dumps(given)})

    def session(self, connection: Connection, **his: Any) -> str:
        """Reads something; the version of TLS in which it came, '' for none."""
        ours = planted.hospital(his={"shape": "card_use_view", "connection": "replica", "pause_seconds": 0} | his)
        engine = connect(connection, ours.his)
        try:
            reading = Source(engine, ours, pause=lambda seconds: None)
            assert reading.ask("something", text("SELECT 1")) == [(1,)]
            if self.look_alike:
                return self.look_alike.sessions[-1].tls or ""
            return str(reading.ask("TLS", text(ASKED[self.kind]))[0][-1]).strip("-")
        finally:
            engine.dispose()


@contextmanager
def opened(kind: str, folder: Path, certificate: Path | None, authority: Authority) -> Iterator[Server]:
    with ExitStack() as stack:
        common = {"kind": kind, "secure": certificate is not None}
        if kind == "postgres":
            cluster = pg.Cluster(needed("PostgreSQL", pg.programs()), certificate=certificate)
            stack.callback(cluster.close)
            cluster.start()
            yield Server(port=cluster.port, login="postgres", schema="postgres", **common)
        elif kind == "mysql":
            maria = mariadb.Server(needed("MariaDB", mariadb.programs()), certificate=certificate)
            stack.callback(maria.close)
            maria.run(f"CREATE USER reader IDENTIFIED BY '{PASSWORD}'", "GRANT SELECT ON his.* TO reader")
            yield Server(port=maria.port, login="reader", schema="his", **common)
        else:
            server = LookAlike(folder / "THIS4.db")
            server.logins["reader"] = PASSWORD
            if certificate:
                server.tls = authority.server()
                server.tls.maximum_version = TLSVersion.TLSv1_2  # what TDS 7 has
            stack.enter_context(server)
            yield Server(port=server.port, login="reader", schema="THIS4", look_alike=server, **common)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module", params=KINDS)
def secure(
    request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with opened(request.param, tmp_path_factory.mktemp("secure"), authority.certificate(), authority) as server:
        yield server


@pytest.fixture(scope="module", params=KINDS)
def plain(
    request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with opened(request.param, tmp_path_factory.mktemp("plain"), None, authority) as server:
        yield server


def test_the_hospitals_own_authority_is_one_setting_for_the_his_too(
    secure: Server, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARD_USAGE_CA", str(authority.file))
    assert secure.session(secure.connection(), tls="verified").startswith("TLSv1")


def test_an_authority_that_the_connection_names_is_heeded_without_any_setting(
    secure: Server, authority: Authority
) -> None:
    own = {OWN[secure.kind]: str(authority.file)}
    assert secure.session(secure.connection(**own)).startswith("TLSv1")


def test_a_certificate_of_somebody_else_is_named_at_once_with_whose_and_why(
    secure: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARD_USAGE_CA", str(Authority(tmp_path, "Another CA").file))
    began = time.monotonic()
    with pytest.raises(SourceNotProtected) as refused:
        secure.session(secure.connection(), tls="verified")
    line = str(refused.value)
    assert "certificate: unable to get local issuer certificate" in line
    assert f"127.0.0.1:{secure.port}; it is of '127.0.0.1', issued by 'Hospital Root CA', valid from" in line
    assert "CARD_USAGE_CA" in line
    assert PASSWORD not in line
    assert time.monotonic() - began < 10


def test_a_certificate_of_another_name_is_not_accepted(
    secure: Server, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARD_USAGE_CA", str(authority.file))
    with pytest.raises(SourceNotProtected, match="certificate: Hostname mismatch"):
        secure.session(secure.connection(host="localhost"), tls="verified")


def test_encryption_alone_is_had_from_a_certificate_that_nobody_knows(secure: Server) -> None:
    assert secure.session(secure.connection(), tls="encrypted").startswith("TLSv1")


def test_a_wrong_password_is_not_taken_for_a_matter_of_certificates(secure: Server) -> None:
    connection = replace(secure.connection(password="wrong"), login="nobody")
    with pytest.raises(SourceUnreachable) as refused:
        secure.session(connection, tls="encrypted")
    assert not isinstance(refused.value, SourceNotProtected)


@pytest.mark.parametrize("tls", ["encrypted", "verified"])
def test_a_his_without_tls_fails_with_one_line_that_says_how_to_opt_out(plain: Server, tls: str) -> None:
    with pytest.raises(SourceNotProtected) as refused:
        plain.session(plain.connection(), tls=tls)
    line = str(refused.value)
    assert f"127.0.0.1:{plain.port} offers no TLS" in line
    assert 'tls = "optional" under [his]' in line
    assert PASSWORD not in line
    if plain.look_alike:
        assert not plain.look_alike.sessions, "no login, no password on the wire"


def test_the_opt_out_of_the_file_reads_in_clear(plain: Server) -> None:
    assert plain.session(plain.connection(), tls="optional") == ""


def test_a_database_on_this_machine_needs_no_tls(plain: Server) -> None:
    assert plain.session(plain.connection()) == ""


WEAKER = {"postgres": {"sslmode": "prefer"}, "mssql": {"encryption": "request"}}


def test_a_connection_cannot_ask_for_less_than_the_file(plain: Server) -> None:
    if plain.kind in WEAKER:
        with pytest.raises(BadConnection, match="only the hospital's file may go without TLS"):
            plain.session(plain.connection(**WEAKER[plain.kind]), tls="encrypted")
