"""quality and aliases: what is quarantined and why, what the codes probably mean, and the mapping mended."""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path
from typing import Any

from card_usage.cli.arguments import Call, Result, Stopped, Verbs, for_days, verb
from card_usage.code_mapping import workbench
from card_usage.code_mapping.proposal import COLUMNS, Proposal, from_lines
from card_usage.code_mapping.suggestions import SURE
from card_usage.context import Context
from card_usage.errors import BadProposal


def _quality(call: Call) -> Result:
    with call.context() as context:
        told: dict[str, Any] = workbench.overview(context, call.window)
        if call.args.xlsx:
            told["written"] = _workbook(context, call, workbench.suggested(context, call.window), call.args.xlsx)
        return told, not told["causes"]


def _workbook(context: Context, call: Call, found: workbench.Suggested, path: Path) -> str:
    from card_usage.code_mapping.workbook import workbook

    path.write_bytes(workbook(context.hospital, str(call.window), found, context.tables))
    return path.as_posix()


def _propose(call: Call) -> Result:
    """Sure suggestions as a list to hand in; with what they would do."""
    args = call.args
    with call.context() as context:
        found = workbench.suggested(context, call.window)
        choices = workbench.proposed(found, sure=args.sure)
        told = workbench.plan(context, call.window, choices, now=call.now).summary(context)
        told["open"] = [
            {"table": gap.table, "local": gap.code, "name": gap.name or "", "events": gap.events}
            for gap, _ in found
            if not any((choice.table, choice.local) == (gap.table, gap.code) for choice in choices)
        ]
        if args.out is not None and args.out.suffix.lower() == ".xlsx":
            told["written"] = _workbook(context, call, found, args.out)
        elif args.out is not None:
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows((one.table, one.local, one.standard, one.note) for one in choices)
            # With a mark at its start Excel reads it as UTF-8.
            args.out.write_text(text.getvalue(), encoding="utf-8-sig", newline="")
            told["written"] = args.out.as_posix()
    return told, not told["open"]


def _apply(call: Call) -> Result:
    """A dry run first; --yes writes the files and releases the events."""
    args = call.args
    with call.context() as context:
        language = context.hospital.report.language
        if args.file is not None:
            proposal, source = workbench.read(context, args.file), args.file.name
        else:
            proposal, source = from_lines(args.set, context.tables, language), "--set"
        if not args.good_rows:
            proposal.demand(source)
        planned = workbench.plan(context, call.window, proposal.choices, now=call.now, replace=args.replace)
        told = planned.summary(context)
        if planned.conflicts and not args.replace:
            kept = {change.choice for change in planned.conflicts}
            proposal = Proposal(tuple(one for one in proposal.choices if one not in kept), proposal.problems)
            told["not_replaced"] = f"{len(kept)} codes already mean something else: add --replace to change them"
        if args.yes:
            files, mended = workbench.carry_out(context, call.window, proposal.choices, now=call.now)
            told["written"] = [path.as_posix() for path in files] or "nothing: the files say so already"
            told["released"] = mended.released
        else:
            told["dry_run"] = "nothing was changed: add --yes"
    if proposal.problems:
        try:
            proposal.demand(source)
        except BadProposal as bad:
            raise Stopped(told, bad) from None
    return told, True


def add(verbs: Verbs) -> None:
    """Add these verbs."""
    ranged = for_days()
    text = "what is quarantined and why, and what unmapped codes probably mean"
    quality = verb(verbs, "quality", _quality, text, ranged)
    quality.add_argument("--xlsx", type=Path, metavar="FILE", help="write the gaps as a spreadsheet to fill in")
    aliases = verbs.add_parser("aliases", help="mend the mapping of local codes").add_subparsers(
        dest="what", required=True, metavar="WHAT"
    )
    propose = verb(
        aliases, "propose", _propose, "what sure suggestions would release; sends and changes nothing", ranged
    )
    propose.add_argument(
        "--sure", type=_score, default=SURE, metavar="SCORE", help="from 0 to 1 (default: %(default)s)"
    )
    propose.add_argument("--out", type=Path, metavar="FILE", help="write them as .csv, or all gaps as .xlsx")
    text = "a filled-in list: what it would release, and with --yes write it and release"
    apply = verb(aliases, "apply", _apply, text, ranged)
    source = apply.add_mutually_exclusive_group(required=True)
    source.add_argument("--file", type=Path, metavar="FILE", help="the list, .xlsx or .csv")
    source.add_argument("--set", action="append", metavar="TABLE:LOCAL=STANDARD", help="one alias; may be repeated")
    apply.add_argument("--yes", action="store_true", help="really do it; without it only a dry run")
    apply.add_argument("--replace", action="store_true", help="change codes that already mean something else")
    apply.add_argument(
        "--good-rows", action="store_true", help="apply the good rows though others are bad (exit code 1)"
    )


def _score(text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no score: from 0 to 1")
    return score
