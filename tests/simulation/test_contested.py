"""Beside another system that asks for tokens under the same appId: both get their work done."""

from __future__ import annotations

from simulation.contested import Stranger, measure


def test_a_stranger_who_takes_a_token_at_one_percent_of_our_calls_slows_a_run_but_does_not_stop_it() -> None:
    """Pauses that only grew left two events a second of 256."""
    got = measure(Stranger(share=0.01))
    assert got.events == 1_000
    assert got.per_second > 35
    assert got.per_minute <= 60, "the platform is asked for a token no more than once a second"


def test_a_stranger_who_asks_anew_when_its_token_died_keeps_most_of_its_calls_and_we_go_on() -> None:
    got = measure(Stranger(every=0.1), events=400)
    assert got.at_once is not None
    assert got.at_once > 0.75
    assert got.per_second > 5
