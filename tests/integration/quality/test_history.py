"""The gate and its history: what is unlike this weekday's last weeks is said, and no history is no alarm."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import ledgers
import planted
import pytest
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import event, window_profile
from card_usage.quality import profiles
from card_usage.quality.baseline import earlier, limits
from card_usage.quality.check import check
from card_usage.quality.verdict_texts import reason_text
from card_usage.quality.verdicts import Verdict
from card_usage.staging.coverage import record_window
from card_usage.windows import Window, day_window
from card_usage.words.catalogue import LANGUAGES, TEXTS
from hypothesis import given
from hypothesis import strategies as st
from planted import DAY, FEEDS, HOSPITAL, NOW
from sqlalchemy import delete, func, select, update

WINDOW = day_window(DAY)
MORNING = WINDOW.start + timedelta(hours=9)


def plant(ledger: Ledger, states: dict[str, int], **options: Any) -> None:
    with ledger.write() as connection:
        planted.plant(connection, states, **options)


def weeks_of(ledger: Ledger, events: int, weeks: int = 4, **options: Any) -> None:
    for week in range(1, weeks + 1):
        plant(ledger, {"delivered": events}, day=DAY - timedelta(weeks=week), seed=week, **options)


def judged(ledger: Ledger, **gate: Any) -> Verdict:
    return check(ledger, planted.hospital(gate={"warn_unmapped_share": 1.0, **gate}), WINDOW, now=NOW)


def reasons_of(found: Verdict) -> set[tuple[str, str]]:
    return {(reason.code, reason.level) for reason in found.reasons}


def test_a_day_like_its_weekdays_passes(ledger):
    weeks_of(ledger, 400)
    plant(ledger, {"ready": 400}, seed=9)
    assert (judged(ledger).level, judged(ledger).reasons) == ("pass", ())


def test_a_halved_day_warns_with_what_is_usual_and_a_tripled_one_is_held(ledger):
    weeks_of(ledger, 400)
    plant(ledger, {"ready": 150}, seed=9)
    found = judged(ledger)
    assert reasons_of(found) == {("volume_drop", "warn")}
    assert (found.reasons[0].count, found.reasons[0].of) == (150, 400)
    assert "62%" in reason_text(found.reasons[0], "zh")
    plant(ledger, {"ready": 1100}, seed=10)
    found = judged(ledger)
    assert reasons_of(found) == {("volume_rise", "hold")}
    assert (found.level, found.reasons[0].count, found.reasons[0].of) == ("hold", 1250, 400)


def test_one_feed_that_grows_alone_is_named(ledger):
    weeks_of(ledger, 500)
    plant(ledger, {"ready": 500}, seed=9)
    plant(ledger, {"ready": 120}, seed=10, feeds=("laboratory",))
    (reason,) = [one for one in judged(ledger, warn_share_shift=1.0).reasons if one.code == "volume_rise"]
    assert (reason.feed, reason.feeds, reason.level) == ("laboratory", ("laboratory",), "warn")


@pytest.mark.parametrize("weeks", [0, 1])
def test_less_than_two_weeks_are_no_history(ledger, weeks):
    weeks_of(ledger, 100, weeks)
    plant(ledger, {"ready": 900}, seed=9)
    assert judged(ledger).level == "pass"


def test_one_holiday_among_the_weeks_spoils_nothing(ledger):
    weeks_of(ledger, 400, 3)
    plant(ledger, {"delivered": 30}, day=DAY - timedelta(weeks=4), seed=4)
    plant(ledger, {"ready": 380}, seed=9)
    assert judged(ledger).level == "pass"


def test_a_mix_that_shifts_a_code_that_goes_and_one_that_comes_are_told_apart(ledger):
    weeks_of(ledger, 400)
    plant(ledger, {"ready": 400}, seed=9)
    with ledger.write() as connection:
        today = (event.c.hospital == HOSPITAL, event.c.day == DAY)
        connection.execute(update(event).where(*today, event.c.channel == "0200").values(channel="0100"))
        connection.execute(update(event).where(*today, event.c.card_type == "10").values(card_type="03"))
    found = judged(ledger)
    told = {(reason.code, reason.level, reason.table, reason.value) for reason in found.reasons}
    assert told == {
        ("share_shift", "warn", "channel", "0100"),
        ("value_gone", "warn", "channel", "0200"),
        ("value_gone", "warn", "card_type", "10"),
        ("value_new", "info", "card_type", "03"),
    }
    assert found.level == "warn"
    gone = next(reason for reason in found.reasons if reason.value == "0200")
    assert "自助机" in reason_text(gone, "zh")
    assert 70 < gone.of < 130


def test_health_cards_that_become_fewer_have_a_warning_of_their_own(ledger):
    weeks_of(ledger, 400)
    plant(ledger, {"ready": 400}, seed=9)
    with ledger.write() as connection:
        health = select(event.c.id).where(event.c.day == DAY, event.c.card_type == "11")
        some = connection.scalars(health.limit(100)).all()
        connection.execute(update(event).where(event.c.id.in_(some)).values(card_type="01"))
    assert ("health_card_share", "warn") in reasons_of(judged(ledger, warn_share_shift=1.0))
    assert ("health_card_share", "warn") not in reasons_of(judged(ledger, warn_health_card_drop=0.5))


def test_the_same_person_second_and_scene_over_and_over_is_held(ledger):
    plant(ledger, {"ready": 200})
    with ledger.write() as connection:
        some = connection.scalars(select(event.c.id).where(event.c.feed == "payment").limit(20)).all()
        connection.execute(update(event).where(event.c.id.in_(some)).values(digest="d"))
    found = judged(ledger)
    assert reasons_of(found) == {("doubled", "warn")}
    assert (found.reasons[0].count, found.reasons[0].of, found.reasons[0].feeds) == (19, 200, ("payment",))
    assert judged(ledger, hold_doubled_share=0.09).level == "hold"


def test_rows_that_a_feed_gave_twice_are_told(ledger):
    plant(ledger, {"ready": 200})
    with ledger.write() as connection:
        of = {"hospital": HOSPITAL, "start": WINDOW.start, "end": WINDOW.end, "status": "closed", "now": NOW}
        record_window(connection, feed="payment", source_rows=60, repeated_rows=30, **of)
        record_window(connection, feed="dispensing", source_rows=60, **of)
    found = judged(ledger)
    assert reasons_of(found) == {("repeated", "warn")}
    assert (found.reasons[0].count, found.reasons[0].feeds) == (30, ("payment",))


def test_dates_without_a_time_of_day_and_times_in_the_future_are_told(ledger):
    plant(ledger, {"ready": 100})
    plant(ledger, {"ready": 20}, seed=2, occurred_at=WINDOW.start)
    noon = MORNING.replace(hour=4)  # 12:00 at the hospital would be later than this instant
    found = check(ledger, planted.hospital(), WINDOW, now=NOW)
    assert reasons_of(found) == {("midnight", "warn")}
    early = check(ledger, planted.hospital(), WINDOW, now=noon.astimezone(NOW.tzinfo))
    assert ("future", "warn") in reasons_of(early)


def test_a_replica_that_stopped_in_the_morning_is_told_by_the_silence_of_its_feeds(ledger):
    weeks_of(ledger, 600)
    plant(ledger, {"ready": 600}, seed=9)
    with ledger.write() as connection:
        late = (event.c.day == DAY, event.c.occurred_at > MORNING)
        connection.execute(delete(event).where(*late))
    found = judged(ledger)
    quiet = [reason for reason in found.reasons if reason.code == "quiet"]
    assert {reason.feed for reason in quiet} == set(FEEDS)
    assert all(reason.count >= 15 * 60 for reason in quiet)
    assert "备库" in reason_text(quiet[0], "zh")


def test_a_window_that_was_staged_before_it_had_passed_says_so_and_passes(ledger):
    plant(ledger, {"ready": 100})
    with ledger.write() as connection:
        record_window(
            connection,
            hospital=HOSPITAL,
            feed="payment",
            start=WINDOW.start,
            end=WINDOW.end,
            status="provisional",
            source_rows=100,
            now=NOW,
        )
    found = judged(ledger)
    assert (found.level, reasons_of(found)) == ("pass", {("provisional", "info")})
    assert found.reasons[0].severity == "info"


def test_history_is_kept_in_a_few_dozen_counts_and_not_read_from_events_again(ledger):
    weeks_of(ledger, 400)
    plant(ledger, {"ready": 400}, seed=9)
    assert judged(ledger).level == "pass"
    with ledger.write() as connection:
        assert connection.scalar(select(func.count()).select_from(window_profile)) < 5 * 70
        connection.execute(delete(event).where(event.c.day < DAY))
        plant_more = {"ready": 1400}
        planted.plant(connection, plant_more, seed=11)
    assert reasons_of(judged(ledger)) == {("volume_rise", "hold")}


def test_an_hourly_hospital_is_held_against_the_same_hour(tmp_path):
    hour = Window(MORNING, MORNING + timedelta(hours=1))
    windows = earlier(hour, planted.hospital().calendar).alike
    # Two weeks before was the Spring Festival.
    assert [one.start for one in windows] == [MORNING - timedelta(weeks=n) for n in (1, 3, 4, 5)]
    with ledgers.sqlite(tmp_path) as ledger:
        for week in range(1, 5):
            shift = timedelta(weeks=week)
            plant(ledger, {"delivered": 100}, seed=week, day=DAY - shift, occurred_at=MORNING - shift)
            plant(ledger, {"delivered": 900}, seed=9, day=DAY - shift, occurred_at=MORNING - shift - timedelta(hours=2))
        plant(ledger, {"ready": 100}, seed=9, occurred_at=MORNING)
        home = planted.hospital(gate={"warn_unmapped_share": 1.0})
        assert "volume_drop" not in {reason.code for reason in check(ledger, home, hour, now=NOW).reasons}


def test_every_reason_code_has_words_for_reason_and_expectation():
    from typing import get_args

    from card_usage.quality.expectations import ReasonCode

    for code in get_args(ReasonCode):
        assert f"reason.{code}" in TEXTS
        assert f"demand.{code}" in TEXTS or code in ("rule_broken", "provisional")
    assert len(LANGUAGES) == 2


_amounts = st.integers(0, 5_000)
_profiles = st.dictionaries(
    st.tuples(st.sampled_from(["volume", "quiet", "quarantined"]), st.sampled_from(["", "payment", "laboratory"])),
    _amounts,
)


@given(profile=_profiles, week=_profiles)
def test_a_window_that_equals_all_of_its_weeks_is_never_unusual(profile, week):
    """Whatever the counts: history alone finds nothing in a window that is like history."""
    gate = planted.hospital().gate
    for expectation in limits(gate, week, [week] * 4):
        if expectation.usual is None:
            continue
        amount = week.get(expectation.measure, 0)
        assert (expectation.low or 0) <= amount
        assert expectation.high is None or amount <= expectation.high


def test_what_is_kept_is_what_was_measured(ledger):
    plant(ledger, {"ready": 50, "quarantined": 20, "voided": 5})
    with ledger.write() as connection:
        found = profiles.measure(connection, HOSPITAL, WINDOW, present=WINDOW.end)
        profiles.save(connection, HOSPITAL, WINDOW, found)
        profiles.save(connection, HOSPITAL, WINDOW, found)
        assert profiles.load(connection, HOSPITAL, WINDOW) == found
    assert found["volume", ""] == 70
    assert found["quarantined", ""] == 20
