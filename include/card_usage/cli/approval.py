"""Approval: `decide` shows what the quality gate withholds and records decisions, without the Airflow UI."""

from __future__ import annotations

from typing import Any

from card_usage.cli.arguments import day_arguments
from card_usage.cli.command import Commands, Invocation, Output, Result, add_command
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


def _decide(invocation: Invocation) -> Result:
    """Show every withheld window of the range, or decide about it. --anew changes an earlier decision."""
    args = invocation.args
    rows: list[dict[str, Any]] = []
    unchanged = waiting = 0
    with invocation.context() as context:
        words = Words(context.hospital.report.language)
        actor = invocation.actor
        for stored in verdicts_of(context.ledger, context.hospital.id, invocation.window):
            if stored.level not in WITHHOLDING:
                continue
            if args.decision:
                effect = record_decision(
                    context.ledger,
                    context.hospital,
                    stored,
                    args.decision,
                    actor,
                    now=invocation.now,
                    anew=args.anew,
                    reason=args.reason,
                )
                if effect != "none":
                    again = verdicts_of(context.ledger, context.hospital.id, stored.window)
                    stored = next(one for one in again if one.id == stored.id)
                waiting += effect == "first"
                unchanged += effect == "none" and stored.decision != args.decision
            rows.append(withheld_window(stored, context.hospital, words))
        if not rows:
            return Result(text=words("decide.none"))
    output: Output = {"decide": rows}
    if unchanged:
        output["not_changed"] = words("decide.kept", count=unchanged)
    if waiting:
        output["second_person"] = words("decide.second", count=waiting)
    return Result(settled=not unchanged and not waiting and all(row["decision"] for row in rows), output=output)


def withheld_window(stored: StoredVerdict, hospital: Hospital, words: Words) -> dict[str, Any]:
    """A withheld window as a row: why, the decision and by whom, or until when a decision is possible."""
    until = None if stored.decision or stored.asked_at is None else local(deadline(hospital, stored.asked_at))
    return {
        "window": stored.verdict.window,
        "verdict": stored.level,
        "decision": words(f"gate.decision.{stored.decision}") if stored.decision else "",
        "by": stored.decided_by,
        "first": f"{words(f'gate.decision.{stored.first.decision}')}: {stored.first.by}" if stored.first else "",
        "until": f"{until:%Y-%m-%d %H:%M}" if until else "",
        "why": "; ".join(reason_text(reason, words.language) for reason in stored.verdict.withholding),
    }


def add_commands(commands: Commands) -> None:
    """Add `decide`."""
    description = "show what the quality gate withholds, and decide: the next delivery follows"
    decide = add_command(commands, "decide", _decide, description, day_arguments())
    decisions = decide.add_mutually_exclusive_group()
    for decision in DECISIONS:
        flag, description = _FLAGS[decision]
        decisions.add_argument(flag, dest="decision", action="store_const", const=decision, help=description)
    decide.add_argument("--by", default="", metavar="NAME", help="for whom: a note beside the user of this system")
    decide.add_argument("--reason", default="", metavar="TEXT", help="why, for whoever sees it")
    decide.add_argument("--anew", action="store_true", help="change a decision under which nothing has left yet")
