"""Rehearsal: `rehearse` does all that `run` does, against a sandbox, with a ledger and reports of its own; or it goes
through a flow of the document (flows.py).

The hospital's own ledger, reports and platform are left alone; of its ledger only the query slots are used, so that the
replica is asked no more than its file allows. Everything is sent as if the hospital were live.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from sqlalchemy import select

from card_usage import pipeline
from card_usage.cli.arguments import day_arguments
from card_usage.cli.command import Commands, CommandStopped, Invocation, Output, Result, add_command
from card_usage.cli.flows import add_flow_arguments, rehearse_flows
from card_usage.cli.pipeline import run_steps
from card_usage.config.connections import Connection
from card_usage.config.hospital import Hospital, load_hospital, load_valid_hospitals
from card_usage.config.settings import Settings
from card_usage.context import Context
from card_usage.delivery.binding import Target
from card_usage.delivery.calibration import calibrate
from card_usage.delivery.platform_memory import Known, read
from card_usage.errors import BadConnection, MissingSetting, NoRehearsal, PlatformChanged
from card_usage.ledger.database import Ledger, migrate, open_ledger
from card_usage.ledger.schema import binding
from card_usage.open_platform.flow_steps import FLOWS
from card_usage.platform.outcome import Memory


def _rehearse(invocation: Invocation) -> Result:
    args = invocation.args
    if args.flow is None and not (args.first and args.last):
        problem, remedy = "neither days nor a flow are named", f"add --from and --to, or one of {', '.join(FLOWS)}"
        raise NoRehearsal(hospital=args.hospital, problem=problem, remedy=remedy)
    with opened_rehearsal(invocation) as context:
        if args.flow is not None:
            return rehearse_flows(context, args)
        connection = context.connection_of(context.hospital.platform.connection)
        target = Target.of(connection, context.hospital)
        known = _known(context, connection, target)
        output = _described(context, target, known)
        try:
            done = run_steps(context, invocation.window, invocation.now)
        except CommandStopped as stopped:
            raise CommandStopped(output | stopped.output, stopped.error) from None
    return Result(settled=done.settled, output=output | done.output)


@contextmanager
def opened_rehearsal(invocation: Invocation) -> Iterator[Context]:
    """The hospital over the platform of its rehearsals, with a ledger that is bound to it. Raises NoRehearsal."""
    hospital = _as_rehearsed(load_hospital(invocation.settings.hospitals, invocation.args.hospital))
    connection = invocation.connection_of(hospital.platform.connection)
    target = Target.of(connection, hospital)
    with invocation.ledger() as real:
        _refuse_where_it_counts(invocation, real, hospital, target)
        with _own_context(invocation, hospital, real) as context:
            try:
                pipeline.bind_platform(context, now=invocation.now)
            except PlatformChanged as changed:
                raise NoRehearsal(
                    hospital=hospital.id,
                    problem=f"the last one went to {changed.details['was']}, connection '{connection.conn_id}' names "
                    f"{target}",
                    remedy="add --anew to begin one from nothing, or name the old sandbox again",
                ) from None
            yield context


def _as_rehearsed(hospital: Hospital) -> Hospital:
    """The hospital over its rehearsal's connection, without the daily limit, and named so in every report."""
    own = hospital.platform
    name = own.rehearsal_connection or f"{own.connection}_rehearsal"
    platform = own.model_copy(update={"connection": name, "live": True})
    names = {"name": f"{hospital.name}（演练）", "name_en": f"{hospital.name_en or hospital.name} (rehearsal)"}
    return hospital.model_copy(update={"platform": platform, **names})


def _refuse_where_it_counts(invocation: Invocation, real: Ledger, hospital: Hospital, target: Target) -> None:
    """Raises NoRehearsal where the rehearsal's host is one that a hospital reports to, now or by the ledger."""
    used: dict[str, str] = {}
    for other in load_valid_hospitals(invocation.settings.hospitals).hospitals:
        try:
            host = Target.of(invocation.connection_of(other.platform.connection), other).host
        except (MissingSetting, BadConnection):
            continue
        used[_plain(host)] = f"connection '{other.platform.connection}' of {other.id}"
    with real.read() as connection:
        for row in connection.execute(select(binding.c.host, binding.c.hospital)):
            used.setdefault(_plain(row.host), f"the ledger, for {row.hospital}")
    if (by := used.get(_plain(target.host))) is not None:
        raise NoRehearsal(
            hospital=hospital.id,
            problem=f"connection '{hospital.platform.connection}' names {target.host}, where {by} reports for real",
            remedy="name a sandbox or the platform's test system there",
        )


def _plain(host: str | None) -> str:
    """A host in one spelling."""
    return (host or "").lower().removesuffix(":443").removesuffix(":80")


@contextmanager
def _own_context(invocation: Invocation, hospital: Hospital, real: Ledger) -> Iterator[Context]:
    """The hospital with the rehearsal's ledger and folders; with --anew they begin empty."""
    settings = invocation.settings
    home = settings.rehearsals.absolute() / hospital.id
    if invocation.args.anew and home.exists():
        shutil.rmtree(home)
    home.mkdir(parents=True, exist_ok=True)
    own: Settings = replace(
        settings,
        ledger_url=f"sqlite:///{home}/ledger.db",
        reports=home / "reports",
        statements=home / "statements",
        evidence=home / "evidence",
        keyring=settings.keyring.with_folder(None),
    )
    migrate(own.ledger_url)
    ledger = open_ledger(own.ledger_url, own.keyring)
    try:
        yield Context(
            hospital=hospital,
            settings=own,
            ledger=ledger,
            connection_of=invocation.connection_of,
            slots_in=real,
        )
    finally:
        ledger.close()


def _known(context: Context, connection: Connection, target: Target) -> Known:
    """What is known of the sandbox's memory; found out first if nothing is."""
    with context.ledger.read() as reading:
        known = read(reading, host=target.host or "", app_id=target.app_id)
    if known.memory is not Memory.UNKNOWN:
        return known
    return calibrate(context.ledger, context.hospital, connection=connection, tables=context.tables).known


def _described(context: Context, target: Target, known: Known) -> Output:
    ledger = context.settings.ledger_url
    return {
        "rehearsal": {
            "platform": f"{target}, not the hospital's own",
            "request ids": f"remembered: {known.memory.value}",
            "sends": "as if live: no daily limit",
            "ledger": ledger,
            "reports": str(context.settings.reports),
            "look at it": f"CARD_USAGE_LEDGER_URL={ledger} python -m card_usage quality ...",
        }
    }


def add_commands(commands: Commands) -> None:
    """Add `rehearse`."""
    description = "the same as `run` against a sandbox, with a ledger of its own: nothing of it counts"
    command = add_command(commands, "rehearse", _rehearse, description, day_arguments(required=False))
    add_flow_arguments(command)
    command.add_argument("--anew", action="store_true", help="forget earlier rehearsals of this hospital")
