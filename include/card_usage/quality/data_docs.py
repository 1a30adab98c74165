"""Data Docs: the validation results of Great Expectations (GX) for a window, as one page beside the report.

GX renders its own results; the page adds the verdict and its reasons in words. GX's pages load scripts, styles and a
picture from elsewhere: all of that is removed, so that the page opens in a hospital's network, makes no request and
runs no script. Results are yes, no and counts: the page has no value of any column.
"""

from __future__ import annotations

import re
from datetime import datetime
from html import escape
from importlib import import_module
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

_SCRIPTS: Final = re.compile(r"<script\b.*?</script>|<style\b.*?</style>", re.DOTALL | re.IGNORECASE)
_LOADED: Final = re.compile(r"<(?:link|img|meta|iframe|source)\b[^>]*>", re.IGNORECASE)
_HANDLERS: Final = re.compile(r"""\s(?:on\w+|src|srcset|action|data-[\w-]+)\s*=\s*("[^"]*"|'[^']*')""", re.IGNORECASE)
_LINKS: Final = re.compile(r"""\shref\s*=\s*("[^"#][^"]*"|'[^'#][^']*')""", re.IGNORECASE)
_BODY: Final = re.compile(r"<body[^>]*>(.*)</body>", re.DOTALL | re.IGNORECASE)


class Pages:
    """Collects the results of GX, suite by suite; pass it to `check` as `on_results`."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def __call__(self, suite: Any, results: Any) -> None:
        """One suite with its results, as GX shows them."""
        renderer = import_module("great_expectations.render.renderer").ValidationResultsPageRenderer(
            run_info_at_end=True
        )
        view = import_module("great_expectations.render.view").DefaultJinjaPageView()
        # The query is of no use to the page's readers.
        results.meta["batch_spec"] = {"data_asset_name": suite.name}
        self._parts.append(cleaned(view.render(renderer.render(results))))

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
        facts = words("docs.facts", events=verdict.events, at=f"{local(now):%Y-%m-%d %H:%M}", seconds=verdict.seconds)
        return (
            f'<!doctype html><html lang="{"zh-CN" if words.language == "zh" else "en"}"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
            f"<style>{STYLE.read_text(encoding='utf-8')}</style></head><body><header><h1>{escape(title)}</h1>"
            f'<p class="verdict {verdict.level}">{escape(words(f"gate.{verdict.level}"))}</p>'
            f"<p>{escape(facts)}</p><table>{reasons or none}</table></header>"
            f"<p class=intro>{escape(intro)}</p>{''.join(self._parts)}</body></html>"
        )


def cleaned(html: str) -> str:
    """The body of a page without anything that is loaded, run or led to from elsewhere."""
    body = _BODY.search(html)
    text = body[1] if body else html
    for unwanted in (_SCRIPTS, _LOADED, _HANDLERS, _LINKS):
        text = unwanted.sub("", text)
    return f"<main>{text}</main>"


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
    store.write(name, pages.page(hospital, window, verdict, now=now).encode())
    with ledger.write() as connection:
        report_files.index(connection, hospital.id, window.day, KIND, name, now)
    return name
