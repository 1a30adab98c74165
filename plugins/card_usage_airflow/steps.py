"""Steps: the pipeline's steps as tasks call them: log the result in counts, raise what the task must fail with."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import get_current_context
from card_usage.errors import PlatformError

from card_usage_airflow import task_context
from card_usage_airflow.links import REPORTS
from card_usage_airflow.runs import present
from card_usage_airflow.web_app import WRITTEN

if TYPE_CHECKING:
    from card_usage.context import Context
    from card_usage.ledger.decisions import Actor
    from card_usage.quality.verdicts import StoredVerdict, Verdict
    from card_usage.windows import Window

log = logging.getLogger(__name__)

_SEALED = ("day", "serial", "events", "reason", "head")


class StillOpen(PlatformError):
    """A delivery left events unsettled for a temporary reason; the task is retried."""

    message_template = (
        "{hospital}, {window}: {left} events are still open ({answers}); they keep their request ids and go again "
        "with the next try"
    )


def stage_window(context: Context, feed: str, window: Window, *, backfill: bool) -> dict[str, object]:
    """Stage one feed's window; returns the counts."""
    from card_usage import pipeline

    result = pipeline.stage(context, feed, window, backfill=backfill, now=present())
    log.info(
        "%s %s: %d rows read, %d new, %d changed, %d unchanged; %d refunded, %d quarantined; %.1f s",
        *(window, feed, result.read, result.new, result.changed, result.unchanged),
        *(result.voided, result.quarantined, result.seconds),
    )
    if result.status == "provisional":
        log.warning("%s %s: PROVISIONAL, the replica has not provably passed the window's end", window, feed)
    return result.summary()


def check_window(context: Context, window: Window) -> tuple[Verdict, ...]:
    """Check the window, each day by itself; logs the reasons in the language of the hospital's reports."""
    from card_usage import pipeline

    verdicts = pipeline.check(context, window, now=present())
    for verdict in verdicts:
        log.info("%s: %s, %d events", verdict.window, verdict.level, verdict.events)
        for text in reason_texts(context, verdict):
            log.warning("%s: %s", verdict.window, text)
    return verdicts


def reason_texts(context: Context, verdict: Verdict) -> list[str]:
    """The verdict's reasons in the language of the hospital's reports."""
    from card_usage.quality.verdict_texts import reason_text

    return [reason_text(reason, context.hospital.report.language) for reason in verdict.reasons]


def show_gaps(context: Context, window: Window, aliases: list[str]) -> None:
    """Log unmapped codes with suggestions, and what these aliases would release. Raises BadProposal."""
    from card_usage.code_mapping import workbench

    for gap in workbench.overview(context, window)["gaps"]:
        log.info(
            "%s '%s' %s: %d events, %s to %s; %s %s",
            *(gap["table"], gap["local"], gap["name"], gap["events"], gap["first"], gap["last"]),
            *(gap["suggestion"] or "no suggestion", gap["score"]),
        )
    choices = workbench.typed(context, aliases)
    planned = workbench.plan(context, window, choices, now=present(), replace=True)
    for change in planned.changes:
        log.info(
            "alias %s '%s' -> %s: %s",
            *(change.choice.table, change.choice.local, change.choice.standard),
            f"instead of {change.before}" if change.kind == "changed" else change.kind,
        )
    log.info("mending would release: %s", planned.result.summary())


def mend_window(context: Context, window: Window, aliases: list[str], *, replace: bool, by: Actor) -> dict[str, object]:
    """Decide these aliases in the ledger and validate quarantined events again, from there; returns counts. Safe to
    repeat.

    Raises CodesTaken if a code means something else already and `replace` is not set, CodesDecidedMeanwhile if somebody
    else was first; nothing is changed then.
    """
    from card_usage.code_mapping import workbench

    choices = workbench.typed(context, aliases)
    if not replace:
        planned = workbench.plan(context, window, choices, now=present())
        workbench.demand_no_conflicts(planned, "look at them, and tick `replace` in the form to change them")
    written, result = workbench.carry_out(context, window, choices, by=by, now=present())
    for choice in written:
        log.info("%s decided: %s '%s' is %s", by.name, choice.table, choice.local, choice.standard)
    log.info("mended: %s", result.summary())
    return result.summary()


def preview_window(context: Context, window: Window) -> dict[str, object]:
    """Log and return what reporting the window's days would send. Changes nothing."""
    from card_usage.preview import preview

    counts = preview(context, window, now=present()).summary()
    for name, figure in counts.items():
        log.info("%s: %s", name, figure)
    return counts


def verdicts_awaiting_decision(context: Context, window: Window) -> list[StoredVerdict]:
    """Verdicts on the window that withhold something and are not decided yet."""
    from card_usage.quality.approval import verdicts_of

    verdicts = verdicts_of(context.ledger, context.hospital.id, window)
    return [stored for stored in verdicts if stored.awaits_decision]


def withholds_all(context: Context, window: Window) -> bool:
    """Whether the gate withholds the whole window, all feeds."""
    from card_usage.quality.approval import verdicts_of

    parts = [stored.withheld for stored in verdicts_of(context.ledger, context.hospital.id, window)]
    return any(part and not part.feeds and part.start <= window.start and window.end <= part.end for part in parts)


def make_refused_due(context: Context, window: Window, by: Actor) -> None:
    """Make the events of the window's days that the platform refused due again, under new request ids."""
    from card_usage import pipeline
    from card_usage.delivery.redelivery import decide_again
    from card_usage.ledger.scope import Scope

    pipeline.bind_platform(context, now=present())
    scope = Scope(context.hospital.id, window.days[0], window.days[-1])
    moved = decide_again(context.ledger, scope, ("rejected",), by, now=present())
    log.info("refused events made due again: %d", moved)


def deliver_window(context: Context, window: Window) -> dict[str, object]:
    """Send what is due; returns the counts.

    Raises Misconfigured if the platform refuses every call, PlatformUnreachable, PlatformUnreadable, PlatformLimits or
    StillOpen if events are left for a retry, DeliveryInterrupted after a SIGTERM, which Airflow follows by a kill
    within seconds. A used-up quota and a drain are no failures: the rest stays due.
    """
    from card_usage import pipeline

    result = pipeline.deliver(context, window)
    summary: dict[str, object] = {"window": str(window), **result.summary()}
    states = ", ".join(f"{count} {state}" for state, count in sorted(result.states.items())) or "nothing was due"
    answers = result.answers_text
    log.info("%s: %s; answers: %s; %d left; %.1f s", window, states, answers, result.left, result.seconds)
    result.raise_for_stop()
    if result.stopped_by is not None and result.stopped_by.defers:
        log.warning("stopped by %s: %d events stay due", result.stopped_by, result.left)
    elif result.left:
        raise StillOpen(hospital=context.hospital.id, window=window, left=result.left, answers=answers)
    return summary


def reconcile_window(context: Context, window: Window) -> dict[str, object]:
    """Reconcile HIS, ledger and acknowledgements; a difference is logged as a warning, the report names it.

    Windows that are not closed are staged again first.
    """
    from card_usage import pipeline

    for staged in pipeline.catch_up(context, window, now=present()):
        log.info("%s %s: read again, %d new, now %s", staged.window, staged.feed, staged.new, staged.status)
    result = pipeline.reconcile(context, window, now=present())
    summary: dict[str, object] = {"window": str(window), **result.summary()}
    counts = {name: count for name, count in summary.items() if count and isinstance(count, int) and count is not True}
    level, verdict = (logging.INFO, "clean") if result.clean else (logging.WARNING, "DIFFERENCES")
    log.log(level, "%s: %s; %s", window, verdict, ", ".join(f"{name} {count}" for name, count in counts.items()))
    return summary


def build_warehouse(context: Context, windows: Iterable[Window]) -> dict[str, int]:
    """Write the windows' days into the warehouse; returns the counts.

    Never fails: what could not be written is an incident of its own, and the next run or morning writes it.
    """
    from card_usage.warehouse import run

    days = sorted({day for window in windows for day in window.days if not context.hospital.has_ended(day)})
    built = run.build_days(context.ledger, context.settings.store, context.hospital, days, now=present())
    level = logging.WARNING if built.failed else logging.INFO
    log.log(level, "warehouse: %d days written, %d unchanged, %d FAILED", *built)
    return built._asdict()


def compact_warehouse() -> dict[str, int]:
    """Put the warehouse's days together by month; returns the counts. Its failure is a line in the log: the days count
    from their own files until a later one succeeds."""
    from card_usage.errors import CardUsageError
    from card_usage.ledger.database import open_ledger
    from card_usage.warehouse import run

    settings = task_context.settings()
    ledger = open_ledger(settings.ledger_url, settings.keyring)
    try:
        compacted = run.compact_and_publish(ledger, settings.store)
    except (OSError, CardUsageError) as error:
        log.warning("warehouse: months were not put together (%s)", type(error).__name__)
        return {}
    finally:
        ledger.close()
    log.info("warehouse: %d months, %d days put together", *compacted)
    return compacted._asdict()


def seal_days(context: Context) -> list[dict[str, object]]:
    """Seal verified days, and days that changed since; logs how far each feed is verified.

    Raises EvidenceBroken if sealed rows were changed without a recorded cause.
    """
    from card_usage.evidence import seal
    from card_usage.reconciliation import watermark

    with context.ledger.read() as connection:
        marks = watermark.marks(connection, context.hospital)
    for mark in marks:
        log.info("%s: verified through %s; %s", mark.feed, mark.through, mark.stands)
    made = [link.summary() for link in seal.seal_days(context, now=present())]
    for link in made:
        log.info("sealed %s: link %s, %s events, %s; head %s", *(link[name] for name in _SEALED))
    return made


def publish_window(context: Context, window: Window) -> list[str]:
    """Write the window's reports; returns the names of the files in the store."""
    from card_usage.report.publish import publish_days

    names = list(publish_days(context, window, now=present()))
    for name in names:
        log.info("report %s", context.settings.store.location(name))
    record_written(names)
    return names


def record_written(names: list[str]) -> None:
    """Push the names of written files to XCom, for the run's page in the UI, and to the asset's event if the asset is
    an outlet of the task. Names from earlier calls of the same task are kept."""
    task_context = get_current_context()
    # The context is a dict; only its type knows no keys but Airflow's own.
    written: list[str] = cast("dict[str, Any]", task_context).setdefault(WRITTEN, [])
    written += [name for name in names if name not in written]
    task_context["ti"].xcom_push(key=WRITTEN, value=written)
    if REPORTS in task_context["task"].outlets:
        task_context["outlet_events"][REPORTS].extra = {"files": [*written]}


def record_begun(context: Context, verb: str, by: Actor, subject: str) -> None:
    """Record that somebody has begun something by a form."""
    from card_usage.ledger.decisions import record

    with context.ledger.write() as connection:
        keyring, hospital = context.ledger.keyring, context.hospital.id
        record(connection, keyring, verb=verb, hospital=hospital, actor=by, now=present(), subject=subject)


def resume(context: Context, by: Actor) -> None:
    """Lift the hold `misconfigured`: whoever triggers the DAG by hand has corrected the cause."""
    from card_usage.ledger import holds
    from card_usage.ledger.decisions import record

    hospital, now = context.hospital.id, present()
    with context.ledger.write() as connection:
        old = holds.kinds_of(connection, hospital, now)
        if holds.lift(connection, hospital=hospital, kinds=("misconfigured",)):
            new = holds.kinds_of(connection, hospital, now)
            keyring = context.ledger.keyring
            record(connection, keyring, verb="resume", hospital=hospital, actor=by, now=now, old=old, new=new)
            log.info("the hold 'misconfigured' is lifted")
