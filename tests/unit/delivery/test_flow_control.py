"""Flow control: the retry schedule, concurrency, rates and the breaker do exactly what they say, on times passed in."""

from __future__ import annotations

from random import Random

import pytest
from card_usage.delivery.flow_control import (
    RETRY_BASE,
    RETRY_CAP,
    CircuitBreaker,
    ConcurrencyLimiter,
    RateLimiter,
    backoff,
)
from hypothesis import given
from hypothesis import strategies as st


class Highest(Random):
    """Draws the end of every range: shows the ceilings."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_the_ceilings_of_the_retry_schedule_are_1_2_4_up_to_300_seconds() -> None:
    ceilings = [backoff(failures, Highest()) for failures in range(1, 14)]
    assert ceilings == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]


def test_the_schedule_of_a_seed_is_the_same_to_the_digit() -> None:
    random, again = Random(20), Random(20)
    schedule = [backoff(failures, random) for failures in range(1, 8)]
    assert schedule == [again.uniform(0, min(RETRY_CAP, RETRY_BASE * 2 ** (n - 1))) for n in range(1, 8)]


@given(st.integers(1, 10_000), st.integers())
def test_a_pause_is_never_longer_than_its_ceiling(failures: int, seed: int) -> None:
    assert 0 <= backoff(failures, Random(seed)) <= min(RETRY_CAP, RETRY_BASE * 2 ** min(failures - 1, 10))


def test_concurrency_grows_to_its_ceiling_while_all_is_well() -> None:
    limiter = ConcurrencyLimiter(64)
    for n in range(100):
        limiter.record_success(0.02, n * 0.01)
    assert limiter.limit == 64


def test_trouble_halves_concurrency_once_per_round_trip_however_many_calls_see_it() -> None:
    limiter = ConcurrencyLimiter(64, limit=64)
    limiter.record_success(0.1, 0)
    for _ in range(30):
        limiter.record_overload(1.0)
    assert limiter.limit == 32
    limiter.record_overload(1.2)
    assert limiter.limit == 16


def test_after_trouble_concurrency_grows_by_one_a_round_trip() -> None:
    limiter = ConcurrencyLimiter(64, limit=8)
    limiter.record_overload(0.0)
    for n in range(4):
        limiter.record_success(0.02, 1 + n)
    assert 4.9 < limiter.limit < 5.0


def test_a_latency_far_above_the_quiet_one_counts_as_trouble() -> None:
    limiter = ConcurrencyLimiter(64, limit=64)
    limiter.record_success(0.02, 0)
    for n in range(60):
        limiter.record_success(2.0, 1 + n * 0.1)
    assert limiter.limit < 32


def test_concurrency_never_falls_below_one() -> None:
    limiter = ConcurrencyLimiter(4)
    for n in range(50):
        limiter.record_overload(float(n))
    assert limiter.limit == 1


@given(st.floats(0.5, 200), st.lists(st.floats(0, 3), max_size=200))
def test_no_stretch_of_time_sees_more_calls_than_the_rate_and_its_burst(per_second: float, idle: list[float]) -> None:
    rate = RateLimiter(per_second)
    now, starts = 0.0, []
    for pause in idle:
        now += pause + rate.wait(now + pause)
        rate.record_call(now)
        starts.append(now)
    for first in range(len(starts)):
        for last in range(first, len(starts)):
            allowed = per_second * (starts[last] - starts[first]) + max(1, 0.1 * per_second) + 1
            assert last - first + 1 <= allowed + 1e-6


def test_a_rate_of_zero_sets_no_limit() -> None:
    rate = RateLimiter(0)
    rate.record_call(0)
    assert rate.wait(0) == 0


def test_the_breaker_opens_after_its_threshold_and_lets_one_probe_through() -> None:
    breaker = CircuitBreaker(Highest(), threshold=3)
    for _ in range(3):
        breaker.record_call()
        breaker.record_failure(10.0)
    assert breaker.is_open
    assert breaker.wait(10.0) == 1.0
    assert breaker.wait(11.0) == 0.0
    breaker.record_call()
    assert breaker.wait(11.0) == float("inf")


@pytest.mark.parametrize("trips", range(1, 10))
def test_the_pause_before_a_probe_doubles_to_a_minute(trips: int) -> None:
    breaker = CircuitBreaker(Highest(), threshold=1)
    for trip in range(trips):
        breaker.record_call()
        breaker.record_failure(100.0 * trip)
    assert breaker.wait(100.0 * (trips - 1)) == min(60.0, 2.0 ** (trips - 1))


def test_a_good_answer_closes_the_breaker_for_good() -> None:
    breaker = CircuitBreaker(Highest(), threshold=1)
    breaker.record_call()
    breaker.record_failure(0.0)
    breaker.record_call()
    breaker.record_success()
    assert not breaker.is_open
    assert breaker.wait(0.0) == 0.0
