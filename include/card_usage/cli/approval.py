"""decide: what waits for a person at the gate, and the decision, for whoever has no Airflow UI at hand."""

from __future__ import annotations

from dataclasses import replace
from getpass import getuser
from typing import Any

from card_usage.cli.arguments import Call, Result, Verbs, for_days, verb
from card_usage.config.hospital import Hospital
from card_usage.quality.approval import deadline, record_decision, verdicts_of
from card_usage.quality.verdict_texts import reason_text
from card_usage.quality.verdicts import DECISIONS, WITHHOLDING, Decision, StoredVerdict
from card_usage.windows import local
from card_usage.words.catalogue import Words

_FLAGS: dict[Decision, tuple[str, str]] = {
    "released": ("--release", "let everything go that is ready"),
    "clean": ("--clean", "let the feeds go that no reason concerns"),
    "rejected": ("--reject", "let nothing go; may be decided anew"),
}


def _decide(call: Call) -> Result:
    """Every withheld window of the range: shown, or decided. A decision that was made before is changed by --anew."""
    args = call.args
    told: list[dict[str, Any]] = []
    kept = 0
    with call.context() as context:
        words = Words(context.hospital.report.language)
        by = (args.by or getuser())[:64]
        for stored in verdicts_of(context.ledger, context.hospital.id, call.window):
            if stored.level not in WITHHOLDING:
                continue
            counts = bool(args.decision) and record_decision(
                context.ledger, stored, args.decision, by=by, now=call.now, anew=args.anew
            )
            if counts:
                stored = replace(stored, decision=args.decision, decided_by=by)
            kept += args.decision not in (None, stored.decision)
            told.append(shown(stored, context.hospital, words))
        if not told:
            return {"said": words("decide.none")}, True
    found: dict[str, Any] = {"decide": told}
    if kept:
        found["not_changed"] = words("decide.kept", count=kept)
    return found, not kept and all(one["decision"] for one in told)


def shown(stored: StoredVerdict, hospital: Hospital, words: Words) -> dict[str, Any]:
    """A withheld window: why, what was decided by whom, or until when it can be."""
    return {
        "window": stored.verdict.window,
        "verdict": stored.level,
        "decision": words(f"gate.decision.{stored.decision}") if stored.decision else "",
        "by": stored.decided_by,
        "until": ""
        if stored.decision or stored.asked_at is None
        else f"{local(deadline(hospital, stored.asked_at)):%Y-%m-%d %H:%M}",
        "why": "; ".join(reason_text(reason, words.language) for reason in stored.verdict.withholding),
    }


def add(verbs: Verbs) -> None:
    """Add this verb."""
    text = "show what the quality gate withholds, and decide: the next delivery follows"
    parser = verb(verbs, "decide", _decide, text, for_days())
    choice = parser.add_mutually_exclusive_group()
    for decision in DECISIONS:
        flag, told = _FLAGS[decision]
        choice.add_argument(flag, dest="decision", action="store_const", const=decision, help=told)
    parser.add_argument("--by", default="", metavar="NAME", help="who decides, if not the user of this system")
    parser.add_argument("--anew", action="store_true", help="change a decision that was made before")
