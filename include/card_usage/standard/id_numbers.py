"""ID numbers: the resident ID (GB 11643) exactly, other documents by the look they usually have.

Functions take cleaned text (see normalize.py) and never quote it anywhere.
"""

import re
from collections.abc import Mapping
from datetime import date
from itertools import product
from operator import mul
from string import digits
from types import MappingProxyType
from typing import Final

RESIDENT_ID: Final = "01"
HEALTH_CARD: Final = "11"
"""The two card types with a meaning of their own (document 3.3.2): the resident ID and the health card."""

_EARLIEST_BIRTH: Final = "18000101"
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS: Final = "10X98765432"

PATTERNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "02": r"[A-Za-z0-9]{3,21}",
        "03": r"[A-Za-z0-9]{5,17}",
        "06": r"[HMhm](\d{8}|\d{10})",
        "07": r"\d{8}|\d{10}",
        "08": r"[A-Za-z]\d{9}",
    }
)
"""Card type -> how its numbers usually look (whole text). Conventions only: other numbers get a warning."""

_COMPILED: Final = {card_type: re.compile(pattern, re.ASCII) for card_type, pattern in PATTERNS.items()}


def _weighted_sums() -> tuple[dict[str, int], ...]:
    """Weighted sums of the first 17 digits, three digits at a time: the digits -> their sum."""
    parts = [_WEIGHTS[first : first + 3] for first in range(0, 17, 3)]
    return tuple(
        {"".join(group): sum(map(mul, map(int, group), part)) for group in product(digits, repeat=len(part))}
        for part in parts
    )


_SUMS: Final = _weighted_sums()


def check_digit(first_17: str) -> str:
    """The 18th character of a resident ID, 0-9 or X, from its first 17 digits."""
    # Six look-ups instead of seventeen multiplications: staging calls this for every row.
    a, b, c, d, e, f = _SUMS
    digits = first_17
    total = a[digits[:3]] + b[digits[3:6]] + c[digits[6:9]] + d[digits[9:12]] + e[digits[12:15]] + f[digits[15:]]
    return _CHECK_DIGITS[total % 11]


def has_resident_shape(number: str) -> bool:
    """15 digits, or 17 digits and a digit or X; a region (never 0 first); a birth date that is one."""
    digits = number[:-1] if number.endswith("X") else number
    if not (digits.isascii() and digits.isdigit() and digits[0] != "0"):
        return False
    if len(number) == 18:
        return _is_date(number[6:14])
    return len(number) == 15 and digits == number and _is_date("19" + number[6:12])


def is_resident_id(number: str) -> bool:
    """Whether this can be a resident ID: its shape, and of 18 characters the check digit. The legacy 15 have none."""
    return has_resident_shape(number) and (len(number) == 15 or check_digit(number[:17]) == number[17])


def is_born_after(number: str, day: date) -> bool:
    """Whether a valid resident ID's birth date is after a day of a card use; the legacy 15 are of the last century."""
    return len(number) == 18 and number[6:10] >= str(day.year) and number[6:14] > f"{day:%Y%m%d}"


def upgraded(number: str) -> str:
    """A resident ID of 15 digits in its form of 18; anything else as it is."""
    if len(number) != 15 or not has_resident_shape(number):
        return number
    first_17 = f"{number[:6]}19{number[6:]}"
    return first_17 + check_digit(first_17)


def has_usual_format(card_type: str, number: str) -> bool:
    """Whether a number looks like others of its document type. True where no convention is known."""
    pattern = _COMPILED.get(card_type)
    return pattern is None or pattern.fullmatch(number) is not None


def _is_date(yyyymmdd: str) -> bool:
    try:
        date.fromisoformat(yyyymmdd)
    except ValueError:
        return False
    return yyyymmdd >= _EARLIEST_BIRTH
