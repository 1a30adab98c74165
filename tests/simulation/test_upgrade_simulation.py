"""An upgrade loses nobody and sends nobody again, in every seeded world; and an upgrade that is broken is noticed."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from card_usage.platform.outcome import Answer
from card_usage.upgrade import run, store
from card_usage.upgrade.run import STEPS, Step
from sqlalchemy import update

from simulation.upgrade import play

SEEDS = 1_000 if os.environ.get("CI") == "true" else 250
EXERCISED = {
    "calls": 2_000,
    "code accepted": 1_000,
    "code repeated": 50,
    "code refused": 300,
    "code token": 10,
    "code busy": 30,
    "lost_before": 30,
    "lost_after": 30,
    "late": 30,
    "unnamed": 20,
    "had a card": 30,
    "killed before a transaction": 10,
    "killed after a commit": 10,
    "killed before a call": 5,
    "killed after an answer": 5,
    "suspended": 50,
    "under way elsewhere": 20,
}
"""At least so often in 1,000 seeds, or the simulation no longer tries it."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_seeded_world_loses_a_patient_or_registers_one_twice(capsys: pytest.CaptureFixture[str]) -> None:
    seen: Counter[str] = Counter()
    failures = []
    for seed in range(SEEDS):
        try:
            seen += play(seed)
        except Exception as error:
            failures.append(f"seed {seed}: {type(error).__name__}: {error}")
    with capsys.disabled():
        print(f"\n{SEEDS} seeds: {seen['patients']:,} patients, {seen['calls']:,} calls, {seen['workers']:,} workers")
    assert not failures, "\n".join(failures[:5])
    rare = {name: seen[name] for name, least in EXERCISED.items() if seen[name] < least * SEEDS // 1_000}
    assert not rare, f"hardly ever happened: {rare}"


def test_the_same_seed_gives_the_same_world() -> None:
    assert play(7) == play(7)


def _a_new_id_after_no_answer(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(STEPS, Answer.NO_ANSWER, Step.RENEW)


def _a_repetition_settles_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(STEPS, Answer.REPEATED, Step.HALVE)


def _the_unnamed_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    move = store._move
    patch.setattr(
        store, "_move", lambda c, batch, state, *rest: None if state == "ready" else move(c, batch, state, *rest)
    )


def _two_may_send(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(store, "acquire", lambda connection, hospital, worker: True)


def _a_batch_is_made_of_whoever_is_there(patch: pytest.MonkeyPatch) -> None:
    def next_batch(connection, keyring, hospital, *, size, request_id, now):  # type: ignore[no-untyped-def]
        table = store.upgrade_patient
        open_again = update(table).where(table.c.hospital == hospital, table.c.state == "batched")
        connection.execute(open_again.values(state="ready", batch=None))
        chosen = store.select(table.c.id).where(table.c.hospital == hospital, table.c.state == "ready").limit(size)
        ids = list(connection.execute(chosen).scalars())
        return store._new_batch(connection, keyring, hospital, ids, request_id, now) if ids else None

    patch.setattr(store, "next_batch", next_batch)


def _nothing_is_counted(patch: pytest.MonkeyPatch) -> None:
    from card_usage.open_platform.session import LedgerGate

    async def admit(gate: LedgerGate, interface: str) -> bool:
        return True

    patch.setattr(LedgerGate, "admit", admit)


@pytest.mark.slow
@pytest.mark.parametrize(
    "broken",
    [
        _a_new_id_after_no_answer,
        _a_repetition_settles_nobody,
        _the_unnamed_are_forgotten,
        _two_may_send,
        _a_batch_is_made_of_whoever_is_there,
        _nothing_is_counted,
    ],
)
def test_an_upgrade_that_is_broken_is_noticed(
    broken: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)
    assert run.STEPS is STEPS
    for seed in range(120):
        try:
            play(seed)
        except Exception:
            return
    pytest.fail("nobody noticed")
