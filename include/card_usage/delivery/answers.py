"""Answers: what a run does about the answer to a call: the event's outcome, and whether the run goes on."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from card_usage.delivery.flow_control import backoff
from card_usage.delivery.outcome_buffer import OutcomeBuffer
from card_usage.delivery.platform_clock import PlatformClock
from card_usage.delivery.run import Run
from card_usage.delivery.send_gate import SendGate
from card_usage.delivery.sender import Sender
from card_usage.delivery.stopping import Stop, StopControl, StopReason
from card_usage.delivery.transitions import Attempt, Settled
from card_usage.delivery.workload import InFlight, Workload
from card_usage.ledger.schema import SETTLED_STATES
from card_usage.platform.outcome import SLOWED, UNAVAILABLE, Answer, Outcome, Reply, Step, classify, settle

log = logging.getLogger(__name__)

BARRED_TRIES: Final = 6  # calls of one event that end in HTTP 3xx or 4xx before a person looks at it
BARRED_PAUSE: Final = (20.0, 30.0)  # seconds between them: a gateway that is being changed is tried for minutes
TOKEN_TRIES: Final = 3  # calls of one event under fresh tokens before it waits in the ledger
UNTIMELY_TRIES: Final = 4  # refusals of one event, over all runs, that its date may have caused before one is believed


class AnswerHandler:
    """Of one run. What it decides is kept in memory; the writer brings it to the ledger."""

    def __init__(
        self,
        run: Run,
        *,
        workload: Workload,
        gate: SendGate,
        stopping: StopControl,
        sender: Sender,
        outcomes: OutcomeBuffer,
        platform_clock: PlatformClock,
    ) -> None:
        self._live, self._clock, self._random = run.hospital.platform.live, run.clock, run.random
        self._workload, self._gate, self._stopping = workload, gate, stopping
        self._sender, self._outcomes, self._platform_clock = sender, outcomes, platform_clock

    def answered(self, event: InFlight, reply: Reply, at: datetime) -> None:
        """A call of the event, made at that instant, has ended."""
        reply = _believed(event, reply)
        memory = self._outcomes.memory
        memory.observe(event.earlier_answers, reply.answer)
        outcome = settle(event.earlier_answers, reply.answer, memory.memory)
        again = reply.answer in event.earlier_answers
        event.earlier_answers.append(reply.answer)
        event.untimely += reply.answer is Answer.UNTIMELY
        event.calls.append(Attempt(at, reply, outcome.status))
        self._stopping.observe(reply, now=self._clock.monotonic(), again=again)
        if reply.answer is Answer.BARRED:
            self._sender.record_turned_away(reply, alone=self._stopping.others_pass)
        due: datetime | None = None
        match outcome.step:
            case Step.RENEW:
                if outcome.new_id:
                    # Through the ledger: an id is written down before it is sent.
                    tries = event.claimed.attempts + len(event.calls)
                    due = None if self._live and tries < TOKEN_TRIES else self._after_backoff(tries - TOKEN_TRIES + 1)
                elif len(event.calls) < TOKEN_TRIES and self._live and self._gate.is_open:
                    self._workload.queue.appendleft(event)
                    return
                else:
                    due = self._after_backoff(1)
            case Step.RETRY | Step.SLOW:
                due = self._after_backoff(event.claimed.attempts + len(event.calls))
            case Step.NEXT_DAY:
                due = self._platform_clock.next_day()
                detail = "the platform's calls of today are used up (10034)"
                self._stopping.stop(Stop(reason=StopReason.QUOTA, detail=detail, until=due))
            case Step.STOP if reply.answer is Answer.BARRED:
                # Perhaps only this event's content is turned away: the run goes on with others, and stops if they are
                # turned away too (StopControl.observe).
                outcome, due = self._barred(event, outcome)
            case Step.STOP:
                code = reply.result_code if reply.result_code is not None else reply.detail
                self._stopping.misconfigured(f"the platform answers {code}", reply)
            case Step.SETTLE | Step.DECIDE:
                pass
        self._settle(event, outcome, due, reply.result_code)

    def without_token(self, event: InFlight, reply: Reply) -> None:
        """No call could be made for want of a token, getAppToken was answered so: the event goes back as it was."""
        if reply.answer is Answer.QUOTA:
            detail = "the platform's getAppToken calls of today are used up"
            self._stopping.stop(Stop(reason=StopReason.QUOTA, detail=detail, until=self._platform_clock.next_day()))
        elif reply.answer in UNAVAILABLE | SLOWED | {Answer.BARRED, Answer.UNTIMELY}:
            self._sender.record(reply, 0.0)
            self._stopping.observe(reply, now=self._clock.monotonic())
        else:
            self._stopping.misconfigured(f"getAppToken is answered {reply.result_code or reply.detail}", reply)
        status = event.calls[-1].status if event.calls else event.claimed.before
        self._settle(event, Outcome(status, Step.RETRY), self._after_backoff(2), None)

    def _barred(self, event: InFlight, outcome: Outcome) -> tuple[Outcome, datetime | None]:
        """What becomes of an event that something in front of the platform turns away, as its earlier answers show too:
        it is tried for some minutes, then set aside for a person if others are accepted meanwhile."""
        calls = event.earlier_answers.count(Answer.BARRED)
        if outcome.status in SETTLED_STATES:
            return outcome, None
        if calls >= BARRED_TRIES and self._stopping.others_pass and self._stopping.current is None:
            log.warning(
                "event %s is set aside: turned away %d times while others are accepted", event.claimed.key, calls
            )
            return Outcome("unconfirmed", Step.DECIDE), None
        return outcome, self._clock.now() + timedelta(seconds=self._random.uniform(*BARRED_PAUSE))

    def _after_backoff(self, failures: int) -> datetime:
        return self._clock.now() + timedelta(seconds=backoff(max(1, failures), self._random))

    def _settle(self, event: InFlight, outcome: Outcome, due: datetime | None, code: int | None) -> None:
        calls = tuple(event.calls)
        self._outcomes.add(Settled(event.claimed, outcome.status, due, code, calls, outcome.new_id))
        self._workload.flush_due.set()


def _believed(event: InFlight, reply: Reply) -> Reply:
    """The reply, as the refusal that it is once the event's date was blamed often enough.

    A run doubts refusals as long as nothing was accepted in it; an event that no run will ever have accepted, alone
    under a clock that stays wrong, would otherwise be tried for ever.
    """
    doubted = reply.answer is Answer.UNTIMELY and event.untimely >= UNTIMELY_TRIES
    if not doubted or reply.result_code is None:
        return reply
    return replace(reply, answer=classify(reply.result_code))
