"""Upgrade: `upgrade` gets cards for patients of a list, in batches (document 2.5): shows first, sends with --yes."""

from __future__ import annotations

import asyncio
import csv
import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from card_usage.cli.arguments import hospital_arguments
from card_usage.cli.command import Commands, Invocation, Output, Result, add_command
from card_usage.config.connections import Connection
from card_usage.context import Context
from card_usage.errors import BadConnection, BadHospitalFile, FileUnusable
from card_usage.files.atomic import write_atomically
from card_usage.interfaces.messages import PatientToRegister
from card_usage.open_platform.advice import advice
from card_usage.open_platform.client import OpenPlatform
from card_usage.open_platform.session import opened_gate
from card_usage.open_platform.validation import Problem, item_problems
from card_usage.pipeline import bind_platform
from card_usage.upgrade import store
from card_usage.upgrade.patient_list import rows
from card_usage.upgrade.patients import Batched, patient
from card_usage.upgrade.run import Upgraded, send
from card_usage.words.catalogue import Words

OFFLINE_CODE = "offline_wechat_code"
"""Name in the connection's extra: 离线微信身份码, given by the platform's staff (3.2.9)."""


@dataclass(kw_only=True)
class Listed:
    """A list that was read: the good patients, and the problems of the others by line."""

    rows: int = 0
    twice: int = 0
    good: dict[tuple[str, str], PatientToRegister] = field(default_factory=dict, repr=False)
    bad: list[tuple[int, Problem]] = field(default_factory=list)

    def summary(self) -> dict[str, int]:
        """Counts: rows, good ones, those quarantined, repetitions of a person."""
        quarantined = len({line for line, _ in self.bad})
        return {"rows": self.rows, "good": len(self.good), "quarantined": quarantined, "twice": self.twice}

    def causes(self) -> list[dict[str, object]]:
        """Why rows are quarantined: parameter, the document's message, how many."""
        counts = Counter((problem.path, problem.code, problem.meaning) for _, problem in self.bad)
        return [
            {"parameter": path, "code": code, "means": meaning, "rows": number}
            for (path, code, meaning), number in counts.most_common()
        ]


def _upgrade(invocation: Invocation) -> Result:
    args = invocation.args
    with invocation.context() as context:
        connection = invocation.connection_of(context.hospital.platform.connection)
        batched = _batched(invocation, context, connection)
        listed = _read(Path(args.file), context, batched) if args.file else Listed()
        output: Output = {}
        if args.file:
            output["list"] = listed.summary()
            if listed.bad:
                output["quarantined"] = listed.causes()
        done = Upgraded()
        if args.yes:
            bind_platform(context, now=invocation.now)
            if listed.good:
                good, hospital, keyring = listed.good.values(), context.hospital.id, context.ledger.keyring
                with context.ledger.write() as writing:
                    output["taken in"] = dict(store.take_in(writing, keyring, hospital, good, invocation.now))
            done = asyncio.run(_send(context, connection))
            output["sent"] = {"calls": done.calls, **done.counts}
        with context.ledger.read() as reading:
            states = store.states(reading, context.hospital.id)
        output["patients"] = states
        words = Words(context.hospital.report.language)
        if done.stopped:
            told = advice(done.code, words) if done.code is not None else "run the same command again later"
            output["stopped"] = f"{done.stopped}: {told}"
        if args.out:
            output["written"] = _write(Path(args.out), context, listed)
        if not args.yes:
            output["next"] = "nothing was sent: add --yes to register them"
    left = states.get("ready", 0) + states.get("batched", 0)
    return Result(settled=args.yes and not left and not done.stopped and not listed.bad, output=output)


def _batched(invocation: Invocation, context: Context, connection: Connection) -> Batched:
    """What all patients have. Raises BadConnection and BadHospitalFile."""
    code = connection.extra.get(OFFLINE_CODE)
    if not isinstance(code, str) or not code:
        problem = f"has no {OFFLINE_CODE} in its extra (离线微信身份码, document 3.2.9: ask the platform's staff)"
        raise BadConnection(conn_id=connection.conn_id, problem=problem, variable=connection.conn_id.upper())
    url = context.hospital.upgrade.card_list_url
    if not url:
        path = (invocation.settings.hospitals / f"{context.hospital.id}.toml").as_posix()
        problem = "is absent: the page of the hospital's account that lists a user's cards (wechatUrl, document 3.2.9)"
        raise BadHospitalFile(path=path, key="upgrade.card_list_url", problem=problem)
    return Batched(wechat_code=code, wechat_url=url)


def _read(path: Path, context: Context, batched: Batched) -> Listed:
    """Every row of the list, normalized and checked."""
    listed = Listed()
    card_types, tables = context.tables["card_type"], context.tables
    try:
        for line, row in rows(path):
            listed.rows += 1
            one = patient(row, batched, card_types)
            key = (one.id_type, one.id_number)
            if found := item_problems(one, tables, context.hospital.platform.profile):
                listed.bad += [(line, problem) for problem in found]
            elif key in listed.good:
                listed.twice += 1
            else:
                listed.good[key] = one
    except OSError as error:
        raise FileUnusable(path=path, reason=error.strerror or type(error).__name__) from None
    return listed


async def _send(context: Context, connection: Connection) -> Upgraded:
    settings = context.hospital.platform
    async with opened_gate(context.ledger, context.hospital, connection=connection, tables=context.tables) as (
        caller,
        gate,
    ):
        platform = OpenPlatform(
            caller, gate, hospital_id=settings.hospital_id, tables=context.tables, profile=settings.profile
        )
        return await send(context, platform, gate, size=context.hospital.upgrade.patients_a_batch)


def _write(folder: Path, context: Context, listed: Listed) -> list[str]:
    """The lines that are quarantined and why, without anything of a patient; the openIds to send the message to."""
    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("行", "参数", "返回码", "说明", "提示"))
    writer.writerows((line, each.path, each.code, each.meaning, each.hint) for line, each in listed.bad)
    quarantined = folder / "quarantined.csv"
    write_atomically(quarantined, text.getvalue().encode("utf-8-sig"))
    with context.ledger.read() as reading:
        cards = store.cards(reading, context.ledger.keyring, context.hospital.id)
        told = "".join(f"{card['openId']}\n" for card in cards)
    openids = folder / "openids.txt"
    write_atomically(openids, told.encode())
    openids.chmod(0o600)
    return [str(quarantined), str(openids)]


def add_commands(commands: Commands) -> None:
    """Add `upgrade`."""
    description = "get cards for the patients of a list, in batches; shows first, sends with --yes"
    command = add_command(commands, "upgrade", _upgrade, description, hospital_arguments())
    command.add_argument("--file", metavar="FILE", help="the list, CSV (docs/upgrade.md); none: go on")
    command.add_argument("--yes", action="store_true", help="take the list in and send it; without it nothing is done")
    command.add_argument("--out", metavar="FOLDER", help="write quarantined.csv and openids.txt there")
