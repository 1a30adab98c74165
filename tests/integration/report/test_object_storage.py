"""Reports in an S3-compatible storage: a real S3 server on loopback, by the command line's path and by Airflow's."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from card_usage.files.store import Store
from moto.server import ThreadedMotoServer
from upath import UPath

BUCKET = "reports"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    for name, value in {
        "AWS_ACCESS_KEY_ID": "reader",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    UPath("s3://x").fs.clear_instance_cache()
    UPath(f"s3://{BUCKET}").fs.mkdir(BUCKET)
    yield url
    # Its state is of the process, not of the server.
    httpx.post(f"{url}/moto-api/reset", trust_env=False).raise_for_status()
    server.stop()


def round_trip(store: Store) -> None:
    store.write("a/2026-03-04/one.html", "第一版".encode())
    store.write("a/2026-03-04/one.html", "第二版".encode())
    assert store.read("a/2026-03-04/one.html").decode() == "第二版"
    with pytest.raises(FileNotFoundError):
        store.read("a/none.html")


def test_the_command_line_writes_to_s3(s3: str) -> None:
    round_trip(Store.at(f"s3://{BUCKET}/here"))
    assert UPath(f"s3://{BUCKET}/here/a/2026-03-04/one.html").exists()


def test_airflow_writes_to_s3_with_a_connection_of_its_own(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk import ObjectStoragePath

    connection = {
        "conn_type": "aws",
        "login": "reader",
        "password": "not-a-secret",
        "extra": {"endpoint_url": s3, "region_name": "us-east-1"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_REPORT_STORE", json.dumps(connection))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    round_trip(Store(ObjectStoragePath(f"s3://report_store@{BUCKET}/there")))
