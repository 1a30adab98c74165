"""The causes of incidents: what each is called, who mends it, when it is over, and which other cause explains it.

Declared below hospital files and alerts, because both check against it: a hospital's route may name causes.
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
SHORT_CALM: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Cause:
    """A kind of trouble. `owner`: who mends it (`who.*` of the catalogue); `part`: what its parts are;
    `explained_by`: causes that bring it about, so that it is not opened beside them."""

    name: str
    owner: str
    part: str
    calm: timedelta = AT_ONCE
    explained_by: tuple[str, ...] = ()


CAUSES: Final[Mapping[str, Cause]] = MappingProxyType(
    {
        cause.name: cause
        for cause in (
            # In the order in which they explain each other.
            Cause("misconfiguration", "engineer", ""),
            Cause("token_contested", "engineer", "", timedelta(hours=1)),
            Cause("dag_failed", "engineer", "", AT_ONCE, ("misconfiguration", "gate_held", "replica_late")),
            Cause("gate_held", "his", "day"),
            Cause("replica_late", "his", "feed", SHORT_CALM, ("dag_failed",)),
            Cause("provisional_window", "his", "feed", SHORT_CALM, ("replica_late", "dag_failed")),
            Cause("unmapped_code", "mapping", "code"),
            Cause("missing_field", "his", "feed"),
            Cause("volume_drop", "his", "feed", AT_ONCE, ("gate_held", "replica_late", "dag_failed")),
            Cause("platform_refuses", "engineer", ""),
            Cause("unconfirmed", "engineer", ""),
            # A hospital that is not yet live meets its limit every day: over when a whole day went without.
            Cause("quota_exhausted", "automatic", "", timedelta(hours=26)),
            Cause(
                "delivery_behind",
                "engineer",
                "",
                SHORT_CALM,
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
            Cause("channel_down", "engineer", "", SHORT_CALM),
        )
    }
)
