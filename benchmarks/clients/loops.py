"""Clients: a bare loop of 64 workers that sign, send and read the answer; no ledger, no encryption, no second try.

`python -m benchmarks.clients.loops aiohttp|httpx`: reads `req` objects, one a line, from a file.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import httpx

from benchmarks.clients.meter import metered
from benchmarks.clients.signing import signed

HEADERS = {"Content-Type": "application/json; charset=utf-8"}


async def drain(
    requests: Iterator[dict[str, str]], token: str, secret: str, post: Callable[[bytes], Awaitable[bytes]], workers: int
) -> None:
    """All requests, `workers` at a time."""

    async def work() -> None:
        for req in requests:
            answer = json.loads(await post(signed(req, token, secret)))
            assert answer["commonOut"]["resultCode"] == 0, answer

    await asyncio.gather(*(work() for _ in range(workers)))


async def with_aiohttp(requests: Iterator[dict[str, str]], url: str, token: str, secret: str, workers: int) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=workers), headers=HEADERS) as session:

        async def post(body: bytes) -> bytes:
            async with session.post(url, data=body) as response:
                return await response.read()

        await drain(requests, token, secret, post, workers)


async def with_httpx(requests: Iterator[dict[str, str]], url: str, token: str, secret: str, workers: int) -> None:
    limits = httpx.Limits(max_connections=workers, max_keepalive_connections=workers)
    async with httpx.AsyncClient(limits=limits, headers=HEADERS, timeout=60) as client:

        async def post(body: bytes) -> bytes:
            return (await client.post(url, content=body)).content

        await drain(requests, token, secret, post, workers)


if __name__ == "__main__":
    library, path, url, token, secret, workers = sys.argv[1:]
    requests = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    run = {"aiohttp": with_aiohttp, "httpx": with_httpx}[library]
    with metered(len(requests)):
        asyncio.run(run(iter(requests), url, token, secret, int(workers)))
