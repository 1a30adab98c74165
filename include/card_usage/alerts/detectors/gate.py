"""Gate: windows that the quality check withholds until a person decides."""

from __future__ import annotations

from collections.abc import Iterator

from card_usage.alerts.incidents import Condition, listed_days
from card_usage.alerts.situation import Situation
from card_usage.quality.verdict_texts import reason_text


def _gate_held(situation: Situation) -> Iterator[Condition]:
    held = situation.undecided_verdicts
    if not held:
        return
    days = sorted({stored.window.day for stored in held}, reverse=True)
    worst = max(held, key=lambda stored: (stored.level == "stop", stored.verdict.events))
    reasons = worst.verdict.withholding[:3]
    yield Condition(
        cause="gate_held",
        severity="critical" if any(stored.level == "stop" for stored in held) else "warning",
        count=sum(stored.verdict.events for stored in held),
        since=min(stored.at for stored in held),
        parts=tuple(map(str, days)),
        facts={
            "days": listed_days(days),
            "reason": "；".join(reason_text(reason, "zh") for reason in reasons),
            "reason_en": "; ".join(reason_text(reason, "en") for reason in reasons),
        },
    )


DETECTORS = (_gate_held,)
