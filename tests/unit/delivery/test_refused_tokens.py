"""A token that is refused at once: the hospital id is told apart from somebody else's token; virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest
from card_usage.delivery.deliverer import deliver_run
from card_usage.delivery.result import Delivered
from card_usage.delivery.stopping import StopReason
from card_usage.errors import Misconfigured
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
from sqlalchemy import update


class Choosy:
    """A platform that answers 21004 to an old token and to a hospital that it does not take. `evict`: called at each
    report, whether somebody else takes a token before it."""

    base_url = "http://choosy"
    clock_seen: tuple[datetime, float] | None = None

    def __init__(self, takes: set[str]) -> None:
        self.takes = takes
        self.tokens = self.reports = self.probes = 0
        self.evict: Callable[[], bool] = lambda: False

    async def read_clock(self) -> None:
        return None

    async def app_token(self, **_: object) -> Grant:
        self.tokens += 1
        return Grant(str(self.tokens), 7200)

    async def report(self, *, token: str, hospital_id: str, req: dict[str, str], **_: object) -> Reply:
        probe = "name" not in req
        self.probes += probe
        self.reports += not probe
        if not probe and self.evict():
            self.tokens += 1
        if token != str(self.tokens) or hospital_id not in self.takes:
            return Reply(Answer.TOKEN, 21004, 200)
        return Reply(Answer.REFUSED, 10042, 200) if probe else Reply(Answer.ACCEPTED, 0, 200)


def stage(platform: Choosy, *, sibling_works: bool, events: int = 100) -> Callable[[], tuple[Delivered, list[str]]]:
    """A run of `main`, which shares its appId with `clinic`."""
    loop = VirtualLoop(Random(0))
    simulated = Platform(loop=loop, random=Random(0), weather=Weather(), seen=Counter())
    world = World(loop, Random(0), simulated, new_ledger())
    with world.ledger.write() as connection:
        drafts = [draft(Event(f"use {n}", "main", n)) for n in range(events)]
        take_in(connection, "main", "payment", drafts, lane=LIVE, now=EPOCH)
        take_in(connection, "clinic", "payment", [draft(Event("other", "clinic", 1))], lane=LIVE, now=EPOCH)
        if sibling_works:
            connection.execute(update(event).where(event.c.hospital == "clinic").values(status="delivered"))
    run = world.run(1, hospital("main"), Scope("main", DAY, DAY), host="h", random=Random(0))
    run = replace(run, platform=platform, siblings={"clinic": "clinic"}, linger=timedelta(minutes=5))

    def deliver() -> tuple[Delivered, list[str]]:
        ended: list[Delivered] = []

        async def play() -> None:
            ended.append(await deliver_run(run))

        loop.run(play())
        with world.ledger.read() as connection:
            placed = holds.active(connection, "main", world.clocks[1].now())
        return ended[0], [hold.kind for hold in placed]

    return deliver


def test_a_wrong_hospital_id_is_found_out_by_asking_with_one_that_works() -> None:
    platform = Choosy({"clinic"})
    delivered, placed = stage(platform, sibling_works=True)()
    assert delivered.stop is not None
    assert (delivered.stop.reason, delivered.stop.result_code) == (StopReason.MISCONFIGURED, 21004)
    assert delivered.stop.detail == "hospitalId main is refused, the same appToken is taken for clinic"
    assert (platform.tokens, platform.probes) == (2, 1)
    with pytest.raises(Misconfigured, match=r"answers 21004 .*hospitalId main is refused"):
        delivered.raise_for_stop()
    assert placed == ["misconfigured"]
    assert delivered.left == 100


def test_a_wrong_hospital_id_alone_under_its_app_id_costs_ten_tokens_and_accuses_nobody() -> None:
    platform = Choosy(set())
    delivered, placed = stage(platform, sibling_works=False)()
    assert delivered.stop is not None
    assert "10 new appTokens in a row are refused at once for hospitalId main" in delivered.stop.detail
    assert (platform.tokens, platform.probes) == (10, 0)
    assert placed == ["misconfigured"]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3])
def test_tokens_that_somebody_else_takes_are_no_wrong_hospital_id(share: float) -> None:
    platform, random = Choosy({"main", "clinic"}), Random(1)
    platform.evict = lambda: random.random() < share
    delivered, placed = stage(platform, sibling_works=True)()
    assert delivered.states["delivered"] == 100
    assert delivered.stop is None
    assert "misconfigured" not in placed
