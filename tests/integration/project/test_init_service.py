"""The one-shot init service's own commands, run on a real PostgreSQL: what the first `docker compose up` will do."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import postgres as pg
import psycopg
import pytest
import yaml
from needs import needed

ROOT = Path(__file__).resolve().parents[3]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))["services"]
PASSWORD = "ledger" + secrets.token_hex(8)


def _secret(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content)
    return path


@pytest.fixture
def installation(tmp_path: Path) -> pg.Cluster:
    """A PostgreSQL as the compose file's image leaves it after its first start."""
    programs = needed("PostgreSQL", pg.programs())
    cluster = pg.Cluster(programs)
    try:
        cluster.start()
        with psycopg.connect(host="127.0.0.1", port=cluster.port, user="postgres", autocommit=True) as connection:
            connection.execute("CREATE ROLE airflow SUPERUSER LOGIN")
            connection.execute("CREATE DATABASE airflow OWNER airflow")
        script = next(v for v in SERVICES["postgres"]["volumes"] if "initdb.d" in v).split(":")[0]
        psql = shutil.which("psql") or str(programs / "psql")
        subprocess.run(
            ["sh", ROOT / script],
            check=True,
            env={
                "PATH": f"{Path(psql).parent}:{os.environ['PATH']}",
                "PGHOST": "127.0.0.1",
                "PGPORT": str(cluster.port),
                "POSTGRES_USER": "airflow",
                "POSTGRES_DB": "airflow",
                "LEDGER_PASSWORD_FILE": str(_secret(tmp_path, "ledger", PASSWORD)),
                "PAGES_PASSWORD_FILE": str(_secret(tmp_path, "pages", PASSWORD)),
            },
        )
        yield cluster
    finally:
        cluster.close()


@pytest.mark.slow
def test_the_first_start_makes_metadata_ledger_and_administrator_and_a_second_start_changes_nothing(
    installation: pg.Cluster, tmp_path: Path
) -> None:
    service = SERVICES["airflow-init"]
    shell, option, script = service["command"]
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__EXECUTOR": service["environment"]["AIRFLOW__CORE__EXECUTOR"],
        "AIRFLOW__CORE__AUTH_MANAGER": service["environment"]["AIRFLOW__CORE__AUTH_MANAGER"],
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://airflow@127.0.0.1:{installation.port}/airflow",
        "PYTHONPATH": f"{ROOT}/include:{ROOT}/plugins",
        "CARD_USAGE_LEDGER_URL": f"postgresql+psycopg://card_usage:{PASSWORD}@127.0.0.1:{installation.port}/card_usage",
    }
    password = _secret(tmp_path, "admin", secrets.token_hex(12))
    script = script.replace("/run/secrets/airflow_admin_password", str(password))
    for _ in range(2):
        done = subprocess.run(
            [shell, option, script.replace("$$", "$")], env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    with psycopg.connect(host="127.0.0.1", port=installation.port, user="airflow", dbname="airflow") as metadata:
        assert metadata.execute("select username from ab_user").fetchall() == [("admin",)]
    with psycopg.connect(
        host="127.0.0.1", port=installation.port, user="card_usage", password=PASSWORD, dbname="card_usage"
    ) as ledger:
        tables = {name for (name,) in ledger.execute("select tablename from pg_tables where schemaname = 'public'")}
        assert "alembic_version" in tables
        assert len(tables) > 1
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(host="127.0.0.1", port=installation.port, user="card_usage", dbname="airflow")
    with psycopg.connect(
        host="127.0.0.1", port=installation.port, user="card_usage_pages", password=PASSWORD, dbname="card_usage"
    ) as pages:
        assert pages.execute("select count(*) from report_file").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            pages.execute("select sealed from event")
