"""Data Docs: what Great Expectations (GX) found in a window, as one page beside the report.

GX's own pages are English and load scripts, styles and a picture from elsewhere. This one is in the language of the
hospital's reports, opens in a hospital's network, makes no request and runs no script. Results are yes, no and counts:
the page has no value of any column.
"""

from __future__ import annotations

from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any, Final

from card_usage.config.hospital import Hospital
from card_usage.files.store import Store
from card_usage.ledger import report_files
from card_usage.ledger.database import Ledger
from card_usage.quality.verdict_texts import reason_text
from card_usage.quality.verdicts import Verdict
from card_usage.windows import Window, day_window, local
from card_usage.words.catalogue import Words

STYLE: Final = Path(__file__).with_name("data_docs.css")
KIND: Final = "quality"


class Pages:
    """Collects the results of GX, suite by suite; pass it to `check` as `on_results`."""

    def __init__(self) -> None:
        self._suites: list[tuple[str, list[tuple[bool, str]]]] = []

    def __call__(self, suite: Any, results: Any) -> None:
        """One suite with its results: what was expected, in words, and whether it is so."""
        ordered = sorted(results.results, key=lambda result: result.expectation_config.meta["position"])
        found = [(bool(result.success), str(result.expectation_config.description)) for result in ordered]
        # Its name is the hospital's id and what it is about.
        self._suites.append((suite.name.rpartition("_")[2], found))

    def page(self, hospital: Hospital, window: Window, verdict: Verdict, *, now: datetime) -> str:
        """All of it as one page, in the language of the hospital's reports."""
        words = Words(hospital.report.language)
        title = " · ".join((hospital.label, str(window), words("docs.title")))
        reasons = "".join(
            f'<tr class="{reason.level}"><td>{escape(words(f"gate.level.{reason.level}"))}</td>'
            f"<td>{escape(reason_text(reason, words.language))}</td></tr>"
            for reason in verdict.reasons
        )
        none = "<tr><td colspan=2>" + escape(words("docs.none")) + "</td></tr>"
        intro = words("docs.intro")
        sections = "".join(_section(words, *suite) for suite in self._suites)
        facts = words("docs.facts", events=verdict.events, at=f"{local(now):%Y-%m-%d %H:%M}", seconds=verdict.seconds)
        return (
            f'<!doctype html><html lang="{"zh-CN" if words.language == "zh" else "en"}"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
            f"<style>{STYLE.read_text(encoding='utf-8')}</style></head><body><header><h1>{escape(title)}</h1>"
            f'<p class="verdict {verdict.level}">{escape(words(f"gate.{verdict.level}"))}</p>'
            f"<p>{escape(facts)}</p><table>{reasons or none}</table></header>"
            f"<p class=intro>{escape(intro)}</p>{sections}</body></html>"
        )


def _section(words: Words, about: str, results: list[tuple[bool, str]]) -> str:
    """One suite: a heading that counts, and a row for each expectation, unmet ones first."""
    names = {True: words("docs.met"), False: words("docs.unmet")}
    rows = "".join(
        f'<tr class="{"met" if success else "unmet"}"><td>{escape(names[success])}</td><td>{escape(text)}</td></tr>'
        for success, text in sorted(results, key=lambda result: result[0])
    )
    met = sum(success for success, _ in results)
    counted = words("docs.counted", of=len(results), met=met, unmet=len(results) - met)
    title = words(f"suite.{about}")
    heads = "".join(f"<th>{escape(words(key))}</th>" for key in ("docs.result", "docs.expectation"))
    return (
        f"<section><h2>{escape(title)}<small>{escape(counted)}</small></h2>"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></section>"
    )


def name_of(hospital_id: str, window: Window) -> str:
    """Where the page stands among the reports: <hospital>/<day>/quality-<day or hour>.html."""
    whole_day = window == day_window(window.day)
    stem = f"{window.day}" if whole_day else f"{window.start:%Y-%m-%dT%H%M}"
    return f"{hospital_id}/{window.day}/quality-{stem}.html"


def publish(
    ledger: Ledger, hospital: Hospital, window: Window, verdict: Verdict, pages: Pages, store: Store, *, now: datetime
) -> str:
    """Write the page in the place of an earlier one and index it; returns its name. Raises OSError."""
    name = name_of(hospital.id, window)
    content = pages.page(hospital, window, verdict, now=now).encode()
    store.write(name, content)
    with ledger.write() as connection:
        report_files.index(connection, hospital.id, window.day, KIND, name, content, now)
    return name
