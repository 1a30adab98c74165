"""Form trigger: waits in the triggerer for the answer to a form, and closes the form once nothing is to be decided."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.triggers.base import TriggerEvent
from card_usage.errors import CardUsageError

from card_usage_airflow.runs import window_from
from card_usage_airflow.task_context import open_context

_PATIENCE: Final = timedelta(seconds=30)


class AnsweredOrMended(HITLTrigger):
    """Fires with the answer or the default, as Airflow's own trigger does, or with `mended` once no verdict about the
    window (as text) awaits a decision: decided elsewhere, or checked again and passed. Asks the ledger every
    `ledger_seconds`.
    """

    def __init__(self, *, hospital_id: str, window: str, ledger_seconds: float = 15, **of_form: Any) -> None:
        super().__init__(**of_form)
        self.hospital_id, self.window, self.ledger_seconds = hospital_id, window, ledger_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow stores it. Tasks deferred by earlier versions name this path: do not move it."""
        _, of_form = super().serialize()
        mine = {"hospital_id": self.hospital_id, "window": self.window, "ledger_seconds": self.ledger_seconds}
        return f"{type(self).__module__}.{type(self).__qualname__}", of_form | mine

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Whichever comes first."""
        answered = asyncio.ensure_future(anext(super().run()))
        mended = asyncio.ensure_future(self._mended())
        try:
            await asyncio.wait({answered, mended}, return_when=asyncio.FIRST_COMPLETED)
            # An answer that is there counts: it is recorded, if it still can be.
            yield await answered if answered.done() else TriggerEvent({"mended": True})
        finally:
            answered.cancel()
            mended.cancel()

    async def _mended(self) -> None:
        """Returns once nothing awaits a decision. A ledger that cannot be asked is asked again."""
        logged = ""
        while True:
            try:
                if not await asyncio.to_thread(self._awaits_decision):
                    return
            except CardUsageError as problem:
                if str(problem) != logged:
                    self.log.warning("%s, window %s: %s", self.hospital_id, self.window, problem)
                logged = str(problem)
            await asyncio.sleep(self.ledger_seconds)

    def _awaits_decision(self) -> bool:
        from card_usage.quality.approval import verdicts_of

        with open_context(self.hospital_id, patience=_PATIENCE) as opened:
            verdicts = verdicts_of(opened.ledger, self.hospital_id, window_from(self.window))
        return any(verdict.awaits_decision for verdict in verdicts)
