"""Classes: the names under which records of HIS, ledger and platform are counted, and the one class of an event."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from card_usage.ledger.counts import Cell
from card_usage.ledger.schema import STATES

OPEN_CLASSES: Final = ("due", "held", "in_flight", "unknown")
"""Where an event still moves by itself."""

STATE_CLASSES: Final[Mapping[str, str]] = MappingProxyType({state: state for state in STATES} | {"ready": "due"})
"""State in the ledger -> where it stands, as long as nothing holds the day back."""

CLASSES: Final = (
    "delivered",
    "quarantined",
    "rejected",
    "unconfirmed",
    "due",
    "held",
    "in_flight",
    "unknown",
    "voided",
)
"""Where a staged event can stand; each stands in exactly one."""

DIFFERENCES: Final = (
    "late_in_source",
    "provisional_window",
    "moved_here",
    "vanished_from_source",
    "refunds_not_staged",
    "voided_after_delivery",
    "changed_after_delivery",
    "platform_missing",
    "platform_surplus",
)
"""What sets the three legs apart: the HIS now, the ledger, the platform."""

NAMED: Final = (*CLASSES, *(name for name in DIFFERENCES if not name.startswith("platform_")))
"""Every class that a record of a feed's day can have; each record has exactly one. The two of the platform's statement
count beside these: a statement has no records, only counts, and no feeds."""

AGREED: Final = ("delivered", "voided")
"""Classes that are no difference: all legs say the same."""

HOLDERS: Final = ("quota", "pause", "approval", "misconfigured")
"""What holds events back: the day's quota, a person's pause or drain, the quality gate, a refusal of our settings."""


def class_of(cell: Cell, held_by: str | None = None) -> str:
    """The one class of an event. `held_by`: what holds the ready events of its day back (one of HOLDERS).

    The first that applies: what the HIS no longer has, needs no mending; what is under way or without a clear answer,
    has to come to its end first; then what the HIS took back or changed after the platform had it; else its state.
    """
    if cell.status not in STATE_CLASSES:
        raise ValueError(f"no class for the state {cell.status}")
    if cell.vanished:
        return "vanished_from_source"
    if cell.status == "delivered" and cell.voided:
        return "voided_after_delivery"
    if cell.status == "delivered" and cell.changed:
        return "changed_after_delivery"
    return standing_class(cell.status, held_by)


def standing_class(status: str, held_by: str | None) -> str:
    """Where a staged event of this state stands, its marks aside: one of CLASSES."""
    return "held" if status == "ready" and held_by else STATE_CLASSES[status]
