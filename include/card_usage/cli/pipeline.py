"""The steps of the pipeline as verbs: run, preview, stage, check, deliver, reconcile, report; and redeliver."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from card_usage import pipeline
from card_usage.cli.approval import shown
from card_usage.cli.arguments import Call, Result, Stopped, Verbs, for_days, verb
from card_usage.cli.progress import delivery_bar, rows_bar
from card_usage.context import Context
from card_usage.delivery.redelivery import Undecided, send_again, undecided
from card_usage.errors import PlatformError
from card_usage.ledger.scope import Scope
from card_usage.preview import preview
from card_usage.quality.approval import verdicts_of
from card_usage.quality.verdict_texts import summary as verdict_summary
from card_usage.report.publish import publish_days
from card_usage.staging.coverage import never_staged
from card_usage.windows import Window
from card_usage.words.catalogue import Words


def _stage(context: Context, window: Window, now: datetime) -> Result:
    staged = []
    for feed in context.hospital.his.feeds:
        with rows_bar(f"stage {feed}") as on_rows:
            staged.append(pipeline.stage(context, feed, window, now=now, on_rows=on_rows).summary())
    return {"stage": staged}, True


def _preview(context: Context, window: Window, now: datetime) -> Result:
    with rows_bar("preview") as on_rows:
        return {"preview": preview(context, window, now=now, on_rows=on_rows).summary()}, True


def _lacking(context: Context, window: Window, now: datetime) -> dict[str, Any]:
    """Parts of the window that were never staged, and what to do about them; empty if there are none."""
    parts = never_staged(context.ledger, context.hospital, window, now=now)
    if not parts:
        return {}
    told = [
        {"from": f"{one.start:%Y-%m-%d %H:%M}", "to": f"{one.end:%Y-%m-%d %H:%M}", "feeds": " ".join(one.feeds)}
        for one in parts
    ]
    return {"never_staged": told, "to_stage": Words(context.hospital.report.language)("stage.first")}


def _check(context: Context, window: Window, now: datetime) -> Result:
    verdict = pipeline.check(context, window, now=now)
    lacking = _lacking(context, window, now)
    return {"check": verdict_summary(verdict), **lacking}, verdict.level in {"pass", "warn"} and not lacking


def _deliver(context: Context, window: Window, now: datetime) -> Result:
    with delivery_bar("deliver") as on_progress:
        delivered = pipeline.deliver(context, window, on_progress=on_progress)
    told: dict[str, Any] = {"deliver": delivered.summary()}
    verdicts = verdicts_of(context.ledger, context.hospital.id, window)
    waiting = [stored for stored in verdicts if stored.awaits_decision]
    if waiting:
        words = Words(context.hospital.report.language)
        told["withheld"] = [shown(stored, context.hospital, words) for stored in waiting]
        told["to_do"] = words("decide.withheld")
    try:
        delivered.raise_for_stop()
    except PlatformError as error:
        raise Stopped(told, error) from None
    lacking = _lacking(context, window, now)
    good = delivered.settled and not waiting and not lacking
    told["deliver"]["settled"] = good
    return told | lacking, good


def _reconcile(context: Context, window: Window, now: datetime) -> Result:
    reconciliation = pipeline.reconcile(context, window, now=now)
    return {"reconcile": reconciliation.summary()}, reconciliation.clean


def _report(context: Context, window: Window, now: datetime) -> Result:
    return {"report": [context.settings.store.place(name) for name in publish_days(context, window, now=now)]}, True


def _run(context: Context, window: Window, now: datetime) -> Result:
    """All steps in order; a verdict of the gate keeps its window from being delivered, not from being reported."""
    told: dict[str, Any] = {}
    good = True
    stopped: Stopped | None = None
    for step in (_stage, _check, _deliver, _reconcile, _report):
        try:
            summary, well = step(context, window, now)
        except Stopped as early:
            stopped, summary, well = early, early.told, False
        told |= summary
        good = good and well
    if stopped is not None:
        raise Stopped(told, stopped.error)
    return told, good


_VERBS: Mapping[str, tuple[Callable[[Context, Window, datetime], Result], str]] = {
    "run": (_run, "all of the following, in order"),
    "preview": (_preview, "say what a range of days would send and how long it takes; sends nothing"),
    "stage": (_stage, "read the HIS, normalize, judge, write the ledger"),
    "check": (_check, "let the quality gate look at what is staged"),
    "deliver": (_deliver, "send everything due to the platform"),
    "reconcile": (_reconcile, "count HIS and ledger, name every difference"),
    "report": (_report, "write each day's report: page, sheets, mail, JSON"),
}


def _redeliver(context: Context, window: Window, args: argparse.Namespace, now: datetime) -> Result:
    """Refused events again: without --yes only a count."""
    states: tuple[Undecided, ...] = ("rejected", "unconfirmed") if args.unconfirmed else ("rejected",)
    scope = Scope(context.hospital.id, window.days[0], window.days[-1])
    with context.ledger.read() as connection:
        counts = sorted(undecided(connection, scope, states).items(), key=str)
    told: dict[str, Any] = {
        "undecided": {f"{state} {'-' if code is None else code}": count for (state, code), count in counts}
    }
    if not args.yes:
        return told | {"sent": "nothing: add --yes to send these again under new request ids"}, True
    with context.ledger.write() as connection:
        told["made due"] = send_again(connection, scope, states)
    summary, good = _deliver(context, window, now)
    return told | summary, good


def _step(step: Callable[[Context, Window, datetime], Result], call: Call) -> Result:
    with call.context() as context:
        return step(context, call.window, call.now)


def _again(call: Call) -> Result:
    with call.context() as context:
        return _redeliver(context, call.window, call.args, call.now)


def add(verbs: Verbs) -> None:
    """Add these verbs."""
    ranged = for_days()
    for name, (step, text) in _VERBS.items():
        verb(verbs, name, partial(_step, step), text, ranged)
    again = verb(verbs, "redeliver", _again, "send refused events again under new request ids, after a count", ranged)
    again.add_argument("--yes", action="store_true", help="really do it; without it only a count is shown")
    again.add_argument(
        "--unconfirmed", action="store_true", help="unconfirmed ones too: the platform may have them already"
    )
