"""What verbs share: what is passed to them, what they return, arguments that several take."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from card_usage.config.connections import Connection
from card_usage.config.settings import Settings
from card_usage.context import Context
from card_usage.errors import CardUsageError
from card_usage.ledger.database import Ledger, open_ledger
from card_usage.windows import Window, day_window

Told = dict[str, Any]
Result = tuple[Told, bool]
"""What is printed, and whether all that was due is settled (exit code 0 or 1)."""
Verbs = Any
"""argparse keeps the type of what `add_subparsers` returns to itself."""


class Stopped(Exception):
    """A verb ended early for a reason that somebody has to mend; `told` is what it came to, `error` says what."""

    def __init__(self, told: Told, error: CardUsageError) -> None:
        super().__init__(str(error))
        self.told, self.error = told, error


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of the command line, as a verb's function gets it."""

    args: argparse.Namespace
    settings: Settings
    connection_of: Callable[[str], Connection]
    now: datetime

    @property
    def window(self) -> Window:
        """The days from --from to --to."""
        return Window(day_window(self.args.first).start, day_window(self.args.last).end)

    @contextmanager
    def context(self) -> Iterator[Context]:
        """The context of --hospital."""
        with Context.open(self.args.hospital, self.settings, self.connection_of) as context:
            yield context

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger, for verbs that are about no one hospital."""
        ledger = open_ledger(self.settings.ledger_url, self.settings.keyring)
        try:
            yield ledger
        finally:
            ledger.close()


Act = Callable[[Call], Result]


def day(text: str) -> date:
    """A date argument, of a year in which there may be card uses."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no date: write it as 2026-11-23") from None
    if not 2000 <= found.year < 2100:
        raise argparse.ArgumentTypeError(f"'{text}' is no day from 2000 to 2099")
    return found


def whole(least: int, most: int) -> Callable[[str], int]:
    """A whole number argument within bounds, both inside."""

    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text[:9]) <= most and len(text) <= 9):
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {least} to {most}")
        return int(text)

    return number


def for_hospital() -> argparse.ArgumentParser:
    """--hospital and --json."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--hospital", required=True, metavar="ID", help="name of its file among the hospitals")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def for_days() -> argparse.ArgumentParser:
    """--hospital, --json, and --from and --to: local days, both inclusive."""
    parser = argparse.ArgumentParser(add_help=False, parents=[for_hospital()])
    parser.add_argument("--from", dest="first", required=True, type=day, metavar="DATE", help="first local day")
    parser.add_argument("--to", dest="last", required=True, type=day, metavar="DATE", help="last local day, inclusive")
    return parser


def verb(verbs: Verbs, name: str, act: Act, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add a verb that `act` carries out."""
    parser: argparse.ArgumentParser = verbs.add_parser(name, parents=list(parents), help=text, description=text)
    parser.set_defaults(act=act)
    return parser
