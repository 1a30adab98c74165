"""Where a fleet stands: a day that agrees does not hide that earlier days are open, and the urgent come first."""

from __future__ import annotations

from typing import Any

from card_usage.report.fleet import _urgency, _verdict
from card_usage.words.catalogue import Words

TOTALS = {
    "source": 400,
    "staged": 400,
    "delivered": 390,
    "to_report": 400,
    "for_people": 10,
    "waiting": 0,
    "remainder": 0,
}


def entry(name: str, level: str, open_days: int = 0, for_people: int = 0, **more: Any) -> dict[str, Any]:
    return {"id": name, "level": level, "open_days": open_days, "for_people": for_people, "holds": [], **more}


def test_agreement_on_the_day_is_not_said_of_all_while_earlier_days_are_open_or_missing() -> None:
    listed = [entry("a", "explained", for_people=10), entry("b", "complete", open_days=2)]
    said = _verdict(listed, {}, TOTALS, Words("en"))
    assert said["level"] == "open"
    assert "1 have earlier days open (2)" in said["text"]
    listed[1]["open_days"] = 0
    assert _verdict(listed, {}, TOTALS, Words("en"))["level"] == "explained"


def test_the_hospital_that_needs_somebody_stands_first() -> None:
    listed = [
        entry("done", "complete"),
        entry("to_mend", "explained", for_people=40),
        entry("earlier", "complete", open_days=1),
        entry("under_way", "open", open_days=3),
        entry("held", "open", open_days=1, holds=["pause"]),
        entry("away", "absent", open_days=1),
    ]
    order = [found["id"] for found in sorted(listed, key=_urgency)]
    assert order == ["away", "held", "under_way", "earlier", "to_mend", "done"]
