"""The dirt of the demo HIS: every kind, its share, and the rule that must find it.

A row has at most one kind. Rule ids are those of the reporting rules; a kind without a rule is clean once it is brought
into standard form (full-width digits, a lower-case x, fifteen digits, spaces around a name).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Flaw:
    """One kind of dirt. `share` is of visits; `rule` is None where normalization mends it."""

    share: float
    rule: str | None
    card: str | None = None
    """Local card type that the visit must have; "not_health" means any but the health card, whose events need no ID."""


NOT_HEALTH: Final = "not_health"

FLAWS: Final[Mapping[str, Flaw]] = {
    # Registration is the only row of these visits: no other scene needs a department.
    "unmapped_department": Flaw(share=0.018, rule="department.code"),
    "missing_department": Flaw(share=0.003, rule="department.required"),
    "missing_name": Flaw(share=0.0015, rule="name.required", card=NOT_HEALTH),
    "placeholder_name": Flaw(share=0.0015, rule="name.required", card=NOT_HEALTH),
    "missing_id": Flaw(share=0.005, rule="id_number.required", card=NOT_HEALTH),
    "placeholder_id": Flaw(share=0.003, rule="id_number.required", card=NOT_HEALTH),
    "bad_checksum": Flaw(share=0.003, rule="id_number.checksum", card="SF"),
    "missing_qr_code": Flaw(share=0.0015, rule="qr_code_text.required", card="JK"),
    "full_width_id": Flaw(share=0.004, rule=None, card="SF"),
    "lower_case_x": Flaw(share=0.004, rule=None, card="SF"),
    "fifteen_digits": Flaw(share=0.002, rule=None, card="SF"),
    "padded_name": Flaw(share=0.003, rule=None, card="SF"),
}
PLACEHOLDER_NAMES: Final = ("无", "不详", "-", "0", "测试")
PLACEHOLDER_IDS: Final = ("无", "不详", "-", "0")

RETURNED_REGISTRATIONS = 0.014
REFUNDED_PAYMENTS = 0.015
RETURNED_DRUGS = 0.004
RECALLED_REPORTS = 0.002
PRE_REGISTERED = 0.05
UNSETTLED = 0.006
UNDISPENSED = 0.020
IN_YEAR_TABLE = 0.030
IN_BOTH_TABLES = 0.005
TWO_SIDE_TABLE_ROWS = 0.04
LATE = 0.004
LATE_REFUNDS = 0.002
"""Shares: of rows of their kind; IN_* of clean rows, TWO_SIDE_TABLE_ROWS of card holders, LATE* of a day's uses."""
