"""A failed run is heard of once: one line in the log of the DAG processor, however many tasks failed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)


def run_failed(context: Mapping[str, Any]) -> None:
    """`on_failure_callback` of every DAG (of the DAG, not of its tasks: that is what makes it one line a run)."""
    last = context.get("ti")
    log.error(
        "incident: dag=%s run=%s reason=%s last_task=%s next=read that task's log, then the runbook in the DAG's docs",
        context["dag"].dag_id,
        context.get("run_id"),
        context.get("reason"),
        last.task_id if last else None,
    )
