"""The drop folder of the platform's statements as a task uses it, and the asset that stands for what was imported."""

from __future__ import annotations

import logging
import os
from typing import Final

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException

from card_usage_airflow.runs import present

log = logging.getLogger(__name__)

STATEMENTS: Final = Asset("card_usage_statements", group="card-usage")
"""Changes with every statement that was imported: schedule on it what shall follow."""


def take_in_statements() -> list[dict[str, object]]:
    """Import whatever lies in the drop folder; returns the counts.

    Raises AirflowSkipException if nothing does, and StatementError once all others are imported if a file was refused.
    """
    from card_usage.config.hospital import load_hospitals
    from card_usage.config.settings import Settings
    from card_usage.ledger.database import open_ledger
    from card_usage.reconciliation.statement_files import Reader
    from card_usage.reconciliation.statement_import import import_folder

    settings = Settings.from_environment(os.environ)
    hospitals = {one.id: one for one in load_hospitals(settings.hospitals)}
    ledger = open_ledger(settings.ledger_url, settings.keyring)
    try:
        taken = import_folder(ledger, Reader.of(settings), hospitals, settings.statements, now=present())
    finally:
        ledger.close()
    imported = [one.summary() for one in taken.imported]
    for told, one in zip(imported, taken.imported, strict=True):
        level = logging.INFO if one.against.clean else logging.WARNING
        log.log(level, "%(hospital)s %(day)s: statement %(uses)d, missing %(missing)d, surplus %(surplus)d", told)
    for problem in taken.refused:
        log.error("%s", problem)
    if taken.refused:
        raise taken.refused[0]
    if not imported:
        raise AirflowSkipException(f"no statement in {settings.statements}")
    return imported
