"""The verbs of the pipeline, as the command line and Airflow's tasks both call them.

A `Pipeline` is one hospital with its ledger, its code tables and a way to resolve connections. Each verb takes a window
and the present instant, may be repeated for the same window without harm, and returns counts only: nothing that comes
out of here says who a patient is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from card_usage.connections import Connection
from card_usage.hospitals import Hospital, load_hospital
from card_usage.ledger.database import Ledger, open_ledger
from card_usage.settings import Settings
from card_usage.windows import Window


@dataclass(frozen=True, kw_only=True, slots=True)
class Pipeline:
    """One hospital, ready to work."""

    hospital: Hospital
    settings: Settings
    ledger: Ledger
    connection_of: Callable[[str], Connection]
