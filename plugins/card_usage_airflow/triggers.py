"""Waiting inside the triggerer: no worker is held while a replica lags, however long it takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

from airflow.triggers.base import BaseTrigger, TriggerEvent
from card_usage.config.connections import Connection
from card_usage.errors import BadHospitalFile, CardUsageError

from card_usage_airflow import hospital_files
from card_usage_airflow.readiness import Look, look
from card_usage_airflow.runs import present, window_from
from card_usage_airflow.task_context import awaited_connection_of, open_context

_PATIENCE: Final = timedelta(seconds=30)


class ReplicaPasses(BaseTrigger):
    """Fires once a run about `window` (as text) may ask the hospital's replica; looks every `poll_seconds`.

    The event: `passed` and `why`, or `problem` (what somebody must mend; the task finds it again and fails with it).
    """

    def __init__(self, hospital_id: str, window: str, poll_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no annotations
        self.hospital_id, self.window, self.poll_seconds = hospital_id, window, poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How Airflow keeps it: nothing in it is secret."""
        arguments = {"hospital_id": self.hospital_id, "window": self.window, "poll_seconds": self.poll_seconds}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, sleep, look again."""
        said = ""
        while True:
            try:
                seen = await self._look()
            except CardUsageError as problem:
                yield TriggerEvent({"passed": False, "problem": str(problem)})
                return
            if seen.go:
                yield TriggerEvent({"passed": seen.passed, "why": seen.why})
                return
            if seen.why != said:
                self.log.info("%s, window %s: %s", self.hospital_id, self.window, seen.why)
                said = seen.why
            await asyncio.sleep(self.poll_seconds)

    async def _look(self) -> Look:
        # Connections are asked for here, on the triggerer's loop; databases in a thread, where they may block.
        hospital = hospital_files.read(self.hospital_id)
        if isinstance(hospital, BadHospitalFile):
            raise hospital
        connection = await awaited_connection_of(hospital.his.connection)
        return await asyncio.to_thread(self._look_with, connection)

    def _look_with(self, connection: Connection) -> Look:
        with open_context(self.hospital_id, patience=_PATIENCE, resolve=lambda _: connection) as context:
            return look(context, window_from(self.window), now=present())
