"""The command line where certificates or proxies are not in order: one line, at once, and nothing was sent."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from authority import Authority
from desk import SPAN, Desk, one_line, opened
from forked_cli import CommandLine
from receivers import webhook


@pytest.fixture
def desk(tmp_path: Path, command_line: CommandLine) -> Iterator[Desk]:
    with opened(tmp_path, command_line, uses=40) as made:
        made.json("stage", *SPAN)
        yield made


def platform(url: str) -> dict[str, str]:
    given = {"conn_type": "http", "host": url, "login": "demo-app-id", "password": "demo-app-secret"}
    return {"AIRFLOW_CONN_DEMO_PLATFORM": json.dumps(given)}


def test_a_platform_whose_certificate_nobody_vouches_for_ends_the_delivery_at_once(desk: Desk, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with webhook(authority.server()) as hook:
        began = time.monotonic()
        done = desk.run("deliver", *SPAN, **platform(hook.url))
        took = time.monotonic() - began
        assert done.returncode != 0
        assert "certificate: unable to get local issuer certificate" in one_line(done)
        assert "issued by 'Hospital Root CA'" in one_line(done)
        assert took < 25  # what is silent is waited for half a minute
        assert hook.raw == []
        trusted = desk.run("deliver", *SPAN, CARD_USAGE_CA=str(authority.file), **platform(hook.url))
        assert "certificate" not in trusted.stderr
        assert hook.raw


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
def test_a_proxy_that_cannot_be_used_is_one_line_with_its_variable(desk: Desk, variable: str) -> None:
    done = desk.run("deliver", *SPAN, **{variable: "socks5://user:secret@127.0.0.1:1"})
    assert done.returncode == 2
    assert one_line(done).startswith(f"card_usage: {variable} is a SOCKS proxy")
    assert "secret" not in done.stderr


def test_a_live_hospital_is_not_reported_by_plain_http_and_check_says_so(desk: Desk) -> None:
    away = platform("http://platform.example:8080")
    done = desk.run("deliver", *SPAN, **away)
    assert done.returncode == 2
    assert "connection 'demo_platform' leads by plain http to another machine" in one_line(done)
    assert "[platform] gateway" in one_line(done)
    checked = desk.run("hospital", "check", "--hospital", "demo_hospital", **away)
    assert checked.returncode != 0
    assert "[platform] gateway" in checked.stdout + checked.stderr
