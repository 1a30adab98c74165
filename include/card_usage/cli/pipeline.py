"""Pipeline: `run`, `preview`, `stage`, `check`, `deliver`, `reconcile`, `report` and `redeliver`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

from card_usage import pipeline
from card_usage.cli.approval import withheld_window
from card_usage.cli.arguments import day_arguments
from card_usage.cli.command import Commands, CommandStopped, Invocation, Output, Result, add_command
from card_usage.cli.progress import delivery_bar, rows_bar
from card_usage.context import Context
from card_usage.delivery.redelivery import Undecided, decide_again, undecided, without_content
from card_usage.errors import CardUsageError, DeliveryInterrupted, PlatformError
from card_usage.ledger.scope import Scope
from card_usage.preview import preview
from card_usage.quality.approval import verdicts_of
from card_usage.quality.verdict_texts import summary as verdicts_summary
from card_usage.report.publish import publish_days
from card_usage.staging.coverage import never_staged
from card_usage.warehouse.run import build_days
from card_usage.windows import Window
from card_usage.words.catalogue import Words

Step = Callable[[Context, Window, datetime], Result]


def _stage(context: Context, window: Window, now: datetime) -> Result:
    staged = []
    for feed in context.hospital.his.feeds:
        with rows_bar(f"stage {feed}") as on_rows:
            staged.append(pipeline.stage(context, feed, window, now=now, on_rows=on_rows).summary())
    return Result(output={"stage": staged})


def _preview(context: Context, window: Window, now: datetime) -> Result:
    with rows_bar("preview") as on_rows:
        return Result(output={"preview": preview(context, window, now=now, on_rows=on_rows).summary()})


def _never_staged(context: Context, window: Window, now: datetime) -> Output:
    """Parts of the window that were never staged, and what to do about them; empty if there are none."""
    parts = never_staged(context.ledger, context.hospital, window, now=now)
    if not parts:
        return {}
    rows = [
        {"from": f"{part.start:%Y-%m-%d %H:%M}", "to": f"{part.end:%Y-%m-%d %H:%M}", "feeds": " ".join(part.feeds)}
        for part in parts
    ]
    return {"never_staged": rows, "to_stage": Words(context.hospital.report.language)("stage.first")}


def _check(context: Context, window: Window, now: datetime) -> Result:
    verdicts = pipeline.check(context, window, now=now)
    gaps = _never_staged(context, window, now)
    passed = all(verdict.level in {"pass", "warn"} for verdict in verdicts)
    return Result(settled=passed and not gaps, output={"check": verdicts_summary(verdicts), **gaps})


def _deliver(context: Context, window: Window, now: datetime) -> Result:
    with delivery_bar("deliver") as on_progress:
        delivered = pipeline.deliver(context, window, on_progress=on_progress)
    summary = delivered.summary()
    output: Output = {"deliver": summary}
    verdicts = verdicts_of(context.ledger, context.hospital.id, window)
    undecided_verdicts = [stored for stored in verdicts if stored.awaits_decision]
    if undecided_verdicts:
        words = Words(context.hospital.report.language)
        output["withheld"] = [withheld_window(stored, context.hospital, words) for stored in undecided_verdicts]
        output["to_do"] = words("decide.withheld")
    try:
        delivered.raise_for_stop()
    except (PlatformError, DeliveryInterrupted) as error:
        raise CommandStopped(output, error) from None
    gaps = _never_staged(context, window, now)
    settled = delivered.settled and not undecided_verdicts and not gaps
    summary["settled"] = settled
    return Result(settled=settled, output=output | gaps)


def _reconcile(context: Context, window: Window, now: datetime) -> Result:
    reconciliation = pipeline.reconcile(context, window, now=now)
    return Result(settled=reconciliation.clean, output={"reconcile": reconciliation.summary()})


def _warehouse(context: Context, window: Window, now: datetime) -> Result:
    """The warehouse's failure is said, and is an incident of its own; it concerns nothing else."""
    days = context.hospital.until_end(window).days
    built = build_days(context.ledger, context.settings.store, context.hospital, days, now=now)
    return Result(output={"warehouse": built._asdict()})


def _report(context: Context, window: Window, now: datetime) -> Result:
    names = publish_days(context, window, now=now)
    return Result(output={"report": [context.settings.store.location(name) for name in names]})


def run_steps(context: Context, window: Window, now: datetime) -> Result:
    """All steps in order. A window that the gate withholds is not delivered, but still reconciled and reported;
    an interrupted delivery is the last step."""
    output: Output = {}
    settled = True
    error: CardUsageError | None = None
    for step in (_stage, _check, _deliver, _reconcile, _warehouse, _report):
        try:
            result = step(context, window, now)
        except CommandStopped as stopped:
            if isinstance(stopped.error, DeliveryInterrupted):
                raise CommandStopped(output | stopped.output, stopped.error) from None
            error, result = stopped.error, Result(settled=False, output=stopped.output)
        output |= result.output
        settled = settled and result.settled
    if error is not None:
        raise CommandStopped(output, error)
    return Result(settled=settled, output=output)


_STEPS: Mapping[str, tuple[Step, str]] = {
    "run": (run_steps, "all of the following, in order"),
    "preview": (_preview, "say what a range of days would send and how long it takes; sends nothing"),
    "stage": (_stage, "read the HIS, normalize, judge, write the ledger"),
    "check": (_check, "let the quality gate look at what is staged"),
    "deliver": (_deliver, "send everything due to the platform"),
    "reconcile": (_reconcile, "count HIS and ledger, name every difference"),
    "report": (_report, "write each day's report: page, sheets, mail, JSON"),
}


def _step(step: Step, invocation: Invocation) -> Result:
    with invocation.context() as context:
        return step(context, invocation.window, invocation.now)


def _redeliver(invocation: Invocation) -> Result:
    """Deliver refused events again; without --yes only count them."""
    args, window = invocation.args, invocation.window
    states: tuple[Undecided, ...] = ("rejected", "unconfirmed") if args.unconfirmed else ("rejected",)
    with invocation.context() as context:
        scope = Scope(context.hospital.id, window.days[0], window.days[-1])
        with context.ledger.read() as connection:
            counts = sorted(undecided(connection, scope, states).items(), key=str)
        output: Output = {
            "undecided": {f"{state} {'-' if code is None else code}": count for (state, code), count in counts}
        }
        if not args.yes:
            return Result(output=output | {"sent": "nothing: add --yes to send these again under new request ids"})
        pipeline.bind_platform(context, now=invocation.now)
        actor, now = invocation.actor, invocation.now
        output["made due"] = decide_again(context.ledger, scope, states, actor, now=now, reason=args.reason)
        with context.ledger.read() as connection:
            if lost := without_content(connection, scope, states):
                output["not sent"] = f"{lost} of a rebuilt ledger have no content: stage their days first"
        delivered = _deliver(context, window, invocation.now)
        return Result(settled=delivered.settled, output=output | delivered.output)


def add_commands(commands: Commands) -> None:
    """Add the steps of the pipeline and `redeliver`."""
    days = day_arguments()
    for name, (step, description) in _STEPS.items():
        add_command(commands, name, partial(_step, step), description, days)
    description = "send refused events again under new request ids, after a count"
    redeliver = add_command(commands, "redeliver", _redeliver, description, days)
    redeliver.add_argument("--yes", action="store_true", help="really do it; without it only a count is shown")
    redeliver.add_argument("--reason", default="", metavar="TEXT", help="why, for whoever sees it")
    redeliver.add_argument(
        "--unconfirmed", action="store_true", help="unconfirmed ones too: the platform may have them already"
    )
