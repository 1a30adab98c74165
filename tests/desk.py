"""An engineer's shell: the command line in real processes, with a HIS file, a ledger and a platform of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import demo_his
import ledgers
import platform_sandbox
from forked_cli import CommandLine

DAY = date(2026, 3, 2)


def span(first: date, days: int = 2) -> list[str]:
    """Arguments for some days of the demo hospital."""
    return ["--hospital", "demo_hospital", "--from", f"{first}", "--to", f"{first + timedelta(days=days - 1)}"]


SPAN = span(DAY)


@dataclass
class Desk:
    """An engineer's shell."""

    home: Path
    sandbox: platform_sandbox.RunningSandbox
    environment: dict[str, str]
    command_line: CommandLine | None
    """None: each command is started as engineers do, a second later."""

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "card_usage", *args]

    def run(self, *args: str, **changes: str) -> subprocess.CompletedProcess[str]:
        environment = self.environment | changes
        if self.command_line is not None:
            return self.command_line.run(list(args), environment)
        return subprocess.run(
            self.command(*args), env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    def json(self, *args: str) -> dict[str, Any]:
        done = self.run(*args, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]


@contextmanager
def opened(
    tmp_path: Path,
    command_line: CommandLine | None,
    first: date = DAY,
    *,
    platform: platform_sandbox.Config | None = None,
    uses: int = 400,
    days: int = 2,
) -> Iterator[Desk]:
    """A fresh one, some days in its HIS, its ledger migrated."""
    listed = [first + timedelta(days=n) for n in range(days)]
    demo_his.create(f"sqlite:///{tmp_path}/his.db", listed, uses_per_day=uses, seed=9)
    with platform_sandbox.serve(platform) as sandbox:
        connection = {"conn_type": "http", "host": sandbox.url, "login": "demo-app-id", "password": "demo-app-secret"}
        environment = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}} | {
            "CARD_USAGE_LEDGER_URL": ledgers.sqlite_url(tmp_path),
            "CARD_USAGE_KEY": ledgers.KEY,
            "CARD_USAGE_REPORTS": str(tmp_path / "reports"),
            "CARD_USAGE_EVIDENCE": str(tmp_path / "evidence"),
            "CARD_USAGE_STATEMENTS": str(tmp_path / "statements"),
            "AIRFLOW_CONN_DEMO_HIS": f"sqlite:///{tmp_path}/his.db",
            "AIRFLOW_CONN_DEMO_PLATFORM": json.dumps(connection),
        }
        yield Desk(tmp_path, sandbox, environment, command_line)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The single line of an error; no traceback, nothing twice."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("card_usage:")]
    assert len(told) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return told[0]
