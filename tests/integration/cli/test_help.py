"""Help, version and completion of the command line: quick, complete, and without the pipeline behind it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest
from card_usage.cli.verbs import FILES, add_file

HEAVY = ("sqlalchemy", "pydantic", "aiohttp", "jinja2", "rich", "alembic")
COMMAND = Path(sys.executable).with_name("card_usage")


@pytest.mark.parametrize("file", FILES)
def test_the_list_of_verbs_is_what_the_files_add(file: str) -> None:
    commands = argparse.ArgumentParser().add_subparsers()
    add_file(commands, file)
    assert {action.dest: action.help for action in commands._choices_actions} == FILES[file]


def test_every_file_of_verbs_is_listed() -> None:
    folder = Path(import_module("card_usage.cli").__path__[0])
    assert {path.stem for path in folder.glob("*.py") if "def add_commands(" in path.read_text()} == set(FILES)


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(flag: str) -> None:
    code = f"import sys; from card_usage.cli.main import main\ntry: main(['{flag}'])\nexcept SystemExit: pass\n"
    code += f"loaded = set(sys.modules) & set({HEAVY}); assert not loaded, loaded"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_command_is_installed_and_says_its_version() -> None:
    said = subprocess.run([COMMAND, "--version"], check=True, capture_output=True, text=True).stdout
    assert said == f"card_usage {version('card-usage-pipeline')}\n"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("card_usage re", {"reconcile", "report", "redeliver", "report-month", "report-fleet", "resume"}),
        ("card_usage hospital ", {"check", "new"}),
        ("card_usage pause --", {"--hospital", "--all", "--help", "--reason"}),
    ],
)
def test_the_shell_completes_verbs_and_arguments(typed: str, offered: set[str], tmp_path: Path) -> None:
    environment = os.environ | {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "offered"),
        "COMP_LINE": typed,
        "COMP_POINT": str(len(typed)),
    }
    subprocess.run([COMMAND], env=environment, check=True, capture_output=True)
    assert offered <= {word.strip() for word in (tmp_path / "offered").read_text().split("\n")}
