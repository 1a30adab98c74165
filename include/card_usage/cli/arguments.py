"""Arguments: types and groups of arguments that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import date


def day(text: str) -> date:
    """A date argument, from 2000 to 2099."""
    try:
        value = date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no date: write it as 2026-11-23") from None
    if not 2000 <= value.year < 2100:
        raise argparse.ArgumentTypeError(f"'{text}' is no day from 2000 to 2099")
    return value


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number from `least` to `most`, both included."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text[:9]) <= most and len(text) <= 9):
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {least} to {most}")
        return int(text)

    return parse


def hospital_arguments() -> argparse.ArgumentParser:
    """--hospital and --json."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--hospital", required=True, metavar="ID", help="name of its file among the hospitals")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def day_arguments(*, required: bool = True) -> argparse.ArgumentParser:
    """--hospital, --json, and --from and --to: local days, both included."""
    parser = argparse.ArgumentParser(add_help=False, parents=[hospital_arguments()])
    parser.add_argument("--from", dest="first", required=required, type=day, metavar="DATE", help="first local day")
    parser.add_argument(
        "--to", dest="last", required=required, type=day, metavar="DATE", help="last local day, included"
    )
    return parser
