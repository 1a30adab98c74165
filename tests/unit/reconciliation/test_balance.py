"""A day's balance: for every legal mix the equations hold and nothing is left over; what is illegal is named."""

from __future__ import annotations

from datetime import date

import pytest
from card_usage.ledger.counts import Cell
from card_usage.ledger.schema import STATES
from card_usage.reconciliation.balance import Difference, FeedDay, Reconciliation, SourceCount
from card_usage.reconciliation.classes import (
    CLASSES,
    DIFFERENCES,
    HOLDERS,
    NAMED,
    OPEN_CLASSES,
    STATE_CLASSES,
    class_of,
)
from hypothesis import given
from hypothesis import strategies as st

few = st.integers(0, 40)
DAY = date(2026, 3, 4)


def cells(**states: int) -> dict[Cell, int]:
    """Events without marks; refunded ones carry their refund."""
    return {Cell(state, voided=state == "voided"): events for state, events in states.items()}


marks = st.tuples(st.booleans(), st.booleans(), st.booleans())
every_cell = st.builds(lambda state, three: Cell(state, *three), st.sampled_from(STATES), marks)


@st.composite
def legal_days(draw: st.DrawFn, compared: bool = False) -> tuple[FeedDay, Difference]:
    """A day as staging and delivery can leave it, and the difference to the HIS that it was made with."""
    mixed = draw(st.dictionaries(every_cell, few, max_size=30))
    mixed = {cell if cell.status != "voided" else cell._replace(voided=True): n for cell, n in mixed.items()}
    mixed |= cells(delivered=draw(few))
    present = sum(events for cell, events in mixed.items() if not cell.vanished)
    marked = sum(events for cell, events in mixed.items() if cell.vanished)
    late, moved, newly_vanished = draw(few), draw(few), 0 if compared else draw(st.integers(0, present))
    truth = Difference(late, marked + newly_vanished, moved, 0 if compared else None)
    quarantined = sum(events for cell, events in mixed.items() if cell.status == "quarantined")
    rejected = sum(events for cell, events in mixed.items() if cell.status == "rejected")
    split, refused = draw(st.integers(0, quarantined)), draw(st.integers(0, rejected))
    feed_day = FeedDay(
        hospital="h",
        feed="registration",
        day=DAY,
        source=SourceCount(present + late + moved - newly_vanished, draw(few)),
        cells=mixed,
        causes={"name.required": split, "department.code": quarantined - split},
        refusals={10016: refused, None: rejected - refused},
        acknowledged=sum(events for cell, events in mixed.items() if cell.status == "delivered"),
        held_by=draw(st.sampled_from([None, *HOLDERS])),
        moved_here=moved,
        provisional=draw(st.booleans()),
        compared=truth if compared else None,
    )
    return feed_day, truth


@given(every_cell, st.sampled_from([None, *HOLDERS]))
def test_every_mix_of_state_and_marks_has_exactly_one_class(cell, held_by):
    assert class_of(cell, held_by) in NAMED


def test_a_state_that_nobody_knows_has_no_class():
    with pytest.raises(ValueError, match="lost"):
        class_of(Cell("lost"))


@pytest.mark.parametrize(
    ("cell", "held_by", "name"),
    [
        (Cell("in_flight", voided=True, changed=True), None, "in_flight"),
        (Cell("unknown", voided=True), None, "unknown"),
        (Cell("delivered", voided=True, changed=True), None, "voided_after_delivery"),
        (Cell("delivered", changed=True), None, "changed_after_delivery"),
        (Cell("delivered", vanished=True, voided=True), None, "vanished_from_source"),
        (Cell("ready"), None, "due"),
        (Cell("ready"), "pause", "held"),
        (Cell("held"), None, "held"),
        (Cell("quarantined"), "approval", "quarantined"),
    ],
)
def test_where_several_classes_could_apply_one_does(cell, held_by, name):
    assert class_of(cell, held_by) == name


@given(legal_days())
def test_each_record_of_his_and_ledger_stands_in_one_class(made):
    feed_day, _ = made
    late, _, moved_here = feed_day.difference[:3]
    assert sum(feed_day.named.values()) == feed_day.staged + late + moved_here
    assert sum(feed_day.held.values()) == feed_day.classes["held"]
    assert (feed_day.named["late_in_source"] == 0) or (feed_day.named["provisional_window"] == 0)


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
    late, vanished, moved_here = feed_day.difference[:3]
    assert feed_day.source.events == feed_day.staged + late + moved_here - vanished


@given(legal_days())
def test_counts_alone_never_claim_more_difference_than_there_is(made):
    feed_day, truth = made
    late, vanished = feed_day.difference[:2]
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
        ({"cells": cells(delivered=5, quarantined=2, voided=1, lost=3)}, {"states": 3}),
        ({"refusals": {10016: 2}}, {"refusals": -2}),
        ({"causes": {"name.required": 1}}, {"causes": 1}),
        ({"causes": {"name.required": 4}}, {"causes": -2}),
        ({"acknowledged": 4}, {"acknowledged": 1}),
        ({"cells": {Cell("delivered"): 5, Cell("quarantined"): 2, Cell("voided"): 1}}, {"voided": 1}),
        (
            {"acknowledged": 3, "cells": {Cell("delivered"): 5, Cell("quarantined"): 2, Cell("voided"): 1}},
            {"acknowledged": 2, "voided": 1},
        ),
    ],
)
def test_what_no_class_explains_is_named_and_never_clean(changes, remainders):
    good = FeedDay(
        hospital="h",
        feed="f",
        day=DAY,
        source=SourceCount(8, 1),
        cells=cells(delivered=5, quarantined=2, voided=1),
        causes={"name.required": 2},
        acknowledged=5,
    )
    assert good.clean
    off = replaced(good, **changes)
    assert off.remainders == remainders
    assert off.remainder == sum(map(abs, remainders.values()))
    assert not replaced(off, source=SourceCount(off.staged, 1)).clean


def test_gaps_that_point_both_ways_do_not_cancel():
    short = FeedDay(hospital="h", feed="a", day=DAY, source=None, cells=cells(delivered=3), acknowledged=2)
    over = FeedDay(hospital="h", feed="b", day=DAY, source=None, cells=cells(delivered=3), acknowledged=4)
    assert Reconciliation(hospital="h", parts=(short, over)).remainder == 2


@pytest.mark.parametrize("state", [state for state in STATES if STATE_CLASSES[state] in OPEN_CLASSES])
def test_a_day_with_something_due_is_not_clean(state):
    day = FeedDay(hospital="h", feed="f", day=DAY, source=SourceCount(1, 0), cells={Cell(state): 1})
    assert (day.open, day.remainder, day.clean) == (1, 0, False)


@pytest.mark.parametrize(
    ("source", "clean"),
    [(SourceCount(5, 0), True), (SourceCount(6, 0), False), (SourceCount(5, 1), False), (None, False)],
)
def test_late_rows_late_refunds_and_an_uncounted_his_are_not_clean(source, clean):
    day = FeedDay(hospital="h", feed="f", day=DAY, source=source, cells=cells(delivered=5), acknowledged=5)
    assert day.clean is clean


def test_vanished_rows_are_named_but_what_was_delivered_stays_clean():
    day = FeedDay(hospital="h", feed="f", day=DAY, source=SourceCount(4), cells=cells(delivered=5), acknowledged=5)
    assert day.differences["vanished_from_source"] == 1
    assert day.clean


def test_an_uncounted_feed_leaves_the_hospitals_count_open():
    counted = FeedDay(hospital="h", feed="a", day=DAY, source=SourceCount(5, 2), cells={})
    uncounted = FeedDay(hospital="h", feed="b", day=DAY, source=None, cells={})
    both = Reconciliation(hospital="h", parts=(counted, uncounted))
    assert (both.source, both.source_voided, both.counted) == (None, None, False)
    alone = Reconciliation(hospital="h", parts=(counted,))
    assert (alone.source, alone.source_voided) == (5, 2)


def test_days_of_one_hospital_join_and_those_of_two_do_not():
    day = FeedDay(hospital="h", feed="a", day=DAY, source=SourceCount(5, 2), cells=cells(ready=5))
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
