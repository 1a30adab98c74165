"""An event whose content something in front of the platform turns away: set aside, while all others pass; and a
platform that turns everything away still stops the run. Virtual time."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest
from card_usage.delivery.deliverer import deliver_run
from card_usage.delivery.result import Delivered
from card_usage.delivery.stopping import BARRED_IN_A_ROW, StopReason
from card_usage.ledger import holds
from card_usage.ledger.schema import event
from card_usage.ledger.scope import LIVE, Scope
from card_usage.platform.client import Grant
from card_usage.platform.outcome import Answer, Reply
from card_usage.staging.intake import take_in
from simulation.loop import VirtualLoop
from simulation.platform import EPOCH, Platform, Weather
from simulation.scenario import DAY, Event, draft
from simulation.world import World, hospital, new_ledger
from sqlalchemy import select


class Guarded:
    """A platform behind a firewall that answers 403 to some names, or to all."""

    base_url = "http://guarded"
    clock_seen: tuple[datetime, float] | None = None

    def __init__(self, bars: set[str] | None) -> None:
        self.bars = bars
        self.calls: Counter[str] = Counter()

    async def read_clock(self) -> None:
        return None

    async def app_token(self, **_: object) -> Grant:
        return Grant("token", 7200)

    async def report(self, *, req: Mapping[str, str], **_: object) -> Reply:
        self.calls[req["name"]] += 1
        if self.bars is None or req["name"] in self.bars:
            return Reply(Answer.BARRED, None, 403, "http 403")
        return Reply(Answer.ACCEPTED, 0, 200)


class Stage:
    """Runs over 100 events of one hospital."""

    def __init__(self, bars: set[str] | None) -> None:
        self.platform = Guarded(bars)
        self._loop = VirtualLoop(Random(0))
        simulated = Platform(loop=self._loop, random=Random(0), weather=Weather(), seen=Counter())
        self.world = World(self._loop, Random(0), simulated, new_ledger())
        with self.world.ledger.write() as connection:
            drafts = [draft(Event(f"use {n}", "main", n)) for n in range(100)]
            take_in(connection, "main", "payment", drafts, lane=LIVE, now=EPOCH)
        run = self.world.run(1, hospital("main"), Scope("main", DAY, DAY), host="h", random=Random(0))
        self._run = replace(run, platform=self.platform, linger=timedelta(minutes=5))

    def deliver(self) -> Delivered:
        ended: list[Delivered] = []

        async def play() -> None:
            ended.append(await deliver_run(self._run))

        self._loop.run(play())
        return ended[0]

    def events_by_state(self) -> dict[str, int]:
        with self.world.ledger.read() as connection:
            return dict(Counter(connection.scalars(select(event.c.status))))

    def holds(self) -> list[str]:
        with self.world.ledger.read() as connection:
            return [hold.kind for hold in holds.active(connection, "main", self.world.clocks[1].now())]


@pytest.mark.parametrize("bars", [{"use 0"}, {"use 50"}, {"use 99"}, {f"use {n}" for n in range(0, 100, 9)}])
def test_events_that_are_turned_away_are_set_aside_and_all_others_pass(
    bars: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(bars)
    delivered = stage.deliver()
    assert delivered.stop is None
    assert not delivered.settled
    assert stage.events_by_state() == {"delivered": 100 - len(bars), "unconfirmed": len(bars)}
    assert stage.holds() == []
    assert {stage.platform.calls[name] for name in bars} == {3}
    named = [record for record in caplog.records if "is set aside" in record.getMessage()]
    assert len(named) == len(bars)
    assert {record.levelno for record in named} == {logging.WARNING}


def test_a_platform_that_turns_everything_away_stops_the_hospital_and_nothing_is_set_aside() -> None:
    stage = Stage(None)
    delivered = stage.deliver()
    assert delivered.stop is not None
    assert (delivered.stop.reason, delivered.stop.detail) == (StopReason.MISCONFIGURED, "the platform answers http 403")
    assert stage.holds() == ["misconfigured"]
    assert sum(stage.platform.calls.values()) <= BARRED_IN_A_ROW + 8, "those under way"
    assert "unconfirmed" not in stage.events_by_state()
    assert delivered.left == 100
