"""Hospital: `hospital check` checks a hospital's HIS, `hospital new` writes the files of a new hospital."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from card_usage.cli.arguments import whole_number
from card_usage.cli.command import Commands, Invocation, Result, add_command, add_group, add_setup_command
from card_usage.config.settings import hospitals_directory
from card_usage.files.shipped import names_in
from card_usage.onboarding.new_hospital import create_hospital
from card_usage.onboarding.readiness import check_readiness, check_reporting
from card_usage.source.feeds import SQL
from card_usage.words.catalogue import Words

_MARKS = {"ok": "+", "warn": "!", "missing": "x"}


def _check(invocation: Invocation) -> Result:
    args = invocation.args
    args.hospital = args.hospital or args.named
    with invocation.context() as context:
        results = check_readiness(context, now=invocation.now, days=args.days)
        results += check_reporting(context)
        words = Words(context.hospital.report.language)
    missing = sum(result.state == "missing" for result in results)
    if args.json:
        return Result(settled=not missing, output={"checks": [result.summary() for result in results]})
    lines = [f"{_MARKS[result.state]} {words(f'survey.mark.{result.state}')}  {result.text}" for result in results]
    lines.append(words("survey.bad", count=missing) if missing else words("survey.good"))
    return Result(settled=not missing, text="\n".join(lines))


def _new(args: argparse.Namespace, environment: Mapping[str, str]) -> str:
    hospitals = hospitals_directory(environment)
    written = create_hospital(args.id, shape=args.shape, name=args.name, hospitals=hospitals, environment=environment)
    variables = " and ".join(f"AIRFLOW_CONN_{args.id.upper()}_{of}" for of in ("HIS", "PLATFORM"))
    steps = (
        f"fill in {written[0].name}, set {variables}, then: python -m card_usage hospital check {args.id}",
        f"set AIRFLOW_CONN_{args.id.upper()}_PLATFORM_REHEARSAL to a sandbox, then: python -m card_usage rehearse",
        f"before go-live, against the platform itself: python -m card_usage platform calibrate --hospital {args.id}",
    )
    return "\n".join([*(f"written: {path.as_posix()}" for path in written), *(f"next: {step}" for step in steps)])


def add_commands(commands: Commands) -> None:
    """Add `hospital check` and `hospital new`."""
    group = add_group(commands, "hospital", "check a hospital's HIS, or begin with a new hospital")
    description = "connect, test rights, columns, codes, rows, freshness, indexes and volume, and say what is missing"
    check = add_command(group, "check", _check, description)
    name = check.add_mutually_exclusive_group(required=True)
    name.add_argument("named", nargs="?", metavar="ID", help="name of its file among the hospitals")
    name.add_argument("--hospital", metavar="ID", help="the same")
    check.add_argument(
        "--days", type=whole_number(1, 92), default=3, help="complete local days to look at (default: %(default)s)"
    )
    check.add_argument("--json", action="store_true", help="print the result as JSON")
    new = add_setup_command(group, "new", _new, "write a commented hospital file and empty alias tables")
    new.add_argument("id", metavar="ID", help="lower-case letters, digits and _: name of the file")
    shapes = names_in(SQL)
    new.add_argument("--shape", choices=shapes, default="card_use_view", help="kind of HIS (default: %(default)s)")
    new.add_argument("--name", default="", help="the hospital's name, as reports say it")
