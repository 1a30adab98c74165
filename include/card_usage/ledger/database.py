"""Database: the ledger in SQLite (embedded) or PostgreSQL, migrated by Alembic, checked before use."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url, select, update
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, NoSuchModuleError
from sqlalchemy.pool import ConnectionPoolEntry

from card_usage.config.day_keys import DayKeys
from card_usage.config.keyring import Keyring
from card_usage.errors import (
    BadLedgerUrl,
    DayKeysLost,
    LedgerBehind,
    LedgerNotWritable,
    LedgerReplaced,
    LedgerUnreachable,
    WrongKey,
)
from card_usage.files.shipped import SHIPPED
from card_usage.ledger.macs import KEYRING, SINCE, begin
from card_usage.ledger.schema import event as event_table
from card_usage.ledger.schema import meta
from card_usage.ledger.upsert import insert_into

REST_SECONDS = 1.0
MIGRATIONS = SHIPPED / "migrations"
KEY_FOLDER = Path("var/keys")
"""Where the data keys of a PostgreSQL ledger lie, unless a setting says otherwise; a SQLite one has them beside it."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """An open ledger. `write()` commits at the end of the block or not at all; `read()` never writes. `day_keys`: what
    its patients' fields are sealed by; without a folder they live as long as this object."""

    engine: Engine = field(repr=False)
    keyring: Keyring = field(repr=False)
    day_keys: DayKeys = field(repr=False, default=None)  # type: ignore[assignment]  # set below

    def __post_init__(self) -> None:
        if self.day_keys is None:
            object.__setattr__(self, "day_keys", DayKeys(self.keyring))

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction. On SQLite it takes the write lock at its start, so it never fails half way on a lock."""
        with self.engine.begin() as connection:
            connection.info[KEYRING] = self.keyring
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view, no lock: every statement of the block sees the ledger as the first one did."""
        options: dict[str, Any] = {"read_only": True}
        if self.dialect == "postgresql":
            options["isolation_level"] = "REPEATABLE READ"
        with self.engine.connect().execution_options(**options) as connection:
            connection.info[KEYRING] = self.keyring
            yield connection

    @property
    def dialect(self) -> str:
        """'sqlite' or 'postgresql'."""
        return self.engine.dialect.name

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


@contextmanager
def viewed(url: str) -> Iterator[Connection]:
    """A connection that can only read, without any key: for pages. Raises as `open_ledger`, and LedgerUnreachable for
    what the login may not read."""
    engine = _opened(url)
    try:
        with engine.connect().execution_options(read_only=True) as connection:
            if engine.dialect.name == "postgresql":
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            yield connection
    except DBAPIError as error:
        raise unusable(engine.url, error) from None
    finally:
        engine.dispose()


def open_ledger(url: str, keyring: Keyring) -> Ledger:
    """Open and check. Raises BadLedgerUrl, LedgerUnreachable, LedgerBehind (migrate first), WrongKey or DayKeysLost."""
    engine = _opened(url)
    try:
        name = _identify(Ledger(engine, keyring))
        home = _key_folder(engine.url, keyring) / name
        if not home.is_dir() and _has_day_keys(engine):
            raise DayKeysLost(path=home)
    except BaseException:
        engine.dispose()
        raise
    return Ledger(engine, keyring, DayKeys(keyring, home))


def take_over_keys(ledger: Ledger, wanted: Collection[tuple[str, str]]) -> None:
    """Give a ledger that has made no data key of its own those of the lost one that it stands for: the folder beside
    its own that has most of `wanted` (hospital and id). Nothing, if there is none."""
    home = ledger.day_keys.home
    if home is None or not home.parent.is_dir() or any(ledger.day_keys.files()):
        return
    found = {
        folder: sum((file.hospital, file.id) in wanted for file in DayKeys(ledger.keyring, folder).files())
        for folder in sorted(home.parent.iterdir())
        if folder.is_dir() and not folder.is_symlink()
    }
    most = max(found, key=lambda folder: found[folder], default=None)
    if most is None or not found[most]:
        return
    with ledger.write() as connection:
        connection.execute(update(meta).where(meta.c.name == _NAME).values(setting=most.name))
    ledger.day_keys.home = most


def _key_folder(url: URL, keyring: Keyring) -> Path:
    """Where data keys lie: as the setting says, else beside a SQLite ledger, else in var/keys."""
    if keyring.folder is not None:
        return keyring.folder
    in_file = url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:"
    return Path(f"{url.database}.keys") if in_file else KEY_FOLDER


def _has_day_keys(engine: Engine) -> bool:
    with engine.connect().execution_options(read_only=True) as connection:
        query = select(event_table.c.id).where(event_table.c.sealed.is_not(None), event_table.c.key_id.contains(":"))
        return connection.scalar(query.limit(1)) is not None


def _opened(url: str) -> Engine:
    engine = create_ledger_engine(url)
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    except DBAPIError as error:
        engine.dispose()
        raise unusable(engine.url, error) from None
    if current != head_revision():
        engine.dispose()
        raise LedgerBehind(found=current or "empty", wanted=head_revision())
    return engine


def create_ledger_engine(url: str) -> Engine:
    """An engine fit for the ledger: parameters hidden from errors, SQLite with WAL and full sync."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
            raise BadLedgerUrl(problem=parsed.get_backend_name())
        if parsed.get_backend_name() == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
            engine = create_engine(parsed, hide_parameters=True, connect_args={"connect_timeout": 10})
            _ask_after_rest(engine)
            return engine
        engine = create_engine(parsed, hide_parameters=True, connect_args={"timeout": 60, "check_same_thread": False})
    except (ArgumentError, NoSuchModuleError):
        raise BadLedgerUrl(problem="not readable") from None
    if parsed.database and parsed.database != ":memory:":
        path = Path(parsed.database)
        _make_private(path)
        in_place = _FileInPlace(path)
        event.listen(engine, "begin", in_place.check)  # before the transaction, and before its lock
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "connect", in_place.remember)
    else:
        event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_private(path: Path) -> None:
    """The file of a ledger, which only its user may read, whatever the umask; a folder that has to be made for it, too.
    SQLite gives its -wal and -shm the rights of the file."""
    missing = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):  # what keeps it from being opened is told by whoever opens it
        for folder in missing:
            folder.chmod(0o700)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
            if file.exists() and not file.is_symlink() and file.stat().st_uid == os.geteuid():
                file.chmod(file.stat().st_mode & 0o700)


class _FileInPlace:
    """Whether a path still leads to the file that is open: one that was removed or exchanged takes all writes, and
    loses them with its last connection."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: tuple[int, int] | None = None

    def remember(self, _connection: Any, _record: object) -> None:
        """A connection was opened. Raises LedgerReplaced if it leads to another file than the first one."""
        if self._opened is None:
            self._opened = self._identity()
        self.check(None)

    def check(self, _connection: Any) -> None:
        """Raises LedgerReplaced."""
        if self._opened is not None and (now := self._identity()) != self._opened:
            raise LedgerReplaced(path=self._path, what="removed" if now is None else "replaced by another")

    def _identity(self) -> tuple[int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_dev, stat.st_ino


def _ask_after_rest(engine: Engine) -> None:
    """Ask a connection that has rested whether its server is still there, and take a fresh one if not.

    As the pool's own pre-ping does before every transaction; but a deliverer makes a hundred of them a second, and a
    round trip before each cost it some percent. One that is used without a rest finds a lost server by itself, as it
    would in the middle of a transaction.
    """

    def rests(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info["rests_since"] = time.monotonic()

    def wakes(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        since = record.info.get("rests_since")
        if since is None or time.monotonic() - since < REST_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error:
            raise DisconnectionError from None  # the pool opens another and comes here again

    event.listen(engine, "checkin", rests)
    event.listen(engine, "checkout", wakes)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin by itself; _begin_sqlite does
    # 8 MiB of cache: eight times as much made nothing faster, for the system keeps the file's pages too, and every
    # connection grew to that.
    # secure_delete: what is erased is overwritten in the file, not merely left out of it.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-8192", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _where(url: URL) -> str:
    # A password with an @ that is not written %40 reaches into the host.
    host = (url.host or "").rpartition("@")[2]
    return f"{url.get_backend_name()} {host or url.database or ''}".strip()


def _alembic(url: URL) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    return config


def head_revision() -> str:
    """The revision that this code needs."""
    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    assert head is not None, "migrations ship with the code"  # noqa: S101
    return head


def migrate(url: str) -> str:
    """Bring the ledger to this code's revision, creating it if need be; returns the revision. Safe to repeat."""
    engine = create_ledger_engine(url)
    config = _alembic(engine.url)
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                # Two starting containers must not migrate at once.
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4827110)")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        raise unusable(engine.url, error) from None
    finally:
        engine.dispose()
    return head_revision()


def unusable(url: URL, error: DBAPIError) -> LedgerUnreachable:
    """What keeps the ledger from being opened; SQLite's result codes tell a missing right from the rest."""
    code = getattr(error.orig, "sqlite_errorname", "")
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return LedgerNotWritable(url=_where(url), reason=code)
    return LedgerUnreachable(url=_where(url), reason=type(error.orig).__name__)


def _identify(ledger: Ledger) -> str:
    """The ledger's own name, under which its data keys lie. By another founding key its chain of evidence would seem
    forged, and every event of version 0.2.0 changed in the HIS: refuse to work."""
    with ledger.read() as connection:
        known = _settings(connection)
    if len(known) < len(_OF_A_LEDGER):
        with ledger.write() as connection:
            known = {"founding_key": ledger.keyring.fingerprint, _NAME: token_hex(8), **_settings(connection)}
            for name in ("founding_key", _NAME):
                statement = insert_into(connection, meta).values(name=name, setting=known[name])
                connection.execute(statement.on_conflict_do_nothing())
            if known["founding_key"] == ledger.keyring.fingerprint:
                begin(connection, datetime.now(UTC))
        with ledger.read() as connection:
            known = _settings(connection)
    if known["founding_key"] != ledger.keyring.fingerprint:
        raise WrongKey(key_id="(founding, the last of the list)")
    return known[_NAME]


_NAME = "ledger"
_OF_A_LEDGER = ("founding_key", _NAME, SINCE)


def _settings(connection: Connection) -> dict[str, str]:
    query = select(meta.c.name, meta.c.setting).where(meta.c.name.in_(_OF_A_LEDGER))
    return {name: setting for name, setting in connection.execute(query)}
