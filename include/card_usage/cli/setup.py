"""Setup: `ledger migrate`, `ledger allow-pages` and `key`, which need no complete settings, and `ledger rebuild`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from card_usage.cli.command import Commands, Invocation, Result, add_command, add_group, add_setup_command
from card_usage.config.keyring import Keyring
from card_usage.config.settings import Settings
from card_usage.ledger.database import migrate
from card_usage.ledger.grants import allow_metrics, allow_pages, allow_workers


def _migrate(args: argparse.Namespace, environment: Mapping[str, str]) -> str:
    return f"ledger at revision {migrate(Settings.ledger_url_from(environment))}"


def _allow_pages(args: argparse.Namespace, environment: Mapping[str, str]) -> str:
    tables = allow_pages(Settings.ledger_url_from(environment), args.role)
    return f"{args.role} may read {', '.join(tables)} and nothing else"


def _allow_metrics(args: argparse.Namespace, environment: Mapping[str, str]) -> str:
    tables = allow_metrics(Settings.ledger_url_from(environment), args.role)
    return f"{args.role} may read states, counts and times in {', '.join(tables)}, and nothing else"


def _allow_workers(args: argparse.Namespace, environment: Mapping[str, str]) -> str:
    tables = allow_workers(Settings.ledger_url_from(environment), args.role)
    return f"{args.role} may work, and change no row of {', '.join(tables)}"


def _rebuild(invocation: Invocation) -> Result:
    """Bring back what packs say that the platform was sent."""
    from card_usage.config.hospital import load_valid_hospitals
    from card_usage.evidence.rebuild import pack_files, rebuild

    args = invocation.args
    hospitals = {hospital.id for hospital in load_valid_hospitals(invocation.settings.hospitals).hospitals}
    files = pack_files(args.packs)
    with invocation.ledger() as ledger:
        rebuilt = rebuild(ledger, files, hospitals, only=args.hospital, now=invocation.now)
    return Result(settled=rebuilt.clean, output=rebuilt.summary())


def _key(args: argparse.Namespace, environment: Mapping[str, str]) -> str:
    return Keyring.new_key(args.id, "sm4" if args.sm4 else "aes")


def add_commands(commands: Commands) -> None:
    """Add `ledger` and `key`."""
    ledger = add_group(commands, "ledger", "the ledger database")
    add_setup_command(ledger, "migrate", _migrate, "create it, or bring it to this version; safe to repeat")
    pages = add_setup_command(ledger, "allow-pages", _allow_pages, "let a database role read what pages show, no more")
    pages.add_argument("role", metavar="ROLE")
    description = "let a database role read what `metrics` counts, no more"
    figures = add_setup_command(ledger, "allow-metrics", _allow_metrics, description)
    figures.add_argument("role", metavar="ROLE")
    description = "let a database role work that can change no evidence, calls and decisions"
    workers = add_setup_command(ledger, "allow-workers", _allow_workers, description)
    workers.add_argument("role", metavar="ROLE")
    description = "bring back from packs of evidence what the platform was sent; safe to repeat"
    rebuild = add_command(ledger, "rebuild", _rebuild, description)
    rebuild.add_argument(
        "--from", dest="packs", required=True, nargs="+", type=Path, metavar="PACKS", help="files or folders"
    )
    rebuild.add_argument("--hospital", metavar="ID", help="of this hospital alone")
    rebuild.add_argument("--json", action="store_true", help="print the result as JSON")
    key = add_setup_command(commands, "key", _key, "make a fresh key for CARD_USAGE_KEY")
    key.add_argument("--id", default=f"{datetime.now(UTC):%Y%m}", help="its name in the list")
    key.add_argument("--sm4", action="store_true", help="for SM4-GCM and SM3 in the place of AES-256-GCM and SHA-256")
