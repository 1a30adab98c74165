"""Readiness: whether a run may query the replica: its window has ended and the replica has passed that end."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from card_usage.errors import ReplicaBusy, SourceInterrupted, SourceUnreachable
from card_usage.windows import Window, local

if TYPE_CHECKING:
    from card_usage.context import Context


class Readiness(NamedTuple):
    """Whether the run may continue (`ready`), whether the replica is proved complete (`passed`, else provisional), and
    what was observed (`why`)."""

    ready: bool
    passed: bool
    why: str


def check_readiness(context: Context, window: Window, *, now: datetime) -> Readiness:
    """Whether a run about this window may query the replica now.

    A replica that is unreachable or busy is waited for until the deadline of the hospital's file, like one that lags.
    Raises errors that waiting does not resolve: a probe without its table, a wrong file or connection.
    """
    from card_usage.source import freshness
    from card_usage.source.query_slots import avoided_until

    his = context.hospital.his
    if not window.ended_by(now):
        return Readiness(False, False, f"the window ends at {window.end:%Y-%m-%d %H:%M}")
    if until := avoided_until(his, local(now)):
        return Readiness(False, False, f"hours to avoid, until {until:%H:%M}")
    deadline = freshness.deadline(window, his.freshness)
    late = local(now) >= deadline
    try:
        with context.source() as source:
            reading = freshness.read_probe(source, context.hospital, window, now=now)
    except (SourceUnreachable, SourceInterrupted, ReplicaBusy) as problem:
        return Readiness(late, False, str(problem))
    passed = freshness.has_passed(reading, window, his.freshness, now=now)
    seen = f"{reading.upto:%Y-%m-%d %H:%M:%S}" if reading.upto else "nothing"
    why = f"probe {reading.probe} reads {seen}"
    if reading.probe == "none":
        why = "the window has ended; no probe is set"
    elif not passed:
        why += f", waiting until {deadline:%Y-%m-%d %H:%M}" if not late else f", the deadline was {deadline:%H:%M}"
    return Readiness(passed or late, passed, why)
