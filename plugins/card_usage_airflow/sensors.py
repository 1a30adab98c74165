"""Sensors: a run waits, without a worker, until the replica has passed the end of its window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from card_usage_airflow.look_back import windows_of_run
from card_usage_airflow.readiness import check_readiness
from card_usage_airflow.runs import present, window_from
from card_usage_airflow.task_context import open_context


class ReplicaPassed(BaseOperator):
    """Waits until the replica has provably passed the end of the run's window, or until the deadline of the hospital's
    file.

    Returns the windows that the run works on, its own first, as text. Waits in the triggerer. Past the deadline the run
    continues as provisional: its windows stay open in the ledger and are reconciled again.
    """

    template_fields: Sequence[str] = ("hospital_id",)

    def __init__(self, *, hospital_id: str, poll_seconds: float = 60, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hospital_id = hospital_id
        self.poll_seconds = poll_seconds

    def execute(self, context: Context) -> list[str]:
        """Check once before deferring: most runs need not wait at all."""
        with open_context(self.hospital_id) as opened:
            own, *earlier = windows_of_run(opened, context)
            self.log.info("window %s, looking back on %s", own, ", ".join(map(str, earlier)) or "no earlier day")
            readiness = check_readiness(opened, own, now=present())
        windows = [str(window) for window in (own, *earlier)]
        if readiness.ready:
            return self._continue(windows, passed=readiness.passed, why=readiness.why)
        self.log.info("waiting in the triggerer: %s", readiness.why)
        # Imported here: parsing DAGs needs no trigger.
        from card_usage_airflow.triggers import ReplicaPasses

        self.defer(
            trigger=ReplicaPasses(self.hospital_id, windows[0], self.poll_seconds),
            method_name="resume",
            kwargs={"windows": windows},
        )

    def resume(self, context: Context, event: Mapping[str, Any], windows: list[str]) -> list[str]:
        """Continue after the trigger has fired; an error that it found is raised again here."""
        if "problem" not in event:
            return self._continue(windows, passed=event["passed"], why=event["why"])
        with open_context(self.hospital_id) as opened:
            readiness = check_readiness(opened, window_from(windows[0]), now=present())
        if not readiness.ready:
            return self.execute(context)
        return self._continue(windows, passed=readiness.passed, why=readiness.why)

    def _continue(self, windows: list[str], *, passed: bool, why: str) -> list[str]:
        if passed:
            self.log.info("window %s: %s", windows[0], why)
        else:
            self.log.warning(
                "PROVISIONAL: window %s goes on without proof that the replica is complete (%s); it stays open in the "
                "ledger, the report says so, and the next runs and the reconciliation read it again",
                windows[0],
                why,
            )
        return windows
