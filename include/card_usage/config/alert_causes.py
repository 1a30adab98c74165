"""Alert causes: for each its name, who resolves it, how long it must be absent, and which causes explain it.

Declared in this package, below hospital files and alerts, because both use it: a hospital's route may name causes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final, Literal

Severity = Literal["info", "warning", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "critical")

AT_ONCE: Final = timedelta(0)
SHORT_ABSENCE: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Cause:
    """A kind of incident.

    `owner`: who resolves it (`who.*` of the catalogue). `part`: what its parts are (feeds, days, codes; "" for none).
    `closes_after`: how long the condition must be absent before the incident closes. `explained_by`: causes that bring
    it about; while one of them is open, no incident of this cause is opened.
    """

    name: str
    owner: str
    part: str
    closes_after: timedelta = AT_ONCE
    explained_by: tuple[str, ...] = ()


CAUSES: Final[Mapping[str, Cause]] = MappingProxyType(
    {
        cause.name: cause
        for cause in (
            # A cause comes after the causes that explain it, as far as they do not explain each other.
            Cause("misconfiguration", "engineer", ""),
            Cause("token_contested", "engineer", "", timedelta(hours=1)),
            Cause("dag_failed", "engineer", "", AT_ONCE, ("misconfiguration", "gate_held", "replica_late")),
            Cause("gate_held", "his", "day"),
            Cause("replica_late", "his", "feed", SHORT_ABSENCE, ("dag_failed",)),
            Cause("provisional_window", "his", "feed", SHORT_ABSENCE, ("replica_late", "dag_failed")),
            Cause("unmapped_code", "mapping", "code"),
            Cause("missing_field", "his", "feed"),
            Cause("volume_drop", "his", "feed", AT_ONCE, ("gate_held", "replica_late", "dag_failed")),
            Cause("platform_refuses", "engineer", ""),
            Cause("unconfirmed", "engineer", ""),
            # A hospital that is not live yet reaches its quota every day: closed after a whole day in which it did not.
            Cause("quota_exhausted", "automatic", "", timedelta(hours=26)),
            Cause(
                "delivery_behind",
                "engineer",
                "",
                SHORT_ABSENCE,
                ("misconfiguration", "token_contested", "quota_exhausted", "dag_failed", "replica_late"),
            ),
            Cause(
                "report_late",
                "engineer",
                "day",
                AT_ONCE,
                ("misconfiguration", "dag_failed", "gate_held", "replica_late", "provisional_window"),
            ),
            Cause("reconciliation_remainder", "engineer", "feed"),
            Cause("channel_down", "engineer", "", SHORT_ABSENCE),
        )
    }
)
