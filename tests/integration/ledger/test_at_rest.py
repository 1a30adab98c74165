"""What a SQLite ledger leaves on the disk, and who may read it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from card_usage.ledger.database import create_ledger_engine, migrate, open_ledger
from ledgers import KEYRING, sqlite_url


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in folder.iterdir()}


def test_a_ledger_is_its_users_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    home = tmp_path / "a" / "b"
    migrate(f"sqlite:///{home}/ledger.db")
    ledger = open_ledger(f"sqlite:///{home}/ledger.db", KEYRING)
    with ledger.write():
        assert {path.name for path in home.iterdir()} == {"ledger.db", "ledger.db-wal", "ledger.db-shm"}
        assert modes(home) == {0o600}
    ledger.close()
    assert {folder.stat().st_mode & 0o777 for folder in (home, home.parent)} == {0o700}


def test_a_ledger_of_an_earlier_version_that_all_may_read_is_closed_to_them_when_it_is_opened(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    (tmp_path / "ledger.db").chmod(0o644)
    open_ledger(url, KEYRING).close()
    assert modes(tmp_path) == {0o600}


def test_the_rights_of_what_a_link_leads_to_are_left_alone(tmp_path: Path) -> None:
    sqlite_url(tmp_path, "other")
    (tmp_path / "other.db").chmod(0o644)
    (tmp_path / "ledger.db").symlink_to(tmp_path / "other.db")
    open_ledger(f"sqlite:///{tmp_path}/ledger.db", KEYRING).close()
    assert (tmp_path / "other.db").stat().st_mode & 0o777 == 0o644


def test_what_is_erased_is_not_in_the_file_any_more_once_the_journal_is_worked_in(tmp_path: Path) -> None:
    secrets = [os.urandom(200) for _ in range(300)]
    engine = create_ledger_engine(f"sqlite:///{tmp_path}/ledger.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id INTEGER PRIMARY KEY, sealed BLOB)")
        for secret in secrets:
            connection.exec_driver_sql("INSERT INTO t (sealed) VALUES (?)", (secret,))
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE t SET sealed = NULL")
    with engine.connect() as connection:
        connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert sum(secret[20:80] in left for secret in secrets) == 0
    engine.dispose()
