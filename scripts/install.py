"""Installs the pinned requirements into .venv, with uv and the package index pip is set to, or with pip.

Promises: a second run with unchanged requirement files and interpreter returns at once and touches nothing; pip's own
settings (index-url, extra-index-url, find-links, trusted-host, cert) from pip.conf or PIP_* hold for uv too, so a
machine that knows only a mirror needs no second configuration. Standard library only: nothing is installed before it.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BUILD = "requirements-build.txt"
RUNTIME = ("requirements.txt",)
DEVELOPMENT = ("requirements.txt", "requirements-dev.txt")
# What decides whether an installation is still the right one, besides the requirement files and the interpreter.
RECIPE = ("pyproject.toml", "setup.py", "scripts/install.py", BUILD)


class InstallError(Exception):
    """The environment cannot be made; the text says what to do."""


def fingerprint(files: Sequence[str], root: Path = ROOT) -> str:
    """SHA-256 over interpreter, place and the named files: the text of a stamp."""
    digest = hashlib.sha256(f"{sys.version_info[:3]} {root}".encode())
    for name in (*files, *RECIPE):
        digest.update(f"\n{name}\n".encode() + (root / name).read_bytes())
    return digest.hexdigest()


def pip_settings(listing: str) -> dict[str, list[str]]:
    """Settings by name from the output of `pip config list`; lists are split, the more specific source wins.

    >>> pip_settings("global.index-url='https://a/simple'\\n:env:.index-url='https://b/simple'")
    {'index-url': ['https://b/simple']}
    """
    rank = {"global": 0, "install": 1, ":env:": 2}
    found: dict[str, tuple[int, list[str]]] = {}
    for line in listing.splitlines():
        key, separator, quoted = line.partition("=")
        source, dot, name = key.rpartition(".")
        if not separator or not dot or source not in rank:
            continue
        try:
            text = str(ast.literal_eval(quoted))
        except (SyntaxError, ValueError):
            text = quoted
        if name not in found or rank[source] >= found[name][0]:
            found[name] = (rank[source], text.split())
    return {name: values for name, (_, values) in found.items()}


def uv_arguments(settings: Mapping[str, Sequence[str]], environ: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """pip's settings as arguments and environment for uv. What the caller set for uv itself (UV_*) is left alone."""
    # pip looks at all its indexes and takes the best match; without this uv stops at the first that has the name.
    arguments = ["--index-strategy", "unsafe-best-match"]
    variables = {"UV_PYTHON_DOWNLOADS": "never"}
    if not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & environ.keys():
        for url in settings.get("index-url", ())[:1]:
            arguments += ["--default-index", url]
    for option, name in (
        ("extra-index-url", "--index"),
        ("find-links", "--find-links"),
        ("trusted-host", "--allow-insecure-host"),
    ):
        for value in settings.get(option, ()):
            arguments += [name, value]
    certificate = settings.get("cert", ())
    if certificate and "SSL_CERT_FILE" not in environ:
        variables["SSL_CERT_FILE"] = certificate[0]
    return arguments, variables


def run(command: Sequence[str | Path], **variables: str) -> None:
    """The command, its output passed through; raises CalledProcessError."""
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT, env={**os.environ, **variables})


def make_venv(venv: Path) -> None:
    """An empty environment of this interpreter, in place of whatever stood there."""
    if venv.exists():
        shutil.rmtree(venv)
    try:
        run([sys.executable, "-m", "venv", venv])
    except subprocess.CalledProcessError:
        raise InstallError(
            "python3 cannot make a virtual environment; on Debian or Ubuntu: apt-get install python3-venv"
        ) from None


def version_of(python: Path) -> str | None:
    """`major.minor` of an environment's interpreter, or None if it does not run (moved, or its Python removed)."""
    try:
        answer = subprocess.run(
            [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def install(venv: Path, files: Sequence[str]) -> str:
    """Requirements and this project into the environment; returns the installer that did it, `uv` or `pip`."""
    python = venv / "bin" / "python"
    # Every package is one that was locked, by its hash, and none is built from source: that would fetch others unseen.
    locked = ["--require-hashes", "--only-binary", ":all:"]
    wanted = [*locked, *(part for name in files for part in ("-r", name))]
    pip: list[str | Path] = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    own = ["--no-deps", "--no-build-isolation", "--editable", "."]
    try:
        run([*pip, "--no-deps", *locked, "-r", BUILD])
    except subprocess.CalledProcessError:
        raise _unreachable() from None
    if os.environ.get("INSTALLER") != "pip":
        try:
            listing = subprocess.run(
                [python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
            )
            arguments, variables = uv_arguments(pip_settings(listing.stdout), os.environ)
            uv: list[str | Path] = [python, "-m", "uv", "pip", "install", "--python", python, "--quiet", *arguments]
            run([*uv, *wanted], **variables)
            run([*uv, *own], **variables)
            return "uv"
        except subprocess.CalledProcessError:
            print("install: uv could not do it (see above); trying pip, which takes longer", flush=True)
    try:
        # The lists are complete: without --no-deps pip would only resolve again what is already pinned.
        run([*pip, "--no-deps", *wanted])
        run([*pip, *own])
    except subprocess.CalledProcessError:
        raise _unreachable() from None
    return "pip"


def _unreachable() -> InstallError:
    return InstallError(
        "the requirements could not be installed (see above). If a hash does not match, the index gave another file "
        "than the one that was locked: do not install it. If this machine reaches PyPI only through a mirror: "
        "pip config set global.index-url https://your.mirror/simple"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dev", action="store_true", help="tests, checks and benchmarks too")
    files = DEVELOPMENT if parser.parse_args().dev else RUNTIME

    python = VENV / "bin" / "python"
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    # The development list contains the runtime list, so its stamp serves both.
    stamps: dict[Path, tuple[str, ...]] = {VENV / ".installed-dev": DEVELOPMENT}
    if files is RUNTIME:
        stamps[VENV / ".installed"] = RUNTIME
    if python.exists() and any(s.exists() and s.read_text() == fingerprint(names) for s, names in stamps.items()):
        return

    started = time.monotonic()
    if version_of(python) != here:
        print(f"install: making .venv with Python {here}", flush=True)
        make_venv(VENV)
    print("install: " + " and ".join(files), flush=True)
    installer = install(VENV, files)
    (VENV / (".installed-dev" if files is DEVELOPMENT else ".installed")).write_text(fingerprint(files))
    print(f"install: done in {time.monotonic() - started:.0f} s with {installer}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except InstallError as problem:
        sys.exit(f"install: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
