"""Who gets what: hospitals of two regions, four roles, every route of ours and those of Airflow that matter."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import ledgers
import pytest
from card_usage.config.hospital import Hospital, load_hospital
from card_usage.files.shipped import SHIPPED
from card_usage.files.store import Store
from card_usage.report.publish import publish, publish_fleet, publish_regions
from card_usage_airflow import access
from cases import every_case
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
DAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 3, 1, tzinfo=UTC)
HOSPITALS = {"north_hospital": "440300", "north_clinic": "440300", "south_hospital": "440100"}
Answers = Mapping[str, Mapping[str, tuple[int, list[str]]]]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    home = tmp_path_factory.mktemp("roles")
    told = (SHIPPED / "hospitals" / "demo_hospital.toml").read_text(encoding="utf-8")
    (home / "hospitals").mkdir()
    hospitals: list[Hospital] = []
    for name, region in HOSPITALS.items():
        text = told.replace('"demo_hospital"', f'"{name}"').replace('"440300"', f'"{region}"')
        (home / "hospitals" / f"{name}.toml").write_text(text, encoding="utf-8")
        shutil.copytree(SHIPPED / "code_aliases" / "demo_hospital", home / "code_aliases" / name)
        hospitals.append(load_hospital(home / "hospitals", name))
    store = Store.at(str(home / "reports"))
    with ledgers.sqlite(home) as ledger:
        for hospital in hospitals:
            publish(ledger, hospital, DAY, store, language="zh", now=NOW)
        publish_fleet(ledger, hospitals, DAY, store, broken={}, language="zh", now=NOW)
        publish_regions(ledger, hospitals, DAY, store, language="zh", now=NOW)
    settings = {
        "core__auth_manager": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "core__dags_folder": f"{ROOT}/dags",
        "core__plugins_folder": f"{ROOT}/plugins",
        "core__load_examples": "false",
        "database__sql_alchemy_conn": f"sqlite:///{home}/airflow.db",
        "api__base_url": "http://127.0.0.1:8080",
        "api__secret_key": "0" * 32,
        "api_auth__jwt_secret": "1" * 64,
        "logging__base_log_folder": f"{home}/logs",
    }
    environment = {
        **{name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ},
        **{f"AIRFLOW__{name.upper()}": text for name, text in settings.items()},
        "AIRFLOW_HOME": str(home / "airflow"),
        "PYTHONPATH": f"{ROOT}/plugins",
        "PYTHONWARNINGS": "ignore",
        "CARD_USAGE_ROLES": str(home / "roles"),
        "CARD_USAGE_LEDGER_URL": f"sqlite:///{home}/ledger.db",
        "CARD_USAGE_HOSPITALS": str(home / "hospitals"),
        "CARD_USAGE_REPORTS": str(home / "reports"),
    }
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("ui_of_roles.py")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: Answers = json.loads(done.stdout)
    return found


ALL = tuple(HOSPITALS)
NORTH = ALL[:2]
# Of everybody in this order; where a status stands for itself, the answer names no hospital.
WHO = ("hospital IT", "regional manager", "fleet engineer", "auditor")
Told = int | tuple[str, ...]
"""A status, or 200 with the hospitals that the answer names."""
TABLE: dict[str, tuple[Told, Told, Told, Told]] = {
    "reports": (("north_hospital",), NORTH, ALL, ALL),
    "who viewed what": (403, 403, 403, ("north_hospital", "south_hospital")),
    "page of all hospitals": (403, 403, 200, 200),
    "page of the region of north": (403, 200, 200, 200),
    "page of the region of south": (403, 403, 200, 200),
    "report of north": (200, 200, 200, 200),
    "report of south": (403, 403, 200, 200),
    "files of a run of north": (200, 200, 200, 200),
    "files of a run of south": (403, 403, 200, 200),
    "files of a run for all": (403, 403, 200, 200),
    "DAGs": (("north_hospital",), NORTH, ALL, ALL),
    "DAG of north": (("north_hospital",), ("north_hospital",), ("north_hospital",), ("north_hospital",)),
    "DAG of south": (403, 403, ("south_hospital",), ("south_hospital",)),
    "runs of north": (200, 200, 200, 200),
    "runs of south": (403, 403, 200, 200),
    "tasks of north": (200, 200, 200, 200),
    "tasks of south": (403, 403, 200, 200),
    "forms of north": (200, 200, 200, 200),
    "forms of south": (403, 403, 200, 200),
    "trigger north": (200, 403, 200, 403),
    "trigger south": (403, 403, 200, 403),
    "pause north": (200, 403, 200, 403),
    "pause south": (403, 403, 200, 403),
    # 404: it may be answered, and there is none.
    "answer a form of north": (404, 403, 404, 403),
    "answer a form of south": (403, 403, 404, 403),
    "delete north": (403, 403, 403, 403),
    "delete south": (403, 403, 403, 403),
    # 400: it may be triggered, and says what it needs.
    "redeliver": (403, 403, 400, 403),
    "events of assets": (403, 403, 200, 200),
    "errors of DAG files": (403, 403, 200, 200),
    "Airflow's audit log": (403, 403, 403, 200),
    "connections": (403, 403, 403, 403),
    "make a connection": (403, 403, 403, 403),
    "variables": (403, 403, 403, 403),
    "configuration": (403, 403, 403, 403),
    "users": (403, 403, 403, 403),
    "make a role": (403, 403, 403, 403),
    "menu": (200, 200, 200, 200),
}


def test_each_role_gets_what_is_its_own_at_every_route_and_nothing_of_other_hospitals(answers: Answers) -> None:
    assert answers["auditor"].keys() == TABLE.keys()
    with every_case() as case:
        for route, wanted in TABLE.items():
            for who, told in zip(WHO, wanted, strict=True):
                with case(f"{who}, {route}"):
                    status, named = answers[who][route]
                    assert status == (200 if isinstance(told, tuple) else told)
                    if isinstance(told, tuple):
                        assert named == list(told)


def test_no_answer_names_a_hospital_that_is_not_the_users(answers: Answers) -> None:
    for who, own in (("hospital IT", {"north_hospital"}), ("regional manager", set(NORTH))):
        for route, (_, named) in answers[who].items():
            assert {*named} <= own, (who, route)


def test_without_a_login_and_without_a_role_there_is_nothing(answers: Answers) -> None:
    assert {status for status, _ in answers["nobody"].values()} == {401}
    mine = {status for route, (status, _) in answers["no role"].items() if route != "reports"}
    assert mine == {403}
    assert answers["no role"]["reports"] == [200, []], "an empty page"


def test_dags_name_the_roles_that_were_made_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a role that is not there, Airflow would make an error of the file with all hospitals."""
    monkeypatch.delenv("CARD_USAGE_ROLES", raising=False)
    assert access.access_control("north_hospital", "440300") is None
    monkeypatch.setenv("CARD_USAGE_ROLES", str(tmp_path / "roles"))
    assert access.access_control("north_hospital", "440300") == {}
    (tmp_path / "roles").write_text("fleet:auditor\nhospital:north_hospital\nregion:440300")
    hospital, region = (
        {"hospital:north_hospital": {"DAGs": {"can_read", "can_edit"}}},
        {"region:440300": {"DAGs": {"can_read"}}},
    )
    assert access.access_control("north_hospital", "440300") == hospital | region
    assert access.access_control("north_hospital", "440100") == hospital
    assert access.access_control("new_hospital", "440300") == region
    assert access.access_control("north_hospital") == hospital


@given(st.lists(st.from_regex(r"\A[a-z][a-z0-9_]{0,63}\Z"), min_size=2, max_size=2, unique=True))
def test_two_hospitals_never_share_a_role_and_fab_can_keep_every_name(ids: list[str]) -> None:
    names = [access.role_of_hospital(one) for one in ids]
    assert len({*names}) == 2
    assert all(len(name) <= 64 for name in names)


def test_hospitals_whose_ids_begin_alike_share_no_role() -> None:
    assert access.role_of_hospital("a" * 63 + "b") != access.role_of_hospital("a" * 63 + "c")
