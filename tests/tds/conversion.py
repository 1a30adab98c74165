"""CONVERT, and arithmetic with dates: between text, numbers and moments, in the styles that scripts and feeds use."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

from tds.columns import MOMENTS, Type, moment_of, stored_moment

_STORED = re.compile(r"(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{7})$")
_STYLES = {
    8: "{h}:{n}:{s}", 20: "{y}-{m}-{d} {h}:{n}:{s}", 21: "{y}-{m}-{d} {h}:{n}:{s}.{f}", 23: "{y}-{m}-{d}",
    101: "{m}/{d}/{y}", 102: "{y}.{m}.{d}", 108: "{h}:{n}:{s}", 111: "{y}/{m}/{d}", 112: "{y}{m}{d}",
    120: "{y}-{m}-{d} {h}:{n}:{s}", 121: "{y}-{m}-{d} {h}:{n}:{s}.{f}", 126: "{y}-{m}-{d}T{h}:{n}:{s}.{f}",
}  # fmt: skip
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
Refuse = Callable[[int, int, str], Exception]
"""Makes the error of a number, a class and words."""


def convert(declared: str, value: Any, style: int | None, safe: int, refuse: Refuse) -> Any:
    """CONVERT(declared, value, style), or TRY_CONVERT where `safe`."""
    if value is None:
        return None
    kind = Type.declared(declared)
    if kind.name in MOMENTS:
        if _is_moment(str(value)):
            return stored_moment(str(value), kind.name)
        if safe:
            return None
        raise refuse(241, 16, "Conversion failed when converting date and/or time from character string.")
    if kind.textual:
        moment = _STORED.match(str(value))
        told = _written(moment, style, refuse) if moment else str(value)
        return told[: kind.size] if kind.size > 0 else told
    try:
        if kind.name in {"float", "real", "decimal", "money"}:
            return float(value)
        number = int(value)
    except ValueError:
        if safe:
            return None
        words = f"Conversion failed when converting the varchar value '{value}' to data type {kind.name}."
        raise refuse(245, 16, words) from None
    if kind.name == "int" and not -(2**31) <= number < 2**31:
        if safe:
            return None
        raise refuse(248, 16, f"The conversion of the varchar value '{value}' overflowed an int column.")
    return number


def _is_moment(text: str) -> bool:
    try:
        return moment_of(text) is not None
    except ValueError:  # 30 February
        return False


def _written(moment: re.Match[str], style: int | None, refuse: Refuse) -> str:
    year, month, day, hour, minute, second, fraction = moment.groups()
    if style in {None, 0, 100}:
        clock = f"{(int(hour) + 11) % 12 + 1:2d}:{minute}{'AM' if int(hour) < 12 else 'PM'}"
        return f"{_MONTHS[int(month) - 1]} {int(day):2d} {year} {clock}"
    if style not in _STYLES:
        raise refuse(
            281, 16, f"{style} is not a valid style number when converting from datetime to a character string."
        )
    return _STYLES[style].format(y=year, m=month, d=day, h=hour, n=minute, s=second, f=fraction[:3])


def add(unit: str, number: int, value: str | None) -> str | None:
    """DATEADD."""
    moment = moment_of(str(value)) if value is not None else None
    if moment is None:
        return None
    days, units = moment
    at = datetime.combine(date.fromordinal(days + 1), datetime.min.time()) + timedelta(microseconds=units // 10)
    steps = {
        "day": timedelta(days=1), "dd": timedelta(days=1), "hour": timedelta(hours=1), "hh": timedelta(hours=1),
        "minute": timedelta(minutes=1), "mi": timedelta(minutes=1), "second": timedelta(seconds=1),
        "week": timedelta(weeks=1),
    }  # fmt: skip
    return str(stored_moment((at + steps[unit.lower()] * number).isoformat(" ", "microseconds"), "datetime"))
