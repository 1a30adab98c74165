"""The platform's client against servers that misbehave in every way a wire can: what it says is what is known."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import platform_sandbox
import pytest
from card_usage.platform.client import Credentials, Grant, Platform
from card_usage.platform.outcome import Answer, Reply

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
CREDENTIALS = Credentials(app_id="demo-app-id", app_secret="demo-app-secret")
REQUEST_ID = "A" * 32
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


async def call(url: str, *, timeout: float = 1.0) -> Reply:
    async with Platform(url, CREDENTIALS, connections=2, call_timeout=timeout) as platform:
        return await platform.report(
            token="t", request_id=REQUEST_ID, hospital_id="10086", req={"scene": "010105"}, now=NOW
        )


def answering(raw: bytes) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await writer.drain()

    return behave


def http(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body)) + body


def envelope(code: int) -> bytes:
    return b'{"commonOut":{"requestId":"%s","resultCode":%d,"errMsg":""},"rsp":{}}' % (REQUEST_ID.encode(), code)


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def hang_up_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    return None


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
        (say_nothing, Answer.NO_ANSWER),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"), Answer.NO_ANSWER),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Le"), Answer.NO_ANSWER),
        (answering(b"\x16\x03\x01 not http at all"), Answer.NO_ANSWER),
        (answering(http(200, b"<html>login</html>")), Answer.NO_ANSWER),
        (answering(http(200, envelope(0)[:-20])), Answer.NO_ANSWER),
        (answering(http(503, b"")), Answer.NO_ANSWER),
        (answering(http(404, b"")), Answer.BARRED),
        (answering(http(302, b"")), Answer.BARRED),
        (answering(http(429, b"")), Answer.THROTTLED),
    ],
)
async def test_what_comes_back_is_read_for_what_it_proves(behave: Behaviour, answer: Answer) -> None:
    async with served(behave) as url:
        assert (await call(url)).answer is answer


async def test_nothing_was_sent_only_where_no_connection_came_about() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert (await call(f"http://127.0.0.1:{port}")).answer is Answer.NOT_SENT
    assert (await call("http://no-such-host.invalid", timeout=10)).answer is Answer.NOT_SENT


async def test_a_server_without_tls_behind_https_was_sent_nothing() -> None:
    async with served(answering(http(200, envelope(0)))) as url:
        reply = await call(url.replace("http://", "https://"), timeout=5)
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
        async with Platform(sandbox.url, Credentials(app_id="demo-app-id", app_secret="wrong")) as platform:
            refused = await platform.app_token(request_id="D" * 32, hospital_id="10086", now=datetime.now(UTC))
            assert isinstance(refused, Reply)
            assert (refused.answer, refused.result_code) == (Answer.MISCONFIGURED, 21006)
