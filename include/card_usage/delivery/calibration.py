"""Calibration: find out when the platform remembers a request id, with calls that it must refuse.

Each is made twice under one id. 10054 the second time means that the id was remembered when it was seen, for nothing
was accepted under it. The first pair carries no valid token, so that the platform's gate refuses it; the second carries
a valid one and none of the fields that a card use must have.

It shows what the platform does with ids that it refuses. Whether one that fails in the middle of a call remembers them
is shown by observation only (platform_memory.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID

from card_usage.clock import SystemClock
from card_usage.config.connections import Connection
from card_usage.config.hospital import Hospital
from card_usage.delivery.call_budget import CallBudget
from card_usage.delivery.deliverer import opened_run
from card_usage.delivery.membership import Membership
from card_usage.delivery.platform_clock import PlatformClock
from card_usage.delivery.platform_memory import Known, LearnedBy, host_of, learn, read
from card_usage.delivery.run import Run
from card_usage.delivery.tokens import NoToken, TokenManager
from card_usage.ledger.database import Ledger
from card_usage.ledger.scope import LIVE, Scope
from card_usage.platform.outcome import OWN_REFUSALS, Answer, Memory, Reply
from card_usage.standard.code_tables import CodeTable
from card_usage.windows import local

CALLS: Final = 4
_NO_TOKEN: Final = "0" * 32
_REFUSED: Final = OWN_REFUSALS | {Answer.REFUSED, Answer.BUSY}


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibrated:
    """What the answers show (None: nothing), and what is known of the platform from now on. `answers`: in the order of
    the calls, each as its class and result code or the reason why there is none."""

    host: str
    app_id: str
    shown: Memory | None
    known: Known
    answers: tuple[str, ...]


def judge(pairs: Sequence[tuple[Answer, Answer]]) -> Memory | None:
    """What pairs of answers show, each to two calls under one id; the last pair's calls had a valid token."""
    if any(first in _REFUSED and second is Answer.REPEATED for first, second in pairs):
        return Memory.ON_SIGHT
    if pairs and pairs[-1] == (Answer.REFUSED, Answer.REFUSED):
        return Memory.ON_ACCEPTANCE
    return None


def calibrate(
    ledger: Ledger,
    hospital: Hospital,
    *,
    connection: Connection,
    tables: Mapping[str, CodeTable],
    anew: bool = False,
) -> Calibrated:
    """Make the calls and write down what they show. `anew`: even if it contradicts what was observed before.

    Raises BadConnection and LedgerUnreachable.
    """
    today = local(SystemClock().now()).date()

    async def run() -> Calibrated:
        scope = Scope(hospital.id, today, today)
        async with opened_run(ledger, hospital, scope, connection=connection, tables=tables) as opened:
            return await calibrate_run(opened, anew=anew)

    return asyncio.run(run())


async def calibrate_run(run: Run, *, anew: bool = False) -> Calibrated:
    """The same, with a run's clock, ledger and platform."""
    membership = await Membership.join(run)
    try:
        budget = CallBudget(run, clock := PlatformClock(run))
        tokens = TokenManager(run, membership.worker, budget)
        if not run.hospital.platform.live:
            await run.platform.read_clock()  # the platform's day limits its calls
        pairs = await _pairs(run, budget, tokens, clock)
    finally:
        await membership.leave()
    shown = judge([(first.answer, second.answer) for first, second in pairs])
    host = host_of(run.platform.base_url)
    if shown is None:
        known = await run.executor.write(partial(read, host=host, app_id=run.app_id))
    else:
        by, now = LearnedBy.CALIBRATION, run.clock.now()
        write = partial(learn, memory=shown, host=host, app_id=run.app_id, by=by, now=now, anew=anew)
        known = await run.executor.write(write)
    answers = tuple(_shown(reply) for pair in pairs for reply in pair)
    return Calibrated(host=host, app_id=run.app_id, shown=shown, known=known, answers=answers)


async def _pairs(run: Run, budget: CallBudget, tokens: TokenManager, clock: PlatformClock) -> list[tuple[Reply, Reply]]:
    """The replies, pair by pair; fewer than two where calls of today or a token are lacking."""
    reserve = partial(budget.reserve, lane=LIVE, wanted=CALLS, others_reserved=False)
    granted = await run.executor.write(reserve)
    if granted < CALLS:
        await run.executor.write(partial(budget.refund, lane=LIVE, calls=granted))
        return [(Reply(Answer.QUOTA, detail="own count"), Reply(Answer.QUOTA, detail="own count"))]
    pairs = [await _twice(run, _NO_TOKEN, clock)]
    try:
        token = await tokens.current()
        pair = await _twice(run, token.text, clock)
        if pair[0].answer is Answer.TOKEN and await run.executor.write(partial(reserve, wanted=2)) == 2:
            # One that another program has replaced since, or that a restored ledger remembers.
            tokens.invalidate(token.serial)
            pair = await _twice(run, (await tokens.current()).text, clock)
    except NoToken as refusal:
        return [*pairs, (refusal.reply, refusal.reply)]
    return [*pairs, pair]


async def _twice(run: Run, token: str, clock: PlatformClock) -> tuple[Reply, Reply]:
    """Two calls under one new id."""
    request_id = UUID(int=run.random.getrandbits(128), version=4).hex.upper()
    hospital_id = run.hospital.platform.hospital_id

    async def call() -> Reply:
        req = {"hospitalId": hospital_id}
        now = clock.timestamp().at
        return await run.platform.report(token=token, request_id=request_id, hospital_id=hospital_id, req=req, now=now)

    return await call(), await call()


def _shown(reply: Reply) -> str:
    return f"{reply.answer} {reply.detail if reply.result_code is None else reply.result_code}".strip()
