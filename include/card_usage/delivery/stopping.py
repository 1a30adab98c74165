"""Brakes: why a run starts no other call, and what the ledger is told about it.

Somebody paused or drained the hospital, the platform's answers show that today's calls are used up or that something
is set up wrong, or the run's own time is over. A run that is stopped stays stopped; a pause ends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date, datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection

from card_usage.config.hospital import Hospital
from card_usage.delivery import quota
from card_usage.ledger import holds
from card_usage.platform.outcome import Answer, Reply

log = logging.getLogger(__name__)

IN_A_ROW: Final = 50  # refusals, or token losses under fresh tokens, without one acceptance: something is set up wrong


class Stop(NamedTuple):
    """A reason to stop that the next runs have to know too: a kind of hold, until when (None: somebody resumes)."""

    kind: str
    reason: str
    until: datetime | None


class Brakes:
    """Those of one run over one hospital. `changed` is called when they are put on.

    `stopped_by`: a kind of hold, 'deadline', 'unreachable', 'out of quota', 'fenced', or None. `untold`: what the
    ledger has not yet been told.
    """

    def __init__(self, hospital: Hospital, changed: Callable[[], None]) -> None:
        self.stopped_by: str | None = None
        self.paused = self.drained = False
        self.untold: Stop | None = None
        self._hospital, self._changed = hospital, changed
        self._refused_in_a_row = self._lost_in_a_row = 0

    @property
    def on(self) -> bool:
        """Whether no call may start now."""
        return self.paused or self.stopped_by is not None

    def stop(self, kind: str, reason: str, until: datetime | None = None) -> None:
        """No new call from here on. A kind of hold is to be written down with the next outcomes."""
        if self.stopped_by is None:
            log.warning("%s: stop sending: %s", self._hospital.id, reason)
            self.stopped_by = kind
            if kind in holds.BLOCKING:
                self.untold = Stop(kind, reason, until)
            self._changed()

    def heed(self, hold: holds.Hold | None) -> None:
        """Obey the hold that the ledger has now."""
        kind = hold.kind if hold else None
        self.paused = kind == "pause"
        self.drained = self.drained or kind == "drain"
        if hold is not None and kind in {"quota", "misconfigured"} and self.stopped_by is None:
            self.stopped_by = kind
            log.warning("%s: %s since %s: %s", self._hospital.id, kind, hold.set_at, hold.reason)

    def learn(self, reply: Reply) -> None:
        """A wrong hospital id looks like a lost token (21004), a wrong code format like bad data: see the pattern."""
        if reply.answer in {Answer.ACCEPTED, Answer.REPEATED}:
            self._refused_in_a_row = self._lost_in_a_row = 0
        elif reply.answer is Answer.REFUSED:
            self._refused_in_a_row += 1
            if self._refused_in_a_row >= IN_A_ROW:
                self.stop("misconfigured", f"{IN_A_ROW} refusals in a row, the last with {reply.result_code}")
        elif reply.answer is Answer.TOKEN:
            self._lost_in_a_row += 1
            if self._lost_in_a_row >= max(IN_A_ROW, 3 * self._hospital.platform.concurrency):
                self.stop("misconfigured", f"every new appToken is refused with {reply.result_code}")

    def tell(self, connection: Connection, stop: Stop, *, day: date, now: datetime) -> None:
        """Tell the ledger; `day` is the platform's."""
        of, limit = self._hospital.id, self._hospital.platform.daily_quota
        holds.place(
            connection, hospital=of, kind=stop.kind, reason=stop.reason, by="deliverer", now=now, until=stop.until
        )
        if stop.kind == "quota":
            quota.exhausted(connection, hospital=of, interface=quota.REPORT, day=day, limit=limit, now=now)
