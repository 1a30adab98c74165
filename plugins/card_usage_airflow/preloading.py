"""Preloading: modules that tasks need, loaded once where task processes are forked from.

A task of LocalExecutor or Celery is a fork of its worker: what the worker has loaded costs the task nothing and takes
no memory twice. Loading it anew in each task cost more processor time than the work of a small hospital's day
(docs/performance.md). Only these processes preload: a DAG file is still parsed without any of it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import import_module
from pathlib import PurePath
from typing import Final

log = logging.getLogger(__name__)

_PARENTS: Final = (("scheduler",), ("celery", "worker"))
"""Airflow's commands whose processes tasks are forked from."""
MODULES: Final = (
    "card_usage.context",
    "card_usage.pipeline",
    "card_usage.delivery.run",
    "card_usage.quality.gx",
    "card_usage.reconciliation.reconcile",
    "card_usage.report.publish",
    "card_usage.evidence.seal",
    "card_usage_airflow.steps",
    "great_expectations",
)


def is_parent(argv: Sequence[str]) -> bool:
    """Whether a command line is one whose process tasks are forked from."""
    return (
        bool(argv)
        and PurePath(argv[0]).name == "airflow"
        and any(tuple(argv[1 : 1 + len(words)]) == words for words in _PARENTS)
    )


def preload(argv: Sequence[str]) -> None:
    """Load what tasks need if this process is one that they are forked from. What cannot be loaded is left to them."""
    if not is_parent(argv):
        return
    for name in MODULES:
        try:
            import_module(name)
        except Exception as error:
            log.warning("%s cannot be loaded before tasks need it (%s)", name, type(error).__name__)
