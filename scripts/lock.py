"""Compiles requirements*.in to their pinned .txt with hashes, for every supported Python and platform.

Promises: what is installed is what was locked, byte for byte, or the installation fails; pins that still fit stay as
they are; `--upgrade` takes the newest that fit together; uses the index pip uses.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from install import ROOT, VENV, pip_settings, run, uv_arguments


def main() -> None:
    python = VENV / "bin" / "python"
    listing = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    arguments, variables = uv_arguments(pip_settings(listing), os.environ)
    compiler: list[str | Path] = [
        python,
        "-m",
        "uv",
        "pip",
        "compile",
        "--universal",
        "--python-version",
        "3.11",
        "--generate-hashes",
        "--no-header",
        "--quiet",
    ]
    for name in ("requirements", "requirements-dev", "requirements-build"):
        run(
            [*compiler, *arguments, *sys.argv[1:], f"{name}.in", "--output-file", f"{name}.txt"],
            **variables,
        )
        print(f"lock: {(ROOT / name).with_suffix('.txt').relative_to(ROOT)}")


if __name__ == "__main__":
    main()
