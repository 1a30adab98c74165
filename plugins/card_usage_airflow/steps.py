"""The pipeline's verbs as tasks use them: the result logged in counts, and what it means for the task."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import get_current_context
from card_usage.errors import PlatformError

from card_usage_airflow.links import REPORTS
from card_usage_airflow.runs import present
from card_usage_airflow.web_app import WRITTEN

if TYPE_CHECKING:
    from card_usage.pipeline import Pipeline
    from card_usage.quality.verdicts import Verdict
    from card_usage.windows import Window

log = logging.getLogger(__name__)

_SEALED = ("day", "serial", "events", "reason", "head")


class StillOpen(PlatformError):
    """A delivery ended with events that it could not settle, for a reason that passes."""

    message_template = (
        "{hospital}, {window}: {left} events are still open ({answers}); they keep their request ids and go again "
        "with the next try"
    )


def stage_window(pipeline: Pipeline, feed: str, window: Window, *, backfill: bool) -> dict[str, object]:
    """Bring one feed's window into the ledger; returns the counts."""
    result = pipeline.stage(feed, window, backfill=backfill, now=present())
    log.info(
        "%s %s: %d rows read, %d new, %d changed, %d unchanged; %d refunded, %d quarantined; %.1f s",
        *(window, feed, result.read, result.new, result.changed, result.unchanged),
        *(result.voided, result.quarantined, result.seconds),
    )
    if result.status == "provisional":
        log.warning("%s %s: PROVISIONAL, the replica has not provably passed the window's end", window, feed)
    return result.summary()


def check_window(pipeline: Pipeline, window: Window) -> Verdict:
    """The gate's verdict, each of its reasons logged in the language of the hospital's reports."""
    result = pipeline.check(window, now=present())
    log.info("%s: %s, %d events", window, result.level, result.events)
    for text in reason_texts(pipeline, result):
        log.warning("%s: %s", window, text)
    return result


def reason_texts(pipeline: Pipeline, verdict: Verdict) -> list[str]:
    """The verdict's reasons in the language of the hospital's reports."""
    from card_usage.quality.verdict_texts import reason_text

    return [reason_text(reason, pipeline.hospital.report.language) for reason in verdict.reasons]


def show_gaps(pipeline: Pipeline, window: Window, aliases: list[str]) -> None:
    """Log the unmapped codes with suggestions, and what these aliases would release. Raises BadProposal."""
    from card_usage.code_mapping import workbench

    for gap in workbench.overview(pipeline, window)["gaps"]:
        log.info(
            "%s '%s' %s: %d events, %s to %s; %s %s",
            *(gap["table"], gap["local"], gap["name"], gap["events"], gap["first"], gap["last"]),
            *(gap["suggestion"] or "no suggestion", gap["score"]),
        )
    choices = workbench.typed(pipeline, aliases)
    planned = workbench.plan(pipeline, window, choices, now=present(), replace=True)
    for change in planned.changes:
        log.info(
            "alias %s '%s' -> %s: %s",
            *(change.choice.table, change.choice.local, change.choice.standard),
            f"instead of {change.before}" if change.kind == "changed" else change.kind,
        )
    log.info("mending would release: %s", planned.mended.summary())


def mend_window(pipeline: Pipeline, window: Window, aliases: list[str]) -> dict[str, object]:
    """Write these aliases and judge the quarantined events again from the ledger; returns counts. Safe to repeat."""
    from card_usage.code_mapping import workbench

    files, mended = workbench.carry_out(pipeline, window, workbench.typed(pipeline, aliases), now=present())
    for path in files:
        log.info("alias file %s", path.as_posix())
    log.info("mended: %s", mended.summary())
    return mended.summary()


def withholds_all(pipeline: Pipeline, window: Window) -> bool:
    """Whether the gate lets nothing of the window go."""
    parts = [stored.withheld for stored in pipeline.verdicts(window)]
    return any(part and not part.feeds and part.start <= window.start and window.end <= part.end for part in parts)


def deliver_window(pipeline: Pipeline, window: Window) -> dict[str, object]:
    """Send what is due; returns the counts.

    Raises Misconfigured if the platform refuses us, PlatformUnreachable or StillOpen if events are left for another
    try. A quota that is used up and a drain that somebody asked for are no failures: the rest stays due.
    """
    result = pipeline.deliver(window, now=present())
    summary: dict[str, object] = {"window": str(window), **result.summary()}
    states = ", ".join(f"{count} {state}" for state, count in sorted(result.states.items())) or "nothing was due"
    answers = result.answers_text
    log.info("%s: %s; answers: %s; %d left; %.1f s", window, states, answers, result.left, result.seconds)
    result.raise_for_stop()
    if result.stopped_by is not None and result.stopped_by.defers:
        log.warning("stopped by %s: %d events stay due", result.stopped_by, result.left)
    elif result.left:
        raise StillOpen(hospital=pipeline.hospital.id, window=window, left=result.left, answers=answers)
    return summary


def reconcile_window(pipeline: Pipeline, window: Window) -> dict[str, object]:
    """Count HIS, ledger and acknowledgements against each other; a difference is a warning, the report names it.

    What was staged before the replica had passed it is staged again first.
    """
    for staged in pipeline.catch_up(window, now=present()):
        log.info("%s %s: read again, %d new, now %s", staged.window, staged.feed, staged.new, staged.status)
    result = pipeline.reconcile(window, now=present())
    summary: dict[str, object] = {"window": str(window), **result.summary()}
    found = {name: count for name, count in summary.items() if count and isinstance(count, int) and count is not True}
    level, verdict = (logging.INFO, "clean") if result.clean else (logging.WARNING, "DIFFERENCES")
    log.log(level, "%s: %s; %s", window, verdict, ", ".join(f"{name} {count}" for name, count in found.items()))
    return summary


def seal_days(pipeline: Pipeline) -> list[dict[str, object]]:
    """Seal what is verified, and again what moved since; how far each feed is verified stands in the log.

    Raises EvidenceBroken if sealed rows were changed without a trace.
    """
    for mark in pipeline.verified():
        log.info("%s: verified through %s; %s", mark.feed, mark.through, mark.stands)
    made = [link.summary() for link in pipeline.seal(now=present())]
    for link in made:
        log.info("sealed %s: link %s, %s events, %s; head %s", *(link[name] for name in _SEALED))
    return made


def publish_window(pipeline: Pipeline, window: Window) -> list[str]:
    """Write the window's reports; returns the files' names below the reports' folder."""
    names = list(pipeline.publish(window, now=present()))
    for name in names:
        log.info("report %s", pipeline.settings.store.place(name))
    tell_written(names)
    return names


def tell_written(names: list[str]) -> None:
    """Tell the run's page in the UI what was written, beside what this task told before, and the asset if it is one of
    the task's outlets."""
    context = get_current_context()
    # The context is a dict; only its type knows no keys but Airflow's own.
    told: list[str] = cast("dict[str, Any]", context).setdefault(WRITTEN, [])
    told += [name for name in names if name not in told]
    context["ti"].xcom_push(key=WRITTEN, value=told)
    if REPORTS in context["task"].outlets:
        context["outlet_events"][REPORTS].extra = {"files": [*told]}


def resume(pipeline: Pipeline) -> None:
    """Take away the hold that a refusing platform caused: somebody who runs the DAG by hand has mended the cause."""
    from card_usage.ledger import holds

    with pipeline.ledger.write() as connection:
        if holds.lift(connection, hospital=pipeline.hospital.id, kinds=("misconfigured",)):
            log.info("the hold 'misconfigured' is lifted")
