"""Report index: the page that lists reports in the UI: all hospitals, each hospital's days and months, a run's files.

Users see the hospitals whose DAGs Airflow lets them see, the page of a region if they see all of its hospitals, and the
page of all hospitals with access to the daily reconciliation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from card_usage_airflow import hospital_files, task_context

if TYPE_CHECKING:
    from card_usage.config.hospital import Hospital
    from card_usage.files.store import Store
    from card_usage.words.catalogue import Words
    from sqlalchemy import Connection

MOST_DAYS: Final = 62
MOST_VIEWINGS: Final = 500
_FIRST: Final = ("html", "xlsx", "json", "mail.html")

Files = list[dict[str, str]]


def index_page(may_see: Callable[[str], bool], prefix: str) -> str:
    """The page that lists all reports. Raises the errors of settings and ledger."""
    from card_usage.ledger.database import viewed
    from card_usage.report.publish import FLEET
    from card_usage.words.catalogue import Words

    settings = task_context.page_settings()
    words = Words(settings.language)
    with viewed(settings.ledger_url) as connection:
        whole = _entries(connection, FLEET, words)[:MOST_DAYS] if may_see("") else []
        seen = [hospital for hospital in hospital_files.hospitals() if may_see(hospital.id)]
        regions = [
            {"name": words("fleet.title_of_region", region=region), "entries": entries}
            for region in _whole_regions(seen)
            if (entries := _entries(connection, f"{FLEET}{region}", words)[:MOST_DAYS])
        ]
        hospitals = [
            {"name": hospital.label, "entries": _entries(connection, hospital.id, words)[:MOST_DAYS]}
            for hospital in seen
        ]
    verdict = _verdict(settings.store, whole[0]["files"]) if whole else None
    return _rendered(words, prefix, whole=whole, hospitals=[*regions, *hospitals], verdict=verdict, names=None)


def _whole_regions(seen: Iterable[Hospital]) -> list[str]:
    """Regions of which every hospital is among these."""
    hidden = {hospital.id for hospital in hospital_files.hospitals()} - {hospital.id for hospital in seen}
    partly = {hospital.region for hospital in hospital_files.hospitals() if hospital.id in hidden}
    return sorted({hospital.region for hospital in seen if hospital.region} - partly)


def run_page(names: Iterable[str], prefix: str) -> str:
    """The page that lists one run's files, given by their names in the store."""
    from card_usage.words.catalogue import Words

    words = Words(task_context.page_settings().language)
    places: dict[str, Files] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        places.setdefault(folder, []).append({"path": name, "kind": file.partition(".")[2], "name": file})
    for files in places.values():
        for entry in files:
            entry["name"] = words.known("file_kind", entry["kind"])
    listed = [{"when": folder, "files": _in_order(files)} for folder, files in places.items()]
    return _rendered(words, prefix, whole=[], hospitals=[], verdict=None, names=listed)


def viewings_page(prefix: str) -> str:
    """The page that lists who opened what. Raises the errors of settings and ledger."""
    from card_usage.ledger.database import viewed
    from card_usage.ledger.viewings import viewings
    from card_usage.plain_text import visible
    from card_usage.windows import local
    from card_usage.words.catalogue import Words

    settings = task_context.page_settings()
    with viewed(settings.ledger_url) as connection:
        found = viewings(connection, most=MOST_VIEWINGS)
    rows = [(f"{local(one.at):%Y-%m-%d %H:%M:%S}", visible(one.viewer), visible(one.path), one.status) for one in found]
    return str(_template("viewings.html.jinja").render(w=Words(settings.language), prefix=prefix, rows=rows))


def _entries(connection: Connection, hospital: str, words: Words) -> list[dict[str, Any]]:
    """A hospital's days and months, the newest first, each with its files."""
    from card_usage.ledger.schema import report_file
    from sqlalchemy import select

    query = select(report_file.c.day, report_file.c.kind, report_file.c.path).where(report_file.c.hospital == hospital)
    entries: dict[tuple[date, bool], Files] = {}
    for day, kind, path in connection.execute(query):
        of_month, plain = kind.startswith("month."), kind.removeprefix("month.")
        entry = {"path": path, "kind": plain, "name": words.known("file_kind", plain)}
        entries.setdefault((day, of_month), []).append(entry)
    return [
        {"when": words.month(day) if of_month else words.day(day), "month": of_month, "files": _in_order(files)}
        for (day, of_month), files in sorted(entries.items(), key=_sort_key, reverse=True)
    ]


def _sort_key(entry: tuple[tuple[date, bool], Files]) -> tuple[date, bool, date]:
    """In descending order a month comes before its days."""
    (day, of_month), _ = entry
    return day.replace(day=1), of_month, day


def _in_order(files: Files) -> Files:
    def position(entry: Mapping[str, str]) -> tuple[int, str]:
        kind = entry["kind"]
        return _FIRST.index(kind) if kind in _FIRST else len(_FIRST), kind

    return sorted(files, key=position)


def _verdict(store: Store, files: Files) -> Mapping[str, str] | None:
    """Verdict (level and text) of the newest page of all hospitals; None if its JSON cannot be read."""
    for file in files:
        if file["kind"] == "json":
            try:
                verdict: Mapping[str, str] = json.loads(store.read(file["path"]))["verdict"]
            except (OSError, ValueError, KeyError):
                return None
            return verdict
    return None


def _rendered(words: Words, prefix: str, **fields: Any) -> str:
    return str(_template("report_index.html.jinja").render(w=words, prefix=prefix, **fields))


def _template(name: str) -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
