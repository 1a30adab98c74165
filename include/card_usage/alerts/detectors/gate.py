"""Gate: windows that the quality check withholds until a person decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from card_usage.alerts.incidents import Condition, listed_days
from card_usage.alerts.situation import MOST_NAMED, QUARANTINED_SHARE, Situation, speaks_of_quarantine
from card_usage.ledger import counts
from card_usage.ledger.counts import CODE_RULES
from card_usage.quality.verdict_texts import reason_text
from card_usage.quality.verdicts import StoredVerdict
from card_usage.standard.rules import BY_ID
from card_usage.words.catalogue import LANGUAGES, Language, Words

_MOST_RULES: Final = 2


def _gate_held(situation: Situation) -> Iterator[Condition]:
    held = situation.undecided_verdicts
    if not held:
        return
    days = sorted({day for stored in held for day in stored.window.days}, reverse=True)
    worst = max(held, key=lambda stored: (stored.level == "stop", stored.verdict.events))
    reasons = worst.verdict.withholding[:3]
    codes = _codes(situation, [stored for stored in held if speaks_of_quarantine(stored)])
    named = [f"{code}\t{name}\t{events}" for (code, name), events in codes.most_common(MOST_NAMED)]
    texts = {language: [reason_text(reason, language) for reason in reasons] for language in LANGUAGES}
    if any(reason.code == QUARANTINED_SHARE for reason in reasons):
        for language in LANGUAGES:
            texts[language] += _causes(situation, worst, language)
    yield Condition(
        cause="gate_held",
        severity="critical" if any(stored.level == "stop" for stored in held) else "warning",
        count=sum(stored.verdict.events for stored in held),
        since=min(stored.at for stored in held),
        parts=tuple(map(str, days)),
        facts={
            "days": listed_days(days),
            "reason": "；".join(texts["zh"]),
            "reason_en": "; ".join(texts["en"]),
        }
        | ({"named": "\n".join(named), "codes": len(codes)} if named else {}),
    )


def _codes(situation: Situation, held: Sequence[StoredVerdict]) -> Counter[tuple[str, str]]:
    """Local codes without a standard one, code and name, with their events: this message is also the one about them."""
    days = {day for stored in held for day in stored.window.days}
    codes: Counter[tuple[str, str]] = Counter()
    for day in days:
        for cause in counts.causes(situation.connection, situation.hospital.id, day, day):
            if cause.rule in CODE_RULES:
                codes[cause.code or "", cause.local_name or ""] += cause.events
    return codes


def _causes(situation: Situation, stored: StoredVerdict, language: Language) -> list[str]:
    """The required fields that are missing, by rule: this message is also the one about them."""
    words = Words(language)
    by_rule: Counter[str] = Counter()
    for cause in counts.causes(
        situation.connection, situation.hospital.id, stored.window.days[0], stored.window.days[-1]
    ):
        if cause.rule.endswith(".required"):
            by_rule[cause.rule] += cause.events
    return [
        words("alerts.broken_rule", rule=BY_ID[rule].text(language), n=events)
        for rule, events in by_rule.most_common(_MOST_RULES)
    ]


DETECTORS = (_gate_held,)
