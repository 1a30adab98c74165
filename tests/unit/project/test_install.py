"""The bootstrap: which Python it takes, what it tells uv, and when it does nothing."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import install
import pytest

ROOT = Path(__file__).resolve().parents[3]


def interpreter(folder: Path, name: str, version: str) -> Path:
    """A program that passes for a Python of that version as far as scripts/bootstrap asks."""
    good = 11 <= int(version.split(".")[1]) <= 13
    program = folder / name
    program.write_text(
        f'#!/bin/sh\ncase "$1" in\n-V) echo "Python {version}";;\n-c) exit {0 if good else 1};;\n'
        f'*) echo "{name} $*";;\nesac\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def bootstrap(tmp_path: Path, path: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """scripts/bootstrap run in a folder that has no .venv, with only the given programs and the system's tools."""
    (tmp_path / "scripts").mkdir(exist_ok=True)
    copy = tmp_path / "scripts" / "bootstrap"
    copy.write_text((ROOT / "scripts" / "bootstrap").read_text())
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    for tool in ("dirname", "bash"):
        if not (tools / tool).exists():
            (tools / tool).symlink_to(Path("/usr/bin") / tool)
    return subprocess.run(
        [
            "/usr/bin/env",
            "-i",
            f"PATH={path}:{tools}",
            *[f"{k}={v}" for k, v in environ.items()],
            "bash",
            copy,
            *arguments,
        ],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("version", "accepted"), [("3.10.9", False), ("3.11.0", True), ("3.13.5", True), ("3.14.0", False)]
)
def test_only_supported_pythons_are_taken(tmp_path: Path, version: str, accepted: bool) -> None:
    interpreter(tmp_path, "python3", version)
    done = bootstrap(tmp_path, tmp_path)
    assert (done.returncode == 0) is accepted
    if not accepted:
        assert version in done.stderr
        assert "3.11, 3.12 or 3.13" in done.stderr


def test_an_old_python3_does_not_hide_a_newer_one_beside_it(tmp_path: Path) -> None:
    interpreter(tmp_path, "python3", "3.9.2")
    interpreter(tmp_path, "python3.12", "3.12.4")
    assert bootstrap(tmp_path, tmp_path, "--dev").stdout == "python3.12 scripts/install.py --dev\n"


def test_a_python_named_by_the_caller_is_taken_or_refused_but_never_replaced(tmp_path: Path) -> None:
    interpreter(tmp_path, "python3", "3.12.4")
    old = interpreter(tmp_path, "python3.9", "3.9.2")
    refused = bootstrap(tmp_path, tmp_path, PYTHON=str(old))
    assert refused.returncode == 1
    assert "is Python 3.9.2" in refused.stderr
    missing = bootstrap(tmp_path, tmp_path, PYTHON="python3.99")
    assert missing.returncode == 1
    assert "not a program" in missing.stderr


def test_uv_asks_the_index_that_pip_is_set_to() -> None:
    settings = install.pip_settings(
        "global.index-url='https://mirror.example/simple'\n"
        "global.extra-index-url='https://one.example/simple\\nhttps://two.example/simple'\n"
        "global.trusted-host='mirror.example'\n"
        "global.cert='/etc/ssl/ca.crt'\n"
    )
    arguments, variables = install.uv_arguments(settings, {})
    assert arguments[arguments.index("--default-index") + 1] == "https://mirror.example/simple"
    assert [arguments[i + 1] for i, a in enumerate(arguments) if a == "--index"] == [
        "https://one.example/simple",
        "https://two.example/simple",
    ]
    assert arguments[arguments.index("--allow-insecure-host") + 1] == "mirror.example"
    assert variables["SSL_CERT_FILE"] == "/etc/ssl/ca.crt"


def test_environment_beats_pip_conf_and_uv_settings_beat_both() -> None:
    settings = install.pip_settings(":env:.index-url='https://env.example'\nglobal.index-url='https://file.example'")
    assert settings["index-url"] == ["https://env.example"]
    arguments, _ = install.uv_arguments(settings, {"UV_DEFAULT_INDEX": "https://uv.example"})
    assert "--default-index" not in arguments


def test_nothing_of_pips_settings_means_nothing_for_uv() -> None:
    assert install.pip_settings("") == {}
    arguments, variables = install.uv_arguments({}, {})
    assert arguments == ["--index-strategy", "unsafe-best-match"]
    assert variables == {"UV_PYTHON_DOWNLOADS": "never"}


def test_a_stamp_is_void_once_a_requirement_changes(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    for name in (*install.DEVELOPMENT, *install.RECIPE):
        (tmp_path / name).write_text("x")
    before = install.fingerprint(install.DEVELOPMENT, tmp_path)
    assert install.fingerprint(install.DEVELOPMENT, tmp_path) == before
    (tmp_path / "requirements-dev.txt").write_text("y")
    assert install.fingerprint(install.DEVELOPMENT, tmp_path) != before


def test_ci_calls_what_developers_call() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().rstrip().endswith("make check")
