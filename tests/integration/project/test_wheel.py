"""The wheel: it holds every package and data file, and the command line runs from it with no checkout in reach."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from card_usage.config.keyring import Keyring

ROOT = Path(__file__).resolve().parents[3]
DATA_FOLDERS = ("code_aliases", "code_tables", "hospitals", "migrations", "sql", "statement_layouts")
DAY = "2026-03-02"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's files as git knows them, in a folder of their own: nothing of an earlier build is among them."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    folder = tmp_path_factory.mktemp("sources")
    for name in filter(None, listing.split("\0")):
        if (ROOT / name).exists() and not name.startswith(("tests/", "docs/", "benchmarks/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a source distribution, as a release is; with the setuptools of this environment."""
    target = tmp_path_factory.mktemp("wheel")
    build = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, target], cwd=sources, check=True, capture_output=True)
    (archive,) = target.glob("*.tar.gz")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, "--no-deps", "--no-build-isolation", "--wheel-dir", target, archive], check=True)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment: this wheel, and the dependencies of the environment that runs the tests.

    A line of a .pth file adds a folder without reading the .pth files in it: the editable installation stays unknown.
    """
    venv = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(venv)}))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--no-index", "--no-compile", "--target", packages, wheel], check=True)
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv / "bin" / "python"


def run(python: Path, folder: Path, *arguments: str, **variables: str) -> str:
    """Standard output of `python -m ...` in a folder, with no setting but those given; exit code 0."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **variables}
    done = subprocess.run([python, "-m", *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def sandbox(python: Path, folder: Path) -> Iterator[str]:
    """A platform sandbox on a free port; its address."""
    command = [python, "-m", "platform_sandbox", "--port", "0"]
    server = subprocess.Popen(command, cwd=folder, env={"PATH": os.environ["PATH"]}, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = re.search(r"http://\S+", server.stdout.readline())
        assert address
        yield address[0]
    finally:
        server.terminate()
        server.communicate(timeout=10)


def test_it_holds_every_package_and_data_file_and_nothing_else(sources: Path, wheel: Path) -> None:
    wanted = set()
    for root in (sources / "include", sources / "plugins" / "card_usage_airflow"):
        for path in root.rglob("*"):
            name = path.relative_to(sources / root.relative_to(sources).parts[0])
            if path.is_file() and ".egg-info" not in str(name):
                top = f"card_usage/_shipped/{name}" if name.parts[0] in DATA_FOLDERS else str(name)
                wanted.add(top)
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == wanted


def test_one_list_of_dependencies_serves_the_wheel_too(wheel: Path) -> None:
    asked = re.findall(r"^([A-Za-z0-9][\w.-]*)", (ROOT / "requirements.in").read_text(encoding="utf-8"), re.M)
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
    assert re.findall(r"^Requires-Dist: ([\w.-]+)", metadata, re.M) == asked


@pytest.mark.slow
def test_the_command_line_reports_a_day_of_the_demo_hospital_from_it(python: Path, tmp_path: Path) -> None:
    where = "import card_usage, card_usage.files.shipped as s; print(card_usage.__file__, s.SHIPPED)"
    seen = subprocess.run([python, "-c", where], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert str(ROOT) not in seen
    assert "_shipped" in seen
    assert "run" in run(python, tmp_path, "card_usage", "--help")
    key = run(python, tmp_path, "card_usage", "key").strip()
    assert Keyring.parse(key)
    his = f"sqlite:///{tmp_path}/his.db"
    run(python, tmp_path, "demo_his", "--url", his, "--from", DAY, "--to", DAY, "--uses", "100")
    with sandbox(python, tmp_path) as platform:
        settings = {
            "CARD_USAGE_KEY": key,
            "CARD_USAGE_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db",
            "CARD_USAGE_REPORTS": str(tmp_path / "reports"),
            "AIRFLOW_CONN_DEMO_HIS": his,
            "AIRFLOW_CONN_DEMO_PLATFORM": json.dumps(
                {"conn_type": "http", "host": platform, "login": "demo-app-id", "password": "demo-app-secret"}
            ),
        }
        assert "ledger at revision" in run(python, tmp_path, "card_usage", "ledger", "migrate", **settings)
        days = ("--hospital", "demo_hospital", "--from", DAY, "--to", DAY)
        result = json.loads(run(python, tmp_path, "card_usage", "run", *days, "--json", **settings))
    assert (result["settled"], result["reconcile"]["clean"], result["deliver"]["states"]) == (
        True,
        True,
        {"delivered": 99},
    )
    assert list((tmp_path / "reports").rglob("*.html"))


def test_a_new_hospital_begins_from_it(python: Path, tmp_path: Path) -> None:
    hospitals = {"CARD_USAGE_HOSPITALS": str(tmp_path / "hospitals"), "CARD_USAGE_ALIASES": str(tmp_path / "aliases")}
    told = run(python, tmp_path, "card_usage", "hospital", "new", "east", "--shape", "winning", **hospitals)
    assert "hospital check east" in told
    assert (tmp_path / "hospitals" / "east.toml").exists()
    assert (tmp_path / "aliases" / "east" / "department.csv").exists()
