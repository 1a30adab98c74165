"""Status: where a day, a month or the fleet stands, as one word; what is wrong comes before what is unfinished.

broken       records differ and no class explains it
absent       nothing was staged or counted at all although it is due (fleet only)
uncounted    not counted at the HIS
withheld     the quality check holds the day, and events wait for it
provisional  it can still grow
open         something still moves by itself
empty        nothing happened
explained    all agrees; some records wait for a person
complete     all agrees, and all that was to be reported is
"""

from __future__ import annotations

from typing import Final, Literal

from card_usage.report.totals import Weighed
from card_usage.words.catalogue import Words

Level = Literal["broken", "absent", "uncounted", "withheld", "provisional", "open", "empty", "explained", "complete"]
LEVELS: Final[tuple[Level, ...]] = (
    *("broken", "absent", "uncounted", "withheld", "open", "provisional", "explained", "complete", "empty"),
)
"""The most urgent first."""
GOOD: Final = ("explained", "complete", "empty")
"""Nothing differs and nothing is under way."""


def level(weighed: Weighed, *, for_people: int, withheld: bool = False) -> Level:
    """The first that applies."""
    if weighed.remainder:
        return "broken"
    if weighed.source is None:
        return "uncounted"
    if withheld and weighed.open:
        return "withheld"
    if weighed.provisional:
        return "provisional"
    if not weighed.clean:
        return "open"
    if weighed.source == 0 and weighed.staged == 0:
        return "empty"
    return "explained" if for_people else "complete"


def verdict(reached: Level, text: str, totals: dict[str, int | None], words: Words, **more: object) -> dict[str, str]:
    """The word and its sentence: the text of `<text><level>`, filled with the totals and `more`."""
    source, delivered = totals["source"] or 0, totals["delivered"] or 0
    figures = {
        "source": source,
        "staged": totals["staged"],
        "delivered": delivered,
        "due": totals["to_report"],
        "rest": source - delivered,
        "todo": totals["for_people"],
        "open": totals["waiting"],
        "remainder": totals["remainder"],
    }
    return {"level": reached, "text": words(text + reached, **figures, **more)}
