"""First administrator: makes one with the password in a file, which no list of processes shows; once.

    python -m card_usage_airflow.first_administrator /run/secrets/airflow_admin_password

Name and mail: AIRFLOW_ADMIN_USER, AIRFLOW_ADMIN_EMAIL. Whoever is there stays as he is; an empty file makes nobody.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def main(place: str) -> str:
    """What was done, for people."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    password = Path(place).read_text(encoding="utf-8").strip()
    name = os.environ.get("AIRFLOW_ADMIN_USER") or "admin"
    if not password:
        return "no password, no administrator"
    with get_application_builder() as builder:
        manager = builder.sm
        if manager.find_user(name):
            return f"{name} is there already"
        mail = os.environ.get("AIRFLOW_ADMIN_EMAIL") or "admin@example.org"
        made = manager.add_user(name, "First", "Administrator", mail, manager.find_role("Admin"), password=password)
    if not made:
        raise SystemExit(f"{name} could not be made")
    return f"{name} was made"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("password", help="the file that holds it")
    print(main(parser.parse_args().password))
