"""Metrics: `metrics` prints the ledger's figures for Prometheus, or serves them to whoever scrapes."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Mapping
from threading import Event

from card_usage.cli.command import Commands, add_setup_command
from card_usage.config.settings import Settings


def _metrics(args: argparse.Namespace, environment: Mapping[str, str]) -> str:
    """Needs neither a key nor a hospital's file: a login that `ledger allow-metrics` gave its rights is enough."""
    from card_usage.metrics.exporter import exposition, serve

    url = Settings.ledger_url_from(environment)
    if args.listen is None:
        return exposition(url).rstrip("\n")
    ended = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    address, port = args.listen
    serve(url, address, port, ended)
    return "ended"


def _listen(text: str) -> tuple[str, int]:
    """ADDRESS:PORT."""
    address, _, port = text.rpartition(":")
    if not address or not port.isdecimal() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"'{text}' is not ADDRESS:PORT, such as 127.0.0.1:9464")
    return address.strip("[]"), int(port)


def add_commands(commands: Commands) -> None:
    """Add `metrics`."""
    description = "the ledger's figures for Prometheus: print, or serve with --listen"
    metrics = add_setup_command(commands, "metrics", _metrics, description)
    metrics.add_argument("--listen", type=_listen, metavar="ADDRESS:PORT", help="serve /metrics until SIGTERM")
