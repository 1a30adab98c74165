"""Upgrading: the steps of a batch upgrade as tasks call them: counts into the log, and what the task must fail with."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from card_usage.errors import PlatformError

from card_usage_airflow.runs import present

if TYPE_CHECKING:
    from card_usage.context import Context
    from card_usage.upgrade.records import Read

log = logging.getLogger(__name__)

_ROWS_A_LINE: Final = 50_000
_CALLS_A_LINE: Final = 50


class UpgradeStopped(PlatformError):
    """Batches are left, because something holds the hospital or the platform gives no answers."""

    message_template = (
        "{hospital}: stopped by {reason} ({todo}), {left} patients are left; nobody is lost: the batch that is open "
        "goes again under its own request id, with the next try or run"
    )


def preview_upgrade(context: Context, *, from_his: bool) -> dict[str, object]:
    """Judge the patients of the HIS, and say what sending would take. Changes nothing."""
    from card_usage.upgrade import steps

    counts: dict[str, object] = {}
    more = 0
    if from_his:
        read = _read(context, dry_run=True)
        more = read.good
        counts = {"rows": read.rows, "good": read.good, "quarantined": read.quarantined}
    planned = steps.plan(context, now=present(), more=more)
    counts |= {"patients at most": planned.patients, "batches": planned.batches, "days": planned.days}
    for name, figure in counts.items():
        log.info("%s: %s", name, figure)
    return counts


def read_patients(context: Context) -> dict[str, int]:
    """Every patient of the HIS into the ledger, page by page; returns what that changed."""
    from card_usage.pipeline import bind_platform

    bind_platform(context, now=present())
    read = _read(context, dry_run=False)
    counts = {"rows": read.rows, "good": read.good, "quarantined": read.quarantined, **read.changes}
    for name, figure in counts.items():
        log.info("%s: %d", name, figure)
    return counts


def _read(context: Context, *, dry_run: bool) -> Read:
    from card_usage.upgrade.steps import read_his

    done = 0

    def tell(rows: int) -> None:
        nonlocal done
        done += rows
        if done // _ROWS_A_LINE > (done - rows) // _ROWS_A_LINE:
            log.info("%d patients read", done)

    read = read_his(context, now=present(), dry_run=dry_run, on_rows=tell)
    for cause in read.by_cause():
        log.warning("quarantined: %(rows)d by %(parameter)s, %(code)d %(means)s", cause)
    return read


def report_upgrade(context: Context) -> dict[str, object]:
    """Log and return what the upgrade came to so far. Counts only."""
    from card_usage.upgrade.figures import figures

    with context.ledger.read() as connection:
        counts = figures(connection, context.hospital.id).summary()
    for name, figure in counts.items():
        log.info("%s: %s", name, figure)
    return counts


def send_patients(context: Context, *, calls: int | None, hours: float) -> dict[str, int]:
    """Send batches, as many as `calls`, `hours` and the day's quota allow; returns the calls and the ledger's states.

    Raises UpgradeStopped if something else ended it.
    """
    from card_usage.open_platform.advice import advice
    from card_usage.pipeline import bind_platform
    from card_usage.upgrade import steps, store
    from card_usage.words.catalogue import Words

    now = present()
    bind_platform(context, now=now)
    so_far: Counter[str] = Counter()

    def tell(counts: Counter[str]) -> None:
        so_far.update(counts)
        so_far["batches"] += 1
        if so_far["batches"] % _CALLS_A_LINE == 0:
            log.info(
                "%d registered, %d refused in %d batches", so_far["registered"], so_far["refused"], so_far["batches"]
            )

    done = steps.send_batches(context, calls=calls, until=now + timedelta(hours=hours), on_batch=tell)
    with context.ledger.read() as connection:
        states = store.states(connection, context.hospital.id)
    left = states.get("ready", 0) + states.get("batched", 0)
    log.info("%d calls; %s; now %s", done.calls, dict(done.counts), states)
    if done.used_up:
        log.warning("today's calls are used up: run it again tomorrow, %d patients are left", left)
    elif done.stopped and not done.bounded:
        words = Words(context.hospital.report.language)
        todo = advice(done.code, words) if done.code is not None else "look at the log"
        raise UpgradeStopped(hospital=context.hospital.id, reason=done.stopped, todo=todo, left=left)
    return {"calls": done.calls, **states, "left": left}
