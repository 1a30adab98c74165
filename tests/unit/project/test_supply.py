"""Supply: what is installed is what was locked, it is listed, and asked about; what could not be asked is said."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import audit
import install
import pytest

ROOT = Path(__file__).resolve().parents[3]
PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;]+)(.*?)(?=^\S|\Z)", re.M | re.S)
LISTS = ("requirements.txt", "requirements-dev.txt", "requirements-build.txt")


def pins(name: str) -> dict[str, str]:
    """Package -> the rest of its entry."""
    text = re.sub(r"^ *#.*\n", "", (ROOT / name).read_text(), flags=re.M)
    return {match[1].lower(): match[3] for match in PIN.finditer(text)}


@pytest.mark.parametrize("name", LISTS)
def test_every_pin_has_the_hashes_of_its_files(name: str) -> None:
    found = pins(name)
    assert found
    assert [package for package, rest in found.items() if "--hash=sha256:" not in rest] == []


def test_nothing_is_installed_without_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for installer in ("uv", "pip"):
        commands: list[list[str]] = []
        monkeypatch.setattr(install, "run", lambda command, _into=commands, **_: _into.append([*map(str, command)]))
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, stdout=""))
        monkeypatch.setenv("INSTALLER", installer)
        assert install.install(tmp_path, install.DEVELOPMENT) == installer
        assert len(commands) == 3
        for command in commands:
            if "--editable" in command:
                assert {"--no-deps", "--no-build-isolation"} <= {*command}
            else:
                assert "--require-hashes" in command
                assert command[command.index("--only-binary") + 1] == ":all:"
    image = (ROOT / "Dockerfile").read_text()
    assert all(
        "--require-hashes" in line and "--only-binary :all:" in line for line in re.findall(r"pip install.*", image)
    )


def wheel(folder: Path, content: str) -> Path:
    """A wheel of the package `victim`."""
    path = folder / "victim-1.0-py3-none-any.whl"
    files = {
        "victim.py": content,
        "victim-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: victim\nVersion: 1.0\n",
        "victim-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},"
        for name, text in files.items()
    ]
    files["victim-1.0.dist-info/RECORD"] = "\n".join([*record, "victim-1.0.dist-info/RECORD,,"])
    with ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.mark.parametrize("installer", [("uv", "pip"), ("pip",)], ids=["uv", "pip"])
def test_a_package_that_was_exchanged_on_the_index_is_not_installed(tmp_path: Path, installer: tuple[str, ...]) -> None:
    locked = hashlib.sha256(wheel(tmp_path, "good = True").read_bytes()).hexdigest()
    (tmp_path / "r.txt").write_text(f"victim==1.0 --hash=sha256:{locked}\n")
    command = [sys.executable, "-m", *installer, "install", "--require-hashes", "--only-binary", ":all:", "--no-index"]
    command += ["--find-links", str(tmp_path), "--target", str(tmp_path / "into"), "-r", str(tmp_path / "r.txt")]
    command += ["--no-cache"] if len(installer) == 2 else ["--no-cache-dir", "--disable-pip-version-check"]
    wheel(tmp_path, "import os")
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "hash" in refused.stderr.lower()
    assert not (tmp_path / "into" / "victim.py").exists()
    wheel(tmp_path, "good = True")
    # A zip holds the time at which it was made: locked again.
    locked = hashlib.sha256((tmp_path / "victim-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    (tmp_path / "r.txt").write_text(f"victim==1.0 --hash=sha256:{locked}\n")
    subprocess.run(command, capture_output=True, check=True)
    assert (tmp_path / "into" / "victim.py").exists()


def test_the_bill_of_materials_lists_every_pin_with_its_hashes(tmp_path: Path) -> None:
    recipe = re.search(r"cyclonedx-py (.*?)--output-file", (ROOT / "Makefile").read_text(), re.S)
    assert recipe
    words = recipe[1].replace("\\\n", " ").split()
    made = tmp_path / "sbom.json"
    command = [str(Path(sys.executable).parent / "cyclonedx-py"), *words, "--output-file", str(made)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    bill = json.loads(made.read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    listed = {one["name"].lower(): one for one in bill["components"]}
    assert listed.keys() == pins("requirements.txt").keys()
    without = [name for name, one in listed.items() if "SHA-256" not in json.dumps(one)]
    assert without == []


def test_an_audit_without_data_says_so_and_is_no_finding(capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = os.environ | {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    assert audit.audit(nowhere, "requirements-build.txt") == audit.NOT_ASKED
    assert "NOT DONE, the vulnerability data could not be reached" in capsys.readouterr().err


def test_an_audit_names_what_it_finds(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    fault = {"id": "PYSEC-1", "fix_versions": ["1.1"]}
    for package, code, says in (
        ({"name": "a", "version": "1", "vulns": [fault]}, audit.FOUND, "a 1: PYSEC-1; mended in 1.1"),
        ({"name": "a", "version": "1", "vulns": []}, 0, "1 packages asked about, 0 vulnerabilities known"),
        ({"name": "a", "skip_reason": "offline"}, audit.NOT_ASKED, "1 packages were not looked up (offline)"),
    ):
        answer = json.dumps({"dependencies": [package]})
        monkeypatch.setattr(audit, "COMMAND", ("-c", f"print({answer!r})"))
        assert audit.audit(os.environ, "requirements.txt") == code
        said = capsys.readouterr()
        assert says in said.out + said.err


def test_ci_audits_and_goes_on_where_the_data_cannot_be_reached() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert re.search(r"scripts/audit\.py \|\| audited=\$\?\n\(\(audited == 0 \|\| audited == 3\)\) \|\| exit", script)
    assert script.index("audit.py") < script.rindex("make check")
