"""An earlier release of this project, taken out of git into a folder and an environment of its own.

Nothing of it is imported here: its command line and its Airflow are run as processes, as its users run them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedded.children import clean_environment

ROOT = Path(__file__).resolve().parents[2]

TAG = "v0.1.0"
COMMIT = "d37997402bf75dbcefb8a4c8cc9f02da9a946744"
"""What the tag names; taken where a clone has no tags."""


class NoRelease(Exception):
    """The earlier release cannot be had; the text says what to do."""


@dataclass(frozen=True, kw_only=True)
class Code:
    """A checkout with its environment. `programs`: the folder of that environment's programs."""

    root: Path
    programs: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.programs / "python"

    def start(self, env: Mapping[str, str], *words: str) -> subprocess.Popen[bytes]:
        """`python -m card_usage ...`, started, its output thrown away."""
        return subprocess.Popen(
            [self.python, "-m", "card_usage", *words],
            cwd=self.root,
            env=clean_environment() | dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def run(self, env: Mapping[str, str], *words: str, code: int = 0) -> str:
        """`python -m card_usage ...` to its end; returns what it printed. Another exit code fails with all it said."""
        done = subprocess.run(
            [self.python, "-m", "card_usage", *words],
            cwd=self.root,
            env=clean_environment() | dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == code, f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def told(self, env: Mapping[str, str], *words: str, code: int = 0) -> dict[str, Any]:
        """The same with --json, read."""
        found: dict[str, Any] = json.loads(self.run(env, *words, "--json", code=code))
        return found


def current() -> Code:
    """The checkout that this file belongs to."""
    return Code(root=ROOT, programs=Path(sys.executable).parent)


def released(folder: Path) -> Code:
    """The earlier release below `folder`, checked out and installed from its own pins; at once if it is there.

    UPGRADE_FROM names another tag or commit to begin from. Raises NoRelease.
    """
    commit = _commit(os.environ.get("UPGRADE_FROM"))
    root = folder / commit[:12]
    if not (root / "Makefile").exists():
        root.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True)
        subprocess.run(["tar", "--extract", "--directory", root], input=archive.stdout, check=True)
    try:
        subprocess.run(
            [root / "scripts" / "bootstrap"],
            env=clean_environment() | {"PYTHON": sys.executable},
            check=True,
            capture_output=True,
            text=True,
        )
    except subprocess.CalledProcessError as failure:
        raise NoRelease(f"{root} could not be installed:\n{failure.stdout}\n{failure.stderr}") from None
    return Code(root=root, programs=root / ".venv" / "bin")


def _commit(asked: str | None) -> str:
    for name in [asked] if asked else [TAG, COMMIT]:
        found = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if found.returncode == 0:
            return found.stdout.strip()
    raise NoRelease(f"git knows neither {asked or f'{TAG} nor {COMMIT}'}: git fetch --tags --unshallow")
