"""The delivery keeps its promises in every seeded world, and a broken delivery does not."""

from __future__ import annotations

import asyncio
import os

import pytest

from simulation.__main__ import REPLAY, play, play_all
from simulation.mutants import MUTANTS, hunt
from simulation.scenario import Scenario

# CI plays all of it; on a developer's machine a sample keeps `make test` short.
SEEDS = 10_000 if os.environ.get("CI") == "true" else 400

# Each must have happened at least this often in 1,000 seeds, or the simulation no longer tries it.
EXERCISED = {
    "calls": 5_000,
    "code accepted": 5_000,
    "code repeated": 200,
    "code token": 200,
    "code busy": 40,
    "code unlisted": 5,
    "code throttled": 40,
    "code quota": 5,
    "code refused": 200,
    "not_sent": 40,
    "lost_before": 40,
    "lost_after": 40,
    "error_before": 40,
    "error_after": 40,
    "late": 40,
    "gateway_before": 40,
    "gateway_after": 40,
    "http 403": 10,
    "http 429": 40,
    "known to remember on_acceptance": 200,
    "known to remember on_sight": 100,
    "other settings": 200,
    "ends unconfirmed": 50,
    "killed before a transaction": 100,
    "killed after a commit": 100,
    "killed before a call": 5,
    "killed after an answer": 5,
    "killed at an await": 80,
    "killed while it asked for a token": 5,
    "ledger lost before commit": 100,
    "ledger lost after commit": 100,
    "clock steps": 100,
    "stalls": 100,
    "pause": 100,
    "drain": 50,
    "changed in the HIS": 100,
    "voided in the HIS": 50,
    "changed during a long pause": 50,
    "token lost to others": 100,
}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_seeded_world_loses_doubles_or_overruns_anything(capsys: pytest.CaptureFixture[str]) -> None:
    seen, failures = play_all(range(SEEDS))
    with capsys.disabled():
        print(f"\n{SEEDS} seeds: {seen['events']:,} events, {seen['calls']:,} calls, {seen['workers']:,} workers")
    assert not failures, "\n".join(f"seed {seed}: {what}\n  {REPLAY.format(seed=seed)}" for seed, what in failures[:5])
    rare = {name: seen[name] for name, least in EXERCISED.items() if seen[name] < least * SEEDS // 1_000}
    assert not rare, f"hardly ever happened: {rare}"


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 50, 100])
def test_no_world_in_rough_weather_does_either(first: int) -> None:
    """A quarter of the ledger's answers and of the tokens get lost: most mutants are noticed here."""
    failures = [f"seed {seed}: {what}" for seed in range(first, first + 50) if (what := play(seed, rough=True)[1])]
    assert not failures


def test_the_same_seed_gives_the_same_world() -> None:
    assert play(7) == play(7)


def test_nothing_of_a_world_goes_on_after_its_end() -> None:
    """What killed workers were in the middle of would else end when the garbage collector comes by, in other worlds."""
    killed = 0
    for seed in range(20):
        scenario = Scenario(seed)
        killed += sum(count for what, count in scenario.run().items() if what.startswith("killed"))
        assert not asyncio.all_tasks(scenario.loop)
    assert killed >= 5


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    os.environ.get("CI") != "true", reason="minutes long: CI runs it, `python -m tests.simulation --mutants` too"
)
def test_every_break_of_the_delivery_is_noticed_by_some_world(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        survivors = hunt(print)
    assert not survivors
    assert len(MUTANTS) >= 25
