"""Waiting without a worker: a window is worked on only once it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseSensorOperator, Context, PokeReturnValue

from card_usage_airflow.look_back import windows_of_run
from card_usage_airflow.opening import hospital_pipeline
from card_usage_airflow.runs import present


class WindowEnded(BaseSensorOperator):
    """Until the run's window has ended. Returns the windows that the run works on, its own first, as text."""

    template_fields: Sequence[str] = ("hospital_id",)

    def __init__(self, *, hospital_id: str, **kwargs: Any) -> None:
        # Rescheduled between two looks: it may wait for hours.
        super().__init__(mode="reschedule", **kwargs)
        self.hospital_id = hospital_id

    def poke(self, context: Context) -> PokeReturnValue:
        with hospital_pipeline(self.hospital_id) as pipeline:
            own, *earlier = windows_of_run(pipeline, context)
        self.log.info("window %s, looking back on %s", own, ", ".join(map(str, earlier)) or "no earlier day")
        return PokeReturnValue(is_done=own.ended_by(present()), xcom_value=[str(window) for window in (own, *earlier)])
