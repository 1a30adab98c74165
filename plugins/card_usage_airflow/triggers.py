"""Triggers: wait in the triggerer for a lagging replica, without occupying a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

from airflow.triggers.base import BaseTrigger, TriggerEvent
from card_usage.config.connections import Connection
from card_usage.errors import BadHospitalFile, CardUsageError

from card_usage_airflow import hospital_files
from card_usage_airflow.readiness import Readiness, check_readiness
from card_usage_airflow.runs import present, window_from
from card_usage_airflow.task_context import awaited_connection_of, open_context

_PATIENCE: Final = timedelta(seconds=30)


class ReplicaPasses(BaseTrigger):
    """Fires once a run about `window` (as text) may query the hospital's replica; checks every `poll_seconds`.

    The event holds `passed` and `why`, or `problem` if waiting is of no use: the task meets the same error and fails.
    """

    def __init__(self, hospital_id: str, window: str, poll_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no annotations
        self.hospital_id, self.window, self.poll_seconds = hospital_id, window, poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow stores it, without secrets. Tasks deferred by earlier versions name this path: do not move it."""
        arguments = {"hospital_id": self.hospital_id, "window": self.window, "poll_seconds": self.poll_seconds}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Check, sleep, check again."""
        logged = ""
        while True:
            try:
                readiness = await self._check()
            except CardUsageError as problem:
                yield TriggerEvent({"passed": False, "problem": str(problem)})
                return
            if readiness.ready:
                yield TriggerEvent({"passed": readiness.passed, "why": readiness.why})
                return
            if readiness.why != logged:
                self.log.info("%s, window %s: %s", self.hospital_id, self.window, readiness.why)
                logged = readiness.why
            await asyncio.sleep(self.poll_seconds)

    async def _check(self) -> Readiness:
        # Connections are resolved on the triggerer's loop; databases are queried in a thread, which may block.
        hospital = hospital_files.read(self.hospital_id)
        if isinstance(hospital, BadHospitalFile):
            raise hospital
        connection = await awaited_connection_of(hospital.his.connection)
        return await asyncio.to_thread(self._check_with, connection)

    def _check_with(self, connection: Connection) -> Readiness:
        with open_context(self.hospital_id, patience=_PATIENCE, resolve=lambda _: connection) as context:
            return check_readiness(context, window_from(self.window), now=present())
