"""The commands that tests fork are those that engineers start."""

from __future__ import annotations

import subprocess
import sys

import pytest
from forked_cli import CommandLine

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["key", "--id"], ["ledger", "migrate"], ["stage", "--hospital", "nowhere", "--from", "2026-02-30"]],
)
def test_a_forked_command_says_and_returns_what_a_started_one_does(
    command_line: CommandLine, arguments: list[str]
) -> None:
    started = subprocess.run(
        [sys.executable, "-m", "card_usage", *arguments], env=ENVIRONMENT, capture_output=True, text=True
    )
    forked = command_line.run(arguments, ENVIRONMENT)
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)


def test_nothing_of_a_command_reaches_the_next(command_line: CommandLine, tmp_path: object) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    assert command_line.run(["ledger", "migrate"], ENVIRONMENT | {"CARD_USAGE_LEDGER_URL": url}).returncode == 0
    assert "CARD_USAGE_LEDGER_URL" in command_line.run(["ledger", "migrate"], ENVIRONMENT).stderr
