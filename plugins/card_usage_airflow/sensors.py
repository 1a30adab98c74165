"""Waiting without a worker: a window is worked on only once the replica has passed its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from card_usage_airflow.look_back import windows_of_run
from card_usage_airflow.readiness import look
from card_usage_airflow.runs import present, window_from
from card_usage_airflow.task_context import open_context


class ReplicaPassed(BaseOperator):
    """Until the replica has provably passed the end of the run's window, or the deadline of the hospital's file.

    Returns the windows that the run works on, its own first, as text. Waits in the triggerer. Past the deadline the run
    goes on as provisional: its windows stay open in the ledger, and are counted again.
    """

    template_fields: Sequence[str] = ("hospital_id",)

    def __init__(self, *, hospital_id: str, poll_seconds: float = 60, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hospital_id = hospital_id
        self.poll_seconds = poll_seconds

    def execute(self, context: Context) -> list[str]:
        """One look from here: most runs need not wait at all."""
        with open_context(self.hospital_id) as opened:
            own, *earlier = windows_of_run(opened, context)
            self.log.info("window %s, looking back on %s", own, ", ".join(map(str, earlier)) or "no earlier day")
            seen = look(opened, own, now=present())
        windows = [str(window) for window in (own, *earlier)]
        if seen.go:
            return self._going(windows, passed=seen.passed, why=seen.why)
        self.log.info("waiting in the triggerer: %s", seen.why)
        # Not at the top: parsing DAGs needs no trigger.
        from card_usage_airflow.triggers import ReplicaPasses

        self.defer(
            trigger=ReplicaPasses(self.hospital_id, windows[0], self.poll_seconds),
            method_name="resume",
            kwargs={"windows": windows},
        )

    def resume(self, context: Context, event: Mapping[str, Any], windows: list[str]) -> list[str]:
        """The trigger has fired. Raises what somebody must mend."""
        if "problem" not in event:
            return self._going(windows, passed=event["passed"], why=event["why"])
        with open_context(self.hospital_id) as opened:
            seen = look(opened, window_from(windows[0]), now=present())
        if not seen.go:
            return self.execute(context)
        return self._going(windows, passed=seen.passed, why=seen.why)

    def _going(self, windows: list[str], *, passed: bool, why: str) -> list[str]:
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
