"""Outgoing calls over real TLS and real redirects: what is not accepted is said at once, with whose and why."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from authority import Authority
from card_usage.config.connections import Connection
from card_usage.config.outgoing import refused_certificate, trust_own_authorities
from card_usage.errors import ChannelRefused, SettingsError
from card_usage.notifications.channels import send
from card_usage.platform.client import Credentials, Platform
from card_usage.platform.outcome import Answer
from cases import every_case
from receivers import Webhook, mailbox, webhook

NOW = datetime(2026, 3, 5, 1, 0, tzinfo=UTC)
VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "CARD_USAGE_CA")
ROBOT = "693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in VARIABLES}
    for name in (*VARIABLES, "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield
    for name, value in before.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def channel(kind: str, url: str) -> Connection:
    password = {"wecom": ROBOT, "dingtalk": "a1b2c3", "feishu": "0a-1b"}.get(kind, "")
    return Connection(
        conn_id=kind, conn_type="http", host=url, password=password, extra={"kind": kind} if password else {}
    )


def mail(port: int) -> Connection:
    extra = {"to": "it@hospital.example", "from": "alerts@isv.example", "tls": "ssl"}
    return Connection(conn_id="mail", conn_type="smtp", host="127.0.0.1", port=port, extra=extra)


async def reported(url: str) -> tuple[Answer, str]:
    async with Platform(url, Credentials(app_id="a", app_secret="s"), call_timeout=5) as platform:
        reply = await platform.report(token="t", request_id="R", hospital_id="h", req={}, now=NOW)
        return reply.answer, reply.detail


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304])
@pytest.mark.parametrize("kind", ["webhook", "wecom", "dingtalk", "feishu"])
def test_a_redirect_is_a_failure_and_is_not_followed(kind: str, status: int, hook: Webhook) -> None:
    with webhook() as other:
        hook.status, hook.location = status, f"{other.url}/stolen"
        with pytest.raises(ChannelRefused, match=str(status)):
            send(channel(kind, hook.url), "t", "b")
        assert (other.gets, other.raw, hook.gets) == ([], [], [])


def test_an_apprise_address_follows_no_redirect(hook: Webhook) -> None:
    with webhook() as other:
        hook.status, hook.location = 302, f"{other.url}/stolen"
        url = hook.url.replace("http", "json")
        with pytest.raises(ChannelRefused):
            send(Connection(conn_id="any", conn_type="apprise", password=url), "t", "b")
        assert (other.gets, other.raw) == ([], [])


async def test_a_certificate_of_nobody_we_know_is_named_at_once_by_every_call(authority: Authority) -> None:
    began = time.monotonic()
    with webhook(authority.server()) as hook, mailbox(authority.server()) as box:
        with every_case() as case:
            for connection in (*(channel(kind, hook.url) for kind in ("webhook", "wecom")), mail(box.port)):
                with case(connection.conn_id):
                    with pytest.raises(ChannelRefused) as refused:
                        send(connection, "t", "b")
                    said = str(refused.value)
                    assert "certificate: unable to get local issuer certificate" in said
                    assert "issued by 'Hospital Root CA'" in said
                    assert "CARD_USAGE_CA" in said
        answer, detail = await reported(hook.url)
        assert (answer, detail[:12]) == (Answer.NOT_SENT, "certificate:")
    assert time.monotonic() - began < 60


def test_what_is_wrong_with_a_certificate_is_said(authority: Authority) -> None:
    os.environ["CARD_USAGE_CA"] = str(authority.file)
    trust_own_authorities()
    with every_case() as case:
        for tls, why in (
            (authority.server(expired=True), "certificate has expired"),
            (authority.server("other.example"), "IP address mismatch"),
        ):
            with case(why), webhook(tls) as hook, pytest.raises(ChannelRefused, match=why):
                send(channel("webhook", hook.url), "t", "b")


async def test_one_setting_makes_every_call_trust_an_authority_of_ones_own(authority: Authority) -> None:
    os.environ["CARD_USAGE_CA"] = str(authority.file)
    trust_own_authorities()
    trust_own_authorities()
    with webhook(authority.server()) as hook, mailbox(authority.server()) as box:
        send(channel("webhook", hook.url), "t", "b")
        send(channel("wecom", hook.url), "t", "b")
        send(mail(box.port), "t", "b")
        assert len(hook.posts) == 2
        assert len(box.mails) == 1
        answer, _ = await reported(hook.url)
        assert answer is not Answer.NOT_SENT
        import botocore.session

        client = botocore.session.get_session().create_client(
            "s3",
            endpoint_url=hook.url,
            region_name="x",
            aws_access_key_id="a",
            aws_secret_access_key="s",
        )
        client.list_buckets()
    assert hook.gets


def test_a_file_that_is_no_authority_is_refused_by_the_name_of_the_setting(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("nothing")
    for place in (tmp_path / "no.pem", tmp_path / "none.pem"):
        with pytest.raises(SettingsError, match="CARD_USAGE_CA cannot be used"):
            trust_own_authorities({"CARD_USAGE_CA": str(place)})


def test_a_server_that_shows_nothing_is_still_explained() -> None:
    assert "it does not show it again" in refused_certificate("certificate: x", "127.0.0.1", 1)


def test_a_proxy_that_cannot_be_used_is_its_channels_failure(hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks5://user:secret@127.0.0.1:1080")
    for kind in ("webhook", "wecom"):
        with pytest.raises(ChannelRefused, match="HTTP_PROXY is a SOCKS proxy") as refused:
            send(channel(kind, hook.url), "t", "b")
        assert "secret" not in str(refused.value)
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,127.0.0.0/8,[::1],::1")
    send(channel("webhook", hook.url), "t", "b")
    assert len(hook.posts) == 1


async def test_the_platform_and_the_channels_take_the_same_proxy(
    hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", hook.url.removeprefix("http://"))
    send(channel("webhook", "http://alerts.hospital.example"), "t", "b")
    await reported("http://platform.hospital.example")
    assert [path.partition("?")[0] for path, _ in hook.posts] == [
        "http://alerts.hospital.example/",
        "http://platform.hospital.example/rest/auth/HealthCard/HealthOpenPlatform/ISVOpenObj/reportHISData",
    ]
