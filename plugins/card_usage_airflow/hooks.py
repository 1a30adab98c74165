"""Hooks: the open platform in any DAG, as one of its hospitals.

    with HealthCardHook("demo_hospital").platform() as platform:
        card = platform.call(GetHealthCardByQrCode(qr_code_text=text)).result().card

Calls take the token and the day's quota from the ledger, as the reporting runs do. docs/interfaces.md has the requests.
Answers hold patient data: they belong in no XCom and no log.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from card_usage_airflow.task_context import open_context

if TYPE_CHECKING:
    from card_usage.open_platform.blocking import BlockingPlatform


class HealthCardHook(BaseHook):
    """The open platform for one hospital. `hospital_id`: the name of its file."""

    def __init__(self, hospital_id: str) -> None:
        super().__init__()
        self.hospital_id = hospital_id

    @contextmanager
    def platform(self) -> Iterator[BlockingPlatform]:
        """Calls that return when they are answered. Raises the errors of settings, hospital, connection and ledger."""
        from card_usage.open_platform.blocking import blocking

        with open_context(self.hospital_id, guarded=False) as context:
            connection = context.connection_of(context.hospital.platform.connection)
            with blocking(context.ledger, context.hospital, connection=connection, tables=context.tables) as platform:
                yield platform
