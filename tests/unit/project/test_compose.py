"""docker-compose.yaml and Dockerfile, as far as they can be judged without a container engine.

Checked: the compose schema, that every command, flag, module and mounted path exists, that no secret is written down,
and that whatever a service needs it is given. Not checked: that the images can be pulled and the containers start.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from cases import every_case

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
AIRFLOW = [name for name in SERVICES if name.startswith("airflow-")]
VARIABLE_OR_FILE = (
    r"\$\{\w+(:-[^}]*)?\}"
    r"|\{\"connections_file_path\": \"/run/secrets/[\w.]+\"\}"
    r"|(cat )?/run/secrets/[\w.]+"
)
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def words(part: Any) -> str:
    """A command or health check as one text, `$$` as the container sees it."""
    return (part if isinstance(part, str) else " ".join(map(str, part or []))).replace("$$", "$").replace("\\\n", " ")


def commands(service: dict[str, Any]) -> str:
    text = words(service.get("command"))
    # The image's entrypoint puts `airflow` before anything that is no program of its own.
    if "airflow_database" in service.get("secrets", []) and not text.startswith(("bash", "python", "airflow")):
        text = f"airflow {text}"
    return text + "\n" + words(service.get("healthcheck", {}).get("test"))


@cache
def airflow_parser() -> argparse.ArgumentParser:
    from airflow.cli import cli_parser

    return cli_parser.get_parser()


@cache
def module_help(module: str) -> str:
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'include'}:{ROOT / 'plugins'}"}  # as in the image
    command = [sys.executable, "-m", module, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, f"python -m {module} --help: {done.stderr}"
    return done.stdout


def test_the_file_is_valid_compose() -> None:
    done = subprocess.run(
        [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_of_airflow_is_there() -> None:
    started = {words(SERVICES[name]["command"]) for name in AIRFLOW}
    assert {"api-server", "scheduler", "dag-processor", "triggerer", "celery worker"} <= started


@pytest.mark.parametrize("name", AIRFLOW)
def test_every_airflow_command_exists(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = SERVICES[name]["environment"]
    # The executor and the auth manager bring commands of their own: celery worker, users create.
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", environment["AIRFLOW__CORE__EXECUTOR"])
    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", environment["AIRFLOW__CORE__AUTH_MANAGER"])
    lines = [shlex.split(line) for line in commands(SERVICES[name]).splitlines()]
    found = [line[line.index("airflow") + 1 :] for line in lines if "airflow" in line]
    assert found
    for arguments in found:
        assert airflow_parser().parse_args(arguments).func, arguments


def test_every_module_that_is_run_knows_what_it_is_told() -> None:
    with every_case() as case:
        for name in sorted(SERVICES):
            with case(name):
                for module, rest in re.findall(r"python -m ([\w.]+)([^\n]*)", commands(SERVICES[name])):
                    known = module_help(module)
                    for flag in re.findall(r"(?<= )--[a-z-]+", re.sub(r"\$\(.*?\)", "", rest)):
                        assert flag in known, f"python -m {module} has no {flag}"
                    if verb := re.match(r" ([a-z]+)", rest):
                        assert re.search(rf"\b{verb[1]}\b", known), f"python -m {module} has no {verb[1]}"


def test_the_ledger_migration_of_the_init_service_is_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "card_usage", "ledger", "migrate", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_worker_health_check_names_a_celery_app_that_exists() -> None:
    (path,) = re.findall(r"--app ([\w.]+)", words(SERVICES["airflow-worker"]["healthcheck"]["test"]))
    module, _, attribute = path.rpartition(".")
    # Where the attribute comes from is Celery's matter; importing it here would want a broker's address.
    from importlib.util import find_spec

    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    assert re.search(rf"\b{attribute}\b", Path(spec.origin).read_text())


def test_mounted_paths_exist_and_volumes_are_declared() -> None:
    with every_case() as case:
        for name in sorted(SERVICES):
            with case(name):
                for volume in SERVICES[name].get("volumes", []):
                    source = volume.split(":")[0]
                    if source.startswith("."):
                        assert (ROOT / source).exists(), volume
                    else:
                        assert source in COMPOSE["volumes"], volume


def test_volumes_of_the_airflow_user_cover_folders_that_the_image_makes() -> None:
    made = set(re.findall(r"/opt/airflow/\w+", re.search(r"RUN mkdir -p (.*)", DOCKERFILE)[1]))  # type: ignore[index]
    named = {
        volume.split(":")[1]
        for name in (*AIRFLOW, "demo-his")
        for volume in SERVICES[name].get("volumes", [])
        if not volume.startswith(".")
    }
    assert named == made


def test_no_secret_is_written_down() -> None:
    with every_case() as case:
        for name in sorted(SERVICES):
            with case(name):
                for key, value in SERVICES[name].get("environment", {}).items():
                    if re.search(r"PASSWORD|SECRET|_KEY$|AUTH$|CONN|_URL$|BACKEND", key):
                        secret = re.sub(VARIABLE_OR_FILE, "", str(value))
                        # What is left of a URL is its address; between the colon and the @ stood a variable.
                        assert not re.search(r"://[^/@]*:[^@/]+@", secret), key
                        if not re.search(r"URL$|CONN$|BACKEND$", key):
                            assert secret == "", key
                assert not re.search(r"(?i)(password|secret|_key)\s*=", DOCKERFILE)


def test_every_variable_is_explained_in_the_example() -> None:
    text = (ROOT / "docker-compose.yaml").read_text(encoding="utf-8")
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    optional = {
        "CARD_USAGE_VERSION",
        "AIRFLOW_IMAGE",
        "POSTGRES_IMAGE",
        "REDIS_IMAGE",
        "PIP_INDEX_URL",
    }  # of the build: docs/deployment.md
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", text)) | set(re.findall(r"\$\$\{?(\w+)", text)) - {
        "HOSTNAME",
        "REDISCLI_AUTH",
    }
    assert {name for name in used if not re.search(rf"^(# )?{name}=", example, re.M)} - optional == set()
    assert all(name in (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8") for name in optional)


def test_what_keeps_running_is_watched_and_bounded() -> None:
    with every_case() as case:
        for name in [n for n in sorted(SERVICES) if SERVICES[n].get("restart") != "no"]:
            with case(name):
                service = SERVICES[name]
                assert service["healthcheck"]["test"]
                assert service["restart"] == "unless-stopped"
                assert service["deploy"]["resources"]["limits"]["memory"]


def test_a_condition_can_be_met() -> None:
    with every_case() as case:
        for name in sorted(SERVICES):
            with case(name):
                for other, wanted in SERVICES[name].get("depends_on", {}).items():
                    if wanted["condition"] == "service_healthy":
                        assert "healthcheck" in SERVICES[other]
                    else:
                        assert SERVICES[other]["restart"] == "no"
                    # A service without a profile may not wait for one that has one.
                    assert set(SERVICES[other].get("profiles", [])) <= set(SERVICES[name].get("profiles", []))


def test_only_the_ui_is_published_and_on_loopback_unless_told_otherwise() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"airflow-apiserver", "sqlserver"}
    assert all(port.startswith(("${AIRFLOW_BIND:-127.0.0.1}:", "127.0.0.1:")) for p in published.values() for port in p)


def test_image_and_requirements_name_the_same_airflow() -> None:
    pinned = re.search(r"^apache-airflow==(\S+)", (ROOT / "requirements.txt").read_text(), re.M)
    assert pinned
    image = f"apache/airflow:slim-{pinned[1]}-python3.12"
    assert f"ARG AIRFLOW_IMAGE={image}\n" in DOCKERFILE
    assert image in (ROOT / "docker-compose.yaml").read_text()


def test_the_image_copies_only_what_exists_and_is_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for sources in re.findall(r"^COPY (?:--\S+ )?(\S+) \S+$", DOCKERFILE, re.M):
        assert (ROOT / sources).exists()
        assert sources in allowed


def secrets_of(service: dict[str, Any]) -> set[str]:
    return {secret if isinstance(secret, str) else secret["source"] for secret in service.get("secrets", [])}


def test_every_secret_is_a_file_that_the_script_makes_and_none_stands_in_the_environment(tmp_path: Path) -> None:
    for _ in range(2):
        subprocess.run([ROOT / "scripts" / "secrets", tmp_path / "made"], check=True, capture_output=True)
    made = {path.name: path.read_text() for path in (tmp_path / "made").iterdir()}
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700
    assert {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()} <= made.keys()
    assert set().union(*map(secrets_of, SERVICES.values())) == COMPOSE["secrets"].keys()
    words = [content for name, content in made.items() if name != "connections"]
    assert len({*words}) == len(words)
    assert "env_file" not in str(SERVICES)
    with every_case() as case:
        for name in AIRFLOW:
            with case(name):
                given = str(SERVICES[name])
                named = {path.removesuffix(".json") for path in re.findall(r"/run/secrets/(\w+(?:\.json)?)", given)}
                assert named == secrets_of(SERVICES[name])


def test_a_secret_that_is_there_already_stays(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "ledger_password").write_text("mine")
    subprocess.run([ROOT / "scripts" / "secrets", tmp_path / "made"], check=True, capture_output=True)
    assert ":mine@" in (tmp_path / "made" / "ledger_url").read_text()


@pytest.mark.parametrize("name", ["airflow-apiserver", "airflow-scheduler", "airflow-init"])
def test_a_service_that_reads_no_patient_has_neither_key_nor_connections(name: str) -> None:
    assert {"card_usage_key", "connections"} & secrets_of(SERVICES[name]) == set()
    assert not [setting for setting in SERVICES[name]["environment"] if re.search(r"_KEY_FILE|CONNECTIONS", setting)]
    if name != "airflow-init":
        assert "ledger_url" not in secrets_of(SERVICES[name])
        assert "outside" not in SERVICES[name]["networks"]


def test_databases_and_broker_are_reached_from_inside_alone() -> None:
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == SERVICES["redis"]["networks"] == ["inside"]


def test_every_service_is_confined() -> None:
    with every_case() as case:
        for name, service in SERVICES.items():
            with case(name):
                assert service["security_opt"] == ["no-new-privileges:true"]
                assert service["ulimits"] == {"core": 0}
                if name != "sqlserver":  # whose image is Microsoft's, for trials only
                    assert service["cap_drop"] == ["ALL"]
                    assert service["read_only"] is True
                    assert "/tmp" in service["tmpfs"]  # noqa: S108


def test_no_password_is_an_argument_of_a_program() -> None:
    for name, service in SERVICES.items():
        if not name.startswith("sqlserver"):  # for trials only
            assert not re.search(r"(?i)password\}|--password|requirepass", commands(service)), name
