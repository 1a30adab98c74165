"""Acceptance: `acceptance` tries what the review before go-live asks of interfaces, and writes the page to hand in."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from card_usage.cli.arguments import hospital_arguments, whole_number
from card_usage.cli.command import Commands, Invocation, Result, add_command
from card_usage.cli.rehearsal import opened_rehearsal
from card_usage.config.hospital import load_hospital
from card_usage.errors import MissingSetting
from card_usage.files.atomic import write_atomically
from card_usage.onboarding.acceptance import Accepted, accept, as_json, as_page
from card_usage.words.catalogue import Words


def _acceptance(invocation: Invocation) -> Result:
    args = invocation.args
    hospital = load_hospital(invocation.settings.hospitals, args.hospital)
    try:
        own = invocation.connection_of(hospital.platform.connection)
    except MissingSetting:
        own = None
    with opened_rehearsal(invocation) as context:
        accepted = accept(context, own=own, calls=args.calls, reports=args.reports)
    words = Words(hospital.report.language)
    page = as_page(
        accepted,
        hospital=hospital.label,
        hospital_id=hospital.platform.hospital_id,
        version=_version(),
        words=words,
    )
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"acceptance-{hospital.id}.html"
    write_atomically(target, page.encode(), mode=0o644)
    write_atomically(target.with_suffix(".json"), as_json(accepted, hospital.id).encode(), mode=0o644)
    if args.json:
        items = [item.summary() for item in accepted.items]
        return Result(settled=accepted.passed, output={"items": items, "page": str(target)})
    return Result(settled=accepted.passed, text="\n".join([*_lines(accepted, words), str(target)]))


def _lines(accepted: Accepted, words: Words) -> list[str]:
    lines = []
    for item in accepted.items:
        told = words("acceptance.yes" if item.passed else "acceptance.no")
        mark = "+" if item.passed else "x"
        lines.append(f"{mark} {told}  {item.section} {words(f'acceptance_item.{item.name}')}")
    return lines


def _version() -> str:
    try:
        return version("card-usage-pipeline")
    except PackageNotFoundError:
        return "(not installed)"


def add_commands(commands: Commands) -> None:
    """Add `acceptance`."""
    description = "try what the review before go-live asks of interfaces, and write its page"
    command = add_command(commands, "acceptance", _acceptance, description, hospital_arguments())
    command.add_argument("--out", default="var/acceptance", metavar="FOLDER", help="of page and JSON (%(default)s)")
    command.add_argument("--calls", type=whole_number(1, 100_000), default=2_000, help="of the load (%(default)s)")
    command.add_argument(
        "--reports", type=whole_number(1, 10_000), default=200, help="sent while answers are lost (%(default)s)"
    )
    command.add_argument("--anew", action="store_true", help="forget earlier rehearsals of this hospital")
