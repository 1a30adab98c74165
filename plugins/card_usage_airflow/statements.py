"""Statements: import the platform's statements from the drop folder, and the asset that is updated with them."""

from __future__ import annotations

import logging
from typing import Final

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException

from card_usage_airflow import task_context
from card_usage_airflow.runs import present

log = logging.getLogger(__name__)

STATEMENTS: Final = Asset("card_usage_statements", group="card-usage")
"""Updated with every imported statement. For asset schedules."""


def take_in_statements() -> list[dict[str, object]]:
    """Import every file of the drop folder; returns the counts.

    Raises AirflowSkipException if the folder is empty, and StatementError, after importing the others, if a file was
    refused.
    """
    from card_usage.config.hospital import load_valid_hospitals
    from card_usage.ledger.database import open_ledger
    from card_usage.reconciliation.statement_files import Reader
    from card_usage.reconciliation.statement_import import import_folder

    settings = task_context.settings()
    hospitals = {hospital.id: hospital for hospital in load_valid_hospitals(settings.hospitals).hospitals}
    ledger = open_ledger(settings.ledger_url, settings.keyring)
    try:
        taken = import_folder(ledger, Reader.of(settings), hospitals, settings.statements, now=present())
    finally:
        ledger.close()
    summaries = [statement.summary() for statement in taken.imported]
    for summary, statement in zip(summaries, taken.imported, strict=True):
        level = logging.INFO if statement.against.clean else logging.WARNING
        log.log(level, "%(hospital)s %(day)s: statement %(uses)d, missing %(missing)d, surplus %(surplus)d", summary)
    for problem in taken.refused:
        log.error("%s", problem)
    if taken.refused:
        raise taken.refused[0]
    if not summaries:
        raise AirflowSkipException(f"no statement in {settings.statements}")
    return summaries
