"""Publish: a hospital's day and month, and the fleet, as pages that a manager can sign, sheets, a mail, and JSON.

A page is one file without scripts or anything from elsewhere: it prints to A4 and reads on a phone; the mail says the
same to mail clients. All hold counts, codes and names of codes; nothing in them says who a patient is.

figures, month, fleet        all that is said, as plain values (the JSON; its schemas stand beside as *.schema.json)
totals, status, actions      what these have in common
chart, charts, sections      each chart with its figure, words and schema; the parts of the JSON that are of charts
html, drawings, svg, sankey  the values as HTML
xlsx                         the values as sheets
mail                         the values as a mail
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from card_usage.config.hospital import Hospital
from card_usage.context import Context
from card_usage.files.store import Store
from card_usage.ledger import report_files
from card_usage.ledger.database import Ledger
from card_usage.report import day_uses, fleet, month, xlsx
from card_usage.report.figures import figures
from card_usage.report.fleet import FLEET
from card_usage.report.html import render
from card_usage.report.mail import Mail, mail
from card_usage.windows import Window
from card_usage.words.catalogue import Language

FLEET_FOLDER = "_fleet"
"""No hospital's id begins so."""
REGION_FOLDER = "_region_"
"""The folder of a region's pages is this and its code."""

Files = dict[str, str]
"""Kind of file -> its name in the store."""


def publish_days(context: Context, window: Window, *, now: datetime) -> tuple[str, ...]:
    """Write the report of each of the window's days; returns the files' names in the store, HTML first."""
    days = context.hospital.until_end(window).days
    return tuple(name for day in days for name in _of_context(publish, context, day, now).values())


def publish_month_of(context: Context, day: date, *, now: datetime) -> tuple[str, ...]:
    """Write the report of the month of a day; returns the files' names in the store, HTML first."""
    return tuple(_of_context(publish_month, context, day, now).values())


def _of_context(write: Callable[..., Files], context: Context, day: date, now: datetime) -> Files:
    hospital = context.hospital
    return write(context.ledger, hospital, day, context.settings.store, language=hospital.report.language, now=now)


def publish(ledger: Ledger, hospital: Hospital, day: date, store: Store, *, language: Language, now: datetime) -> Files:
    """Write <hospital>/<day>/card-usage-<day>.html, .json, .xlsx and .mail.html, each whole or not at all.

    The same day again replaces them. All are indexed in the ledger by their name, and the day's sums of uses are stored
    there for months to come. Raises OSError if the store cannot be written.
    """
    with ledger.read() as connection:
        summed = day_uses.of_day(connection, hospital.id, day)
    # Kept first: the trend of the report shows this day too.
    with ledger.write() as connection:
        day_uses.save(connection, hospital.id, day, summed)
    with ledger.read() as connection:
        of_day = figures(connection, hospital, day, language=language, now=now, uses=summed)
    stem = f"{hospital.id}/{day.isoformat()}/card-usage-{day.isoformat()}"
    return _written(ledger, store, of_day, stem, hospital=hospital.id, day=day, prefix="", now=now)


def publish_month(
    ledger: Ledger, hospital: Hospital, day: date, store: Store, *, language: Language, now: datetime
) -> Files:
    """The same for the month of a day: <hospital>/<month>/card-usage-<month>.*; kinds are `month.html` and so on."""
    with ledger.read() as connection:
        of_month = month.figures(connection, hospital, day, language=language, now=now)
    stem = f"{hospital.id}/{of_month['month']}/card-usage-{of_month['month']}"
    return _written(
        ledger, store, of_month, stem, hospital=hospital.id, day=day.replace(day=1), prefix="month.", now=now
    )


def publish_fleet(
    ledger: Ledger,
    hospitals: Sequence[Hospital],
    day: date,
    store: Store,
    *,
    broken: Mapping[str, str],
    language: Language,
    now: datetime,
) -> tuple[Files, dict[str, Any]]:
    """The same for all hospitals after a day: _fleet/<day>/card-usage-fleet-<day>.*; and the figures, for the mail."""
    with ledger.read() as connection:
        of_fleet = fleet.figures(connection, hospitals, day, broken=broken, language=language, now=now)
    stem = f"{FLEET_FOLDER}/{day.isoformat()}/card-usage-fleet-{day.isoformat()}"
    return _written(ledger, store, of_fleet, stem, hospital=FLEET, day=day, prefix="", now=now), of_fleet


def publish_regions(
    ledger: Ledger, hospitals: Sequence[Hospital], day: date, store: Store, *, language: Language, now: datetime
) -> list[str]:
    """The same page for each region's hospitals alone, _region_<code>/<day>/card-usage-fleet-<day>.*, for who may see
    no others; returns the files' names. Rows of `report_file` name the region behind a *.
    """
    names: list[str] = []
    for region in sorted({hospital.region for hospital in hospitals if hospital.region}):
        inside = [hospital for hospital in hospitals if hospital.region == region]
        with ledger.read() as connection:
            page = fleet.figures(connection, inside, day, broken={}, language=language, now=now, region=region)
        stem = f"{REGION_FOLDER}{region}/{day.isoformat()}/card-usage-fleet-{day.isoformat()}"
        files = _written(ledger, store, page, stem, hospital=f"{FLEET}{region}", day=day, prefix="", now=now)
        names += files.values()
    return names


def _written(
    ledger: Ledger,
    store: Store,
    figures_of_report: dict[str, Any],
    stem: str,
    *,
    hospital: str,
    day: date,
    prefix: str,
    now: datetime,
) -> Files:
    contents = {
        "html": render(figures_of_report).encode(),
        "json": (json.dumps(figures_of_report, ensure_ascii=False, indent=1) + "\n").encode(),
        "xlsx": xlsx.render(figures_of_report),
        "mail.html": mail(figures_of_report).html.encode(),
    }
    names = {f"{prefix}{kind}": f"{stem}.{kind}" for kind in contents}
    for content, name in zip(contents.values(), names.values(), strict=True):
        store.write(name, content)
    with ledger.write() as connection:
        for kind, name in names.items():
            report_files.index(connection, hospital, day, kind, name, contents[kind.removeprefix(prefix)], now)
    return names


__all__ = [
    "FLEET",
    "FLEET_FOLDER",
    "REGION_FOLDER",
    "Files",
    "Mail",
    "mail",
    "publish",
    "publish_days",
    "publish_fleet",
    "publish_month",
    "publish_month_of",
    "publish_regions",
]
