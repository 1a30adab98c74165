"""Executor: ledger transactions for asynchronous callers, one at a time, in a thread of their own, with retries.

A transaction that failed on a broken connection is retried as a whole. Its first attempt may have been committed, so
every transaction given to an executor must be idempotent: it changes rows only from the state that it expects.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from card_usage.errors import LedgerAltered, LedgerUnreachable
from card_usage.ledger.database import Ledger

log = logging.getLogger(__name__)
T = TypeVar("T")

_NO_TEXT: Final = "Could not decode to UTF-8"
"""What SQLite's driver says, as of a lost database, of a text column that holds other bytes."""


class LedgerExecutor(Protocol):
    """What a deliverer needs of the ledger. `retries` counts the transactions that had to be retried."""

    retries: int

    async def write(self, transaction: Callable[[Connection], T]) -> T:
        """Run `transaction` in a transaction of its own. Raises LedgerUnreachable when the database stays away."""
        ...


class ThreadedExecutor:
    """Runs transactions in one thread; retries them for `patience` seconds."""

    def __init__(self, ledger: Ledger, *, patience: float = 120.0) -> None:
        self.retries = 0
        self._ledger = ledger
        self._patience = patience
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")

    async def write(self, transaction: Callable[[Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        pause = 0.2
        while True:
            try:
                return await loop.run_in_executor(self._thread, self._once, transaction)
            except DBAPIError as error:
                url = self._ledger.engine.url
                where = f"{url.get_backend_name()} {url.host or url.database or ''}".strip()
                if str(error.orig).startswith(_NO_TEXT):
                    raise LedgerAltered(url=where) from None  # it will be so the next time, too
                lost = error.connection_invalidated or isinstance(error, OperationalError)
                if not lost or loop.time() >= deadline:
                    raise LedgerUnreachable(url=where, reason=type(error.orig).__name__) from None
                self.retries += 1
                log.warning("ledger: %s, trying again in %.1f s", type(error.orig).__name__, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)

    def _once(self, transaction: Callable[[Connection], T]) -> T:
        with self._ledger.write() as connection:
            return transaction(connection)

    def close(self) -> None:
        """End the thread; the ledger itself stays open."""
        self._thread.shutdown()
