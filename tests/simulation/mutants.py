"""Break the delivery on purpose, one break at a time: every one must be noticed by some seed.

Each mutant runs in a process of its own, over seeds in order, until one fails. A break that no world can notice (a cell
of the outcome table that a sound ledger never reaches) belongs into tests/unit/platform/test_outcome.py instead.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from card_usage.delivery import claims, feeder, membership, outcome_buffer, quota, tokens, transitions
from card_usage.events import request_id
from card_usage.ledger import holds
from card_usage.ledger.schema import event
from card_usage.platform import outcome
from card_usage.platform.outcome import OWN_REFUSALS, TABLES, Answer, Memory, Outcome, Past, Step
from card_usage.staging import changes, intake
from sqlalchemy import or_, text, update

from simulation.__main__ import play, settle_in

MOST_SEEDS = 1500


def _cell(answer: Answer, status: str, step: Step, *pasts: Past, of: tuple[Memory, ...] = tuple(Memory)) -> None:
    for memory in of:
        for past in pasts or tuple(Past):
            TABLES[memory][answer][past] = Outcome(status, step)  # type: ignore[index]


_UNPROVEN = (Memory.UNKNOWN, Memory.ON_SIGHT)


def _new_ids(new_id: bool, *pasts: Past) -> None:
    for memory in _UNPROVEN:
        for answer in OWN_REFUSALS:
            for past in pasts:
                TABLES[memory][answer][past] = replace(TABLES[memory][answer][past], new_id=new_id)  # type: ignore[index]


def _a_mere_status_is_a_refusal() -> None:
    for answer in (Answer.BARRED, Answer.LIMITED):
        _cell(answer, "ready", Step.SLOW, Past.CLEAN)
    outcome._PROOFS = tuple(  # type: ignore[misc]
        (past, answers - {Answer.BARRED, Answer.LIMITED}) for past, answers in outcome._PROOFS
    )


def _bodies_follow_the_settings() -> None:
    claims.is_due_for_sealing = lambda claimed, form: claimed.form != form.mark  # type: ignore[attr-defined]


def _a_change_forgets_the_generation() -> None:
    intake._row_after = lambda stored, draft, now: intake._row(  # type: ignore[assignment]
        draft, now, request_id(draft.key, 0), 0
    )


def _claim_without_marking() -> None:
    def claim(connection: Any, scope: Any, **named: Any) -> list[Any]:
        values = {**scope.bounds(), "of_lane": named["lane"], "at": named["now"], "most": named["limit"]}
        query = transitions._claimable(scope.form, named.get("newest_first", False))
        return [transitions.Claimed._make(row) for row in connection.execute(query, values)]

    claims.claim = claim  # type: ignore[attr-defined]


def _claim_what_is_claimed() -> None:
    transitions.OPEN = text("status in ('ready', 'held', 'unknown', 'in_flight')")  # type: ignore[misc]


def _recover_as(status: str) -> None:
    real = transitions.recover

    def recover(connection: Any, lost: Any, **named: Any) -> int:
        count = real(connection, lost, **named)
        unknown = update(event).where(event.c.status == "unknown", event.c.due_at.is_(None))
        connection.execute(unknown.values(status=status))
        return count

    claims.recover = membership.recover = recover  # type: ignore[attr-defined]


def _no_recovery() -> None:
    claims.recover = membership.recover = lambda *_, **__: 0  # type: ignore[attr-defined]


def _everybody_else_is_dead() -> None:
    membership.FailureDetector.dead = lambda self, living, monotonic: list(living)  # type: ignore[method-assign,assignment]


def _nobody_is_ever_dead() -> None:
    membership.FailureDetector.dead = lambda self, living, monotonic: []  # type: ignore[method-assign,assignment]


def _leave_at_once() -> None:
    membership.FailureDetector.undetermined = property(lambda self: set(), lambda self, value: None)  # type: ignore[assignment]


def _watch_own_hospital_only() -> None:
    real = membership.peers
    membership.peers = lambda connection, *, hospital, app_id, worker: [  # type: ignore[assignment]
        peer for peer in real(connection, hospital=hospital, app_id=app_id, worker=worker) if peer.hospital == hospital
    ]


def _keep_dead_tokens() -> None:
    tokens.TokenManager.invalidate = lambda self, serial: None  # type: ignore[method-assign,assignment]


def _always_refresh() -> None:
    tokens.TokenManager._usable = lambda self, stored: False  # type: ignore[method-assign,assignment]


def _refresh_without_lock() -> None:
    tokens.TokenManager._acquire_refresh = lambda self, connection, serial: True  # type: ignore[method-assign,assignment]
    real = tokens.TokenManager._store

    def store(self: Any, connection: Any, serial: int, grant: Any) -> Any:
        connection.execute(update(tokens.token).values(refresher=self._worker))
        return real(self, connection, serial, grant)

    tokens.TokenManager._store = store  # type: ignore[method-assign]


def _unlimited_quota() -> None:
    quota.reserve = lambda connection, wanted, **_: wanted  # type: ignore[assignment]


def _generous_refund() -> None:
    real = quota.give_back
    quota.give_back = lambda connection, calls, **named: real(connection, 2 * calls, **named)  # type: ignore[assignment]


def _no_reason_to_stop() -> None:
    holds.blocking = lambda found: None  # type: ignore[assignment]


def _another_id_each_time() -> None:
    real = transitions.claim
    count = iter(range(10**9))
    claims.claim = (
        lambda *args, **named: [  # type: ignore[attr-defined]
            claimed._replace(request_id=f"{claimed.request_id[:24]}{next(count):08X}")
            for claimed in real(*args, **named)
        ]
    )


def _forget_history() -> None:
    claims.history = lambda connection, claimed: {}  # type: ignore[attr-defined]


def _keep_the_queue() -> None:
    async def release(self: Any) -> None:
        self._workload.queue.clear()

    feeder.Feeder.release_queue = release  # type: ignore[method-assign]
    membership.recover = lambda *_, **__: 0  # type: ignore[attr-defined]


def _replace_also(*states: str) -> None:
    changes.REPLACEABLE = changes.REPLACEABLE | set(states)  # type: ignore[misc]
    any_state = or_(
        event.c.status == intake.bindparam("stored_status"), event.c.request_id == intake.bindparam("stored_request_id")
    )
    wider = update(event).where(event.c.id == intake.bindparam("event_id"), any_state)
    intake._UPDATE_REPLACED = wider.values(dict(intake._UPDATE_REPLACED._values))  # type: ignore[misc]


def _keep_patients() -> None:
    real = outcome_buffer.settle

    def settle(connection: Any, settled: Any, **named: Any) -> set[int]:
        kept = {outcome.claimed.id: (outcome.claimed.key_id, outcome.claimed.sealed) for outcome in settled}
        moved = real(connection, settled, **named)
        for event_id in moved:
            key_id, sealed = kept[event_id]
            connection.execute(update(event).where(event.c.id == event_id).values(key_id=key_id, sealed=sealed))
        return moved

    outcome_buffer.settle = settle  # type: ignore[attr-defined]


def _settle_for_everybody() -> None:
    real = outcome_buffer.settle

    def settle(connection: Any, settled: Any, *, worker: int, now: Any) -> set[int]:
        ids = [outcome.claimed.id for outcome in settled]
        connection.execute(update(event).where(event.c.id.in_(ids)).values(status="in_flight", claimed_by=worker))
        return real(connection, settled, worker=worker, now=now)

    outcome_buffer.settle = settle  # type: ignore[attr-defined]


MUTANTS: dict[str, Callable[[], None]] = {
    "no answer counts as not sent": partial(_cell, Answer.NO_ANSWER, "ready", Step.RETRY),
    "no answer is a refusal": partial(_cell, Answer.NO_ANSWER, "rejected", Step.DECIDE),
    "no answer is a success": partial(_cell, Answer.NO_ANSWER, "delivered", Step.SETTLE),
    "10054 in doubt is unconfirmed where it proves": partial(
        _cell, Answer.REPEATED, "unconfirmed", Step.DECIDE, Past.DOUBT, of=(Memory.ON_ACCEPTANCE,)
    ),
    "10054 in doubt is a refusal": partial(_cell, Answer.REPEATED, "rejected", Step.DECIDE, Past.DOUBT),
    "10054 in doubt is a success on any platform": partial(
        _cell, Answer.REPEATED, "delivered", Step.SETTLE, Past.DOUBT, of=_UNPROVEN
    ),
    "10054 is a success on any platform": partial(_cell, Answer.REPEATED, "delivered", Step.SETTLE, of=_UNPROVEN),
    "a refusal of the gate keeps the id on any platform": partial(_new_ids, False, Past.CLEAN),
    "a refusal of the gate in doubt takes a new id": partial(_new_ids, True, Past.DOUBT),
    "a mere HTTP status is a refusal": _a_mere_status_is_a_refusal,
    "bodies follow the settings in doubt": _bodies_follow_the_settings,
    "a change forgets the generation": _a_change_forgets_the_generation,
    "10054 after 'failed' is a success": partial(_cell, Answer.REPEATED, "delivered", Step.SETTLE, Past.FAILED),
    "busy is a refusal": partial(_cell, Answer.BUSY, "rejected", Step.DECIDE),
    "busy is a success": partial(_cell, Answer.BUSY, "delivered", Step.SETTLE),
    "a lost token is a refusal": partial(_cell, Answer.TOKEN, "rejected", Step.DECIDE),
    "throttled is a success": partial(_cell, Answer.THROTTLED, "delivered", Step.SETTLE),
    "a used-up quota is retried": partial(_cell, Answer.QUOTA, "held", Step.RETRY),
    "a refusal is retried for ever": partial(_cell, Answer.REFUSED, "unknown", Step.RETRY),
    "acceptance is a refusal": partial(_cell, Answer.ACCEPTED, "rejected", Step.DECIDE),
    "not sent is a success": partial(_cell, Answer.NOT_SENT, "delivered", Step.SETTLE),
    "a claim leaves no mark": _claim_without_marking,
    "a claim takes what others hold": _claim_what_is_claimed,
    "claims of the dead are ready": partial(_recover_as, "ready"),
    "claims of the dead are refused": partial(_recover_as, "rejected"),
    "claims of the dead stay": _no_recovery,
    "everybody else is dead": _everybody_else_is_dead,
    "nobody is ever dead": _nobody_is_ever_dead,
    "a run leaves before a silent one is known dead": _leave_at_once,
    "a dead one of another hospital keeps the token": _watch_own_hospital_only,
    "dead tokens are used again": _keep_dead_tokens,
    "every call asks for a token": _always_refresh,
    "two ask for a token at once": _refresh_without_lock,
    "the quota has no limit": _unlimited_quota,
    "unused calls are refunded twice": _generous_refund,
    "a pause is not seen": _no_reason_to_stop,
    "each call has an id of its own": _another_id_each_time,
    "history is forgotten": _forget_history,
    "claims are kept at the end": _keep_the_queue,
    "a change replaces what is unknown": partial(_replace_also, "unknown"),
    "a change replaces what is in flight": partial(_replace_also, "in_flight"),
    "patients stay after delivery": _keep_patients,
    "outcomes are written over others' claims": _settle_for_everybody,
}


def attempt(name: str) -> tuple[str, int | None, str]:
    """The first seed that notices a mutant, and what it noticed; None if none of MOST_SEEDS does, in ordinary weather
    and in rough."""
    MUTANTS[name]()
    for seed in range(MOST_SEEDS):
        for rough in (False, True):
            _, failure, _ = play(seed, rough)
            if failure:
                return name, seed, failure
    return name, None, ""


def hunt(say: Callable[[str], None]) -> list[str]:
    """Try all; returns the names of those that no seed noticed."""
    survivors = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(mp_context=spawn, initializer=settle_in, max_tasks_per_child=1) as pool:
        for name, seed, failure in pool.map(attempt, MUTANTS):
            say(f"{'survived' if seed is None else f'seed {seed:>4}'}  {name}{f': {failure}'[:110] if failure else ''}")
            if seed is None:
                survivors.append(name)
    say(f"caught {len(MUTANTS) - len(survivors)} of {len(MUTANTS)}")
    return survivors
