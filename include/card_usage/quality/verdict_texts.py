"""Verdict texts: a verdict and its reasons in words: what happened, how many, what to do."""

from __future__ import annotations

from collections.abc import Sequence

from card_usage.quality.verdicts import LEVELS, Reason, Verdict
from card_usage.standard.code_tables import load_tables
from card_usage.standard.rules import BY_ID
from card_usage.words.catalogue import Language, Words


def reason_text(reason: Reason, language: Language) -> str:
    """What happened, how many, what to do."""
    words = Words(language)
    name = load_tables()[reason.table].names.get(reason.value or "", "") if reason.table else ""
    return words(
        f"reason.{reason.code}",
        count=reason.count,
        of=reason.of,
        share=f"{100 * reason.count / reason.of:.3g}%" if reason.of else "",
        change=f"{abs(100 * (reason.count / reason.of - 1)):.0f}%" if reason.of else "",
        limit="" if reason.limit is None else f"{100 * reason.limit:g}%" if reason.limit <= 10 else f"{reason.limit:g}",
        usual="" if reason.usual is None else f"{100 * reason.usual:.3g}%",
        rule="" if reason.rule is None else getattr(BY_ID[reason.rule], language),
        feed=words("gate.all_feeds") if reason.feed is None else words.known("feed", reason.feed),
        table="" if reason.table is None else words(f"table.{reason.table}"),
        value="" if reason.table is None else words.code(reason.table, reason.value or "", name),
        hours=f"{reason.count / 60:.1f}",
        usual_hours=f"{reason.of / 60:.1f}",
    )


def summary(verdicts: Sequence[Verdict]) -> dict[str, object]:
    """The verdicts on the days of a window, oldest first: the hardest, and what each day came to.

    Counts and both texts of each reason, fit for logs and XCom: nothing about patients.
    """
    first, last = verdicts[0].window, verdicts[-1].window
    return {
        "hospital": verdicts[0].hospital,
        "window": first if first == last else f"{first}..{last}",
        "verdict": max((verdict.level for verdict in verdicts), key=LEVELS.index),
        "events": sum(verdict.events for verdict in verdicts),
        "days": [
            {"window": verdict.window, "verdict": verdict.level, "events": verdict.events} for verdict in verdicts
        ],
        "reasons": [
            {
                "window": verdict.window,
                **reason.filled(),
                "severity": reason.severity,
                "zh": reason_text(reason, "zh"),
                "en": reason_text(reason, "en"),
            }
            for verdict in verdicts
            for reason in verdict.reasons
        ],
        "seconds": round(sum(verdict.seconds for verdict in verdicts), 3),
    }
