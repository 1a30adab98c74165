"""Tallies: what a HIS has of a feed's window, as its database counts and names it, without any row leaving it."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple


class Tally(NamedTuple):
    """What the HIS has of a feed's window: all rows, and how many of them are voided."""

    rows: int
    voided: int


class MinuteTally(NamedTuple):
    """The same of one local minute, 0 to 1439 (None: rows whose time shows none). `checksum`: the database's own, over
    every column of all these rows in any order, so that sums are those of longer times; None where it has none."""

    minute: int | None
    rows: int
    voided: int
    checksum: int | None = None


class Untimed(NamedTuple):
    """Rows whose time puts them into no day, and the first of their keys, trimmed. Rows may lack one, or share it."""

    rows: int
    keys: tuple[str, ...] = ()


class SourceKey(NamedTuple):
    """A record's own key in the HIS, trimmed, and whether it is refunded."""

    source_id: str
    voided: bool


def is_voided(value: object) -> bool:
    """The column `voided` as a driver gives it: a number, a boolean, or MySQL's bit as a byte."""
    return any(value) if isinstance(value, bytes) else bool(value)


def minute_tallies(answer: Iterable[Any]) -> list[MinuteTally]:
    """The rows of `Feed.by_minute`, those of one minute added up."""
    tallies: dict[int | None, MinuteTally] = {}
    for minute_value, rows, voided, checksum in answer:
        minute = _minute_of_day(minute_value)
        before = tallies.get(minute, MinuteTally(minute, 0, 0, 0))
        total = None if checksum is None or before.checksum is None else before.checksum + int(checksum)
        tallies[minute] = MinuteTally(minute, before.rows + int(rows), before.voided + int(voided), total)
    return list(tallies.values())


def _minute_of_day(value: object) -> int | None:
    """The minute as a dialect's expression gives it: a time, a number hhmm, or a text hhmm or hh:mm."""
    if isinstance(value, datetime):
        return value.hour * 60 + value.minute
    if isinstance(value, str):
        value = value.strip().replace(":", "")
        if not re.fullmatch(r"\d{4}", value):
            return None
    elif value is None:
        return None
    hour, minute = divmod(int(value), 100)  # type: ignore[call-overload]
    return hour * 60 + minute if hour < 24 and minute < 60 else None
