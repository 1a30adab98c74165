"""What every test may ask for, and the surroundings each runs in.

Promises: no setting of the developer's shell reaches a test, nothing is written to ~/airflow, quick tests run first,
and a missing database server is said aloud: a skip on a developer's machine, a failure in CI.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import ledgers
import mariadb
import platform_sandbox
import postgres as pg
import pytest
from card_usage.ledger import database
from card_usage.ledger.database import Ledger
from forked_cli import CommandLine
from needs import needed
from receivers import Mailbox, Webhook, mailbox, webhook
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).resolve().parent.parent

# An example that takes long on a busy machine is no fault of what is tested; what hangs ends by pytest's own time-out.
hypothesis.settings.register_profile("project", deadline=None)
hypothesis.settings.load_profile("project")
FAST = ("unit", "golden")
AIRFLOW_RUNS = "tests/dags/test_runs"

# What tests write is small and soon gone: in memory, databases are made in a twentieth of the time.
MEMORY, ENOUGH = Path("/dev/shm"), 4 << 30  # noqa: S108
if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)

# Airflow reads its surroundings when it is first imported, so they are laid out here, before any test module is.
for name in [name for name in os.environ if name.startswith(("AIRFLOW", "CARD_USAGE_"))]:
    del os.environ[name]
AIRFLOW_HOME = Path(tempfile.mkdtemp(prefix="card_usage_airflow_"))
os.environ |= {
    "AIRFLOW_HOME": str(AIRFLOW_HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DEFAULT_TIMEZONE": "Asia/Shanghai",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
}


database.KEY_FOLDER = AIRFLOW_HOME / "keys"  # of ledgers on PostgreSQL


def pytest_unconfigure() -> None:
    """Here and not at interpreter exit, which children forked by Airflow reach too."""
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What says most in the shortest time comes first, then the long ones, then what fills the gaps behind them."""
    long = {item.path for item in items if item.get_closest_marker("slow")}

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        if folder in FAST:
            return FAST.index(folder)
        return len(FAST) + (0 if folder == "dags" else 1 if item.path in long else 2)

    items.sort(key=rank)


class _Files(LoadFileScheduling):
    """Whole files go to one process each, for the tests of some build on each other; those that need a running Airflow
    go to one together, which starts it once."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return AIRFLOW_RUNS if file.startswith(AIRFLOW_RUNS) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Files:
    """In the order of the collection, and not in that of the number of tests in a file."""
    config.option.loadscopereorder = False
    return _Files(config, log)


@pytest.fixture(scope="session")
def postgres() -> Iterator[pg.Cluster]:
    """A running PostgreSQL server that belongs to this test session alone."""
    cluster = pg.Cluster(needed("PostgreSQL", pg.programs()))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def postgres_url(postgres: pg.Cluster) -> Iterator[str]:
    """SQLAlchemy URL (postgresql+psycopg://) of an empty database made for this test."""
    name = postgres.create()
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture(scope="session")
def _ledger_template(postgres: pg.Cluster) -> str:
    """Name of an empty ledger on PostgreSQL, to make others from."""
    name = postgres.create()
    ledgers.found(postgres.url(name))
    return name


@pytest.fixture
def postgres_ledger_url(postgres: pg.Cluster, _ledger_template: str) -> Iterator[str]:
    """SQLAlchemy URL of an empty ledger on PostgreSQL, made for this test."""
    name = postgres.create(_ledger_template)
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture(params=ledgers.DATABASES)
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """SQLAlchemy URL of an empty ledger: the test runs once for each database that a ledger may be in."""
    if request.param == "sqlite":
        return ledgers.sqlite_url(tmp_path)
    return str(request.getfixturevalue("postgres_ledger_url"))


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """An empty ledger, in turn on SQLite and PostgreSQL."""
    with ledgers.opened(ledger_url) as opened:
        yield opened


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger on SQLite alone, where the database makes no difference."""
    with ledgers.sqlite(tmp_path) as opened:
        yield opened


@pytest.fixture
def postgres_ledger(postgres_ledger_url: str) -> Iterator[Ledger]:
    """An empty ledger on PostgreSQL alone."""
    with ledgers.opened(postgres_ledger_url) as opened:
        yield opened


@pytest.fixture(scope="session")
def command_line() -> Iterator[CommandLine]:
    """Runs commands of the command line, each in a process of its own."""
    running = CommandLine()
    try:
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def maria_server() -> Iterator[mariadb.Server]:
    """A running MariaDB server that belongs to this module's tests alone."""
    server = mariadb.Server(needed("MariaDB", mariadb.programs()))
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def sandbox() -> Iterator[platform_sandbox.RunningSandbox]:
    """A running platform without faults."""
    with platform_sandbox.serve() as running:
        yield running


@pytest.fixture
def box() -> Iterator[Mailbox]:
    """A running SMTP server."""
    with mailbox() as running:
        yield running


@pytest.fixture
def hook() -> Iterator[Webhook]:
    """A running web server that stands for a robot."""
    with webhook() as running:
        yield running
