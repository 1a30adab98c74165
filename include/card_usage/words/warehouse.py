"""Texts of the warehouse: names of dimensions, measures and what codes of its own mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "outcome.delivered": ("已上报", "delivered"),
    "outcome.waiting": ("待上报", "waiting"),
    "outcome.quarantined": ("已隔离", "quarantined"),
    "outcome.refused": ("平台拒收", "refused"),
    "outcome.unconfirmed": ("待确认", "unconfirmed"),
    "outcome.voided": ("上报前作废", "voided before it was sent"),
}
