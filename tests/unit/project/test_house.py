"""The house rules that no linter knows: layout, names, contracts, pins."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from cases import every_case

ROOT = Path(__file__).resolve().parents[3]
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
LAYOUT = (
    "dags",
    "plugins",
    "include",
    "tests",
    "docs",
    "benchmarks",
    "scripts",
    "include/card_usage",
    "include/platform_sandbox",
    "include/code_tables",
    "include/code_aliases",
    "include/hospitals",
    "include/sql",
    "include/migrations",
    "docs/adr",
    "docs/glossary.md",
    "docker-compose.yaml",
    "Dockerfile",
    "requirements.in",
    "requirements.txt",
    "requirements-dev.in",
    "requirements-dev.txt",
    "pyproject.toml",
    "Makefile",
    "README.md",
    "README.zh-CN.md",
    "CHANGELOG.md",
    "LICENSE",
    "SECURITY.md",
    ".env.example",
    ".ci/run",
    ".pre-commit-config.yaml",
)


def tracked(*patterns: str) -> list[Path]:
    """Files of the project as git sees them: committed, or new and not ignored."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).exists()]


def test_the_layout_is_as_documented() -> None:
    with every_case() as case:
        for place in LAYOUT:
            with case(place):
                assert (ROOT / place).exists()


def test_the_import_contracts_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-logo"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("place", ["include", "plugins", "dags", "scripts", "benchmarks"])
def test_types_are_strict_in_all_that_runs(place: str) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert settings["strict"] is True
    assert place in settings["files"]
    hooks = {
        one["id"]: one
        for repo in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
        for one in repo["hooks"]
    }
    assert re.match(hooks["mypy"]["files"], f"{place}/some.py")


def test_no_traceback_goes_to_a_log() -> None:
    """Its last line is the text of an exception that nobody thought of, and that quotes what it stumbled over."""
    told = re.compile(r"\.exception\(|exc_info=|format_exc|print_exc|stack_info=")
    found = [
        f"{path}: {line.strip()}"
        for place in ("include/card_usage", "plugins", "dags")
        for path in sorted((ROOT / place).rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if told.search(line)
    ]
    assert found == []


def test_every_python_file_opens_with_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in tracked("*.py")
        # An empty __init__.py has nothing to explain.
        if (text := path.read_text(encoding="utf-8")).strip() and not ast.get_docstring(ast.parse(text))
    ]
    assert silent == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [str(p) for p in tracked("*.py") if NAMES_THAT_SAY_NOTHING & {p.stem, *p.relative_to(ROOT).parts}] == []


def test_tests_mirror_into_known_folders_only() -> None:
    folders = {p.relative_to(ROOT / "tests").parts[0] for p in tracked("tests/*/*.py", "tests/*/**/*.py")}
    # tds is no folder of tests: the look-alike SQL Server that tests start.
    assert folders <= {"unit", "golden", "dags", "integration", "simulation", "ui", "upgrade", "tds"}


def test_the_version_of_the_project_heads_the_changelog_and_names_the_image() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    releases = re.findall(r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert releases[0] == version
    assert f"${{CARD_USAGE_VERSION:-{version}}}" in (ROOT / "docker-compose.yaml").read_text()


def names(listing: Path) -> dict[str, str]:
    """Package -> rest of its line (extras dropped), for a requirements file."""
    found = {}
    for line in listing.read_text().splitlines():
        if match := re.match(r"([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?(.*)", line):
            found[re.sub(r"[-_.]+", "-", match[1]).lower()] = match[2].strip()
    return found


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_pins_are_in_step_with_what_is_asked_for(name: str) -> None:
    asked, pinned = names(ROOT / f"{name}.in"), names(ROOT / f"{name}.txt")
    assert asked.keys() <= pinned.keys()
    assert [f"{package}{rest}" for package, rest in pinned.items() if not rest.startswith("==")] == []
    for package, rest in asked.items():
        assert rest in ("", pinned[package].partition(" ")[0]), f"make lock: {package}"


def test_development_and_runtime_pin_the_same_versions() -> None:
    runtime, development = names(ROOT / "requirements.txt"), names(ROOT / "requirements-dev.txt")
    shared = runtime.keys() & development.keys()
    assert {p for p in shared if runtime[p].partition(" ")[0] != development[p].partition(" ")[0]} == set()


def imported(*patterns: str) -> dict[str, str]:
    """Distribution -> a file that imports it directly, ours and the standard library left out."""
    ours = {"card_usage", "platform_sandbox", "demo_his", "card_usage_airflow"} | {p.stem for p in tracked("dags/*.py")}
    providers = packages_distributions()
    found = {}
    for path in tracked(*patterns):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules = [node.module]
            for top in {module.partition(".")[0] for module in modules} - ours - set(sys.stdlib_module_names):
                names = {re.sub(r"[-_.]+", "-", name).lower() for name in providers.get(top, [top])}
                found["apache-airflow" if any(n.startswith("apache-airflow") for n in names) else min(names)] = str(
                    path
                )
    return found


def test_what_is_imported_is_asked_for_by_name_and_not_found_by_luck() -> None:
    used = imported("include/**/*.py", "include/*/*.py", "dags/*.py", "plugins/**/*.py", "plugins/*/*.py")
    missing = used.keys() - names(ROOT / "requirements.in").keys()
    assert {name: used[name] for name in missing} == {}


def test_every_dependency_has_its_reason() -> None:
    (record,) = (ROOT / "docs" / "adr").glob("*-dependencies.md")
    reasons = set(re.findall(r"^\| `([\w.-]+)`", record.read_text(), re.M))
    asked = names(ROOT / "requirements.in").keys() | names(ROOT / "requirements-dev.in").keys()
    assert reasons == asked


def test_settings_of_the_example_are_read_somewhere_and_hold_no_secret() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    settings = dict(line.lstrip("# ").split("=", 1) for line in lines if re.match(r"(# )?[A-Z][A-Z0-9_]+=", line))
    places = "".join(
        p.read_text(encoding="utf-8")
        for p in tracked(
            "include/**/*.py", "dags/*.py", "plugins/**/*.py", "docker-compose.yaml", "Dockerfile", "scripts/*"
        )
    )
    unread = [name for name in settings if not name.startswith("AIRFLOW") and name not in places]
    assert unread == []
    secrets = {k: v for k, v in settings.items() if re.search(r"PASSWORD|SECRET|_KEY$", k)}
    assert secrets
    assert {name for name, value in secrets.items() if value} == set()


def test_no_engine_of_ours_prints_parameters() -> None:
    """A statement's parameters are patients: every engine hides them in errors."""
    bare = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in tracked("include/card_usage/**/*.py", "include/card_usage/*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) in {"create_engine", "engine_from_config"}
        and "hide_parameters" not in {keyword.arg for keyword in node.keywords}
    ]
    assert bare == []
