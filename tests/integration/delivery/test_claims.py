"""Claims over a ledger whose answers get lost: what was written may not be heard of, and is written again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import postgres as pg
import pytest
from backlog import DAY, HOSPITAL, Backlog
from card_usage.clock import SystemClock
from card_usage.delivery import membership
from card_usage.delivery.call_budget import CallBudget
from card_usage.delivery.claims import Claims
from card_usage.delivery.platform_clock import PlatformClock
from card_usage.delivery.run import Run
from card_usage.delivery.transitions import Attempt, Settled, claim, settle
from card_usage.delivery.workload import InFlight
from card_usage.ledger.database import Ledger
from card_usage.ledger.process import Identity
from card_usage.ledger.schema import event
from card_usage.ledger.scope import LIVE, Scope
from card_usage.platform.client import Credentials, Platform
from card_usage.platform.outcome import Answer, Reply
from sqlalchemy import select

NOW = datetime(2026, 3, 3, 1, 0, tzinfo=UTC)
EVENTS = 3


class LedgerExecutor:
    """Counts how often an answer of the ledger was lost; the test says when."""

    retries = 0


class Deliverer:
    """One worker's claims, with the ledger at hand."""

    def __init__(self, backlog: Backlog) -> None:
        self.executor = LedgerExecutor()
        self.ledger: Ledger = backlog.open()
        backlog.fill()
        identity = Identity(host="h", pid=1, process_start="0")
        with self.ledger.write() as connection:
            self.worker = membership.register(connection, hospital=HOSPITAL, app_id="a", identity=identity, now=NOW)
        run = Run(
            hospital=backlog.hospital,
            scope=Scope(HOSPITAL, DAY, DAY),
            app_id="a",
            executor=self.executor,  # type: ignore[arg-type]
            keyring=self.ledger.keyring,
            platform=Platform("http://127.0.0.1:9", Credentials(app_id="a", app_secret="s")),
            tables={},
            clock=SystemClock(),
            random=Random(1),
            identity=identity,
        )
        self.claims = Claims(run, self.worker, CallBudget(run, PlatformClock(run)))

    def take(self) -> list[InFlight]:
        with self.ledger.write() as connection:
            return self.claims.claim_batch(connection)

    def settle(self, taken: list[InFlight], status: str, *calls: Attempt) -> set[int]:
        """The writing of outcomes, committed."""
        with self.ledger.write() as connection:
            outcomes = [Settled(in_flight.claimed, status, None, None, calls) for in_flight in taken]
            return settle(connection, outcomes, worker=self.worker, now=NOW)

    def states(self) -> list[str]:
        with self.ledger.read() as connection:
            return list(connection.scalars(select(event.c.status).order_by(event.c.id)))


@pytest.fixture(params=["sqlite", "postgresql"])
def deliverer(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Deliverer]:
    url = f"sqlite:///{tmp_path}/ledger.db"
    if request.param == "postgresql":
        cluster: pg.Cluster = request.getfixturevalue("postgres")
        url = cluster.url(cluster.create())
    opened = Deliverer(Backlog(home=tmp_path, events=EVENTS, ledger_url=url, platform_url="http://127.0.0.1:9"))
    yield opened
    opened.ledger.close()


def test_an_outcome_written_twice_never_takes_a_later_claim_of_the_same_deliverer_for_its_own(
    deliverer: Deliverer,
) -> None:
    """The commit is done, its answer lost. Until the writer has heard of it, the feeder must not claim the event again:
    the writer's second try would give away an event that has a call under way."""
    first = deliverer.take()
    deliverer.claims.track(first)
    assert len(first) == EVENTS
    call = Attempt(NOW, Reply(Answer.TOKEN, 21004, 200), "ready")
    assert len(deliverer.settle(first, "ready", call)) == EVENTS
    deliverer.executor.retries += 1
    assert deliverer.take() == []
    assert deliverer.settle(first, "ready", call) == set(), "the second try finds all written"
    deliverer.claims.untrack(in_flight.claimed.id for in_flight in first)
    second = deliverer.take()
    assert len(second) == EVENTS
    assert {in_flight.claimed.attempts for in_flight in second} == {1}


def test_a_claim_whose_commit_was_never_heard_of_is_found_again_at_once(deliverer: Deliverer) -> None:
    lost = deliverer.take()
    assert deliverer.states() == ["in_flight"] * EVENTS
    deliverer.executor.retries += 1
    found = deliverer.take()
    assert {in_flight.claimed.id for in_flight in found} == {in_flight.claimed.id for in_flight in lost}
    assert {in_flight.claimed.request_id for in_flight in found} == {in_flight.claimed.request_id for in_flight in lost}
    assert {in_flight.claimed.before for in_flight in found} == {"unknown"}, (
        "it may have been sent, for all the ledger knows"
    )
    assert [in_flight.earlier_answers for in_flight in found] == [[Answer.NO_ANSWER]] * EVENTS


def test_an_outcome_is_never_written_over_the_claim_of_another_deliverer(deliverer: Deliverer) -> None:
    """The first one's commit is done, its answer lost; a second one has the events by now. The repeated writing must
    leave them to it."""
    first = deliverer.take()
    call = Attempt(NOW, Reply(Answer.TOKEN, 21004, 200), "ready")
    deliverer.settle(first, "ready", call)
    with deliverer.ledger.write() as connection:
        other = membership.register(
            connection,
            hospital=HOSPITAL,
            app_id="a",
            identity=Identity(host="h", pid=2, process_start="0"),
            now=NOW,
        )
        scope = Scope(HOSPITAL, DAY, DAY)
        taken = claim(connection, scope, lane=LIVE, worker=other, limit=EVENTS, now=NOW)
    assert len(taken) == EVENTS
    assert deliverer.settle(first, "ready", call) == set()
    assert deliverer.states() == ["in_flight"] * EVENTS
    with deliverer.ledger.read() as connection:
        assert set(connection.scalars(select(event.c.claimed_by))) == {other}
