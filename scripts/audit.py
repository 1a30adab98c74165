"""Audit: asks the public databases whether a pinned package has a known vulnerability.

Exit code 0: none is known. 1: some are, and each is named with the version that mends it. 3: the data could not be
reached, which says nothing about the packages; standard error says so in capitals, and CI goes on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from install import ROOT, VENV

FOUND, NOT_ASKED = 1, 3
SECONDS = 120
COMMAND = ("-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json")


def audit(environment: Mapping[str, str], *listings: str) -> int:
    """Ask about every pin of these files; prints what is known and returns the exit code."""
    files = [part for name in listings for part in ("--requirement", str(ROOT / name))]
    command = [str(VENV / "bin" / "python"), *COMMAND, "--timeout", "10", *files]
    try:
        asked = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False, cwd=ROOT
        )
        answer: dict[str, Any] = json.loads(asked.stdout)
    except subprocess.TimeoutExpired:
        return _not_asked(f"no answer in {SECONDS} s")
    except ValueError:
        lines = [line for line in asked.stderr.splitlines() if line.strip()]
        return _not_asked(lines[-1][-300:] if lines else f"exit code {asked.returncode}")
    packages = answer["dependencies"]
    skipped = [package for package in packages if "skip_reason" in package]
    known = [(package, fault) for package in packages for fault in package.get("vulns", ())]
    for package, fault in known:
        mended = ", ".join(fault["fix_versions"]) or "no version yet"
        print(f"audit: {package['name']} {package['version']}: {fault['id']}; mended in {mended}")
    if skipped or not packages:
        why = " ".join(skipped[0]["skip_reason"].split())[:200] if skipped else "no package was named"
        return _not_asked(f"{len(skipped)} packages were not looked up ({why})")
    print(f"audit: {len(packages)} packages asked about, {len(known)} vulnerabilities known")
    return FOUND if known else 0


def _not_asked(reason: str) -> int:
    print(f"audit: NOT DONE, the vulnerability data could not be reached: {reason}", file=sys.stderr)
    print(
        "audit: this says nothing about the packages; run `make audit` where the internet can be reached",
        file=sys.stderr,
    )
    return NOT_ASKED


if __name__ == "__main__":
    sys.exit(audit(os.environ, "requirements.txt"))
