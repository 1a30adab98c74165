"""The platform's client against servers that misbehave in every way a wire can: what it says is what is known.

Everything is asked both ways: over httpx (`call`) and straight over the session below it (`report`).
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
import struct
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import platform_sandbox
import pytest
from card_usage.platform.client import REPORT_PATH, TOKEN_PATH, Credentials, Grant, Platform
from card_usage.platform.outcome import Answer, Reply
from card_usage.platform.signature import signature
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
CREDENTIALS = Credentials(app_id="demo-app-id", app_secret="demo-app-secret")
REQUEST_ID = "A" * 32
GZIP, DEFLATE = b"Content-Encoding: gzip\r\n", b"Content-Encoding: deflate\r\n"
NOW = datetime(2026, 3, 2, tzinfo=UTC)


@asynccontextmanager
async def served(behave: Behaviour) -> AsyncIterator[str]:
    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()


async def over_httpx(platform: Platform, req: Mapping[str, str]) -> Reply:
    reply, _ = await platform.call(REPORT_PATH, token="t", request_id=REQUEST_ID, hospital_id="10086", req=req, now=NOW)
    return reply


async def over_the_session(platform: Platform, req: Mapping[str, str]) -> Reply:
    return await platform.report(token="t", request_id=REQUEST_ID, hospital_id="10086", req=req, now=NOW)


Way = Callable[[Platform, Mapping[str, str]], Awaitable[Reply]]
WAYS: tuple[Way, ...] = (over_httpx, over_the_session)


async def call(url: str, *, timeout: float = 1.0) -> Reply:
    """The reply, the same by both ways."""
    replies = []
    for way in WAYS:
        async with Platform(url, CREDENTIALS, connections=2, call_timeout=timeout) as platform:
            replies.append(await way(platform, {"scene": "010105"}))
    assert replies[0] == replies[1]
    return replies[0]


def self_signed(place: Path) -> ssl.SSLContext:
    """A server's TLS with a certificate of its own making."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (place / "server.pem").write_bytes(secret + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "server.pem")
    return context


@dataclass(kw_only=True)
class Recorded:
    """What a keep-alive server was sent: each request's first line, headers (lower case) and body."""

    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(asyncio.IncompleteReadError):
            while True:
                first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append((first, headers, body))
                answer = b"" if first.startswith("HEAD") else envelope(0)
                told = b"Set-Cookie: a=b\r\nDate: Mon, 02 Mar 2026 00:00:00 GMT\r\n"
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n" % (len(answer), told) + answer)
        self.ended.set()


def answering(raw: bytes) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await writer.drain()

    return behave


def http(status: int, body: bytes, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%sConnection: close\r\n\r\n" % (status, len(body), headers) + body


def envelope(code: int) -> bytes:
    return b'{"commonOut":{"requestId":"%s","resultCode":%d,"errMsg":""},"rsp":{}}' % (REQUEST_ID.encode(), code)


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def hang_up_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    return None


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    reset_at_close(writer)


async def reset_in_mid_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
    await writer.drain()
    await asyncio.sleep(0.05)
    reset_at_close(writer)


def reset_at_close(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(5)


@pytest.mark.parametrize(
    ("behave", "answer"),
    [
        (answering(http(200, envelope(0))), Answer.ACCEPTED),
        (answering(http(200, envelope(10054))), Answer.REPEATED),
        (answering(http(200, envelope(10034))), Answer.QUOTA),
        (hang_up, Answer.NO_ANSWER),
        (hang_up_at_once, Answer.NO_ANSWER),
        (reset, Answer.NO_ANSWER),
        (reset_in_mid_answer, Answer.NO_ANSWER),
        (say_nothing, Answer.NO_ANSWER),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"), Answer.NO_ANSWER),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Le"), Answer.NO_ANSWER),
        (answering(b"\x16\x03\x01 not http at all"), Answer.NO_ANSWER),
        (answering(http(200, b"<html>login</html>")), Answer.NO_ANSWER),
        (answering(http(200, envelope(0)[:-20])), Answer.NO_ANSWER),
        (answering(http(503, b"")), Answer.NO_ANSWER),
        (answering(http(404, b"")), Answer.BARRED),
        (answering(http(302, b"")), Answer.BARRED),
        (answering(http(307, b"", b"Location: /elsewhere\r\n")), Answer.BARRED),
        (answering(http(302, b"", b"Location: http://[nowhere\r\n")), Answer.BARRED),
        (answering(http(401, b"", b"WWW-Authenticate: Digest\r\n")), Answer.BARRED),
        (answering(http(408, b"")), Answer.NO_ANSWER),
        (answering(http(200, gzip.compress(envelope(0)), GZIP)), Answer.ACCEPTED),
        (answering(http(200, zlib.compress(envelope(0)), DEFLATE)), Answer.ACCEPTED),
        (answering(http(200, zlib.compress(envelope(0))[2:-4], DEFLATE)), Answer.ACCEPTED),
        (answering(http(200, gzip.compress(envelope(0))[:-20], GZIP)), Answer.NO_ANSWER),
        (answering(http(200, envelope(0), GZIP)), Answer.NO_ANSWER),
        (answering(http(200, b"\xff\xfe" + envelope(0))), Answer.NO_ANSWER),
        (answering(http(204, b"")), Answer.NO_ANSWER),
        (answering(http(429, b"")), Answer.LIMITED),
        (answering(http(200, envelope(0) + b" " * 65_000)), Answer.ACCEPTED),
        (answering(http(200, envelope(0) + b" " * 66_000)), Answer.NO_ANSWER),
        (answering(http(403, b" " * 66_000)), Answer.BARRED),
        (answering(http(200, gzip.compress(envelope(0) + b" " * 66_000), GZIP)), Answer.NO_ANSWER),
        (answering(http(200, envelope(0), b"Date: Fri, 31 Dec 9999 23:59:59 GMT\r\n")), Answer.ACCEPTED),
        (answering(http(200, b'{"commonOut":' + b"[" * 60_000)), Answer.NO_ANSWER),
    ],
)
async def test_what_comes_back_is_read_for_what_it_proves(behave: Behaviour, answer: Answer) -> None:
    async with served(behave) as url:
        assert (await call(url)).answer is answer


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    with suppress(ConnectionError):
        while True:
            writer.write(b" " * 65_536)
            await writer.drain()


BOMB = gzip.compress(b" " * 50_000_000)


@pytest.mark.parametrize("behave", [endless, answering(http(200, BOMB, GZIP)), answering(http(503, BOMB, GZIP))])
async def test_an_answer_without_end_costs_no_more_than_its_limit(behave: Behaviour) -> None:
    async with served(behave) as url:
        tracemalloc.start()
        try:
            began = asyncio.get_running_loop().time()
            assert (await call(url, timeout=20)).answer is Answer.NO_ANSWER
            assert asyncio.get_running_loop().time() - began < 10
            assert tracemalloc.get_traced_memory()[1] < 8_000_000
        finally:
            tracemalloc.stop()


async def test_nothing_was_sent_only_where_no_connection_came_about() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert (await call(f"http://127.0.0.1:{port}")).answer is Answer.NOT_SENT
    assert (await call("http://no-such-host.invalid", timeout=10)).answer is Answer.NOT_SENT


async def test_an_address_that_cannot_be_was_sent_nothing() -> None:
    # Which of the two libraries refuses an address, and by which name, differs.
    for url in ("http://127.0.0.1:99999", "http://", "http://[nowhere", "http://\u00f1_x"):
        for way in WAYS:
            async with Platform(url, CREDENTIALS) as platform:
                assert (await way(platform, {})).answer is Answer.NOT_SENT, url


async def test_a_coding_that_was_not_asked_for_is_no_answer() -> None:
    async with served(answering(http(200, b"\x8b\x03\x80", b"Content-Encoding: br\r\n"))) as url:
        for way in WAYS:
            async with Platform(url, CREDENTIALS) as platform:
                assert (await way(platform, {})).answer is Answer.NO_ANSWER


async def test_a_certificate_that_nobody_vouches_for_stops_a_call_before_the_first_byte(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=self_signed(tmp_path))
    async with server:
        reply = await call("https://127.0.0.1:{1}".format(*server.sockets[0].getsockname()), timeout=5)
    assert reply == Reply(Answer.NOT_SENT, detail="certificate: self-signed certificate")
    assert not any(heard)


async def test_a_server_without_tls_behind_https_was_sent_nothing() -> None:
    async with served(answering(http(200, envelope(0)))) as url:
        reply = await call(url.replace("http://", "https://"))
    assert reply.answer in {Answer.NOT_SENT, Answer.NO_ANSWER}
    assert reply.result_code is None


async def test_a_deadline_covers_an_answer_that_trickles() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.1)

    async with served(trickle) as url:
        began = asyncio.get_running_loop().time()
        assert (await call(url, timeout=0.5)).detail == "timeout"
        assert asyncio.get_running_loop().time() - began < 2


@pytest.mark.parametrize(
    "req",
    [
        {},
        {"scene": "010105"},
        {"name": "张三\u3000\U00020000", "idCardNumber": "", "scene": "010105", "department": 'a"b\\c/d\n\x7f&=+%'},
        {"sign": "x", "appToken": "y", "requestId": "z", "timestamp": "0"},
        {"count": 0, "share": 0.1, "large": 2**60, "yes": True, "none": None, "list": [1, {"b": 2, "a": "é"}]},
    ],
)
async def test_both_ways_send_the_same_bytes_over_one_connection(req: Mapping[str, Any]) -> None:
    recorded = Recorded()
    async with served(recorded) as url:
        async with Platform(url, CREDENTIALS, connections=2) as platform:
            await platform.read_clock()
            replies = [await way(platform, req) for way in (*WAYS, *WAYS)]
            assert platform.clock_seen is not None
            assert platform.clock_seen[0] == NOW
        await asyncio.wait_for(recorded.ended.wait(), 5)
    assert set(replies) == {Reply(Answer.ACCEPTED, 0, 200)}
    assert recorded.connections == 1
    (head, *_), *calls = recorded.requests
    assert head.startswith(f"HEAD {REPORT_PATH} ")
    assert len({(first, body) for first, _, body in calls}) == 1
    sent = json.loads(calls[0][2])
    assert sent["req"] == req
    assert list(sent["commonIn"]) == ["appToken", "requestId", "hospitalId", "timestamp", "sign"]
    assert sent["commonIn"]["sign"] == signature(sent["commonIn"], req, CREDENTIALS.app_secret)
    by_httpx, by_session = calls[0][1], calls[1][1]
    assert by_httpx.pop("connection") == "keep-alive"  # what HTTP/1.1 means anyway
    assert by_httpx == by_session
    assert all("cookie" not in headers for _, headers, _ in calls)


async def test_no_call_leaves_its_connection_behind_half_read() -> None:
    """A deadline in mid-answer closes the connection; the next call gets a new one, and its own answer."""
    connections = 0

    async def late_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(envelope(0)))
        await writer.drain()
        await asyncio.sleep(1 if connections == 1 else 0)
        writer.write(envelope(0))
        await writer.drain()
        await reader.read(1)

    for way in WAYS:
        connections = 0
        async with served(late_once) as url, Platform(url, CREDENTIALS, connections=1, call_timeout=0.5) as platform:
            assert await way(platform, {}) == Reply(Answer.NO_ANSWER, detail="timeout")
            assert await way(platform, {}) == Reply(Answer.ACCEPTED, 0, 200)
            assert connections == 2


async def test_token_and_report_go_by_the_document_and_the_platforms_clock_is_seen() -> None:
    with platform_sandbox.serve() as sandbox:
        async with Platform(sandbox.url, CREDENTIALS) as platform:
            await platform.read_clock()
            assert platform.clock_seen is not None
            grant = await platform.app_token(request_id="B" * 32, hospital_id="10086", now=datetime.now(UTC))
            assert isinstance(grant, Grant)
            assert grant.expires_in == 7200
            assert grant.token not in repr(grant)
            reply = await platform.report(
                token=grant.token,
                request_id=REQUEST_ID,
                hospital_id="10086",
                req={
                    "idCardNumber": "11010119900307123X",
                    "name": "张三",
                    "time": "2026-03-02 08:00:00",
                    "hospitalId": "10086",
                    "scene": "010105",
                    "cardType": "10",
                    "cardChannel": "0100",
                },
                now=datetime.now(UTC),
            )
            assert reply == Reply(Answer.ACCEPTED, 0, 200)
            wrong = await platform.report(
                token="another", request_id="C" * 32, hospital_id="10086", req={"scene": "00000"}, now=datetime.now(UTC)
            )
            assert wrong.answer is Answer.TOKEN
            given, rsp = await platform.call(
                TOKEN_PATH,
                token="",
                request_id="E" * 32,
                hospital_id="10086",
                req={"appId": CREDENTIALS.app_id},
                now=datetime.now(UTC),
            )
            assert given.answer is Answer.ACCEPTED
            assert isinstance(rsp["appToken"], str)
        async with Platform(sandbox.url, Credentials(app_id="demo-app-id", app_secret="wrong")) as platform:
            refused = await platform.app_token(request_id="D" * 32, hospital_id="10086", now=datetime.now(UTC))
            assert isinstance(refused, Reply)
            assert (refused.answer, refused.result_code) == (Answer.MISCONFIGURED, 21006)


@pytest.mark.parametrize("channel_num", [0, 4])
def test_the_channel_number_of_newer_documents_goes_with_every_call_and_into_its_signature(channel_num: int) -> None:
    async def play(url: str) -> tuple[Grant | Reply, list[Reply]]:
        async with Platform(url, CREDENTIALS, channel_num=channel_num) as platform:
            granted = await platform.app_token(request_id="B" * 32, hospital_id="10086", now=datetime.now(UTC))
            assert isinstance(granted, Grant)
            req = {"hospitalId": "10086", "subHospitalCode": "02", **USE}
            asked = {"token": granted.token, "hospital_id": "10086", "req": req, "now": datetime.now(UTC)}
            sent = await platform.report(request_id=REQUEST_ID, **asked)
            other, _ = await platform.call(REPORT_PATH, request_id="C" * 32, **asked)
            return granted, [sent, other]

    with platform_sandbox.serve(platform_sandbox.Config(profile="current")) as sandbox:
        _, replies = asyncio.run(play(sandbox.url))
    assert [(reply.answer, reply.result_code) for reply in replies] == [(Answer.ACCEPTED, 0)] * 2, "signed as sent"

    async def seen() -> bytes:
        server = Recorded()
        async with (
            served(server) as url,
            Platform(url, CREDENTIALS, channel_num=channel_num, call_timeout=1) as platform,
        ):
            await over_the_session(platform, {"subHospitalCode": "02"})
        return server.requests[0][2]

    document = json.loads(asyncio.run(seen()))
    assert document["commonIn"]["channelNum"] == channel_num
    assert document["commonIn"]["sign"] == signature(document["commonIn"], document["req"], CREDENTIALS.app_secret)
    assert document["req"]["subHospitalCode"] == "02"


USE = {
    "qrCodeText": "ab" * 32 + ":1",
    "time": "2026-03-02 09:20:30",
    "scene": "010102",
    "cardType": "11",
    "cardChannel": "0401",
}
