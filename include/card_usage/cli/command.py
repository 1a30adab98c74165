"""Command: what a command of the command line receives, what it returns, and how it is added to the parser."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from card_usage.errors import CardUsageError
from card_usage.windows import Window, day_window

if TYPE_CHECKING:
    from card_usage.config.connections import Connection
    from card_usage.config.settings import Settings
    from card_usage.context import Context
    from card_usage.ledger.database import Ledger
    from card_usage.ledger.decisions import Actor

Output = dict[str, Any]
"""Heading -> counts, a table's rows, or a text."""
Commands = Any
"""What `add_subparsers` returns; argparse does not export its type."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a command prints: `text` as it is, otherwise `output` as tables or, with --json, as JSON.

    `settled`: nothing that was due is left, or all is well: exit code 0, otherwise 1.
    """

    settled: bool = True
    output: Output = field(default_factory=dict)
    text: str | None = None


class CommandStopped(Exception):
    """A command ended early because of `error`; `output` is what it did until then."""

    def __init__(self, output: Output, error: CardUsageError) -> None:
        super().__init__(str(error))
        self.output, self.error = output, error


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """One invocation of a command: its arguments, the settings of the environment and the present instant."""

    args: argparse.Namespace
    settings: Settings
    connection_of: Callable[[str], Connection]
    now: datetime
    _begun: list[str] = field(default_factory=list)

    @property
    def verb(self) -> str:
        """The verb with its second word, if it has one: 'pause', 'aliases apply'."""
        return " ".join(filter(None, (self.args.command, getattr(self.args, "what", None))))

    @property
    def actor(self) -> Actor:
        """The operating system's user, with --by as a note where the verb has it."""
        from card_usage.ledger.decisions import system_user

        return system_user(getattr(self.args, "by", None) or "")

    @property
    def window(self) -> Window:
        """The days from --from to --to."""
        return Window(day_window(self.args.first).start, day_window(self.args.last).end)

    @contextmanager
    def context(self) -> Iterator[Context]:
        """The context of --hospital."""
        from card_usage.context import Context

        with Context.open(self.args.hospital, self.settings, self.connection_of) as context:
            self._begin(context.ledger, context.hospital.id)
            yield context

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The ledger, for commands that do not concern a single hospital."""
        from card_usage.ledger.database import open_ledger

        ledger = open_ledger(self.settings.ledger_url, self.settings.keyring)
        try:
            self._begin(ledger, getattr(self.args, "hospital", None) or "*")
            yield ledger
        finally:
            ledger.close()

    def _begin(self, ledger: Ledger, hospital: str) -> None:
        """Record that somebody has begun this verb, unless it changes nothing (a dry run, too) or records decisions."""
        from card_usage.cli.verbs import DECIDING, LOOKING

        dry_run = getattr(self.args, "yes", True) is False or any(
            getattr(self.args, name, False) for name in ("dry_run", "recorded")
        )
        if self._begun or dry_run or self.verb in LOOKING or self.verb in DECIDING:
            return
        from card_usage.ledger.decisions import record

        days = [str(day) for name in ("first", "last") if (day := getattr(self.args, name, None)) is not None]
        what = getattr(self.args, "name", "")
        with ledger.write() as connection:
            record(
                connection,
                ledger.keyring,
                verb=self.verb,
                hospital=hospital,
                actor=self.actor,
                now=self.now,
                subject="..".join(days) or what,
            )
        self._begun.append(self.verb)


Handler = Callable[[Invocation], Result]
SetupHandler = Callable[[argparse.Namespace, Mapping[str, str]], str]
"""Of a command that needs no complete settings: arguments and environment -> text to print."""


def add_command(
    commands: Commands, name: str, handler: Handler, description: str, *parents: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    """Add a command that `handler` carries out; returns its parser, for further arguments."""
    parser = _add_parser(commands, name, description, *parents)
    parser.set_defaults(handler=handler)
    return parser


def add_setup_command(
    commands: Commands, name: str, handler: SetupHandler, description: str
) -> argparse.ArgumentParser:
    """The same for a command that needs no complete settings."""
    parser = _add_parser(commands, name, description)
    parser.set_defaults(setup_handler=handler)
    return parser


def add_group(commands: Commands, name: str, description: str) -> Commands:
    """Add a group of commands: `statement import`, `statement take`."""
    return commands.add_parser(name, help=description).add_subparsers(dest="what", required=True, metavar="WHAT")


def _add_parser(
    commands: Commands, name: str, description: str, *parents: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, parents=list(parents), help=description, description=description
    )
    return parser
