"""Claims over a ledger whose answers get lost: what was written may not be heard of, and is written again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import postgres as pg
import pytest
from backlog import DAY, HOSPITAL, Backlog
from card_usage.clock import SystemClock
from card_usage.config.keyring import Sealed
from card_usage.delivery import membership
from card_usage.delivery.binding import bind, move
from card_usage.delivery.bodies import body
from card_usage.delivery.call_budget import CallBudget
from card_usage.delivery.claims import Claims
from card_usage.delivery.platform_clock import PlatformClock
from card_usage.delivery.run import Run
from card_usage.delivery.transitions import Attempt, Settled, claim, reseal, settle
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
        self.backlog = backlog
        self.executor = LedgerExecutor()
        self.ledger: Ledger = backlog.open()
        backlog.fill()
        identity = Identity(host="h", pid=1, process_start="0")
        with self.ledger.write() as connection:
            self.worker = membership.register(connection, hospital=HOSPITAL, app_id="a", identity=identity, now=NOW)
        self.run = run = Run(
            hospital=backlog.hospital,
            scope=Scope(HOSPITAL, DAY, DAY),
            app_id="a",
            executor=self.executor,  # type: ignore[arg-type]
            keyring=self.ledger.keyring,
            keys=self.ledger.day_keys.of(HOSPITAL),
            platform=Platform("http://127.0.0.1:9", Credentials(app_id="a", app_secret="s")),
            tables=backlog.tables,
            clock=SystemClock(),
            random=Random(1),
            identity=identity,
        )
        self.claims = self._started(run)

    def _started(self, run: Run) -> Claims:
        with self.ledger.write() as connection:
            bind(connection, run.hospital, run.target, now=NOW)
        return Claims(run, self.worker, CallBudget(run, PlatformClock(run)))

    def take(self) -> list[InFlight]:
        with self.ledger.write() as connection:
            return self.claims.claim_batch(connection)

    def change_settings(self, **platform: object) -> None:
        """The same deliverer, started again with another hospital file."""
        hospital = self.run.hospital
        settings = hospital.platform.model_copy(update=platform)
        self.run = replace(self.run, hospital=hospital.model_copy(update={"platform": settings}))
        self.claims = self._started(self.run)

    def bodies(self, taken: list[InFlight]) -> list[dict[str, str]]:
        return [body(self.run.keys, in_flight.claimed) for in_flight in taken]

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


def test_a_body_is_that_of_staging_as_it_always_was(deliverer: Deliverer) -> None:
    assert deliverer.bodies(deliverer.take()) == list(deliverer.backlog.requests())


def test_nothing_is_claimed_for_a_platform_that_the_hospital_has_left(deliverer: Deliverer) -> None:
    elsewhere = deliverer.run.target._replace(host="elsewhere")
    with deliverer.ledger.write() as connection:
        assert move(connection, HOSPITAL, elsewhere, reason="r", by="me", now=NOW) is not None
    assert (deliverer.take(), deliverer.claims.left_platform) == ([], True)
    assert deliverer.states() == ["ready"] * EVENTS
    with deliverer.ledger.write() as connection:
        move(connection, HOSPITAL, deliverer.run.target, reason="back", by="me", now=NOW)
    assert len(deliverer.take()) == EVENTS


def test_what_may_have_been_sent_keeps_its_body_when_settings_change_and_the_rest_follows_them(
    deliverer: Deliverer,
) -> None:
    as_staged = list(deliverer.backlog.requests())
    taken = deliverer.take()
    deliverer.settle(taken[:1], "unknown", Attempt(NOW, Reply(Answer.LIMITED, None, 429), "unknown"))
    deliverer.settle(taken[1:], "ready", Attempt(NOW, Reply(Answer.TOKEN, 21003, 200), "ready"))
    deliverer.change_settings(profile="current")
    again = deliverer.take()
    assert [in_flight.claimed.before for in_flight in again] == ["unknown", *["ready"] * (EVENTS - 1)]
    assert deliverer.bodies(again)[0] == as_staged[0]
    in_new_form = [dict(sent, hospitalCode=sent["hospitalId"]) for sent in as_staged[1:]]
    assert [dict(sent) for sent in deliverer.bodies(again)[1:]] == in_new_form
    # They were sent in the new form: that stays from now on, whatever the settings are then.
    deliverer.settle(again, "unknown")
    deliverer.change_settings(profile="v2.1", hospital_id="20202")
    assert deliverer.bodies(deliverer.take()) == [as_staged[0], *in_new_form]


def test_an_event_that_an_earlier_version_sealed_gets_its_body_before_it_is_sent(deliverer: Deliverer) -> None:
    as_staged = list(deliverer.backlog.requests())
    for in_flight in (taken := deliverer.take()):
        claimed = in_flight.claimed
        kept = json.loads(
            deliverer.run.keys.open(Sealed(claimed.key_id, claimed.sealed), bound_to=claimed.key.encode())
        )
        old = json.dumps({name: kept[name] for name in ("idCardNumber", "name", "qrCodeText")}).encode()
        sealed = deliverer.ledger.keyring.seal(old, bound_to=claimed.key.encode())
        with deliverer.ledger.write() as connection:
            reseal(connection, [claimed._replace(form=None, key_id=sealed.key_id, sealed=sealed.blob)])
    deliverer.settle(taken[:1], "unknown")
    deliverer.settle(taken[1:], "ready")
    # Version 0.2.0 sent the code of a department where the file says nothing else.
    as_it_went = [dict(sent, department="0300") if "department" in sent else sent for sent in as_staged[:1]]
    assert deliverer.bodies(deliverer.take()) == [*as_it_went, *as_staged[1:]]
    with deliverer.ledger.read() as connection:
        assert None not in set(connection.scalars(select(event.c.form)))


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
