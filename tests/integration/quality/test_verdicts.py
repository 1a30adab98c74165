"""Decisions about withheld windows: what each lets go, how long it holds, and who made it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import planted
import pytest
from card_usage.delivery.transitions import backlog, claim
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event
from card_usage.ledger.scope import LIVE, Scope, Withheld
from card_usage.quality.check import check
from card_usage.quality.verdict_store import decide, verdicts_in_force, withheld
from card_usage.quality.verdicts import DECISIONS, StoredVerdict
from card_usage.windows import Window, day_window
from planted import DAY, FEEDS, HOSPITAL, NOW
from sqlalchemy import select, update

WINDOW = day_window(DAY)
HOUR = timedelta(hours=1)


def plant(ledger: Ledger, states: dict[str, int], **options: Any) -> None:
    with ledger.write() as connection:
        planted.plant(connection, states, **options)


def given(ledger: Ledger, window: Window = WINDOW) -> StoredVerdict:
    with ledger.read() as connection:
        (one,) = verdicts_in_force(connection, HOSPITAL, window)
    return one


def held(ledger: Ledger) -> StoredVerdict:
    """A day on which the laboratory's and the payments' mapping is lost, and all else is well."""
    plant(ledger, {"ready": 100}, feeds=("registration", "dispensing", "examination"))
    plant(ledger, {"ready": 10, "quarantined": 60}, seed=2, feeds=("laboratory", "payment"))
    assert check(ledger, planted.hospital(), WINDOW, now=NOW).level == "hold"
    return given(ledger)


def claimable(ledger: Ledger) -> Counter[str]:
    """Feeds of what a delivery of the day would take."""
    with ledger.write() as connection:
        scope = Scope(HOSPITAL, DAY, DAY, withheld(connection, HOSPITAL, WINDOW))
        waiting = backlog(connection, scope, NOW).open
        taken = claim(connection, scope, lane=LIVE, worker=1, limit=10_000, now=NOW)
        feeds = select(event.c.feed).where(event.c.id.in_([one.id for one in taken]))
        found = Counter(connection.scalars(feeds))
        connection.execute(update(event).where(event.c.status == "in_flight").values(status="ready", claimed_by=None))
    assert waiting == found.total()
    return found


def choose(ledger: Ledger, one: StoredVerdict, decision: str, **options: Any) -> bool:
    with ledger.write() as connection:
        return decide(connection, one.id, decision, by="wang (hospital IT)", now=NOW, **options)


@pytest.mark.parametrize("decision", [None, *DECISIONS])
def test_each_decision_lets_go_what_it_says(ledger, decision):
    one = held(ledger)
    assert one.verdict.concerned == ("laboratory", "payment")
    if decision is not None:
        assert choose(ledger, one, decision)
        kept = given(ledger)
        assert (kept.decision, kept.decided_by, kept.decided_at) == (decision, "wang (hospital IT)", NOW)
        assert kept.awaits_decision is False
    clean = {"registration", "dispensing", "examination"}
    feeds = {None: set(), "rejected": set(), "clean": clean, "released": set(FEEDS)}[decision]
    assert set(claimable(ledger)) == feeds


def test_the_clean_part_stays_clean_when_quarantined_events_of_the_rest_are_mended(ledger):
    choose(ledger, held(ledger), "clean")
    mended = {"status": "ready", "reason": None, "channel": "0100", "department": "0301"}
    with ledger.write() as connection:
        connection.execute(update(event).where(event.c.status == "quarantined").values(mended))
    assert set(claimable(ledger)) == {"registration", "dispensing", "examination"}
    # Checked again, the day is well, and nothing is left to decide.
    assert check(ledger, planted.hospital(), WINDOW, now=NOW + HOUR).level == "pass"
    assert claimable(ledger).total() == 170


def test_the_first_decision_counts_unless_somebody_changes_it_on_purpose(ledger):
    one = held(ledger)
    assert choose(ledger, one, "rejected")
    assert not choose(ledger, one, "released")
    assert given(ledger).decision == "rejected"
    assert choose(ledger, one, "released", anew=True)
    assert given(ledger).decision == "released"


def test_a_look_back_that_finds_a_little_more_of_the_same_does_not_ask_again(ledger):
    choose(ledger, held(ledger), "released")
    plant(ledger, {"ready": 3, "quarantined": 2}, seed=5, feeds=("laboratory",))
    assert check(ledger, planted.hospital(), WINDOW, now=NOW + HOUR).level == "hold"
    kept = given(ledger)
    assert (kept.decision, kept.decided_by) == ("released", "wang (hospital IT)")


def test_a_window_that_got_worse_asks_anew(ledger):
    choose(ledger, held(ledger), "released")
    plant(ledger, {"quarantined": 60}, seed=5, feeds=("registration",))
    check(ledger, planted.hospital(), WINDOW, now=NOW + HOUR)
    assert given(ledger).awaits_decision
    assert claimable(ledger).total() == 0


def test_a_passing_verdict_takes_no_decision(ledger):
    plant(ledger, {"ready": 50})
    check(ledger, planted.hospital(), WINDOW, now=NOW)
    assert not choose(ledger, given(ledger), "rejected")
    assert given(ledger).decision is None


def test_an_hour_that_is_held_leaves_the_other_hours_of_its_day_alone(ledger):
    eight = WINDOW.start + 8 * HOUR
    plant(ledger, {"ready": 30}, occurred_at=eight + HOUR)
    plant(ledger, {"ready": 5, "quarantined": 30}, seed=2, occurred_at=eight)
    assert check(ledger, planted.hospital(), Window(eight, eight + HOUR), now=NOW).level == "hold"
    assert check(ledger, planted.hospital(), Window(eight + HOUR, eight + 2 * HOUR), now=NOW).level != "hold"
    with ledger.read() as connection:
        assert withheld(connection, HOSPITAL, WINDOW) == (Withheld(eight, eight + HOUR),)
    assert claimable(ledger).total() == 30
