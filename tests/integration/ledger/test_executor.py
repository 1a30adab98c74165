"""What somebody wrote into a ledger past the product is told at once: it is not waited for as a lost database is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from card_usage.errors import LedgerAltered
from card_usage.ledger.database import Ledger
from card_usage.ledger.executor import ThreadedExecutor
from card_usage.ledger.schema import event
from ledgers import sqlite
from shredded_day import row, take
from sqlalchemy import select, text


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with sqlite(tmp_path) as opened:
        take(opened, [row(0), row(1)])
        yield opened


async def test_text_that_is_none_ends_a_run_at_once(ledger: Ledger) -> None:
    with ledger.write() as connection:
        connection.execute(text("UPDATE event SET department_name = CAST(x'ff00ff' AS TEXT)"))
    executor = ThreadedExecutor(ledger)
    began = time.monotonic()
    with pytest.raises(LedgerAltered):
        await executor.write(lambda connection: connection.execute(select(event)).all())
    assert executor.retries == 0
    assert time.monotonic() - began < 60
    executor.close()
