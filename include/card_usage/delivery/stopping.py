"""Stopping: why a run starts no further call, and the hold that the ledger is given for it.

Somebody paused or drained the hospital, the platform's answers show that today's calls are used up or that something is
misconfigured, the platform is silent, or the run's time is over. A run that is stopped stays stopped; a pause ends.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection

from card_usage.config.hospital import Hospital
from card_usage.delivery import quota
from card_usage.delivery.workload import Workload
from card_usage.ledger import holds
from card_usage.ledger.holds import Hold, HoldKind
from card_usage.platform.outcome import SLOWED, Answer, Reply

log = logging.getLogger(__name__)

IN_A_ROW: Final = 50  # refusals, or token losses under fresh tokens, without one acceptance: something is misconfigured

BARRED_IN_A_ROW: Final = 10  # HTTP 3xx and 4xx without one acceptance between them: it is not about single events
BARRED_SECONDS: Final = 120.0  # and for so long: a gateway that is restarted or changed does so for a while


class StopReason(StrEnum):
    """Why a run ended before all that was due was sent; the values stand in summaries."""

    QUOTA = "quota"  # the platform says that today's calls are used up, or a hold does
    OUT_OF_QUOTA = "out of quota"  # our own count of today's calls says so
    MISCONFIGURED = "misconfigured"  # the platform refuses everything, or a hold says so
    DRAIN = "drain"  # somebody asked for it
    DEADLINE = "deadline"  # the run had to end by a given time
    UNREACHABLE = "unreachable"  # no good answer from the platform for too long
    UNREADABLE = "unreadable"  # the platform answers, but nothing that can be read, for too long
    THROTTLED = "throttled"  # the platform, or what is in front of it, limits every call, for too long
    INTERRUPTED = "interrupted"  # the process was asked to end (SIGTERM)
    MOVED = "moved"  # the hospital is bound to another platform since the run began
    FENCED = "fenced"  # another deliverer declared this one dead

    @property
    def defers(self) -> bool:
        """Whether the rest is meant to wait for a later run: nothing failed."""
        return self in {StopReason.QUOTA, StopReason.OUT_OF_QUOTA, StopReason.DRAIN, StopReason.DEADLINE}


_HOLDS: Final = {StopReason.QUOTA: HoldKind.QUOTA, StopReason.MISCONFIGURED: HoldKind.MISCONFIGURED}
_REASONS: Final = {kind: reason for reason, kind in _HOLDS.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """A reason with its explanation. `result_code`: the platform's, if that caused it. `until`: when the hold ends that
    goes with it (None: somebody resumes)."""

    reason: StopReason
    detail: str
    result_code: int | None = None
    until: datetime | None = None
    explains: bool = False  # the detail says more than the result code's meaning


def stop_of_silence(seconds: float, last: Reply | None) -> Stop:
    """The stop after so many seconds without a good answer; `last`: what failed last.

    An answer under a good HTTP status shows that network and platform are there: then what came is what to look at.
    """
    if last is not None and last.answer is Answer.NO_ANSWER and 200 <= (last.http_status or 0) < 300:
        return Stop(reason=StopReason.UNREADABLE, detail=last.detail)
    if last is not None and last.answer in SLOWED:
        code = last.detail if last.result_code is None else last.result_code
        detail = f"every call of the last {seconds:.0f} s is answered {code}"
        return Stop(reason=StopReason.THROTTLED, detail=detail, result_code=last.result_code)
    return Stop(reason=StopReason.UNREACHABLE, detail=f"no good answer from the platform for {seconds:.0f} s")


class StopControl:
    """Of one run over one hospital. `pending_hold`: a stop that the ledger has yet to be given as a hold.
    `ever_accepted`: whether the platform has taken an event of this run."""

    def __init__(self, hospital: Hospital, workload: Workload) -> None:
        self.current: Stop | None = None
        self.paused = self.drained = False
        self.pending_hold: Stop | None = None
        self._hospital, self._workload = hospital, workload
        self._refused_in_a_row = self._lost_in_a_row = self._barred_in_a_row = 0
        self._barred_since = 0.0
        self.ever_accepted = False

    @property
    def others_pass(self) -> bool:
        """Whether what is turned away is about single events: others were accepted, and no row of events was turned
        away since."""
        return self.ever_accepted and self._barred_in_a_row < BARRED_IN_A_ROW

    @property
    def holds_calls(self) -> bool:
        """Whether no call may start now."""
        return self.paused or self.current is not None

    @property
    def final(self) -> Stop | None:
        """Why the run ended early; a drain counts where nothing else stopped it."""
        if self.current is None and self.drained:
            return Stop(reason=StopReason.DRAIN, detail="a drain was asked for")
        return self.current

    def stop(self, stop: Stop) -> None:
        """Start no call from here on. A reason that later runs have to know is persisted with the next outcomes."""
        if self.current is None:
            log.warning("%s: stop sending: %s", self._hospital.id, stop.detail)
            self.current = stop
            if stop.reason in _HOLDS:
                self.pending_hold = stop
            self._workload.wake()

    def fence(self) -> None:
        """Another deliverer has taken this one's claims over: this outweighs every other reason."""
        self.current = Stop(reason=StopReason.FENCED, detail="declared dead by another deliverer")

    def apply_hold(self, hold: Hold | None) -> None:
        """Obey the hold that is now in the ledger."""
        kind = hold.kind if hold else None
        self.paused = kind is HoldKind.PAUSE
        self.drained = self.drained or kind is HoldKind.DRAIN
        if hold is not None and hold.kind in _REASONS and self.current is None:
            self.current = Stop(
                reason=_REASONS[hold.kind], detail=hold.reason, result_code=hold.result_code, until=hold.until
            )
            log.warning("%s: %s since %s: %s", self._hospital.id, kind, hold.set_at, hold.reason)

    def observe(self, reply: Reply, *, now: float, again: bool = False) -> None:
        """A wrong hospital id looks like a lost token (21004), a wrong code format like bad data: see the pattern.

        `now`: monotonic seconds. `again`: the event had such an answer before. Where others are accepted, that is about
        the event.
        """
        if reply.answer in {Answer.ACCEPTED, Answer.REPEATED}:
            self._refused_in_a_row = self._lost_in_a_row = self._barred_in_a_row = 0
            self.ever_accepted = True
        elif reply.answer is Answer.BARRED:
            if not self._barred_in_a_row:
                self._barred_since = now
            self._barred_in_a_row += not (again and self.ever_accepted)
            if self._barred_in_a_row >= BARRED_IN_A_ROW and now - self._barred_since >= BARRED_SECONDS:
                self.misconfigured(f"the platform answers {reply.detail}", reply)
        elif reply.answer is Answer.REFUSED:
            self._refused_in_a_row += 1
            if self._refused_in_a_row >= IN_A_ROW:
                self.misconfigured(f"{IN_A_ROW} refusals in a row, the last with {reply.result_code}", reply)
        elif reply.answer is Answer.TOKEN:
            self._lost_in_a_row += 1
            if self._lost_in_a_row >= max(IN_A_ROW, 3 * self._hospital.platform.concurrency):
                self.misconfigured(f"every new appToken is refused with {reply.result_code}", reply)

    def misconfigured(self, detail: str, reply: Reply, *, explains: bool = False) -> None:
        """Stop because of what the platform answered."""
        code = reply.result_code
        self.stop(Stop(reason=StopReason.MISCONFIGURED, detail=detail, result_code=code, explains=explains))

    def persist(self, connection: Connection, stop: Stop, *, day: date, now: datetime) -> None:
        """Give the ledger the hold of a stop; `day` is the platform's."""
        hospital, limit = self._hospital.id, self._hospital.platform.daily_quota
        holds.place(
            connection,
            hospital=hospital,
            kind=_HOLDS[stop.reason],
            reason=stop.detail,
            by="deliverer",
            now=now,
            until=stop.until,
            result_code=stop.result_code,
        )
        if stop.reason is StopReason.QUOTA:
            quota.exhausted(connection, hospital=hospital, interface=quota.REPORT, day=day, limit=limit, now=now)
