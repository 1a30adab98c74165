"""Detection: the conditions that are present at a hospital, or in the fleet, now.

Each file of `card_usage.alerts.detectors` detects the causes of one subject and is discovered automatically: it
declares `DETECTORS`, or `FLEET_DETECTORS` for what concerns no single hospital. Nothing writes.

Without history there is no condition: a hospital of which nothing was ever staged has none but its set-up, and a volume
is compared only with days that have one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from sqlalchemy import Connection

from card_usage.alerts import detectors
from card_usage.alerts.incidents import Condition
from card_usage.alerts.situation import Situation

Detector = Callable[[Situation], Iterator[Condition]]
FleetDetector = Callable[[Connection, datetime], Iterator[Condition]]


def detect(situation: Situation) -> tuple[Condition, ...]:
    """All conditions of a hospital, in no particular order."""
    conditions: list[Condition] = []
    for module in _modules():
        declared: tuple[Detector, ...] = getattr(module, "DETECTORS", ())
        conditions += (condition for detector in declared for condition in detector(situation))
    return tuple(conditions)


def detect_in_fleet(connection: Connection, now: datetime) -> tuple[Condition, ...]:
    """All conditions that concern no single hospital."""
    conditions: list[Condition] = []
    for module in _modules():
        declared: tuple[FleetDetector, ...] = getattr(module, "FLEET_DETECTORS", ())
        conditions += (condition for detector in declared for condition in detector(connection, now))
    return tuple(conditions)


@cache
def _modules() -> tuple[ModuleType, ...]:
    return tuple(import_module(f"{detectors.__name__}.{module.name}") for module in iter_modules(detectors.__path__))
