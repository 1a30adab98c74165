"""`python -m platform_sandbox`: one line with the address, then silence until SIGTERM or Ctrl-C.

Exit codes: 0 stopped when asked; 2 could not start (wrong setting, port in use, journal), one line says why.
"""

import argparse
import asyncio
import errno
import logging
import os
import signal
import sys
from dataclasses import fields, replace
from io import TextIOWrapper
from pathlib import Path

from platform_sandbox.faults import Faults, SandboxError
from platform_sandbox.platform import Sandbox
from platform_sandbox.server import HttpServer, new_event_loop
from platform_sandbox.settings import DEMO_APP, PROFILES, QR_TEXTS, REPEATS, App, Config


def parser() -> argparse.ArgumentParser:
    """Every flag; those of the faults are the fields of Faults."""
    flags = argparse.ArgumentParser(
        prog="python -m platform_sandbox",
        description="A stand-in for the electronic health card open platform (document V2.1). See docs/sandbox.md.",
        allow_abbrev=False,
    )
    flags.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default %(default)s: this machine only)"
    )
    flags.add_argument("--port", type=int, default=8900, help="port, 0 for a free one (default %(default)s)")
    flags.add_argument(
        "--app",
        action="append",
        metavar="ID:SECRET:HOSPITAL[,HOSPITAL...]",
        help="an application and its hospitals; repeatable (default demo-app-id:demo-app-secret:10086)",
    )
    flags.add_argument(
        "--hospital", action="append", default=[], metavar="ID", help="one more hospital of the (first) app; repeatable"
    )
    flags.add_argument(
        "--profile", default="v2.1", choices=PROFILES, help="edition of the document (default %(default)s)"
    )
    flags.add_argument(
        "--repeat",
        default="accepted",
        choices=REPEATS,
        help="when a requestId is remembered: once accepted, or once seen by the interface or the gate (%(default)s)",
    )
    flags.add_argument(
        "--not-live", action="append", default=[], metavar="HOSPITAL", help="under the quota; repeatable"
    )
    flags.add_argument(
        "--quota", type=int, default=100, help="calls a day and interface if not live (default %(default)s)"
    )
    flags.add_argument("--token-life", type=float, default=7200, metavar="SECONDS", help="default %(default)s")
    flags.add_argument(
        "--rate-limit", type=int, default=0, metavar="N", help="calls a second and app, then 21007; 0: none"
    )
    flags.add_argument("--state", type=Path, metavar="FILE", help="journal of what was accepted, read again at start")
    flags.add_argument(
        "--qr", default="static", choices=QR_TEXTS, help="which QR text a registration gives (default %(default)s)"
    )
    flags.add_argument("--qr-life", type=float, default=60, metavar="SECONDS", help="default %(default)s")
    flags.add_argument(
        "--code-life",
        type=float,
        default=300,
        metavar="SECONDS",
        help="of a wechatCode or healthCode (%(default)s)",
    )
    flags.add_argument("--allow", action="append", default=[], metavar="IP", help="may call; repeatable (default any)")
    flags.add_argument(
        "--redirect", action="append", default=[], metavar="HOST", help="pages may lead back there; repeatable (any)"
    )
    flags.add_argument("--seed", type=int, default=0, help="of the faults' random choices (default %(default)s)")
    faults = flags.add_argument_group(
        "faults", "shares of calls between 0 and 1; also at run time: POST /sandbox/faults"
    )
    for fault in fields(Faults):
        name = "--" + fault.name.replace("_", "-")
        if fault.type is bool:
            faults.add_argument(name, action="store_true")
        else:
            faults.add_argument(name, type=int if fault.type is int else float, default=fault.default, metavar="N")
    return flags


def configured(arguments: argparse.Namespace) -> Config:
    """The config that the flags ask for; SandboxError if it cannot be."""
    faults = Faults(**{fault.name: getattr(arguments, fault.name) for fault in fields(Faults)})
    apps = [App.parse(text) for text in arguments.app] if arguments.app else [DEMO_APP]
    if arguments.hospital:
        apps[0] = replace(apps[0], hospitals=tuple(dict.fromkeys((*apps[0].hospitals, *arguments.hospital))))
    return Config(
        apps=tuple(apps),
        profile=arguments.profile,
        repeat=arguments.repeat,
        not_live=frozenset(arguments.not_live),
        quota=arguments.quota,
        token_life=arguments.token_life,
        rate_limit=arguments.rate_limit,
        state=arguments.state,
        seed=arguments.seed,
        qr=arguments.qr,
        qr_life=arguments.qr_life,
        code_life=arguments.code_life,
        allowed=frozenset(arguments.allow),
        redirects=frozenset(arguments.redirect),
        faults=faults,
    )


async def run(sandbox: Sandbox, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = HttpServer(sandbox, host=host, port=port)
    await server.start()
    config = sandbox.config
    hospitals = ", ".join(sorted(config.hospitals))
    journal = f", {len(sandbox.accepted.records)} accepted before" if config.state else ""
    print(f"platform sandbox: {server.url} (profile {config.profile}, hospitals {hospitals}{journal})", flush=True)
    await stop.wait()
    await server.stop()


def main(argv: list[str] | None = None) -> int:
    """Exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a path with a character that the terminal's encoding lacks
            stream.reconfigure(errors="backslashreplace")
    logging.basicConfig(format="platform sandbox: %(message)s", level=logging.ERROR)
    arguments = parser().parse_args(argv)
    try:
        if not 0 <= arguments.port <= 65535:
            raise SandboxError(f"port is 0 to 65535, not {arguments.port}")
        sandbox = Sandbox(configured(arguments))
    except SandboxError as error:
        return failed(str(error))
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(run(sandbox, arguments.host, arguments.port))
    except OSError as error:
        where = f"{arguments.host}:{arguments.port}"
        if error.errno == errno.EADDRINUSE:
            return failed(f"{where} is in use: stop what listens there, or choose another --port (0: a free one)")
        unknown_host = error.errno is None or error.errno < 0
        return failed(f"cannot listen on {where}: {error.strerror if unknown_host else os.strerror(error.errno or 0)}")
    finally:
        sandbox.close()
    return 0


def failed(message: str) -> int:
    """One line on stderr; 2."""
    print(f"platform sandbox: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
