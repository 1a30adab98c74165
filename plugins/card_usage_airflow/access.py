"""Access: who may see and do what in the UI, as roles of Airflow's FAB auth manager; declared here, made by `roles`.

hospital:<id>      a hospital's IT: its own DAG: looks, answers forms, triggers, clears; its own reports
region:<code>      manager of a region (`region` of the hospital files): looks at the DAGs and reports of its hospitals
fleet:engineer     all DAGs, reports and backfills; neither connections nor users nor Airflow's audit log
fleet:auditor      looks at everything of all DAGs, at Airflow's audit log and at who viewed what; changes nothing

DAGs carry `access_control` where CARD_USAGE_ROLES names the file in which `roles` keeps the names of those that it has
made. They name no others: of one role that does not exist, Airflow makes an error of the whole file, and starts no runs
of any hospital.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from card_usage.config.hospital import Hospital

Right = tuple[str, str]
"""An action and a resource, as FAB names them."""
FLEET_ENGINEER: Final = "fleet:engineer"
AUDITOR: Final = "fleet:auditor"
OF_HOSPITAL: Final = "hospital:"
OF_REGION: Final = "region:"
_LONGEST: Final = 64

_READ: Final = "can_read"
_EDIT: Final = "can_edit"
_CREATE: Final = "can_create"
_DELETE: Final = "can_delete"
_MENU: Final = "menu_access"
_DAGS: Final = "DAGs"

# What somebody needs who sees some DAGs: without a right to the DAG, none of these shows anything of it.
_LOOK: Final = frozenset(
    {
        (_READ, "Website"),
        (_READ, "My Profile"),
        (_EDIT, "My Profile"),
        (_READ, "My Password"),
        (_EDIT, "My Password"),
        (_READ, "Plugins"),  # the menu's entry of the reports
        *((_READ, name) for name in ("DAG Runs", "DAG Versions", "DAG Warnings", "DAG Code", "Task Instances")),
        *((_READ, name) for name in ("Task Logs", "XComs", "HITL Detail")),
        *((_MENU, name) for name in (_DAGS, "DAG Runs", "Task Instances", "HITL Detail", "Browse")),
    }
)
_ACT: Final = frozenset(
    {
        *((action, "Task Instances") for action in (_CREATE, _EDIT)),
        *((action, "DAG Runs") for action in (_CREATE, _EDIT)),
        (_EDIT, "HITL Detail"),
    }
)
_OF_ALL: Final = frozenset(
    {
        (_READ, _DAGS),
        *(
            (_READ, name)
            for name in ("Assets", "Asset Aliases", "Backfills", "DAG Dependencies", "ImportError", "Jobs", "Pools")
        ),
        *((_MENU, name) for name in ("Assets", "Backfills", "DAG Dependencies", "Jobs")),
    }
)
_ENGINEER: Final = frozenset(
    {
        (_EDIT, _DAGS),
        *((action, "Backfills") for action in (_CREATE, _EDIT)),
        *((_DELETE, name) for name in ("DAG Runs", "Task Instances")),
    }
)
_AUDIT: Final = frozenset(
    {(_READ, "Audit Logs"), (_MENU, "Audit Logs"), (_READ, "All Audit Logs"), (_READ, "All Import Errors")}
)


NOTHING: Final = frozenset({(_READ, "Website")})
"""What is left to a role without rights: FAB gives it to each."""


class Role(NamedTuple):
    """A role by its name, and everything that it may."""

    name: str
    rights: frozenset[Right]


def role_of_hospital(hospital_id: str) -> str:
    """Name of the role of a hospital's IT; at most 64 characters, as FAB keeps them, and different for each id."""
    name = OF_HOSPITAL + hospital_id
    return name if len(name) <= _LONGEST else f"{name[:52]}~{sha256(hospital_id.encode()).hexdigest()[:11]}"


def role_of_region(region: str) -> str:
    """Name of the role of a region's manager."""
    return OF_REGION + region


def dag_of(hospital_id: str) -> str:
    """The DAG whose rights decide about everything of a hospital."""
    return f"report_card_usage__{hospital_id}"


def rights_on_dag(hospital_id: str, region: str) -> dict[str, set[str]]:
    """Role -> actions on the hospital's DAG."""
    given = {role_of_hospital(hospital_id): {_READ, _EDIT}}
    return given | ({role_of_region(region): {_READ}} if region else {})


def access_control(hospital_id: str, region: str = "") -> dict[str, dict[str, set[str]]] | None:
    """The DAG's argument of this name; None where roles are not used. A hospital that is newer than its role has none
    yet, so that only who may see all DAGs sees this one.
    """
    place = made_roles_file()
    if place is None:
        return None
    made = set(place.read_text(encoding="utf-8").split("\n")) if place.is_file() else set()
    given = rights_on_dag(hospital_id, region)
    return {role: {_DAGS: actions} for role, actions in given.items() if role in made}


def made_roles_file() -> Path | None:
    """Where the names of the roles that were made are kept, one a line; None: roles are not used."""
    place = os.environ.get("CARD_USAGE_ROLES")
    return Path(place) if place else None


def roles(hospitals: Iterable[Hospital]) -> list[Role]:
    """Every role, by name."""
    wanted: dict[str, set[Right]] = {
        FLEET_ENGINEER: {*_LOOK, *_ACT, *_OF_ALL, *_ENGINEER},
        AUDITOR: {*_LOOK, *_OF_ALL, *_AUDIT},
    }
    for hospital in hospitals:
        for name, actions in rights_on_dag(hospital.id, hospital.region).items():
            rights = wanted.setdefault(name, {*_LOOK, *(_ACT if name.startswith(OF_HOSPITAL) else ())})
            rights |= {(action, f"DAG:{dag_of(hospital.id)}") for action in actions}
    return [Role(name, frozenset(rights)) for name, rights in sorted(wanted.items())]
