"""Connections are read exactly as Airflow writes them, and no error about one shows what is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from card_usage.config.connections import CONNECTIONS, Connection, connection_from_environment
from card_usage.errors import BadConnection, MissingSetting
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SECRET = "Pa55-w0rd/of:the@HIS"


def read(text: str, conn_id: str = "his") -> Connection:
    return connection_from_environment(conn_id, {f"AIRFLOW_CONN_{conn_id.upper()}": text})


@pytest.fixture(scope="module")
def airflow() -> Any:
    """Airflow's own connection class, as tasks use it."""
    from airflow.sdk.definitions.connection import Connection as AirflowConnection

    return AirflowConnection


CASES: list[dict[str, Any]] = [
    {"conn_type": "http", "host": "https://platform.example", "login": "app", "password": SECRET},
    {"conn_type": "http", "host": "http://platform.example:8080", "login": "app", "password": "b"},
    {"conn_type": "http", "host": "platform.example", "schema": "https", "port": 8443, "login": "a", "password": "b"},
    {"conn_type": "http", "host": "127.0.0.1", "schema": "http", "port": 8900, "login": "a", "password": "%41"},
    {"conn_type": "sqlite", "host": "/var/Lib/HIS database.db"},
    {"conn_type": "sqlite", "schema": "/var/Lib/his.db"},
    {"conn_type": "mssql", "host": "db", "login": "DOM\\reader", "password": SECRET, "schema": "THIS4", "port": 1433},
    {"conn_type": "mssql", "host": "db", "schema": "THIS4", "extra": '{"charset": "cp936", "appname": ""}'},
    {"conn_type": "mssql", "host": "db", "extra": '{"charset": "utf8", "timeout": 5, "nested": {"deep": [1]}}'},
    {"conn_type": "google_cloud_platform", "host": "db", "login": "l"},
    {"conn_type": "mssql", "host": "2001:db8::1", "port": 1433, "login": "l", "password": ""},
    {"conn_type": "postgres", "host": "db.example", "login": "读者", "password": "密码 #?&=+", "schema": "库/名"},
    {"conn_type": "mssql", "port": 1433},
    {"conn_type": "http", "host": "h", "password": "only a password"},
]


def same(ours: Connection, theirs: Any) -> None:
    for name in ("host", "login", "password", "schema"):
        assert getattr(ours, name) == (getattr(theirs, name) or ""), name
    assert ours.conn_type == theirs.conn_type
    assert ours.port == theirs.port
    assert ours.extra == (theirs.extra_dejson or {})


@pytest.mark.parametrize("case", CASES, ids=lambda case: ",".join(case))
def test_both_forms_that_airflow_writes_are_read_back_as_they_were(airflow: Any, case: dict[str, Any]):
    theirs = airflow(conn_id="his", **case)
    same(read(theirs.get_uri()), theirs)
    same(read(theirs.as_json()), theirs)


# Airflow cannot take "://" back from everywhere, nor empty text apart from absent text.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30).filter(lambda t: "://" not in t)


@given(login=TEXT, password=TEXT, schema=TEXT, port=st.none() | st.integers(1, 65535))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_login_password_and_schema_survive_both_forms(
    airflow: Any, login: str, password: str, schema: str, port: int | None
):
    theirs = airflow(
        conn_id="his", conn_type="mssql", host="db", login=login, password=password, schema=schema, port=port
    )
    same(read(theirs.get_uri()), theirs)
    same(read(theirs.as_json()), theirs)


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:////var/Lib/his.db",
        "sqlite:///var/his.db",
        "sqlite://%2Fvar%2FHis.db",
        "mssql://u:p@db:1433/THIS4?charset=utf8&b=",
        "http://demo:s3cret@http%3A%2F%2F127.0.0.1%3A8900",
        "http://https://demo:s3cret@platform.example:8443",
        "http://demo:s3cret@platform.example/https",
        "b-soft-db://u@h/x%2Fy",
    ],
)
def test_a_uri_written_by_hand_says_the_same_to_us_and_to_airflow(airflow: Any, uri: str):
    same(read(uri), airflow.from_uri(uri, conn_id="his"))


def test_a_host_keeps_its_capital_letters():
    # Airflow makes them small; a file or a mirrored certificate name may depend on them.
    assert read("mssql://u:p@HIS-Replica.Example/THIS4").host == "HIS-Replica.Example"


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "platform.example"}, "https://platform.example"),
        ({"host": "platform.example", "schema": "https"}, "https://platform.example"),
        ({"host": "127.0.0.1", "port": 8900, "schema": "http"}, "http://127.0.0.1:8900"),
        ({"host": "http://127.0.0.1:8900"}, "http://127.0.0.1:8900"),
        ({"host": "https://platform.example/"}, "https://platform.example"),
        ({"host": "https://platform.example", "port": 8443}, "https://platform.example:8443"),
        ({"host": "https://platform.example:9443", "port": 8443}, "https://platform.example:9443"),
        ({"host": "https://gateway.example/health/v2/", "port": 8443}, "https://gateway.example:8443/health/v2"),
        ({"host": "::1", "port": 8900, "schema": "http"}, "http://[::1]:8900"),
        ({"host": "http://[::1]:8900"}, "http://[::1]:8900"),
        ({"host": "platform.example:8443"}, "https://platform.example:8443"),
    ],
)
def test_the_platform_is_called_over_tls_unless_the_connection_says_otherwise(fields: dict[str, Any], url: str):
    assert read(json.dumps({"conn_type": "http", **fields}), "platform").base_url() == url


@pytest.mark.parametrize(
    "host",
    [
        "",
        "ftp://platform.example",
        "https://",
        "https://app:Pa55-w0rd@platform.example",
        "platform example",
        "https://platform.example/?key=Pa55-w0rd",
        "https://platform.example:port",
        "https://platform.example:123456",
    ],
)
def test_a_host_that_cannot_be_called_is_refused_without_being_quoted(host: str):
    connection = read(json.dumps({"conn_type": "http", "host": host, "password": SECRET}), "platform")
    with pytest.raises(BadConnection) as refused:
        connection.base_url()
    line = str(refused.value)
    assert "connection 'platform'" in line
    assert "AIRFLOW_CONN_PLATFORM" in line
    assert "Pa55" not in line
    assert "\n" not in line


BAD = [
    f"no scheme {SECRET}",
    "{" + SECRET,
    f'{{"password": "{SECRET}", "extra": "no json {SECRET}"}}',
    f'{{"password": "{SECRET}", "extra": ["{SECRET}"]}}',
    f'{{"password": "{SECRET}", "port": "{SECRET}"}}',
    f'{{"password": ["{SECRET}"]}}',
    f'{{"password": "{SECRET}", "host": 5}}',
    f"mssql://u:{SECRET}@db:99999999/x",
    f"mssql://u:secret@db:{SECRET}/x",
    f"mssql://[u:{SECRET}@db",
    f"mssql://db/x?__extra__={SECRET}",
    f"://{SECRET}",
]


@pytest.mark.parametrize("text", BAD)
def test_what_cannot_be_read_is_named_and_never_quoted(text: str):
    with pytest.raises(BadConnection) as refused:
        read(text)
    line = str(refused.value)
    assert line.startswith("connection 'his' is neither a URI nor the JSON of an Airflow connection: ")
    assert "AIRFLOW_CONN_HIS" in line
    assert "Pa55" not in line
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("environment", [{}, {"AIRFLOW_CONN_HIS": ""}, {"AIRFLOW_CONN_HIS": "  \n"}])
def test_a_connection_that_is_not_there_names_the_variable_to_set(environment: dict[str, str]):
    with pytest.raises(MissingSetting, match=r"^AIRFLOW_CONN_HIS is not set: .*connection 'his' of a hospital's file"):
        connection_from_environment("his", environment)


def test_a_connection_never_shows_password_or_extra():
    connection = read(f'{{"conn_type": "mssql", "host": "db", "password": "{SECRET}", "extra": {{"key": "{SECRET}"}}}}')
    assert SECRET not in repr(connection)
    assert SECRET not in str(connection)
    assert connection.password == SECRET


def test_connections_may_stand_in_one_file_as_airflow_reads_it(tmp_path: Path):
    from airflow.secrets.local_filesystem import LocalFilesystemBackend

    given = {"platform": CASES[0], "his": "mssql://reader:x%40y@db:1433/THIS4"}
    path = tmp_path / "connections.json"
    path.write_text(json.dumps(given))
    airflows = LocalFilesystemBackend(connections_file_path=str(path))
    for conn_id in given:
        ours, theirs = connection_from_environment(conn_id, {CONNECTIONS: str(path)}), airflows.get_connection(conn_id)
        assert theirs is not None
        assert (ours.host, ours.login, ours.password) == (theirs.host or "", theirs.login or "", theirs.password or "")
    assert connection_from_environment("his", {CONNECTIONS: str(path), "AIRFLOW_CONN_HIS": "http://a"}).host == "a"
    with pytest.raises(MissingSetting):
        connection_from_environment("none", {CONNECTIONS: str(path)})
    path.write_text(f'["{SECRET}"')
    with pytest.raises(BadConnection, match="CARD_USAGE_CONNECTIONS names no JSON file") as refused:
        connection_from_environment("his", {CONNECTIONS: str(path)})
    assert SECRET not in str(refused.value)
