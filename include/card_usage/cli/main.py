"""Command line: the pipeline without Airflow, for engineers and automation.

    python -m card_usage run --hospital demo_hospital --from 2026-11-20 --to 2026-11-23

Exit code 0: everything due was settled. 1: it was not, and the output says what is left. 2: it could not be tried, and
one line says what to do. Results go to standard output, progress and messages to standard error. The commands are in
the other files of this package; `add_commands` of each adds them to the parser.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from card_usage.cli import (
    alerts,
    approval,
    code_mapping,
    evidence,
    holds,
    hospital,
    pipeline,
    report,
    setup,
    statements,
    usage,
)
from card_usage.cli.command import CommandStopped, Invocation, Result
from card_usage.cli.progress import print_output
from card_usage.config.connections import connection_from_environment
from card_usage.config.settings import Settings
from card_usage.errors import CardUsageError, FileUnusable

PROGRAM = "card_usage"


def main(argv: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run one command; returns the exit code."""
    environment = os.environ if environment is None else environment
    parser = _parser()
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    if getattr(args, "first", None) and args.last and args.last < args.first:
        parser.error("--to is before --from")
    try:
        return _run(args, environment)
    except CardUsageError as error:
        return _failed(str(error))
    except OSError as error:
        if error.filename is None:
            raise
        return _failed(str(FileUnusable(path=error.filename, reason=error.strerror or type(error).__name__)))
    except KeyboardInterrupt:
        _failed("interrupted; nothing is lost, run the same command again")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Report card uses to the electronic health card open platform, once each."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="VERB")
    for part in (pipeline, approval, holds, code_mapping, statements, evidence, alerts, report, usage, hospital, setup):
        part.add_commands(commands)
    return parser


def _run(args: argparse.Namespace, environment: Mapping[str, str]) -> int:
    if setup_handler := getattr(args, "setup_handler", None):
        print(setup_handler(args, environment))
        return 0
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
        return 1
    _print(result, args)
    return 0 if result.settled else 1


def _print(result: Result, args: argparse.Namespace) -> None:
    if result.text is not None:
        print(result.text)
    elif args.json:
        printed = {"hospital": args.hospital, "settled": result.settled, **result.output}
        print(json.dumps(printed, ensure_ascii=False, default=str))
    else:
        print_output(result.output)
        print("settled" if result.settled else "NOT settled: see above for what is left")


def _failed(problem: str) -> int:
    """One line on standard error; returns 2."""
    print(f"{PROGRAM}: {problem}", file=sys.stderr)
    return 2
