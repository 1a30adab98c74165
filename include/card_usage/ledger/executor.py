"""The ledger for asynchronous callers: one transaction at a time, in a thread of its own, patient with restarts.

A transaction that failed on a broken connection is tried again as a whole. Its first try may have been committed, so
what comes through here must stand a repetition: every move starts from the state it expects.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from card_usage.errors import LedgerUnreachable
from card_usage.ledger.database import Ledger

log = logging.getLogger(__name__)
T = TypeVar("T")


class Door(Protocol):
    """What a deliverer needs of the ledger. `stumbles` counts transactions that had to be tried again."""

    stumbles: int

    async def write(self, move: Callable[[Connection], T]) -> T:
        """Run `move` in one transaction. Raises LedgerUnreachable when the database stays away."""
        ...


class ThreadDoor:
    """The real one."""

    def __init__(self, ledger: Ledger, *, patience: float = 120.0) -> None:
        self.stumbles = 0
        self._ledger = ledger
        self._patience = patience
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")

    async def write(self, move: Callable[[Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        pause = 0.2
        while True:
            try:
                return await loop.run_in_executor(self._thread, self._once, move)
            except DBAPIError as error:
                lost = error.connection_invalidated or isinstance(error, OperationalError)
                if not lost or loop.time() >= deadline:
                    url = self._ledger.engine.url
                    where = f"{url.get_backend_name()} {url.host or url.database or ''}".strip()
                    raise LedgerUnreachable(url=where, reason=type(error.orig).__name__) from None
                self.stumbles += 1
                log.warning("ledger: %s, trying again in %.1f s", type(error.orig).__name__, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)

    def _once(self, move: Callable[[Connection], T]) -> T:
        with self._ledger.write() as connection:
            return move(connection)

    def close(self) -> None:
        """End the thread; the ledger itself stays open."""
        self._thread.shutdown()
