"""Command line: the pipeline's verbs without Airflow, for engineers and automation.

    python -m card_usage run --hospital demo_hospital --from 2026-11-20 --to 2026-11-23

Exit code 0: everything due was settled. 1: it was not, and the output says what is left. 2: it could not be tried, and
one line says what to do. Results go to standard output, progress and messages to standard error. Verbs are in the
files of this package; each has an `add` that says which.
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

from card_usage.cli import alerts, approval, code_mapping, evidence, holds, hospital, pipeline, report, statements
from card_usage.cli.arguments import Call, Stopped
from card_usage.cli.progress import show
from card_usage.config.connections import connection_from_environment
from card_usage.config.keyring import Keyring
from card_usage.config.settings import Settings
from card_usage.errors import CardUsageError, FileUnusable
from card_usage.ledger.database import migrate


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="card_usage", description="Report card uses to the electronic health card open platform, once each."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for part in (pipeline, approval, holds, code_mapping, statements, evidence, alerts, report, hospital):
        part.add(verbs)
    ledger = verbs.add_parser("ledger", help="the ledger database").add_subparsers(
        dest="what", required=True, metavar="WHAT"
    )
    ledger.add_parser("migrate", help="create it, or bring it to this version; safe to repeat")
    key = verbs.add_parser("key", help="make a fresh key for CARD_USAGE_KEY")
    key.add_argument("--id", default=f"{datetime.now(UTC):%Y%m}", help="its name in the list")
    return parser


def main(argv: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    environment = os.environ if environment is None else environment
    parser = _parser()
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    problem: CardUsageError | None = None
    try:
        # These need no settings, or make one.
        if args.verb == "key":
            print(Keyring.new_key(args.id))
            return 0
        if args.verb == "ledger":
            print(f"ledger at revision {migrate(Settings.ledger_url_from(environment))}")
            return 0
        if bare := getattr(args, "bare", None):
            print(bare(args, environment))
            return 0
        if getattr(args, "first", None) and args.last and args.last < args.first:
            parser.error("--to is before --from")
        call = Call(
            args=args,
            settings=Settings.from_environment(environment),
            connection_of=partial(connection_from_environment, environment=environment),
            now=datetime.now(UTC),
        )
        try:
            told, good = args.act(call)
        except Stopped as early:
            told, good, problem = early.told, False, early.error
    except CardUsageError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.filename is None:
            raise
        unusable = FileUnusable(path=error.filename, reason=error.strerror or type(error).__name__)
        print(f"{parser.prog}: {unusable}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted; nothing is lost, run the same command again", file=sys.stderr)
        return 130
    if "said" in told:
        print(told["said"])
    elif args.json:
        print(json.dumps({"hospital": args.hospital, "settled": good, **told}, ensure_ascii=False, default=str))
    else:
        show(told)
        print("settled" if good else "NOT settled: see above for what is left")
    if problem is not None:
        print(f"{parser.prog}: {problem}", file=sys.stderr)
    return 0 if good else 1
