"""Stopping: which error each reason means, and that the hold of a stop always reaches the ledger."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import TypeVar

import pytest
from card_usage.config.hospital import load_hospital
from card_usage.delivery.call_budget import CallBudget
from card_usage.delivery.claims import Claims
from card_usage.delivery.outcome_buffer import OutcomeBuffer
from card_usage.delivery.platform_clock import PlatformClock
from card_usage.delivery.result import Delivered
from card_usage.delivery.stopping import IN_A_ROW, Stop, StopControl, StopReason, stop_of_silence
from card_usage.delivery.transitions import Claimed, Settled
from card_usage.delivery.workload import Workload
from card_usage.errors import (
    DeliveryInterrupted,
    Misconfigured,
    PlatformError,
    PlatformLimits,
    PlatformMoved,
    PlatformUnreachable,
    PlatformUnreadable,
)
from card_usage.files.shipped import SHIPPED
from card_usage.ledger import holds
from card_usage.ledger.database import Ledger
from card_usage.ledger.holds import Hold, HoldKind
from card_usage.ledger.scope import Scope
from card_usage.platform.outcome import Answer, Reply
from simulation.loop import VirtualLoop
from simulation.platform import EPOCH, Platform, Weather
from simulation.world import World, hospital, new_ledger
from sqlalchemy import Connection

T = TypeVar("T")
NOW = datetime(2026, 3, 3, 1, 0, tzinfo=UTC)


def delivered(stop: Stop | None, left: int = 3) -> Delivered:
    return Delivered(
        hospital="clinic",
        platform="https://platform.example",
        states={"delivered": 5},
        answers={"busy": 1, "accepted": 5},
        calls=6,
        refreshes=1,
        left=left,
        stop=stop,
        seconds=1.5,
    )


def control() -> StopControl:
    return StopControl(load_hospital(SHIPPED / "hospitals", "demo_hospital"), Workload())


def test_only_a_misconfiguration_and_a_silent_platform_are_errors() -> None:
    raised = {}
    for reason in StopReason:
        try:
            delivered(Stop(reason=reason, detail="why")).raise_for_stop()
        except (PlatformError, DeliveryInterrupted) as error:
            raised[reason] = type(error)
    assert raised == {
        StopReason.MISCONFIGURED: Misconfigured,
        StopReason.UNREACHABLE: PlatformUnreachable,
        StopReason.UNREADABLE: PlatformUnreadable,
        StopReason.THROTTLED: PlatformLimits,
        StopReason.INTERRUPTED: DeliveryInterrupted,
        StopReason.MOVED: PlatformMoved,
    }
    delivered(None).raise_for_stop()


def test_a_used_up_quota_defers_the_rest_whoever_found_it_out_and_so_does_a_drain() -> None:
    defers = {reason for reason in StopReason if reason.defers}
    assert defers == {StopReason.QUOTA, StopReason.OUT_OF_QUOTA, StopReason.DRAIN, StopReason.DEADLINE}


def test_the_errors_name_hospital_platform_code_and_meaning() -> None:
    stop = Stop(reason=StopReason.MISCONFIGURED, detail="the platform answers 21004", result_code=21004)
    with pytest.raises(Misconfigured, match=r"^clinic: the platform answers 21004 \(") as refused:
        delivered(stop).raise_for_stop()
    assert refused.value.details["meaning"] != stop.detail
    with pytest.raises(Misconfigured, match=r"answers no code \(the platform answers http 403\)"):
        delivered(Stop(reason=StopReason.MISCONFIGURED, detail="the platform answers http 403")).raise_for_stop()
    with pytest.raises(PlatformUnreachable, match=r"https://platform\.example .*\(5 x accepted, 1 x busy\)"):
        delivered(Stop(reason=StopReason.UNREACHABLE, detail="silent")).raise_for_stop()


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (None, StopReason.UNREACHABLE),
        (Reply(Answer.NO_ANSWER, detail="timeout"), StopReason.UNREACHABLE),
        (Reply(Answer.NO_ANSWER, None, 503, "http 503"), StopReason.UNREACHABLE),
        (Reply(Answer.BUSY, -1, 200), StopReason.UNREACHABLE),
        (Reply(Answer.NO_ANSWER, None, 200, "resultCode is false"), StopReason.UNREADABLE),
        (Reply(Answer.NO_ANSWER, 0, 200, "expiresIn is null"), StopReason.UNREADABLE),
        (Reply(Answer.THROTTLED, 21007, 200), StopReason.THROTTLED),
        (Reply(Answer.LIMITED, None, 429, "http 429"), StopReason.THROTTLED),
    ],
)
def test_a_platform_that_answers_what_cannot_be_read_is_not_called_unreachable(
    last: Reply | None, reason: StopReason
) -> None:
    stop = stop_of_silence(31.0, last)
    assert stop.reason is reason
    if reason is StopReason.UNREADABLE:
        assert last is not None
        with pytest.raises(PlatformUnreadable, match=f"cannot be read: {last.detail} ") as told:
            delivered(stop).raise_for_stop()
        assert "network" not in str(told.value)


def test_a_summary_names_the_reason_as_plain_text() -> None:
    texts = [
        "quota",
        "out of quota",
        "misconfigured",
        "drain",
        "deadline",
        "unreachable",
        "unreadable",
        "throttled",
        "interrupted",
        "moved",
        "fenced",
    ]
    stops = [Stop(reason=reason, detail="why") for reason in StopReason]
    assert [delivered(stop).summary()["stopped_by"] for stop in stops] == texts
    assert {type(delivered(stop).summary()["stopped_by"]) for stop in stops} == {str}
    assert delivered(None).summary() == {
        "states": {"delivered": 5},
        "answers": {"busy": 1, "accepted": 5},
        "calls": 6,
        "refreshes": 1,
        "left": 3,
        "stopped_by": None,
        "seconds": 1.5,
        "settled": False,
    }


def test_the_code_of_a_pattern_of_answers_stands_beside_its_text() -> None:
    stopping = control()
    for _ in range(IN_A_ROW):
        assert stopping.current is None
        stopping.observe(Reply(Answer.REFUSED, 10016, 200), now=0.0)
    assert stopping.current == stopping.pending_hold
    assert stopping.current is not None
    assert (stopping.current.reason, stopping.current.result_code) == (StopReason.MISCONFIGURED, 10016)


def test_a_hold_of_an_earlier_run_stops_with_its_code_and_is_not_written_again() -> None:
    stopping = control()
    found = Hold(
        hospital="demo_hospital",
        kind=HoldKind.MISCONFIGURED,
        until=None,
        reason="the platform answers 21002",
        set_by="deliverer",
        set_at=NOW,
        result_code=21002,
    )
    stopping.apply_hold(found)
    assert stopping.final is not None
    assert (stopping.final.reason, stopping.final.result_code) == (StopReason.MISCONFIGURED, 21002)
    assert stopping.pending_hold is None


def test_a_drain_lets_calls_go_on_and_is_named_at_the_end_unless_something_worse_is() -> None:
    stopping = control()
    drain = Hold(hospital="*", kind=HoldKind.DRAIN, until=None, reason="r", set_by="me", set_at=NOW)
    stopping.apply_hold(drain)
    assert stopping.drained
    assert not stopping.holds_calls
    assert stopping.final is not None
    assert stopping.final.reason is StopReason.DRAIN
    stopping.stop(Stop(reason=StopReason.UNREACHABLE, detail="silent"))
    assert stopping.final.reason is StopReason.UNREACHABLE
    stopping.fence()
    assert stopping.final.reason is StopReason.FENCED


class Interrupted:
    """An executor during whose next transaction something happens."""

    retries = 0

    def __init__(self, ledger: Ledger) -> None:
        self.meanwhile: Callable[[], None] | None = None
        self._ledger = ledger

    async def write(self, transaction: Callable[[Connection], T]) -> T:
        with self._ledger.write() as connection:
            result = transaction(connection)
        await asyncio.sleep(0)
        if self.meanwhile is not None:
            self.meanwhile()
            self.meanwhile = None
        return result


def test_a_stop_while_outcomes_are_being_written_is_written_with_the_next() -> None:
    loop = VirtualLoop(Random(0))
    ledger = new_ledger()
    platform = Platform(loop=loop, random=Random(0), weather=Weather(), seen=Counter())
    world = World(loop, Random(0), platform, ledger)
    scope = Scope("main", EPOCH.date(), EPOCH.date())
    executor = Interrupted(ledger)
    run = replace(world.run(1, hospital("main"), scope, host="h", random=Random(0)), executor=executor)
    stopping = StopControl(run.hospital, Workload())
    clock = PlatformClock(run)
    claims = Claims(run, 1, CallBudget(run, clock))
    outcomes = OutcomeBuffer(run, 1, claims=claims, stopping=stopping, platform_clock=clock)
    event = Claimed(*(1, "k", "ready", 0, "R", 0, 0, NOW, "010105", None, None, "10", "0100", None, None, "sim", b""))
    stop = Stop(reason=StopReason.MISCONFIGURED, detail="the platform answers 21002", result_code=21002)

    async def play() -> None:
        outcomes.add(Settled(event, "delivered", None, None, ()))
        executor.meanwhile = lambda: stopping.stop(stop)
        await outcomes.flush()
        await outcomes.flush()

    loop.run(play())
    with ledger.read() as connection:
        placed = holds.active(connection, "main", run.clock.now())
    assert [(hold.kind, hold.reason, hold.result_code) for hold in placed] == [
        (HoldKind.MISCONFIGURED, stop.detail, 21002)
    ]
