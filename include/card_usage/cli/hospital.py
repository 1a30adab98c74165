"""hospital check and hospital new: what a HIS still lacks, and a commented file to begin with."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from card_usage.cli.arguments import Call, Result, Verbs, whole
from card_usage.config.settings import hospitals_directory
from card_usage.onboarding.new_hospital import create_hospital
from card_usage.onboarding.readiness import check_readiness
from card_usage.source.feeds import SQL
from card_usage.words.catalogue import Words

_MARKS = {"ok": "+", "warn": "!", "missing": "x"}


def _check(call: Call) -> Result:
    call.args.hospital = call.args.hospital or call.args.named
    with call.context() as context:
        results = check_readiness(context, now=call.now, days=call.args.days)
        words = Words(context.hospital.report.language)
    missing = sum(result.state == "missing" for result in results)
    if call.args.json:
        return {"checks": [result.summary() for result in results]}, not missing
    lines = [f"{_MARKS[result.state]} {words(f'survey.mark.{result.state}')}  {result.text}" for result in results]
    lines.append(words("survey.bad", count=missing) if missing else words("survey.good"))
    return {"said": "\n".join(lines)}, not missing


def _new(args: argparse.Namespace, environment: Mapping[str, str]) -> str:
    hospitals = hospitals_directory(environment)
    written = create_hospital(args.id, shape=args.shape, name=args.name, hospitals=hospitals, environment=environment)
    variables = " and ".join(f"AIRFLOW_CONN_{args.id.upper()}_{of}" for of in ("HIS", "PLATFORM"))
    command = f"python -m card_usage hospital check {args.id}"
    lines = [f"written: {path.as_posix()}" for path in written]
    return "\n".join([*lines, f"next: fill in {written[0].name}, set {variables}, then: {command}"])


def add(verbs: Verbs) -> None:
    """Add these verbs."""
    parser = verbs.add_parser("hospital", help="check a hospital's HIS, or begin with a new hospital")
    whats = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    text = "connect, test rights, columns, codes, rows, freshness, indexes and volume, and say what is missing"
    check = whats.add_parser("check", help=text, description=text)
    who = check.add_mutually_exclusive_group(required=True)
    who.add_argument("named", nargs="?", metavar="ID", help="name of its file among the hospitals")
    who.add_argument("--hospital", metavar="ID", help="the same")
    check.add_argument(
        "--days", type=whole(1, 92), default=3, help="complete local days to look at (default: %(default)s)"
    )
    check.add_argument("--json", action="store_true", help="print the result as JSON")
    check.set_defaults(act=_check)
    text = "write a commented hospital file and empty alias tables"
    new = whats.add_parser("new", help=text, description=text)
    new.add_argument("id", metavar="ID", help="lower-case letters, digits and _: name of the file")
    shapes = sorted(path.name for path in SQL.iterdir() if path.is_dir())
    new.add_argument("--shape", choices=shapes, default="card_use_view", help="kind of HIS (default: %(default)s)")
    new.add_argument("--name", default="", help="the hospital's name, as reports say it")
    new.set_defaults(bare=_new)
