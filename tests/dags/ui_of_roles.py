"""A process of its own: Airflow's application with the FAB auth manager, asked for every route by every role.

Airflow's configuration is one for a process, and the other tests have the simple auth manager. Prints JSON:
{role: {route: [status, hospitals that the answer names]}}.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PASSWORD = "one-of-the-tests-0"
NORTH, CLINIC, SOUTH = "north_hospital", "north_clinic", "south_hospital"
DAY = "2026-03-02"
ROLES = {
    "hospital IT": ["hospital:north_hospital"],
    "regional manager": ["region:440300"],
    "fleet engineer": ["fleet:engineer"],
    "auditor": ["fleet:auditor"],
    "no role": ["Public"],
}
DAG = "report_card_usage__{}"
_RUN = {"logical_date": None}


def _routes() -> dict[str, tuple[str, str, object]]:
    """By name: method, path and body of each. Nothing that one of them changes is in another's way."""
    ours = "/card-usage"
    found: dict[str, tuple[str, str, object]] = {
        "reports": ("GET", f"{ours}/", None),
        "who viewed what": ("GET", f"{ours}/viewings", None),
        "page of all hospitals": ("GET", f"{ours}/files/_fleet/{DAY}/card-usage-fleet-{DAY}.html", None),
        "files of a run for all": ("GET", f"{ours}/runs/reconcile_card_usage/none", None),
    }
    for name, hospital, region in (("north", NORTH, "440300"), ("south", SOUTH, "440100")):
        dag = DAG.format(hospital)
        found |= {
            f"report of {name}": ("GET", f"{ours}/files/{hospital}/{DAY}/card-usage-{DAY}.html", None),
            f"page of the region of {name}": (
                "GET",
                f"{ours}/files/_region_{region}/{DAY}/card-usage-fleet-{DAY}.html",
                None,
            ),
            f"files of a run of {name}": ("GET", f"{ours}/runs/{dag}/none", None),
            f"DAG of {name}": ("GET", f"/api/v2/dags/{dag}/details", None),
            f"runs of {name}": ("GET", f"/api/v2/dags/{dag}/dagRuns", None),
            f"tasks of {name}": ("GET", f"/api/v2/dags/{dag}/dagRuns/~/taskInstances", None),
            f"forms of {name}": ("GET", f"/api/v2/dags/{dag}/dagRuns/~/hitlDetails", None),
            f"trigger {name}": ("POST", f"/api/v2/dags/{dag}/dagRuns", _RUN),
            f"pause {name}": ("PATCH", f"/api/v2/dags/{dag}", {"is_paused": True}),
            f"answer a form of {name}": (
                "PATCH",
                f"/api/v2/dags/{dag}/dagRuns/none/taskInstances/approve/0/hitlDetails",
                {"chosen_options": ["x"], "params_input": {}},
            ),
            f"delete {name}": ("DELETE", f"/api/v2/dags/{dag}", None),
        }
    return found | {
        "DAGs": ("GET", "/api/v2/dags?limit=100", None),
        "redeliver": ("POST", "/api/v2/dags/redeliver_card_usage/dagRuns", _RUN),
        "events of assets": ("GET", "/api/v2/assets/events", None),
        "errors of DAG files": ("GET", "/api/v2/importErrors", None),
        "Airflow's audit log": ("GET", "/api/v2/eventLogs", None),
        "connections": ("GET", "/api/v2/connections", None),
        "make a connection": ("POST", "/api/v2/connections", {"connection_id": "x", "conn_type": "http"}),
        "variables": ("GET", "/api/v2/variables", None),
        "configuration": ("GET", "/api/v2/config", None),
        "users": ("GET", "/auth/fab/v1/users", None),
        "make a role": ("POST", "/auth/fab/v1/roles", {"name": "mine", "actions": []}),
        "menu": ("GET", "/api/v2/plugins", None),
    }


def _users() -> None:
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        manager = builder.sm
        for user, names in ROLES.items():
            roles = [manager.find_role(name) for name in names]
            assert all(roles), names
            mail = f"{user.replace(' ', '.')}@hospital.example"
            assert manager.add_user(user, "A", "User", mail, roles, password=PASSWORD)


def _asked(client: Any, headers: dict[str, str]) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for name, (method, path, body) in _routes().items():
        answer = client.request(method, path, json=body, headers=headers, follow_redirects=False)
        named = [one for one in (NORTH, CLINIC, SOUTH) if one in answer.text] if answer.status_code == 200 else []
        found[name] = [answer.status_code, named]
    return found


def main() -> dict[str, dict[str, list[object]]]:
    """Everybody's answers. The hospital files, the ledger and the reports are there; Airflow's metadata are not."""
    airflow = Path(sys.executable).with_name("airflow")
    from card_usage_airflow import roles

    subprocess.run([airflow, "db", "migrate"], check=True, stdout=sys.stderr)
    told = roles.main()
    assert "hospital:north_hospital: made" in told, told
    assert "roles are as they should be" in roles.main()
    subprocess.run([airflow, "dags", "reserialize"], check=True, stdout=sys.stderr)
    assert "roles are as they should be" in roles.main(), "what DAGs say is what the command says"
    _users()
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    answers: dict[str, dict[str, list[object]]] = {}
    with TestClient(create_app(), base_url="http://127.0.0.1:8080") as client:
        answers["nobody"] = _asked(client, {})
        for user in ROLES:
            login = {"username": user, "password": PASSWORD}
            token = client.post("/auth/token", json=login).json()["access_token"]
            client.cookies.clear()
            answers[user] = _asked(client, {"Authorization": f"Bearer {token}"})
            client.cookies.clear()
    _a_hospital_that_ends_and_a_right_that_somebody_gave()
    return answers


def _a_hospital_that_ends_and_a_right_that_somebody_gave() -> None:
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
    from card_usage_airflow import roles

    with get_application_builder() as builder:
        manager = builder.sm
        manager.add_permission_to_role(
            manager.find_role("fleet:auditor"), manager.create_permission("can_edit", "DAGs")
        )
    (Path(os.environ["CARD_USAGE_HOSPITALS"]) / f"{SOUTH}.toml").unlink()
    told = roles.main()
    assert "fleet:auditor: 0 rights given, 1 taken away" in told, told
    for gone in (f"hospital:{SOUTH}", "region:440100"):
        assert f"{gone}: 0 rights given, " in told, told
    with get_application_builder() as builder:
        assert len(builder.sm.find_role(f"hospital:{SOUTH}").permissions) == 1, (
            "FAB gives each the right to the website"
        )
    assert "roles are as they should be" in roles.main()


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        found = main()
    print(json.dumps(found))
