"""Setup: `ledger migrate`, `ledger allow-pages` and `key`, which need no complete settings."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime

from card_usage.cli.command import Commands, add_group, add_setup_command
from card_usage.config.keyring import Keyring
from card_usage.config.settings import Settings
from card_usage.ledger.database import migrate
from card_usage.ledger.grants import allow_pages


def _migrate(args: argparse.Namespace, environment: Mapping[str, str]) -> str:
    return f"ledger at revision {migrate(Settings.ledger_url_from(environment))}"


def _allow_pages(args: argparse.Namespace, environment: Mapping[str, str]) -> str:
    tables = allow_pages(Settings.ledger_url_from(environment), args.role)
    return f"{args.role} may read {', '.join(tables)} and nothing else"


def _key(args: argparse.Namespace, environment: Mapping[str, str]) -> str:
    return Keyring.new_key(args.id)


def add_commands(commands: Commands) -> None:
    """Add `ledger` and `key`."""
    ledger = add_group(commands, "ledger", "the ledger database")
    add_setup_command(ledger, "migrate", _migrate, "create it, or bring it to this version; safe to repeat")
    pages = add_setup_command(ledger, "allow-pages", _allow_pages, "let a database role read what pages show, no more")
    pages.add_argument("role", metavar="ROLE")
    key = add_setup_command(commands, "key", _key, "make a fresh key for CARD_USAGE_KEY")
    key.add_argument("--id", default=f"{datetime.now(UTC):%Y%m}", help="its name in the list")
