"""What the reports' page in the UI lists: the fleet's newest page, each hospital's days and months, a run's own files.

A user sees the hospitals whose DAGs Airflow lets him see, and the fleet's page if he may see the daily count of all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from card_usage_airflow import hospital_files, task_context

if TYPE_CHECKING:
    from card_usage.files.store import Store
    from card_usage.words.catalogue import Words
    from sqlalchemy import Connection

MOST_DAYS: Final = 62
_FIRST: Final = ("html", "xlsx", "json", "mail.html")

Files = list[dict[str, str]]


def listing(may_see: Callable[[str], bool], prefix: str) -> str:
    """The page of all reports. Raises the errors of settings and ledger."""
    from card_usage.ledger.database import open_ledger
    from card_usage.report.publish import FLEET
    from card_usage.words.catalogue import Words

    settings = task_context.settings()
    words = Words(settings.language)
    ledger = open_ledger(settings.ledger_url, settings.keyring)
    try:
        with ledger.read() as connection:
            whole = _entries(connection, FLEET, words)[:MOST_DAYS] if may_see("") else []
            hospitals = [
                {"name": found.label, "entries": _entries(connection, found.id, words)[:MOST_DAYS]}
                for found in hospital_files.hospitals()
                if may_see(found.id)
            ]
    finally:
        ledger.close()
    verdict = _verdict(settings.store, whole[0]["files"]) if whole else None
    return _rendered(words, prefix, whole=whole, hospitals=hospitals, verdict=verdict, names=None)


def of_run(names: Iterable[str], prefix: str) -> str:
    """The page of one run's files, by their names in the store."""
    from card_usage.words.catalogue import Words

    words = Words(task_context.settings().language)
    places: dict[str, Files] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        places.setdefault(folder, []).append({"path": name, "kind": file.partition(".")[2], "name": file})
    for files in places.values():
        for one in files:
            one["name"] = words.known("file_kind", one["kind"])
    listed = [{"when": folder, "files": _in_order(files)} for folder, files in places.items()]
    return _rendered(words, prefix, whole=[], hospitals=[], verdict=None, names=listed)


def _entries(connection: Connection, hospital: str, words: Words) -> list[dict[str, Any]]:
    """Days and months, the newest first, each with its files."""
    from card_usage.ledger.schema import report_file
    from sqlalchemy import select

    query = select(report_file.c.day, report_file.c.kind, report_file.c.path).where(report_file.c.hospital == hospital)
    found: dict[tuple[date, bool], Files] = {}
    for day, kind, path in connection.execute(query):
        of_month, plain = kind.startswith("month."), kind.removeprefix("month.")
        one = {"path": path, "kind": plain, "name": words.known("file_kind", plain)}
        found.setdefault((day, of_month), []).append(one)
    return [
        {"when": words.month(day) if of_month else words.day(day), "month": of_month, "files": _in_order(files)}
        for (day, of_month), files in sorted(found.items(), key=_newest, reverse=True)
    ]


def _newest(entry: tuple[tuple[date, bool], Files]) -> tuple[date, bool, date]:
    """A month stands before its days."""
    (day, of_month), _ = entry
    return day.replace(day=1), of_month, day


def _in_order(files: Files) -> Files:
    return sorted(files, key=lambda one: (_FIRST.index(one["kind"]) if one["kind"] in _FIRST else 9, one["kind"]))


def _verdict(store: Store, files: Files) -> Mapping[str, str] | None:
    """Level and sentence of the fleet's newest page; None: its JSON cannot be read."""
    for one in files:
        if one["kind"] == "json":
            try:
                found: Mapping[str, str] = json.loads(store.read(one["path"]))["verdict"]
            except (OSError, ValueError, KeyError):
                return None
            return found
    return None


def _rendered(words: Words, prefix: str, **found: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report_index.html.jinja").render(w=words, prefix=prefix, **found)
