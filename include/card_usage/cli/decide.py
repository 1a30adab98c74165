"""decide: what waits for a person at the gate, and the decision, for whoever has no Airflow UI at hand."""

from __future__ import annotations

from getpass import getuser
from typing import Any

from card_usage.approval import deadline
from card_usage.cli.arguments import Call, Result, Verbs, for_days, verb
from card_usage.verdicts import DECISIONS, WITHHOLDING, Decision
from card_usage.windows import local
from card_usage.words import Words

_FLAGS: dict[Decision, tuple[str, str]] = {
    "released": ("--release", "let everything go that is ready"),
    "clean": ("--clean", "let the feeds go that no reason concerns"),
    "rejected": ("--reject", "let nothing go; may be decided anew"),
}


def _decide(call: Call) -> Result:
    """Every withheld window of the range: shown, or decided. A decision that was made before is changed by --anew."""
    args = call.args
    told: list[dict[str, Any]] = []
    with call.pipeline() as pipeline:
        words = Words(pipeline.hospital.report.language)
        for given in pipeline.verdicts(call.window):
            if given.verdict.verdict not in WITHHOLDING:
                continue
            counts = bool(args.decision) and pipeline.decide(
                given, args.decision, by=args.by or getuser(), now=call.now, anew=args.anew
            )
            decision = args.decision if counts else given.decision
            told.append(
                {
                    "window": given.verdict.window,
                    "verdict": given.verdict.verdict,
                    "decision": words(f"gate.decision.{decision}") if decision else "",
                    "by": args.by or getuser() if counts else given.decided_by,
                    "until": ""
                    if decision or given.asked_at is None
                    else f"{local(deadline(pipeline.hospital, given.asked_at)):%Y-%m-%d %H:%M}",
                    "why": "; ".join(
                        reason.text(words.language) for reason in given.verdict.reasons if reason.level in WITHHOLDING
                    ),
                }
            )
        if not told:
            return {"said": words("decide.none")}, True
    return {"decide": told}, all(one["decision"] for one in told)


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
