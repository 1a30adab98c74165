"""What tasks need is loaded where they are forked from, and nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from card_usage_airflow.preloading import MODULES, is_parent

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json
import sys
sys.argv = {argv!r}
sys.path[:0] = [{include!r}, {plugins!r}]
import card_usage_plugin
card_usage_plugin.CardUsagePlugin.on_load()
print(json.dumps(sorted({{*{modules!r}}} & set(sys.modules))))
"""


@pytest.mark.parametrize(
    ("argv", "parent"),
    [
        (["/venv/bin/airflow", "scheduler", "--skip-serve-logs"], True),
        (["airflow", "celery", "worker", "-q", "default"], True),
        (["airflow", "celery", "flower"], False),
        (["airflow", "api-server"], False),
        (["airflow", "dag-processor"], False),
        (["airflow", "triggerer"], False),
        (["airflow", "dags", "list"], False),
        (["python", "scheduler"], False),
        ([], False),
    ],
)
def test_scheduler_and_celery_worker_are_what_tasks_are_forked_from(argv: list[str], parent: bool) -> None:
    assert is_parent(argv) is parent


@pytest.mark.parametrize("command", ["scheduler", "api-server"])
def test_every_module_can_be_loaded_and_is_loaded_in_these_processes_alone(command: str, tmp_path: Path) -> None:
    text = PROGRAM.format(
        argv=["/venv/bin/airflow", command],
        include=str(ROOT / "include"),
        plugins=str(ROOT / "plugins"),
        modules=MODULES,
    )
    ended = subprocess.run(
        [sys.executable, "-c", text],
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "cannot be loaded" not in ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1]) == (sorted(MODULES) if command == "scheduler" else [])


def test_the_shipped_settings_load_the_plugin_before_the_first_fork() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))
    environment = compose["services"]["airflow-scheduler"]["environment"]
    assert environment["AIRFLOW__CORE__LAZY_LOAD_PLUGINS"] == "false"
