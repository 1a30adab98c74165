"""Flows: `rehearse FLOW` goes through a flow of the document against a sandbox, step by step."""

from __future__ import annotations

import argparse
import asyncio
import base64
from pathlib import Path
from random import SystemRandom

from card_usage.cli.command import Result
from card_usage.config.http_clients import async_client
from card_usage.context import Context
from card_usage.errors import CallRefused, FlowBroken, RedirectRefused
from card_usage.open_platform.client import OpenPlatform
from card_usage.open_platform.flow_steps import FLOWS
from card_usage.open_platform.flows import Story, run_flow
from card_usage.open_platform.sandbox_surroundings import SandboxSurroundings, made_up_person
from card_usage.open_platform.session import opened_gate
from card_usage.open_platform.trace import Trace
from card_usage.words.catalogue import Words

ALL = "all"


def rehearse_flows(context: Context, args: argparse.Namespace) -> Result:
    """Go through the flows that are asked for, each with somebody made up; the first that fails ends it."""
    words = Words(context.hospital.report.language)
    lines: list[str] = []
    settled = asyncio.run(_run(context, args, words, lines))
    return Result(settled=settled, text="\n".join(lines))


async def _run(context: Context, args: argparse.Namespace, words: Words, lines: list[str]) -> bool:
    settings = context.hospital.platform
    connection = context.connection_of(settings.connection)
    picture = base64.b64encode(Path(args.picture).read_bytes()).decode() if args.picture else ""
    async with (
        opened_gate(context.ledger, context.hospital, connection=connection, tables=context.tables) as opened,
        async_client(connection.base_url(), seconds=settings.call_timeout_seconds) as http,
    ):
        caller, gate = opened
        platform = OpenPlatform(
            caller, gate, hospital_id=settings.hospital_id, tables=context.tables, profile=settings.profile
        )
        trace = Trace(caller) if args.trace else None
        around = SandboxSurroundings(connection.base_url(), http, app_id=connection.login)
        for name in FLOWS if args.flow == ALL else (args.flow,):
            if not await _one(name, platform, around, picture, connection.login, words, lines, trace):
                return False
    return True


async def _one(
    name: str,
    platform: OpenPlatform,
    around: SandboxSurroundings,
    picture: str,
    app_id: str,
    words: Words,
    lines: list[str],
    trace: Trace | None,
) -> bool:
    """One flow; what it did is added to the lines."""
    flow = FLOWS[name]
    lines.append(f"{words.text((flow.zh, flow.en))} ({name}, {flow.section})")
    now = platform.now()
    story = Story(platform=platform, around=around, app_id=app_id, now=now, picture=picture)
    problem = ""
    try:
        await run_flow(name, story, made_up_person(SystemRandom()))
    except (FlowBroken, CallRefused, RedirectRefused) as error:
        problem = str(error)
    for number, step in enumerate(story.taken, start=1):
        called = f"  {step.interface}" if step.interface else ""
        lines.append(f"  + {number}. {words.text((step.zh, step.en))} [{step.section}]{called}")
    if trace is not None:
        lines += [f"    {line}" for line in trace.lines]
        trace.lines.clear()
    if problem:
        lines.append(f"  x {len(story.taken) + 1}. {problem}")
    return not problem


def add_flow_arguments(command: argparse.ArgumentParser) -> None:
    """Add FLOW, --picture and --trace to `rehearse`."""
    command.add_argument(
        "flow",
        nargs="?",
        metavar="FLOW",
        choices=[*FLOWS, ALL],
        help=f"instead of days a flow of the document: {', '.join(FLOWS)} or {ALL}",
    )
    command.add_argument("--picture", metavar="FILE", help="picture of an ID for new-card; none: it is typed in")
    command.add_argument("--trace", action="store_true", help="print every call of the flow, patients masked")
