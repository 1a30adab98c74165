"""Roles: makes the roles that `access` declares in Airflow's metadata, with their rights, and says what it has changed.

    python -m card_usage_airflow.roles

For the FAB auth manager, after each new hospital file and each change of a region; safe to repeat. Keeps their names in
the file that CARD_USAGE_ROLES names, for the DAGs. Users get the roles from an administrator, or from the directory by
AUTH_ROLES_MAPPING (docs/production.md). A right that somebody gave one
of these roles besides is taken away again; the role of a hospital or region that is gone keeps its name and no right.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import Any

from card_usage.files.atomic import write_atomically

from card_usage_airflow import hospital_files
from card_usage_airflow.access import NOTHING, OF_HOSPITAL, OF_REGION, Role, made_roles_file, roles


def make(manager: Any, wanted: Iterable[Role]) -> Iterator[str]:
    """Bring the roles of FAB's security manager into this form; yields a line for each one that was changed."""
    by_name = {role.name: role for role in wanted}
    gone = {role.name for role in manager.get_all_roles() if role.name.startswith((OF_HOSPITAL, OF_REGION))}
    for name in sorted({*by_name, *gone}):
        rights = by_name[name].rights if name in by_name else NOTHING
        role = manager.find_role(name)
        new = role is None
        role = role or manager.add_role(name)
        has = {(held.action.name, held.resource.name): held for held in role.permissions}
        missing, surplus = rights - has.keys(), has.keys() - rights
        for action, resource in sorted(missing):
            manager.add_permission_to_role(role, manager.create_permission(action, resource))
        for right in sorted(surplus):
            manager.remove_permission_from_role(role, has[right])
        if new or missing or surplus:
            yield f"{name}: {'made, ' if new else ''}{len(missing)} rights given, {len(surplus)} taken away"


def main() -> str:
    """What was done, for people."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    wanted = roles(hospital_files.hospitals())
    with get_application_builder() as builder:
        changed = list(make(builder.sm, wanted))
    if place := made_roles_file():
        write_atomically(place, "\n".join(role.name for role in wanted).encode())
    return "\n".join(changed) or f"{len(wanted)} roles are as they should be"


if __name__ == "__main__":
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    print(main())
