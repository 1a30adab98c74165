"""The page of the quality check: what Great Expectations found, readable without a network, silent about patients."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import ledgers
import planted
import pytest
from card_usage.files.store import Store
from card_usage.ledger.schema import report_file
from card_usage.quality.check import check
from card_usage.quality.data_docs import Pages, name_of, publish
from card_usage.standard.rules import RULES
from card_usage.windows import Window, day_window
from planted import DAY, HOSPITAL, NOW, SECRETS
from sqlalchemy import select

WINDOW = day_window(DAY)


@pytest.fixture
def page(tmp_path: Path) -> str:
    with ledgers.sqlite(tmp_path) as ledger:
        with ledger.write() as connection:
            for week in range(1, 5):
                planted.plant(connection, {"delivered": 400}, day=DAY - timedelta(weeks=week), seed=week)
            planted.plant(connection, {"ready": 150, "quarantined": 90}, seed=9)
        home, pages = planted.hospital(), Pages()
        found = check(ledger, home, WINDOW, now=NOW, on_results=pages)
        for _ in range(2):
            name = publish(ledger, home, WINDOW, found, pages, Store(tmp_path / "reports"), now=NOW)
        with ledger.read() as connection:
            indexed = connection.execute(select(report_file.c.kind, report_file.c.path)).all()
    assert indexed == [("quality", name)]
    return (tmp_path / "reports" / name).read_text(encoding="utf-8")


def test_the_page_says_verdict_reasons_and_each_result_in_the_hospitals_language(page):
    assert "暂缓，等待人工确认" in page
    assert "的记录被隔离" in page
    assert "【停止】没有待上报记录违反 department.required（挂号类环节必须有用卡科室）" in page
    assert "【提醒】健康卡不低于" in page
    assert page.count("【") > 40


def test_the_page_loads_runs_and_leads_to_nothing_from_elsewhere(page):
    assert not re.search(r"<script|<link|<img|<iframe|\son\w+=|src=|@import|url\(", page, re.IGNORECASE)
    assert not re.search(r"""href=["'](?!#)""", page)
    assert "http" not in re.sub(r"https?://www\.w3\.org\S*", "", page)


def test_nothing_about_a_patient_and_no_query_is_in_it(page):
    assert not [secret for secret in SECRETS if secret in page]
    assert "SELECT" not in page


def test_it_is_chinese_throughout_and_english_where_the_reports_are(tmp_path):
    """But for names: the library's, the rules' and the standard codes'."""
    for language, name in (("zh", "质检明细"), ("en", "quality check")):
        home = planted.hospital()
        home = home.model_copy(update={"report": home.report.model_copy(update={"language": language})})
        with ledgers.sqlite(tmp_path, f"{language}.db") as ledger:
            with ledger.write() as connection:
                planted.plant(connection, {"ready": 150, "quarantined": 90}, seed=9)
            pages = Pages()
            found = check(ledger, home, WINDOW, now=NOW, on_results=pages)
            shown = re.sub(r"(?s)<style>.*?</style>|<[^>]+>", " ", pages.page(home, WINDOW, found, now=NOW))
        assert name in shown
        if language == "zh":
            words = set(re.findall(r"[A-Za-z][A-Za-z_.]*", shown.replace("Great Expectations", "")))
            assert words <= {rule.id for rule in RULES}
        else:
            assert not re.search(r"[\u4e00-\u9fff]", shown.replace(home.name, ""))


def test_days_and_hours_have_pages_of_their_own():
    hour = Window(WINDOW.start + timedelta(hours=8), WINDOW.start + timedelta(hours=9))
    assert name_of(HOSPITAL, WINDOW) == f"{HOSPITAL}/2026-03-04/quality-2026-03-04.html"
    assert name_of(HOSPITAL, hour) == f"{HOSPITAL}/2026-03-04/quality-2026-03-04T0800.html"
