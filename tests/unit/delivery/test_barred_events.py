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
from card_usage.delivery.answers import BARRED_TRIES
from card_usage.delivery.deliverer import deliver_run
from card_usage.delivery.result import Delivered
from card_usage.delivery.stopping import BARRED_IN_A_ROW, BARRED_SECONDS, StopReason
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
        # Turns everything away from so many calls on, for so many seconds of the loop's time.
        self.away: tuple[int, float, VirtualLoop] | None = None
        self._since: float | None = None

    async def read_clock(self) -> None:
        return None

    async def app_token(self, **_: object) -> Grant:
        return Grant("token", 7200)

    async def report(self, *, req: Mapping[str, str], **_: object) -> Reply:
        self.calls[req["name"]] += 1
        if self.away is not None and self.calls.total() > self.away[0]:
            now = self.away[2].time()
            self._since = now if self._since is None else self._since
            if now < self._since + self.away[1]:
                return Reply(Answer.BARRED, None, 403, "http 403")
        if self.bars is None or req["name"] in self.bars:
            return Reply(Answer.BARRED, None, 403, "http 403")
        return Reply(Answer.ACCEPTED, 0, 200)


class Stage:
    """Runs over some events of one hospital."""

    def __init__(self, bars: set[str] | None, events: int = 100) -> None:
        self.platform = Guarded(bars)
        self.loop = self._loop = VirtualLoop(Random(0))
        simulated = Platform(loop=self._loop, random=Random(0), weather=Weather(), seen=Counter())
        self.world = World(self._loop, Random(0), simulated, new_ledger())
        with self.world.ledger.write() as connection:
            drafts = [draft(Event(f"use {n}", "main", n)) for n in range(events)]
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
    assert {stage.platform.calls[name] for name in bars} == {BARRED_TRIES}
    assert 100 <= delivered.seconds <= 200, "for minutes: a gateway that is being changed does the same"
    named = [record for record in caplog.records if "is set aside" in record.getMessage()]
    assert len(named) == len(bars)
    assert {record.levelno for record in named} == {logging.WARNING}


def test_a_platform_that_turns_everything_away_stops_the_hospital_and_nothing_is_set_aside() -> None:
    stage = Stage(None)
    delivered = stage.deliver()
    assert delivered.stop is not None
    assert (delivered.stop.reason, delivered.stop.detail) == (StopReason.MISCONFIGURED, "the platform answers http 403")
    assert stage.holds() == ["misconfigured"]
    assert BARRED_SECONDS <= delivered.seconds <= BARRED_SECONDS + 60
    assert sum(stage.platform.calls.values()) <= 40, "twenty at once, then one by one"
    assert "unconfirmed" not in stage.events_by_state()
    assert delivered.left == 100


@pytest.mark.parametrize("seconds", [5.0, 60.0, 110.0])
def test_a_gateway_that_turns_everything_away_for_less_than_two_minutes_stops_nothing_and_nobody(
    seconds: float,
) -> None:
    """While it is restarted, say: at first, or in the middle of a run."""
    for opens_after in (0, 40):
        stage = Stage(set())
        stage.platform.away = (opens_after, seconds, stage.loop)
        delivered = stage.deliver()
        assert delivered.stop is None
        assert stage.events_by_state() == {"delivered": 100}
        assert stage.holds() == []


def test_an_event_alone_that_is_turned_away_for_minutes_stops_the_hospital() -> None:
    stage = Stage(None, events=1)
    delivered = stage.deliver()
    assert delivered.stop is not None
    assert delivered.stop.reason is StopReason.MISCONFIGURED
    assert delivered.seconds >= BARRED_SECONDS
    assert stage.platform.calls["use 0"] == BARRED_IN_A_ROW
