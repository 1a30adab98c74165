"""Cards: `cards import` takes in known health cards, `cards release` sets free the uses that waited for one."""

from __future__ import annotations

from pathlib import Path

from card_usage.cli.arguments import day_arguments, hospital_arguments
from card_usage.cli.command import Commands, Invocation, Output, Result, add_command, add_group
from card_usage.code_mapping.release import release
from card_usage.errors import BadHospitalFile, FileUnusable
from card_usage.ledger import patient_cards
from card_usage.ledger.patient_cards import Card
from card_usage.upgrade.card_file import cards

_SHOWN = 100


def _import(invocation: Invocation) -> Result:
    path = Path(invocation.args.file)
    with invocation.context() as context:
        hospital, keyring = context.hospital.id, context.ledger.keyring
        try:
            read = list(cards(path, keyring, hospital))
        except OSError as error:
            raise FileUnusable(path=path, reason=error.strerror or type(error).__name__) from None
        good = [card for _, card in read if isinstance(card, Card)]
        bad = [{"line": line, "problem": card} for line, card in read if not isinstance(card, Card)]
        with context.ledger.write() as connection:
            new = patient_cards.keep(connection, keyring, hospital, good, "import", invocation.now)
            counts = patient_cards.counts(connection, hospital)
    output: Output = {"file": {"rows": len(read), "new": new, "known": len(good) - new, "unusable": len(bad)}}
    if bad:
        output["unusable"] = bad[:_SHOWN]
    output["cards"] = counts
    return Result(settled=not bad, output=output)


def _release(invocation: Invocation) -> Result:
    days = invocation.window.days
    with invocation.context() as context:
        hospital = context.hospital
        if not hospital.normalize.cards_from_map:
            path = (invocation.settings.hospitals / f"{hospital.id}.toml").as_posix()
            problem = "is false: uses do not take a card from the map; write cards_from_map = true"
            raise BadHospitalFile(path=path, key="normalize.cards_from_map", problem=problem)
        result = release(
            context.ledger,
            hospital,
            context.tables,
            context.aliases,
            days[0],
            days[-1],
            now=invocation.now,
            write=not invocation.args.dry_run,
        )
    return Result(output={"release": result.summary()})


def add_commands(commands: Commands) -> None:
    """Add `cards`."""
    group = add_group(commands, "cards", "health cards of patients, for uses without a QR text: import, release")
    description = "take in known cards from a CSV: document number or the hospital's id, QR text"
    command = add_command(group, "import", _import, description, hospital_arguments())
    command.add_argument("--file", metavar="FILE", required=True, help="the cards (docs/upgrade.md)")
    description = "validate the quarantined uses of these days again, with the cards that are known now"
    command = add_command(group, "release", _release, description, day_arguments())
    command.add_argument("--dry-run", action="store_true", help="only count what would be released")
