"""History: a range of past days as bounded tasks load it, a month each."""

from __future__ import annotations

import logging
from datetime import date
from typing import TYPE_CHECKING

from card_usage.errors import PlatformError

from card_usage_airflow.runs import present

if TYPE_CHECKING:
    from card_usage.context import Context
    from card_usage.history import DayLoaded, Order
    from card_usage.windows import Window

log = logging.getLogger(__name__)


class LoadStopped(PlatformError):
    """A load of history that ended before its last day, because something holds the hospital."""

    message_template = (
        "{hospital}, {window}: stopped by {reason}, {left} days are left; nothing is lost: clear this task once that "
        "is over"
    )


def parts_of(context: Context, first: date, last: date, order: Order | None) -> list[Window]:
    """The days that can be loaded, cut at the ends of months, in the order in which they are loaded."""
    from card_usage import history

    return history.months_of(context, first, last, order=order, now=present())


def load_part(context: Context, window: Window, order: Order | None) -> dict[str, object]:
    """Load what is not finished of these days; logs a line a day, returns counts. Raises LoadStopped."""
    from card_usage import history

    def tell(day: DayLoaded, left: int) -> None:
        what = "finished" if day.finished else "WITHHELD by the gate" if day.withheld else "not finished"
        log.info("%s: %d rows read, %d delivered, %s; %d days left", day.day, day.read, day.delivered, what, left)

    days = window.days
    loaded = history.load(context, days[0], days[-1], present=present, order=order, on_day=tell)
    for name, figure in loaded.summary().items():
        log.info("%s: %s", name, figure)
    if loaded.withheld:
        log.warning("withheld by the gate, to be decided: %s", ", ".join(map(str, loaded.withheld)))
    if loaded.stopped_by is not None:
        left = len(loaded.left)
        raise LoadStopped(hospital=context.hospital.id, window=window, reason=loaded.stopped_by, left=left)
    return loaded.summary()
