"""Blocking: the open platform without asyncio, for scripts and Airflow's hooks.

with blocking(ledger, hospital, connection=connection, tables=tables) as platform:
    card = platform.call(GetHealthCardByQrCode(qr_code_text=text)).result().card
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import TypeVar

from card_usage.config.connections import Connection
from card_usage.config.hospital import Hospital
from card_usage.interfaces.declaration import Message, Request
from card_usage.interfaces.messages import RegisterBatchHealthCard
from card_usage.ledger.database import Ledger
from card_usage.open_platform.client import Answered, BatchAnswered, OpenPlatform
from card_usage.open_platform.session import opened
from card_usage.standard.code_tables import CodeTable

R = TypeVar("R", bound=Message)


class BlockingPlatform:
    """The same calls as OpenPlatform, each of which returns when it is answered. Of one thread."""

    def __init__(self, platform: OpenPlatform, runner: asyncio.Runner) -> None:
        self._platform, self._runner = platform, runner

    def call(self, request: Request[R], *, request_id: str | None = None, tries: int = 1) -> Answered[R]:
        """See OpenPlatform.call."""
        return self._runner.run(self._platform.call(request, request_id=request_id, tries=tries))

    def register(
        self, batch: RegisterBatchHealthCard, *, request_id: str | None = None, tries: int = 1
    ) -> BatchAnswered:
        """See OpenPlatform.register."""
        return self._runner.run(self._platform.register(batch, request_id=request_id, tries=tries))


@contextmanager
def blocking(
    ledger: Ledger, hospital: Hospital, *, connection: Connection, tables: Mapping[str, CodeTable]
) -> Iterator[BlockingPlatform]:
    """A hospital's open platform. Raises BadConnection and LedgerUnreachable."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        entering = stack.enter_async_context(opened(ledger, hospital, connection=connection, tables=tables))
        platform = runner.run(entering)
        try:
            yield BlockingPlatform(platform, runner)
        finally:
            runner.run(stack.aclose())
