"""Report: `report-month` and `report-fleet`, made from the sums that were stored with each day's report."""

from __future__ import annotations

import argparse
from datetime import date, timedelta

from card_usage.cli.arguments import day, hospital_arguments
from card_usage.cli.command import Commands, Invocation, Result, add_command
from card_usage.config.hospital import load_valid_hospitals
from card_usage.report.mail import mail
from card_usage.report.publish import publish_fleet, publish_month_of, publish_regions
from card_usage.windows import local
from card_usage.words.catalogue import LANGUAGES


def _month(invocation: Invocation) -> Result:
    with invocation.context() as context:
        names = publish_month_of(context, invocation.args.month, now=invocation.now)
        return Result(output={"report": [context.settings.store.location(name) for name in names]})


def _fleet(invocation: Invocation) -> Result:
    hospitals, broken = load_valid_hospitals(invocation.settings.hospitals)
    language = invocation.args.language or invocation.settings.language
    day = invocation.args.day or local(invocation.now).date() - timedelta(days=1)
    store = invocation.settings.store
    with invocation.ledger() as ledger:
        files, figures = publish_fleet(
            ledger, hospitals, day, store, broken=broken, language=language, now=invocation.now
        )
        regions = publish_regions(ledger, hospitals, day, store, language=language, now=invocation.now)
    if invocation.args.text:
        return Result(text=mail(figures).text)
    return Result(text="\n".join([figures["verdict"]["text"], *map(store.location, [*files.values(), *regions])]))


def _month_day(text: str) -> date:
    """A month argument."""
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no month: write it as 2026-11") from None


def add_commands(commands: Commands) -> None:
    """Add `report-month` and `report-fleet`."""
    description = "write a month's report: page, sheets, mail, JSON"
    month = add_command(commands, "report-month", _month, description, hospital_arguments())
    month.add_argument("--month", required=True, type=_month_day, metavar="YYYY-MM", help="which month")
    fleet = add_command(commands, "report-fleet", _fleet, "write the page of all hospitals after a day")
    fleet.add_argument("--day", type=day, metavar="DATE", help="local day; yesterday if not given")
    fleet.add_argument("--language", choices=LANGUAGES, help="CARD_USAGE_LANGUAGE if not given")
    fleet.add_argument("--text", action="store_true", help="print what the morning mail says")
