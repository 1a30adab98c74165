"""Charts: one declaration is all that a chart needs to be in the JSON, its schema, the pages and the sheets."""

from __future__ import annotations

import io
import json
from pathlib import Path
from string import Formatter
from typing import Any, get_args

import ledgers
import planted
import pytest
from card_usage.files.store import Store
from card_usage.ledger.database import Ledger
from card_usage.reconciliation.balance import SourceCount
from card_usage.reconciliation.reconcile import reconcile_day
from card_usage.report.chart import COUNT, FORMS, TEXT, Basis, Chart, Form, described, form_of, list_of
from card_usage.report.charts import ALWAYS, FLOW, PAGES, charts_of, share_chart
from card_usage.report.publish import publish, publish_fleet, publish_month
from card_usage.report.schemas import assembled, path_of
from jsonschema import Draft202012Validator
from openpyxl import load_workbook
from planted import DAY, FEEDS, NOW
from published import strict

HOME = planted.hospital()
CHARTS = [FLOW, *ALWAYS, *(chart for page in PAGES.values() for chart in page.charts)]


def halves(basis: Basis) -> list[dict[str, Any]]:
    hours = [(int(use.code), use.events) for use in basis.uses if use.dimension == "hour" and use.code is not None]
    first = sum(events for hour, events in hours if hour < 12)
    second = sum(events for hour, events in hours if hour >= 12)
    return [{"code": "am", "name": "0-12", "events": first}, {"code": "pm", "name": "12-24", "events": second}]


NEW = share_chart(
    title=("上午与下午", "Halves of the day"),
    key="usage.halves",
    figure=halves,
    schema=list_of(
        "uses by half of the day",
        code=described(TEXT, "which"),
        name=described(TEXT, "its hours"),
        events=described(COUNT, "how many"),
    ),
)


def published(ledger: Ledger, store: Store, form: Form) -> dict[str, bytes]:
    """Every file of a report by its kind."""
    if form == "day":
        files = publish(ledger, HOME, DAY, store, language="en", now=NOW)
    elif form == "month":
        files = publish_month(ledger, HOME, DAY, store, language="en", now=NOW)
    else:
        files, _ = publish_fleet(ledger, [HOME], DAY, store, broken={}, language="en", now=NOW)
    return {kind.removeprefix("month."): store.read(name) for kind, name in files.items()}


def test_a_chart_that_is_declared_and_put_on_a_page_is_in_every_form_of_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for form in FORMS:
        page = PAGES[form]
        monkeypatch.setitem(PAGES, form, page._replace(usage=(*page.usage, ((NEW,),))))
    with ledgers.sqlite(tmp_path) as ledger:
        with ledger.write() as connection:
            made = planted.plant(connection, {"delivered": 80, "voided": 5})
        counted = {feed: SourceCount(made.staged(feed), made.refunds[feed]) for feed in FEEDS}
        reconcile_day(ledger, HOME, DAY, counted, now=NOW)
        for form in FORMS:
            files = published(ledger, Store(tmp_path / "reports"), form)
            figures = json.loads(files["json"])
            assert form_of(figures) == form
            drawn = figures["usage"]["halves"]
            assert sum(half["events"] for half in drawn) == figures["uses"]["events"] - figures["uses"]["hour_unknown"]
            faults = Draft202012Validator(strict(json.loads(assembled(form)))).iter_errors(figures)
            assert [fault.message for fault in faults] == []
            assert "<h2>Halves of the day</h2>" in files["html"].decode()
            rows = [
                [cell.value for cell in row] for row in load_workbook(io.BytesIO(files["xlsx"]))["Uses"].iter_rows()
            ]
            assert [row[2] for row in rows if row[0] == "Halves of the day"] == ["0-12", "12-24"]


def test_the_published_schemas_are_those_that_the_charts_declare() -> None:
    assert [form for form in FORMS if path_of(form).read_text(encoding="utf-8") != assembled(form)] == []
    assert get_args(Form) == FORMS


def test_a_chart_that_is_gone_leaves_no_key_in_its_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("card_usage.report.schemas.charts_of", lambda form: {})
    usage = json.loads(assembled("month"))["properties"]["usage"]
    assert not {"card_groups", "visit_kinds"} & {*usage["required"], *usage["properties"]}
    assert "visits" in usage["required"]


@pytest.mark.parametrize("form", FORMS)
def test_every_chart_on_a_page_has_its_figure_in_the_json_or_draws_what_is_there(form: Form) -> None:
    for chart in PAGES[form].charts:
        assert (chart.figure is None) == (chart.schema is None) == (chart.key == "")
        assert not chart.key or charts_of(form)[chart.key] is chart


def test_charts_say_the_same_in_both_languages_with_the_same_places_to_fill() -> None:
    def places(text: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(text) if name}

    def said(chart: Chart) -> list[tuple[str, str]]:
        return [chart.title] if chart.note is None else [chart.title, chart.note]

    for chinese, english in (texts for chart in CHARTS for texts in said(chart)):
        assert chinese
        assert english.isascii()
        assert places(chinese) == places(english)
