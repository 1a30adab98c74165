"""The tests' own PostgreSQL server keeps its promises."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import postgres as pg
import pytest
import sqlalchemy as sa
from needs import needed

TESTS = Path(pg.__file__).parent


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    engine = sa.create_engine(url)
    try:
        with engine.begin() as connection:
            result = connection.execute(sa.text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        engine.dispose()


def test_each_database_is_fresh(postgres: pg.Cluster) -> None:
    first, second = postgres.create(), postgres.create()
    rows(postgres.url(first), "create table only_here (id int)")
    assert rows(postgres.url(second), "select to_regclass('only_here')") == [(None,)]
    postgres.drop(first)
    postgres.drop(second)


def test_a_filled_template_is_copied_with_what_is_in_it(postgres: pg.Cluster) -> None:
    template = postgres.create()
    rows(postgres.url(template), "create table migrated as select 7 as revision")
    copy = postgres.create(template)
    assert rows(postgres.url(copy), "select revision from migrated") == [(7,)]
    postgres.drop(copy)
    postgres.drop(template)


def test_chinese_text_survives_and_the_server_is_not_run_by_root(postgres_url: str) -> None:
    assert rows(postgres_url, "select '电子健康卡', current_setting('fsync')") == [("电子健康卡", "off")]
    owner = rows(postgres_url, "select pg_stat_file('.') is not null, current_setting('data_directory')")[0][1]
    assert Path(str(owner)).stat().st_uid != 0


def test_data_outlives_a_crash_of_the_server() -> None:
    cluster = pg.Cluster(needed("PostgreSQL", pg.programs()))
    try:
        cluster.start()
        url = cluster.url(cluster.create())
        rows(url, "create table kept as select 1 as one")
        cluster.stop(signal.SIGQUIT)
        with pytest.raises(sa.exc.OperationalError):
            rows(url, "select 1")
        cluster.start()
        assert rows(url, "select one from kept") == [(1,)]
    finally:
        cluster.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_a_killed_test_run_leaves_no_server_behind() -> None:
    programs = needed("PostgreSQL", pg.programs())
    script = textwrap.dedent(f"""
        import pathlib, postgres, time
        cluster = postgres.Cluster(pathlib.Path({str(programs)!r}))
        cluster.start()
        print(cluster._process.pid, cluster._home, flush=True)
        time.sleep(60)
    """)
    run = subprocess.Popen(
        [sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": str(TESTS)}, stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    pid, home = run.stdout.readline().split()
    run.kill()
    run.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    try:
        assert not Path(f"/proc/{pid}").exists()
    finally:
        subprocess.run(["rm", "-rf", home], check=True)
