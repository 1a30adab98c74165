"""A call to the platform by five clients, sign, send and read: microseconds of processor time, ratios to bare aiohttp.

    .venv/bin/python benchmarks/platform_client.py                # 5,000 calls, 1 and 64 under way, five rounds
    .venv/bin/python benchmarks/platform_client.py --rounds 1 --calls 1000

No ledger, no encryption. Every client runs in a process of its own on core 1, on uvloop, against a fresh platform on
core 0, one after the other; ratios are taken within a round, the table shows medians. With many calls under way plain
httpx makes a tenth of them: its rate does not depend on their number, and the rest would take most of the time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

sys.path[0] = str(Path(__file__).resolve().parents[1])

import aiohttp  # noqa: E402
import httpx  # noqa: E402
import uvloop  # noqa: E402
from card_usage.interfaces.table import INTERFACES  # noqa: E402
from card_usage.open_platform.client import OpenPlatform  # noqa: E402
from card_usage.open_platform.wire_requests import request_from_wire  # noqa: E402
from card_usage.platform.client import REPORT_PATH, Credentials, Platform  # noqa: E402
from card_usage.platform.outcome import Answer, Reply  # noqa: E402
from card_usage.standard.code_tables import TABLES, load_tables  # noqa: E402

from benchmarks import stand  # noqa: E402
from benchmarks.clients.signing import HOSPITAL_ID, signed  # noqa: E402
from tests.backlog import APP_ID, SECRET, Backlog  # noqa: E402

BARE, HOT, CLIENT, TYPED, PLAIN = (
    "bare aiohttp",
    "`report`: the session of the platform client",
    "`call`: its httpx.AsyncClient, with the Auth",
    "typed: a request checked, sent by `call`, its answer read",
    "plain httpx.AsyncClient",
)
HEADERS = {"Content-Type": "application/json; charset=utf-8"}


class Gate:
    """A token that is good, and no quota."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self) -> str | Reply:
        return self._token

    async def lost(self, token: str) -> None:
        raise AssertionError

    async def admit(self, interface: str) -> bool:
        return True

    async def exhausted(self, interface: str) -> None:
        raise AssertionError

    async def bound(self, patid: str, qr_code_text: str) -> None:
        raise AssertionError

    async def pause(self, failures: int) -> None:
        raise AssertionError

    def now(self) -> datetime:
        return datetime.now(UTC)


Call = Callable[[dict[str, str]], Awaitable[None]]


async def opened(name: str, address: str, under_way: int, stack: AsyncExitStack) -> Call:
    """One call by that client, whose connections live as long as `stack`."""
    url, token = address + REPORT_PATH, stand.token(address)
    if name == BARE:
        connector = aiohttp.TCPConnector(limit=under_way)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, headers=HEADERS))

        async def call(req: dict[str, str]) -> None:
            async with session.post(url, data=signed(req, token, SECRET)) as response:
                assert json.loads(await response.read())["commonOut"]["resultCode"] == 0

    elif name == PLAIN:
        limits = httpx.Limits(max_connections=under_way, max_keepalive_connections=under_way)
        client = await stack.enter_async_context(httpx.AsyncClient(limits=limits, headers=HEADERS, timeout=60))

        async def call(req: dict[str, str]) -> None:
            response = await client.post(url, content=signed(req, token, SECRET))
            assert json.loads(response.content)["commonOut"]["resultCode"] == 0

    else:
        credentials = Credentials(app_id=APP_ID, app_secret=SECRET)
        platform = await stack.enter_async_context(Platform(address, credentials, connections=under_way))

        typed = OpenPlatform(platform, Gate(token), hospital_id=HOSPITAL_ID, tables=load_tables(TABLES))

        async def call(req: dict[str, str]) -> None:
            if name == TYPED:
                # As a caller does: made, checked, sent, read.
                (await typed.call(request_from_wire(INTERFACES["reportHISData"], req))).result()
                return
            request_id, now = uuid4().hex.upper(), datetime.now(UTC)
            if name == HOT:
                reply = await platform.report(
                    token=token, request_id=request_id, hospital_id=HOSPITAL_ID, req=req, now=now
                )
            else:
                reply, _ = await platform.call(
                    REPORT_PATH, token=token, request_id=request_id, hospital_id=HOSPITAL_ID, req=req, now=now
                )
            assert reply.answer is Answer.ACCEPTED

    return call


def microseconds(name: str, address: str, calls: int, under_way: int) -> float:
    """Processor time a call, of this process, all threads."""
    os.sched_setaffinity(0, {int(stand.CLIENT_CORES)})
    with tempfile.TemporaryDirectory(prefix="card_usage_bench_") as home:
        backlog = Backlog(home=Path(home), events=calls + under_way, ledger_url="", platform_url="")
        requests = iter(list(backlog.requests()))

    async def run() -> float:
        async with AsyncExitStack() as stack:
            call = await opened(name, address, under_way, stack)
            await asyncio.gather(*(call(next(requests)) for _ in range(under_way)))  # connect

            async def work() -> None:
                for req in requests:
                    await call(req)

            began = time.process_time()
            await asyncio.gather(*(work() for _ in range(under_way)))
            return (time.process_time() - began) / calls * 1e6

    return uvloop.run(run())


def one_round(calls: int, under_way: int) -> dict[str, float]:
    """Every client once."""
    found = {}
    for name in (BARE, HOT, CLIENT, TYPED, PLAIN):
        with stand.platform(0) as address:
            share = 10 if name == PLAIN and under_way > 1 else 1
            found[name] = stand.apart(microseconds, name, address, calls // share, under_way)
    return found


def main() -> None:
    """Print a table."""
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    flags.add_argument("--calls", type=int, default=5_000)
    flags.add_argument("--under-way", type=int, nargs="+", default=[1, 64])
    flags.add_argument("--rounds", type=int, default=5)
    asked = flags.parse_args()
    rows = []
    for under_way in asked.under_way:
        rounds = [one_round(asked.calls, under_way) for _ in range(asked.rounds)]
        for name in rounds[0]:
            took = [found[name] for found in rounds]
            ratio = stand.middle(found[name] / found[BARE] for found in rounds)
            spread = f"{min(took):.0f} to {max(took):.0f}"
            rows.append((name, str(under_way), f"{stand.middle(took):.0f}", spread, f"{ratio:.2f}"))
    print(f"\n{asked.calls:,} calls, {asked.rounds} rounds, {stand.load()}\n")
    print(stand.table(("client", "under way", "CPU, µs/call", "lowest to highest", "of bare aiohttp"), rows))


if __name__ == "__main__":
    main()
