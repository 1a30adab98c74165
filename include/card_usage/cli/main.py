"""Command line: the pipeline without Airflow, for engineers and automation.

    python -m card_usage run --hospital demo_hospital --from 2026-11-20 --to 2026-11-23

Exit code 0: everything due was settled. 1: it was not, and the output says what is left. 2: it could not be tried, and
one line says what to do. 130 and 143: interrupted (Ctrl-C, SIGTERM); a delivery has finished what was under way after a
SIGTERM. Results go to standard output, progress and messages to standard error; what nobody foresaw is told by its
place in the code, for its text may quote a value. The commands are in the other files of this package (verbs.py
lists them); `add_commands` of each adds them to the parser.

Installed as `card_usage` too. Completion in bash: eval "$(register-python-argcomplete card_usage)".
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from errno import EACCES, EPERM, EROFS
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import argcomplete

from card_usage.cli.command import CommandStopped, Invocation, Result
from card_usage.cli.verbs import add_verbs
from card_usage.errors import CardUsageError, DeliveryInterrupted, FileUnusable, NoRight, SettingsError, Unforeseen
from card_usage.log_lines import write_to_stderr, writes_json
from card_usage.plain_text import raised_at, visible
from card_usage.terminal import print_anything

log = logging.getLogger("card_usage.cli")

PROGRAM = "card_usage"
DISTRIBUTION = "card-usage-pipeline"
TERMINATED: Final = 128 + signal.SIGTERM


def main(argv: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run one command; returns the exit code."""
    environment = os.environ if environment is None else environment
    print_anything()
    arguments = sys.argv[1:] if argv is None else argv
    # What is being completed stands in a variable; the shell gives no arguments then.
    parser = _parser([*arguments, *environment.get("COMP_LINE", "").split()])
    argcomplete.autocomplete(parser)
    args = parser.parse_args(arguments)
    try:
        write_to_stderr(environment, _about(args))
    except SettingsError as error:
        return _failed(str(error))
    if getattr(args, "first", None) and args.last and args.last < args.first:
        parser.error("--to is before --from")
    try:
        return _run(args, environment)
    except CardUsageError as error:
        return _failed(str(error))
    except OSError as error:
        if error.filename is None:
            return _failed(str(Unforeseen(error=raised_at(error))))
        kind = NoRight if error.errno in (EACCES, EPERM, EROFS) else FileUnusable
        return _failed(str(kind(path=error.filename, reason=error.strerror or type(error).__name__)))
    except Exception as error:
        return _failed(str(Unforeseen(error=raised_at(error))))
    except KeyboardInterrupt:
        _failed("interrupted; nothing is lost, run the same command again")
        return 130


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for a command line that consists of these words."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Report card uses to the electronic health card open platform, once each."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    add_verbs(parser.add_subparsers(dest="command", required=True, metavar="VERB"), frozenset(words))
    return parser


def _version() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "(not installed)"


def _run(args: argparse.Namespace, environment: Mapping[str, str]) -> int:
    if setup_handler := getattr(args, "setup_handler", None):
        print(setup_handler(args, environment))
        return 0
    # Loaded here: help and completion do without.
    from card_usage.config.connections import connection_from_environment
    from card_usage.config.outgoing import trust_own_authorities
    from card_usage.config.settings import Settings

    trust_own_authorities()
    invocation = Invocation(
        args=args,
        settings=Settings.from_environment(environment),
        connection_of=partial(connection_from_environment, environment=environment),
        now=datetime.now(UTC),
    )
    try:
        result: Result = args.handler(invocation)
    except CommandStopped as stopped:
        _print(Result(settled=False, output=stopped.output), args)
        _failed(str(stopped.error))
        return TERMINATED if isinstance(stopped.error, DeliveryInterrupted) else 1
    _print(result, args)
    return 0 if result.settled else 1


def _print(result: Result, args: argparse.Namespace) -> None:
    if result.text is not None:
        print("\r\n".join(visible(lines, keep="\n\t") for lines in result.text.split("\r\n")))
    elif args.json:
        of = {"hospital": args.hospital} if hasattr(args, "hospital") else {}
        printed = {**of, "settled": result.settled, **result.output}
        print(visible(json.dumps(printed, ensure_ascii=False, default=str)))
    else:
        from card_usage.cli.progress import print_output

        print_output(result.output)
        print("settled" if result.settled else "NOT settled: see above for what is left")


def _about(args: argparse.Namespace) -> dict[str, str]:
    """What every line of a log as JSON says of the command."""
    about = {"command": str(args.command)}
    if getattr(args, "hospital", None):
        about["hospital"] = str(args.hospital)
    if getattr(args, "first", None):
        about["window"] = f"{args.first}..{args.last or args.first}"
    return about


def _failed(problem: str) -> int:
    """One line on standard error, in the form of the log; returns 2."""
    if writes_json():
        log.error("%s", problem)
    else:
        print(f"{PROGRAM}: {visible(problem)}", file=sys.stderr)
    return 2
