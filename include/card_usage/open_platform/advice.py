"""Advice: what a result code asks for, and who can give it."""

from __future__ import annotations

from card_usage.interfaces.table import INTERFACES, UNASSIGNED_CODES
from card_usage.platform.outcome import classify
from card_usage.words.catalogue import Words


def advice(code: int, words: Words) -> str:
    """What to do about a result code; of one without words of its own, what its class asks for."""
    key = f"result_code.{code}"
    return words(key) if words.has(key) else words(f"result_class.{classify(code)}")


def givers(code: int) -> tuple[str, ...] | None:
    """Sections of the interfaces that have the code as their own; None: every interface can give it."""
    own = tuple(each.section for each in INTERFACES.values() if code in each.own_codes)
    return own if own or code in UNASSIGNED_CODES else None
