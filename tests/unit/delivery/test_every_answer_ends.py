"""A platform that gives one and the same answer for a day: each ends as a state, as a hold, or as an incident that says
what it is; and no class uses up the generations of an event. Virtual time, the real delivery and detectors."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from card_usage.alerts.detectors.delivery import DETECTORS as OF_DELIVERY
from card_usage.alerts.detectors.holds import DETECTORS as OF_HOLDS
from card_usage.alerts.incident_texts import what_happened, what_to_do
from card_usage.alerts.incidents import Condition, Incident
from card_usage.alerts.situation import MANY_CALLS, Situation
from card_usage.config.alert_causes import CAUSES
from card_usage.delivery.deliverer import deliver_run
from card_usage.delivery.dispatcher import Dispatcher
from card_usage.delivery.flow_control import CircuitBreaker
from card_usage.delivery.stopping import StopReason
from card_usage.delivery.transitions import LAST_GENERATION
from card_usage.delivery.workload import Workload
from card_usage.ledger.schema import SETTLED_STATES, event
from card_usage.ledger.scope import LIVE, Scope
from card_usage.platform.client import Grant
from card_usage.platform.outcome import Answer, Reply, result_classes
from card_usage.staging.intake import take_in
from card_usage.words.catalogue import Words
from simulation.loop import VirtualLoop
from simulation.platform import EPOCH, Platform, Weather
from simulation.scenario import DAY, Event, draft
from simulation.world import World, hospital, new_ledger
from sqlalchemy import func, select

RUNS, APART = 7, 4 * 3600  # seconds
REPLIES = {
    Answer.ACCEPTED: Reply(Answer.ACCEPTED, 0, 200),
    Answer.REPEATED: Reply(Answer.REPEATED, 10054, 200),
    Answer.REFUSED: Reply(Answer.REFUSED, 10042, 200),
    Answer.TOKEN: Reply(Answer.TOKEN, 21004, 200),
    Answer.BUSY: Reply(Answer.BUSY, -10038, 200),
    Answer.UNLISTED: Reply(Answer.UNLISTED, 31415, 200),
    Answer.QUOTA: Reply(Answer.QUOTA, 10034, 200),
    Answer.THROTTLED: Reply(Answer.THROTTLED, 21007, 200),
    Answer.MISCONFIGURED: Reply(Answer.MISCONFIGURED, 21006, 200),
    Answer.UNTIMELY: Reply(Answer.UNTIMELY, 10042, 200),
    Answer.BARRED: Reply(Answer.BARRED, None, 403, "http 403"),
    Answer.LIMITED: Reply(Answer.LIMITED, None, 429, "http 429"),
    Answer.NOT_SENT: Reply(Answer.NOT_SENT, None, None, "refused"),
    Answer.NO_ANSWER: Reply(Answer.NO_ANSWER, None, None, "timeout"),
}


class Monotonous:
    """A platform that answers every report, or those of some names, in one way; others are accepted."""

    base_url = "http://monotonous"

    def __init__(self, world: World, reply: Reply, names: frozenset[str] | None) -> None:
        self.world, self.reply, self.names = world, reply, names
        self.calls: Counter[str] = Counter()

    @property
    def clock_seen(self) -> tuple[datetime, float]:
        return EPOCH + timedelta(seconds=self.world.loop.time()), self.world.loop.time()

    async def read_clock(self) -> None:
        return None

    async def app_token(self, **_: object) -> Grant:
        await asyncio.sleep(0.05)
        return Grant("token", 7200)

    async def report(self, *, req: Mapping[str, str], **_: object) -> Reply:
        await asyncio.sleep(0.05)
        self.calls[req["name"]] += 1
        if self.names is None or req["name"] in self.names:
            return self.reply
        return Reply(Answer.ACCEPTED, 0, 200)


class Day(NamedTuple):
    """What a day of runs, four hours apart, left: events by state, what the detectors find, the most calls and the
    highest generation of an event, and what stopped the runs."""

    states: Mapping[str, int]
    found: list[Condition]
    calls: int
    generation: int
    stops: set[StopReason | None]


def day(reply: Reply, *, events: int, names: frozenset[str] | None = None) -> Day:
    loop = VirtualLoop(Random(0))
    simulated = Platform(loop=loop, random=Random(0), weather=Weather(), seen=Counter())
    world = World(loop, Random(0), simulated, new_ledger())
    of = hospital("main", concurrency=4)
    with world.ledger.write() as connection:
        drafts = [draft(Event(f"use {n}", "main", n)) for n in range(events)]
        take_in(connection, "main", "payment", drafts, lane=LIVE, now=EPOCH)
    platform = Monotonous(world, reply, names)
    stops: set[StopReason | None] = set()

    async def play() -> None:
        for number in range(1, RUNS + 1):
            run = world.run(number, of, Scope("main", DAY, DAY), host=f"h{number}", random=Random(number))
            run = replace(run, platform=platform, linger=timedelta(minutes=1))
            stops.add((await deliver_run(run)).stopped_by)
            await asyncio.sleep(max(0.0, number * APART - loop.time()))

    loop.run(play(), most_steps=20_000_000)
    now = EPOCH + timedelta(seconds=loop.time())
    with world.ledger.read() as connection:
        states = Counter(connection.scalars(select(event.c.status)))
        generation = connection.scalar(select(func.max(event.c.generation))) or 0
        situation: Any = Situation(connection, of, now=now)
        found = [condition for detector in (*OF_HOLDS, *OF_DELIVERY) for condition in detector(situation)]
    return Day(states, found, max(platform.calls.values()), generation, stops)


@pytest.mark.parametrize("answer", Answer)
@pytest.mark.parametrize("events", [1, 30])
def test_an_answer_that_never_changes_ends_as_a_state_or_as_an_incident_that_says_what_it_is(
    answer: Answer, events: int
) -> None:
    reply = REPLIES[answer]
    lived = day(reply, events=events)
    open_events = sum(count for state, count in lived.states.items() if state not in SETTLED_STATES)
    causes = {condition.cause for condition in lived.found}
    ends = {"misconfiguration", "quota_exhausted", "answers_without_end"}
    if answer in {Answer.NOT_SENT, Answer.NO_ANSWER}:
        ends.add("delivery_behind")  # which says: mostly the platform or the line to it
    assert not open_events or causes & ends, lived
    assert len([cause for cause in causes if not causes & {*CAUSES[cause].explained_by}]) <= 1, "told once"
    # An incident says the code, in Chinese, and what to do.
    for condition in lived.found:
        if condition.cause == "answers_without_end":
            assert condition.detail == (str(answer) if reply.result_code is None else str(reply.result_code))
            assert condition.count <= events
    assert lived.calls < 1_000, "for a whole day"
    assert lived.generation < LAST_GENERATION / 100


@pytest.mark.parametrize("answer", [Answer.BUSY, Answer.UNLISTED, Answer.THROTTLED, Answer.LIMITED, Answer.NO_ANSWER])
def test_a_single_event_that_is_never_answered_otherwise_is_told_while_all_others_pass(answer: Answer) -> None:
    lived = day(REPLIES[answer], events=30, names=frozenset({"use 7"}))
    assert lived.states["delivered"] == 29
    (told,) = [condition for condition in lived.found if condition.cause == "answers_without_end"]
    assert told.count == 1
    assert int(told.facts["calls"]) >= MANY_CALLS
    assert lived.stops == {None}


def test_calls_that_are_limited_without_end_slow_down_to_one_by_one_and_stop_the_run_by_that_name() -> None:
    lived = day(REPLIES[Answer.THROTTLED], events=300)
    assert StopReason.THROTTLED in lived.stops
    assert lived.calls < 200


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_incident_says_code_meaning_what_to_do_and_where_the_runbook_is(language: Any) -> None:
    (told,) = [one for one in day(REPLIES[Answer.THROTTLED], events=1).found if one.cause == "answers_without_end"]
    seen = {"since": told.since, "opened_at": EPOCH, "stated": told.count, "parts": (), "sample": ()}
    known = {"cause": told.cause, "detail": told.detail, "severity": told.severity, "count": told.count}
    incident = Incident(id=None, hospital="main", facts=told.facts, **known, **seen)
    words = Words(language)
    assert "21007" in what_happened(incident, words)
    assert "接口调用被限制" in what_happened(incident, words)
    assert "docs/delivery.md" in what_to_do(incident, words)
    assert "requests_per_second" in what_to_do(incident, words)


def test_every_class_of_a_code_is_tried() -> None:
    assert set(REPLIES) == set(Answer)
    assert {reply.result_code: answer for answer, reply in REPLIES.items() if reply.result_code in result_classes()}


def test_a_probe_that_is_called_off_is_made_again() -> None:
    """Its token took so long that a pause came: without another probe the breaker would stay open for ten minutes."""
    breaker = CircuitBreaker(Random(0), threshold=1)
    breaker.record_failure(0.0)
    assert breaker.wait(5.0) == 0
    breaker.record_call()
    assert breaker.wait(5.0) == float("inf")
    workload: Any = Workload()

    async def token() -> str:
        return "token"

    parts: Any = SimpleNamespace(is_open=False, call_off=breaker.call_off, current=token)
    dispatcher = Dispatcher(
        workload=workload,
        gate=parts,
        stopping=parts,
        sender=parts,
        tokens=parts,
        refused_tokens=parts,
        answers=parts,
    )
    waiting: Any = object()
    asyncio.run(dispatcher._send(waiting))
    assert list(workload.queue) == [waiting]
    assert breaker.wait(5.0) == 0
