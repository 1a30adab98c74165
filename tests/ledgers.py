"""Fresh ledgers, migrated once for a whole run: SQLite ones are copied from a file, PostgreSQL ones from a template.

Each belongs to `KEYRING`: its founding key is written in already, as opening it for the first time would do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from card_usage.config.keyring import Keyring
from card_usage.ledger.database import Ledger, migrate, open_ledger

DATABASES = ["sqlite", "postgresql"]
KEY = "t:" + "A" * 43 + "="
KEYRING = Keyring.parse(KEY)


def found(url: str) -> None:
    """Migrate an empty database to the newest revision and write the founding key of `KEYRING`."""
    migrate(url)
    open_ledger(url, KEYRING).close()


@cache
def _file() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        found(f"sqlite:///{path}")
        return path.read_bytes()


def sqlite_url(folder: Path, name: str = "ledger") -> str:
    """The URL of a fresh ledger in `folder`."""
    path = folder / f"{name}.db"
    path.write_bytes(_file())
    return f"sqlite:///{path}"


@contextmanager
def opened(url: str) -> Iterator[Ledger]:
    """A ledger, closed afterwards."""
    ledger = open_ledger(url, KEYRING)
    try:
        yield ledger
    finally:
        ledger.close()


@contextmanager
def sqlite(folder: Path, name: str = "ledger") -> Iterator[Ledger]:
    """A fresh ledger in a file, closed afterwards."""
    with opened(sqlite_url(folder, name)) as ledger:
        yield ledger
