"""Platform calls: `platform check` says whether the platform can be used, `platform call` makes one call of any
interface and shows it as the vendor's SDK would, `platform sign` explains a signature.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from card_usage.cli.arguments import hospital_arguments
from card_usage.cli.command import Commands, Invocation, Result, add_command
from card_usage.config.hospital import load_hospital
from card_usage.errors import FileUnusable
from card_usage.interfaces.declaration import Repetition, Request, parameters
from card_usage.interfaces.table import INTERFACES
from card_usage.open_platform.advice import advice
from card_usage.open_platform.check import Look, check_platform
from card_usage.open_platform.client import Answered, OpenPlatform
from card_usage.open_platform.session import opened_gate
from card_usage.open_platform.sign_check import explain
from card_usage.open_platform.trace import MASK, Trace, masked_parameters
from card_usage.open_platform.wire_requests import request_from_wire
from card_usage.platform.outcome import UNAVAILABLE
from card_usage.platform.signature import signed_text
from card_usage.words.catalogue import Words

_MARKS = {"ok": "+", "warn": "!", "missing": "x"}


def look_lines(looks: list[Look], words: Words) -> list[str]:
    """One line a check, as `hospital check` has them too."""
    return [f"{_MARKS[look.state]} {words(f'survey.mark.{look.state}')}  {look.text}" for look in looks]


def _check(invocation: Invocation) -> Result:
    with invocation.context() as context:
        words = Words(context.hospital.report.language)
        looks = check_platform(context, invocation.connection_of(context.hospital.platform.connection))
    missing = sum(look.state == "missing" for look in looks)
    if invocation.args.json:
        return Result(settled=not missing, output={"checks": [look.summary() for look in looks]})
    last = words("platform_check.bad", count=missing) if missing else words("platform_check.good")
    return Result(settled=not missing, text="\n".join([*look_lines(looks, words), last]))


def _call(invocation: Invocation) -> Result:
    args = invocation.args
    interface = INTERFACES[args.name]
    given = _read(args.json)
    req = given["req"] if isinstance(given.get("req"), dict) else given
    request = request_from_wire(interface, req)

    with invocation.context() as context:
        hospital = context.hospital
        connection = invocation.connection_of(hospital.platform.connection)

        async def run() -> tuple[Answered[Any], list[str]]:
            async with opened_gate(context.ledger, hospital, connection=connection, tables=context.tables) as opened:
                platform, gate = opened
                trace = Trace(platform, unmasked=args.unmasked)
                settings = hospital.platform
                client = OpenPlatform(
                    platform,
                    gate,
                    hospital_id=settings.hospital_id,
                    tables=context.tables,
                    profile=settings.profile,
                )
                return await _answered(client, request, args.request_id), trace.lines

        answered, lines = asyncio.run(run())
        words = Words(hospital.report.language)
    return Result(settled=answered.rsp is not None, text="\n".join([*lines, *_told(answered, words)]))


async def _answered(client: OpenPlatform, request: Request[Any], request_id: str | None) -> Answered[Any]:
    return await client.call(request, request_id=request_id)


def _told(answered: Answered[Any], words: Words) -> list[str]:
    """What the answer means, and what to do."""
    reply = answered.reply
    code = "-" if reply.result_code is None else str(reply.result_code)
    lines = [words("platform_call.answer", answer=reply.answer.value, code=code, meaning=answered.meaning or "-")]
    if answered.rsp is None:
        if reply.result_code is not None:
            lines.append(words("platform_call.advice", advice=advice(reply.result_code, words)))
        if reply.answer in UNAVAILABLE:
            repetition: Repetition = answered.interface.repetition
            lines.append(words(f"platform_call.{repetition.value}", request_id=answered.request_id))
    return lines


def _sign(invocation: Invocation) -> Result:
    args = invocation.args
    hospital = load_hospital(invocation.settings.hospitals, args.hospital)
    connection = invocation.connection_of(hospital.platform.connection)
    given = _read(args.json)
    common, req = given.get("commonIn", {}), given.get("req", {} if "commonIn" in given else given)
    if not isinstance(common, dict) or not isinstance(req, dict):
        raise FileUnusable(path=args.json, reason="commonIn and req are JSON objects")
    explained = explain(common, req, connection.password)
    words = Words(hospital.report.language)
    text = explained.text if args.unmasked else _masked_text(common, req)
    lines = [words("platform_sign.text", text=f"{text}{MASK}"), words("platform_sign.sign", sign=explained.sign)]
    if explained.given:
        if explained.is_right:
            lines.append(words("platform_sign.right"))
        elif explained.mistake:
            lines.append(words("platform_sign.wrong", why=words(f"sign_mistake.{explained.mistake}")))
        else:
            lines.append(words("platform_sign.unknown"))
    return Result(settled=explained.is_right, text="\n".join(lines))


def _masked_text(common: Mapping[str, Any], req: Mapping[str, Any]) -> str:
    """The signed text with the token and whatever any interface says is about a patient masked."""
    best = max(INTERFACES.values(), key=lambda each: len(_names(each.request, req)))
    masked = masked_parameters(best.request, req)
    token = {"appToken": MASK} if common.get("appToken") else {}
    return signed_text({**common, **token}, masked)


def _names(kind: type[Request[Any]], req: Mapping[str, Any]) -> set[str]:
    """The names in a call that an interface has: the one with most of them is taken to be called."""
    return {parameter.name for parameter in parameters(kind).values()} & req.keys()


def _read(name: str) -> dict[str, Any]:
    """The JSON object of a file, or of standard input (-)."""
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8-sig")
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise FileUnusable(path=name, reason="it is no JSON in UTF-8") from None
    if not isinstance(found, dict):
        raise FileUnusable(path=name, reason="it is no JSON object")
    return found


def add_calls(platform: Commands) -> None:
    """Add `platform check`, `platform call` and `platform sign`."""
    description = "address, TLS, clock, token, hospital id, IP allow-list and quota, without reporting anything"
    add_command(platform, "check", _check, description, hospital_arguments())
    call = add_command(platform, "call", _call, "one call of any interface, shown as the vendor's SDK logs it")
    call.add_argument("name", metavar="NAME", choices=list(INTERFACES), help="; ".join(INTERFACES))
    _file_arguments(call, "its req as JSON, or a whole call whose req is taken; - reads standard input")
    call.add_argument("--request-id", metavar="ID", help="instead of a new one: to repeat a call that was not answered")
    sign = add_command(platform, "sign", _sign, "show the text that is signed, and explain a signature (21006)")
    _file_arguments(sign, "a whole call, commonIn and req, or a req; - reads standard input")


def _file_arguments(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("--hospital", required=True, metavar="ID", help="name of its file among the hospitals")
    command.add_argument("--json", required=True, metavar="FILE", help=what)
    command.add_argument("--unmasked", action="store_true", help="print what is about patients, too")
