"""A day's balance: for every legal mix the equations hold and nothing is left over; what is illegal is named."""

from __future__ import annotations

from datetime import date

import pytest
from card_usage.balance import (
    CLASSES,
    DIFFERENCES,
    OPEN_CLASSES,
    STATE_CLASSES,
    Difference,
    FeedDay,
    Reconciliation,
    SourceCount,
)
from card_usage.ledger.schema import STATES
from hypothesis import given
from hypothesis import strategies as st

few = st.integers(0, 40)
DAY = date(2026, 3, 4)


@st.composite
def legal_days(draw: st.DrawFn, compared: bool = False) -> tuple[FeedDay, Difference]:
    """A day as staging and delivery can leave it, and the difference to the HIS that it was made with."""
    states = {state: draw(few) for state in STATES}
    staged = sum(states.values())
    vanished_marks = draw(st.integers(0, staged))
    late, newly_vanished = draw(few), draw(st.integers(0, staged - vanished_marks))
    truth = Difference(late, vanished_marks + newly_vanished)
    quarantined = states["quarantined"]
    split = draw(st.integers(0, quarantined))
    marked = draw(st.integers(0, states["delivered"])) + states["voided"]
    feed_day = FeedDay(
        hospital="h",
        feed="registration",
        day=DAY,
        source=SourceCount(staged + late - truth.vanished, marked + draw(few)),
        states=states,
        causes={"name.required": split, "department.code": quarantined - split},
        acknowledged=states["delivered"],
        refunded=states["voided"],
        voided_marks=marked,
        vanished_marks=vanished_marks,
        compared=truth if compared else None,
    )
    return feed_day, truth


def test_every_state_of_the_ledger_has_one_class():
    assert set(STATE_CLASSES) == set(STATES)
    assert sorted(STATE_CLASSES.values()) == sorted(CLASSES)


@given(legal_days())
def test_a_legal_day_leaves_no_remainder(made):
    feed_day, _ = made
    assert feed_day.remainder == 0
    assert feed_day.remainders == {}
    assert all(equation.gap == 0 for equation in feed_day.equations)


@given(legal_days())
def test_states_are_classed_completely_and_source_balances(made):
    feed_day, _ = made
    assert sum(feed_day.classes.values()) == feed_day.staged
    late, vanished = feed_day.difference
    assert feed_day.source.events == feed_day.staged + late - vanished


@given(legal_days())
def test_counts_alone_never_claim_more_difference_than_there_is(made):
    feed_day, truth = made
    late, vanished = feed_day.difference
    assert late <= truth.late
    assert vanished <= truth.vanished
    assert late - vanished == truth.late - truth.vanished


@given(legal_days(compared=True))
def test_a_comparison_event_by_event_is_believed(made):
    feed_day, truth = made
    assert feed_day.difference == truth
    assert feed_day.remainder == 0


@given(legal_days(compared=True), st.integers(1, 5))
def test_a_comparison_that_does_not_add_up_is_a_remainder(made, missing):
    feed_day, _ = made
    off = replaced(feed_day, source=SourceCount(feed_day.source.events + missing, None))
    assert off.remainders == {"source": missing}
    assert not off.clean


def replaced(feed_day: FeedDay, **changes: object) -> FeedDay:
    fields = {name: getattr(feed_day, name) for name in FeedDay.__dataclass_fields__}
    return FeedDay(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "remainders"),
    [
        ({"states": {"delivered": 5, "quarantined": 2, "voided": 1, "lost": 3}}, {"states": 3}),
        ({"causes": {"name.required": 1}}, {"causes": 1}),
        ({"causes": {"name.required": 4}}, {"causes": -2}),
        ({"acknowledged": 4}, {"acknowledged": 1}),
        ({"refunded": 0}, {"voided": 1}),
        ({"acknowledged": 3, "refunded": 0}, {"acknowledged": 2, "voided": 1}),
    ],
)
def test_what_no_class_explains_is_named_and_never_clean(changes, remainders):
    good = FeedDay(
        hospital="h",
        feed="f",
        day=DAY,
        source=SourceCount(8, 1),
        states={"delivered": 5, "quarantined": 2, "voided": 1},
        causes={"name.required": 2},
        acknowledged=5,
        refunded=1,
        voided_marks=1,
    )
    assert good.clean
    off = replaced(good, **changes)
    assert off.remainders == remainders
    assert off.remainder == sum(map(abs, remainders.values()))
    assert not replaced(off, source=SourceCount(off.staged, 1)).clean


def test_gaps_that_point_both_ways_do_not_cancel():
    short = FeedDay(hospital="h", feed="a", day=DAY, source=None, states={"delivered": 3}, acknowledged=2)
    over = FeedDay(hospital="h", feed="b", day=DAY, source=None, states={"delivered": 3}, acknowledged=4)
    assert Reconciliation(hospital="h", parts=(short, over)).remainder == 2


@pytest.mark.parametrize("state", [state for state in STATES if STATE_CLASSES[state] in OPEN_CLASSES])
def test_a_day_with_something_due_is_not_clean(state):
    day = FeedDay(hospital="h", feed="f", day=DAY, source=SourceCount(1, 0), states={state: 1})
    assert (day.open, day.remainder, day.clean) == (1, 0, False)


@pytest.mark.parametrize(
    ("source", "clean"),
    [(SourceCount(5, 0), True), (SourceCount(6, 0), False), (SourceCount(5, 1), False), (None, False)],
)
def test_late_rows_late_refunds_and_an_uncounted_his_are_not_clean(source, clean):
    day = FeedDay(hospital="h", feed="f", day=DAY, source=source, states={"delivered": 5}, acknowledged=5)
    assert day.clean is clean


def test_vanished_rows_are_named_but_what_was_delivered_stays_clean():
    day = FeedDay(hospital="h", feed="f", day=DAY, source=SourceCount(4), states={"delivered": 5}, acknowledged=5)
    assert day.differences["vanished_from_source"] == 1
    assert day.clean


def test_an_uncounted_feed_leaves_the_hospitals_count_open():
    counted = FeedDay(hospital="h", feed="a", day=DAY, source=SourceCount(5, 2), states={})
    uncounted = FeedDay(hospital="h", feed="b", day=DAY, source=None, states={})
    both = Reconciliation(hospital="h", parts=(counted, uncounted))
    assert (both.source, both.source_voided, both.counted) == (None, None, False)
    alone = Reconciliation(hospital="h", parts=(counted,))
    assert (alone.source, alone.source_voided) == (5, 2)


def test_days_of_one_hospital_join_and_those_of_two_do_not():
    day = FeedDay(hospital="h", feed="a", day=DAY, source=SourceCount(5, 2), states={"ready": 5})
    one = Reconciliation(hospital="h", parts=(day,))
    assert Reconciliation.of([one, one]).open == 10
    with pytest.raises(ValueError, match="too many values"):
        Reconciliation.of([one, Reconciliation(hospital="other", parts=())])


@given(legal_days())
def test_a_summary_holds_every_class_and_difference(made):
    summary = Reconciliation(hospital="h", parts=(made[0],)).summary()
    assert set(CLASSES) | set(DIFFERENCES) <= summary.keys()
    (feed,) = summary["feeds"]
    assert {name: feed[name] for name in CLASSES} == dict(made[0].classes)
