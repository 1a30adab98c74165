"""Command line: the pipeline's verbs without Airflow, for engineers and automation.

    python -m card_usage run --hospital demo_hospital --from 2026-11-20 --to 2026-11-23

Exit code 0: everything due was settled. 1: it was not, and the output says what is left. 2: it could not be tried, and
one line says what to do. Results go to standard output, progress and messages to standard error.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from getpass import getuser
from typing import Any

from card_usage.connections import Connection, connection_from_environment
from card_usage.errors import CardUsageError, PlatformUnreachable
from card_usage.hospitals import load_hospital
from card_usage.keyring import Keyring
from card_usage.ledger import holds
from card_usage.ledger.database import migrate, open_ledger
from card_usage.ledger.decisions import Undecided
from card_usage.pipeline import Pipeline
from card_usage.progress import delivery_bar, rows_bar, show
from card_usage.settings import Settings
from card_usage.windows import Window, day_window

Result = tuple[dict[str, Any], bool]


class _Stopped(Exception):
    """A delivery ended early for a reason that somebody has to mend; `told` is what it came to, `error` says what."""

    def __init__(self, told: dict[str, Any], error: CardUsageError) -> None:
        super().__init__(str(error))
        self.told, self.error = told, error


def _stage(pipeline: Pipeline, window: Window, now: datetime) -> Result:
    staged = []
    for feed in pipeline.hospital.his.feeds:
        with rows_bar(f"stage {feed}") as on_rows:
            staged.append(pipeline.stage(feed, window, now=now, on_rows=on_rows).summary())
    return {"stage": staged}, True


def _preview(pipeline: Pipeline, window: Window, now: datetime) -> Result:
    with rows_bar("preview") as on_rows:
        return {"preview": pipeline.preview(window, now=now, on_rows=on_rows).summary()}, True


def _check(pipeline: Pipeline, window: Window, now: datetime) -> Result:
    verdict = pipeline.check(window, now=now)
    return {"check": verdict.summary()}, verdict.verdict in {"pass", "warn"}


def _deliver(pipeline: Pipeline, window: Window, now: datetime) -> Result:
    with delivery_bar("deliver") as on_progress:
        delivered = pipeline.deliver(window, now=now, progress=on_progress)
    told = {"deliver": delivered.summary()}
    if delivered.stopped_by == "unreachable":
        host = pipeline.connection_of(pipeline.hospital.platform.connection).host
        answers = ", ".join(f"{count} x {answer}" for answer, count in delivered.answers.items()) or "no call made"
        raise _Stopped(told, PlatformUnreachable(host=host, reason=answers))
    if delivered.stopped_by == "misconfigured":
        raise _Stopped(told, pipeline.misconfiguration(now=now))
    return told, delivered.settled


def _reconcile(pipeline: Pipeline, window: Window, now: datetime) -> Result:
    reconciliation = pipeline.reconcile(window, now=now)
    return {"reconcile": reconciliation.summary()}, reconciliation.clean


def _report(pipeline: Pipeline, window: Window, now: datetime) -> Result:
    return {"report": [path.as_posix() for path in pipeline.publish(window, now=now)]}, True


def _run(pipeline: Pipeline, window: Window, now: datetime) -> Result:
    """All steps in order; a verdict of the gate keeps its window from being delivered, not from being reported."""
    told: dict[str, Any] = {}
    good = True
    stopped: _Stopped | None = None
    for step in (_stage, _check, _deliver, _reconcile, _report):
        try:
            summary, well = step(pipeline, window, now)
        except _Stopped as early:
            stopped, summary, well = early, early.told, False
        told |= summary
        good = good and well
    if stopped is not None:
        raise _Stopped(told, stopped.error)
    return told, good


_VERBS: Mapping[str, tuple[Callable[[Pipeline, Window, datetime], Result], str]] = {
    "run": (_run, "all of the following, in order"),
    "preview": (_preview, "say what a range of days would send and how long it takes; sends nothing"),
    "stage": (_stage, "read the HIS, normalize, judge, write the ledger"),
    "check": (_check, "let the quality gate look at what is staged"),
    "deliver": (_deliver, "send everything due to the platform"),
    "reconcile": (_reconcile, "count HIS and ledger, name every difference"),
    "report": (_report, "write the day's report as HTML and JSON"),
}


def _redeliver(pipeline: Pipeline, window: Window, args: argparse.Namespace, now: datetime) -> Result:
    """Refused events again: without --yes only a count."""
    states: tuple[Undecided, ...] = ("rejected", "unconfirmed") if args.unconfirmed else ("rejected",)
    told: dict[str, Any] = {"undecided": pipeline.undecided(window, states)}
    if not args.yes:
        return told | {"sent": "nothing: add --yes to send these again under new request ids"}, True
    told["made due"] = pipeline.send_again(window, states)
    summary, good = _deliver(pipeline, window, now)
    return told | summary, good


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="card_usage", description="Report card uses to the electronic health card open platform, once each."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    ranged = argparse.ArgumentParser(add_help=False)
    ranged.add_argument("--hospital", required=True, metavar="ID", help="name of its file among the hospitals")
    ranged.add_argument("--from", dest="first", required=True, type=_day, metavar="DATE", help="first local day")
    ranged.add_argument("--to", dest="last", required=True, type=_day, metavar="DATE", help="last local day, inclusive")
    ranged.add_argument("--json", action="store_true", help="print the result as JSON")
    for verb, (_, text) in _VERBS.items():
        verbs.add_parser(verb, parents=[ranged], help=text, description=text)
    text = "send refused events again under new request ids, after a count of them"
    again = verbs.add_parser("redeliver", parents=[ranged], help=text, description=text)
    again.add_argument("--yes", action="store_true", help="really do it; without it only a count is shown")
    again.add_argument(
        "--unconfirmed", action="store_true", help="unconfirmed ones too: the platform may have them already"
    )
    for verb, text in (
        ("pause", "stop sending; a running delivery waits for resume"),
        ("drain", "finish what is under way, then end the running delivery"),
        ("resume", "lift every hold: pause, drain, quota, misconfigured"),
    ):
        held = verbs.add_parser(verb, help=text, description=text)
        who = held.add_mutually_exclusive_group(required=True)
        who.add_argument("--hospital", metavar="ID", help="one hospital")
        who.add_argument("--all", action="store_true", help="every hospital")
        held.add_argument("--reason", default="", help="why, for whoever sees it")
    ledger = verbs.add_parser("ledger", help="the ledger database").add_subparsers(
        dest="what", required=True, metavar="WHAT"
    )
    ledger.add_parser("migrate", help="create it, or bring it to this version; safe to repeat")
    key = verbs.add_parser("key", help="make a fresh key for CARD_USAGE_KEY")
    key.add_argument("--id", default=f"{datetime.now(UTC):%Y%m}", help="its name in the list")
    return parser


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no date: write it as 2026-11-23") from None


def _window(first: date, last: date) -> Window:
    return Window(day_window(first).start, day_window(last).end)


def _hold(args: argparse.Namespace, settings: Settings, now: datetime) -> str:
    hospital = holds.EVERYONE if args.all else load_hospital(settings.hospitals, args.hospital).id
    ledger = open_ledger(settings.ledger_url, settings.keyring)
    try:
        with ledger.write() as connection:
            if args.verb == "resume":
                lifted = holds.lift(connection, hospital=hospital)
                return f"{hospital}: {lifted} holds lifted"
            reason = args.reason or f"{args.verb} from the command line"
            holds.place(connection, hospital=hospital, kind=args.verb, reason=reason[:200], by=getuser(), now=now)
            return f"{hospital}: {args.verb} is set; a running delivery follows within 5 seconds"
    finally:
        ledger.close()


def main(argv: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    environment = os.environ if environment is None else environment
    parser = _parser()
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    now = datetime.now(UTC)
    problem: CardUsageError | None = None
    try:
        if args.verb == "key":
            print(Keyring.new_key(args.id))
            return 0
        if args.verb == "ledger":
            print(f"ledger at revision {migrate(Settings.ledger_url_from(environment))}")
            return 0
        settings = Settings.from_environment(environment)
        if args.verb in {"pause", "drain", "resume"}:
            print(_hold(args, settings, now))
            return 0
        if args.last < args.first:
            parser.error("--to is before --from")
        connection_of: Callable[[str], Connection] = partial(connection_from_environment, environment=environment)
        with Pipeline.open(args.hospital, settings, connection_of) as pipeline:
            try:
                window = _window(args.first, args.last)
                if args.verb == "redeliver":
                    told, good = _redeliver(pipeline, window, args, now)
                else:
                    told, good = _VERBS[args.verb][0](pipeline, window, now)
            except _Stopped as early:
                told, good, problem = early.told, False, early.error
    except CardUsageError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted; nothing is lost, run the same command again", file=sys.stderr)
        return 130
    if args.json:
        print(json.dumps({"hospital": args.hospital, "settled": good, **told}, ensure_ascii=False, default=str))
    else:
        show(told)
        print("settled" if good else "NOT settled: see above for what is left")
    if problem is not None:
        print(f"{parser.prog}: {problem}", file=sys.stderr)
    return 0 if good else 1
