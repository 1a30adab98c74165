"""Visits: what a scene (3.3.1) and a card type (3.3.2) mean for figures of use: kinds of visit, groups of cards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from card_usage.standard.id_numbers import HEALTH_CARD

REGISTRATIONS: Final = ("010101", "0101011", "0101012")
"""Scenes that open a visit (document 2.7.4 asks for a department with exactly these)."""
INPATIENT: Final = ("0101053", "0101054", "0101056", "010109")
"""Scenes of people who stay: paying, topping up, being admitted."""
CONVENIENCE: Final = ("00000", "00001", "00002", "00003", "00004", "00005", "00006", "00007")
"""Scenes that are no visit: online, family doctor, other services."""
VISIT_KINDS: Final = ("outpatient", "inpatient", "convenience")
CARD_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "health": (HEALTH_CARD,),
    "treatment": ("10",),
    "insurance": ("09",),
    "resident_id": ("01",),
}
"""Card types (3.3.2) that reports set against each other; what is in none of them is `other`."""


def card_group(code: str | None) -> str:
    """The group of a card type."""
    return next((name for name, codes in CARD_GROUPS.items() if code in codes), "other")


def visit_kind(code: str | None) -> str | None:
    """The kind of visit of a scene; a scene that was not recognized is of none."""
    if code is None:
        return None
    return "inpatient" if code in INPATIENT else "convenience" if code in CONVENIENCE else "outpatient"
