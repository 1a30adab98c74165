"""A live hospital's calls leave the machine by https, or go to the gateway that its file names."""

from __future__ import annotations

from typing import Any

import pytest
from card_usage.config.connections import Connection
from card_usage.config.hospital import Platform
from card_usage.config.platform_address import platform_url
from card_usage.errors import BadConnection

PLAIN = "http://platform.example:8080/path"


def url(host: str, **settings: Any) -> str:
    connection = Connection(conn_id="demo", conn_type="http", host=host, password="hush")
    return platform_url(connection, Platform(connection="demo", hospital_id="1", **settings))


@pytest.mark.parametrize(
    "host", ["https://platform.example", "http://127.0.0.1:8900", "http://[::1]:1", "http://localhost"]
)
def test_https_and_this_machine_are_called(host: str) -> None:
    assert url(host) == host


@pytest.mark.parametrize("gateway", ["", "other.example", "platform.example:80", "127.0.0.1"])
def test_plain_http_to_another_machine_is_refused_for_a_live_hospital(gateway: str) -> None:
    with pytest.raises(BadConnection, match=r"plain http .*\[platform\] gateway") as refused:
        url(PLAIN, gateway=gateway)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("gateway", ["platform.example", "platform.example:8080", "PLATFORM.example"])
def test_a_gateway_of_the_file_may_be_called_by_plain_http(gateway: str) -> None:
    assert url(PLAIN, gateway=gateway) == PLAIN


def test_a_hospital_that_is_not_live_may_try_by_plain_http() -> None:
    assert url(PLAIN, live=False) == PLAIN
