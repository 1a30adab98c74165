"""The report over a real ledger: page and JSON say the same numbers, in both languages, and nothing about a patient."""

from __future__ import annotations

import json
import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import planted
import pytest
from card_usage.evidence.seal import seal_day
from card_usage.files.store import Store
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import STATES, attempt, event, report_file, shredded_key
from card_usage.platform.outcome import result_classes
from card_usage.quality.check import check
from card_usage.reconciliation import statement_store
from card_usage.reconciliation.balance import SourceCount
from card_usage.reconciliation.classes import CLASSES
from card_usage.reconciliation.reconcile import reconcile_day
from card_usage.reconciliation.statement_match import Bucket
from card_usage.reconciliation.statement_store import Statement
from card_usage.report.html import whole
from card_usage.report.publish import publish
from card_usage.report.totals import stamp
from card_usage.windows import day_window
from planted import DAY, FEEDS, HOSPITAL, NOW, SECRETS
from published import assert_as_published
from sqlalchemy import delete, insert, select, update

ROOT = Path(__file__).resolve().parents[3]
SVG = "{http://www.w3.org/2000/svg}"
MIX = dict(zip(STATES, (60, 7, 5, 3, 4, 300, 6, 2, 12), strict=True))
SETTLED = {"delivered": 300, "voided": 12}
HOME = planted.hospital()
LANGUAGES = ["zh", "en"]


def fill(ledger: Ledger, states: dict[str, int], *, late: int = 0, marks: float = 0.0, counted: bool = True) -> None:
    with ledger.write() as connection:
        made = planted.plant(connection, states, marks=marks)
    if counted:
        source = {
            feed: SourceCount(made.staged(feed) - made.marks[feed, "vanished_at"], made.refunds[feed]) for feed in FEEDS
        }
        source["payment"] = SourceCount(source["payment"].events + late, source["payment"].voided)
        reconcile_day(ledger, HOME, DAY, source, now=NOW)


def published(ledger: Ledger, folder: Path, language: str = "zh", now: datetime = NOW) -> tuple[str, dict[str, Any]]:
    files = publish(ledger, HOME, DAY, Store(folder), language=language, now=now)
    html, figures = (folder / files[kind] for kind in ("html", "json"))
    return html.read_text(encoding="utf-8"), json.loads(figures.read_text(encoding="utf-8"))


def well_formed(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(html.removeprefix("<!DOCTYPE html>"))  # noqa: S314 - our own text


def looked_up(figures: Any, key: str) -> Any:
    for part in key.split("."):
        figures = figures[int(part)] if isinstance(figures, list) else figures[part]
    return figures


def shown(html: str) -> list[tuple[str, int]]:
    """(key, number) of every figure of the page."""
    marked = [(one.get("data-figure"), one) for one in well_formed(html).iter() if one.get("data-figure")]
    return [(key, int("".join(one.itertext()).replace(",", ""))) for key, one in marked]


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_and_json_tell_the_same_numbers(ledger, tmp_path, language):
    fill(ledger, MIX, late=3, marks=0.3)
    check(ledger, HOME, day_window(DAY), now=NOW)
    html, figures = published(ledger, tmp_path, language)
    found = shown(html)
    assert len(found) > 60
    assert [(key, number) for key, number in found if looked_up(figures, key) != number] == []
    said = {key for key, _ in found}
    assert {f"classes.{name}" for name in CLASSES if figures["classes"][name]} <= said
    assert {"totals.source", "totals.staged", "totals.delivered", "totals.remainder"} <= said


def test_the_figures_are_those_that_were_planted(ledger, tmp_path):
    fill(ledger, MIX, late=3)
    _, figures = published(ledger, tmp_path)
    assert figures["classes"] == {name: MIX["ready" if name == "due" else name] for name in CLASSES}
    assert figures["totals"]["source"] == sum(MIX.values()) + 3
    assert figures["differences"]["late_in_source"] == 3
    assert sum(cause["events"] for cause in figures["quarantine"]) == MIX["quarantined"]
    for cause in figures["quarantine"]:
        if cause["codes"]:
            assert sum(code["events"] for code in cause["codes"]) == cause["events"]
    uses = figures["uses"]
    assert uses["events"] == sum(MIX.values()) - MIX["voided"]
    assert sum(hour["events"] for hour in uses["hours"]) == uses["events"]
    for hour in uses["hours"]:
        assert sum(hour["scenes"].values()) == hour["events"]
    for field in ("scenes", "channels", "card_types", "departments"):
        assert sum(one["events"] for one in uses[field]) == uses["events"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_about_a_patient_is_in_page_or_json(ledger, tmp_path, language):
    fill(ledger, MIX, marks=0.3)
    check(ledger, HOME, day_window(DAY), now=NOW)
    html, figures = published(ledger, tmp_path, language)
    text = html + json.dumps(figures, ensure_ascii=False)
    assert not [secret for secret in SECRETS if secret in text]
    with ledger.read() as connection:
        keys = connection.scalars(select(event.c.key)).all()
    assert not [key for key in keys if key in text.lower()]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_well_formed_and_stands_alone(embedded, tmp_path, language):
    fill(embedded, MIX, late=2, marks=0.3)
    html, _ = published(embedded, tmp_path, language)
    root = well_formed(html)
    assert {one.tag.removeprefix(SVG) for one in root.iter()}.isdisjoint({"script", "link", "img", "iframe", "object"})
    assert not re.findall(r"(?:src|href|action)=|url\(|@import|https?://(?!www\.w3\.org/)", html)
    assert root.get("lang") == {"zh": "zh-CN", "en": "en"}[language]
    assert len(html.encode()) < 200_000
    empty = [one.tag for one in root.iter() if one.tag in ("h2", "td") and not "".join(one.itertext()).strip()]
    assert [tag for tag in empty if tag == "h2"] == []


def test_what_hospitals_name_their_departments_cannot_break_the_page(embedded, tmp_path):
    fill(embedded, {"quarantined": 200})
    html, figures = published(embedded, tmp_path)
    evil = dict(planted.LOCAL)["21020"]
    assert any(code["name"] == evil for cause in figures["quarantine"] for code in cause["codes"])
    assert "<b>&" not in html
    assert evil in "".join(well_formed(html).itertext())


@pytest.mark.parametrize(
    ("states", "options", "level"),
    [
        (SETTLED, {}, "complete"),
        (SETTLED | {"quarantined": 5}, {}, "explained"),
        (SETTLED | {"rejected": 1}, {}, "explained"),
        (SETTLED | {"ready": 1}, {}, "open"),
        (SETTLED | {"unknown": 1}, {}, "open"),
        (SETTLED, {"late": 1}, "open"),
        (SETTLED, {"counted": False}, "uncounted"),
        ({}, {}, "empty"),
    ],
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_verdict_says_where_the_day_stands(embedded, tmp_path, states, options, level, language):
    fill(embedded, states, **options)
    html, figures = published(embedded, tmp_path, language)
    assert figures["verdict"]["level"] == level
    assert whole(figures["verdict"]["text"]) in html
    assert f'class="verdict {level}"' in html


def test_a_remainder_outshouts_everything(embedded, tmp_path):
    fill(embedded, MIX)
    with embedded.write() as connection:
        some = connection.scalars(select(event.c.id).where(event.c.status == "delivered").limit(7)).all()
        connection.execute(delete(attempt).where(attempt.c.event_id.in_(some)))
    _, figures = published(embedded, tmp_path)
    assert figures["verdict"]["level"] == "broken"
    assert "7" in figures["verdict"]["text"]
    assert figures["actions"][0]["kind"] == "remainder"
    assert figures["totals"]["remainder"] == 7


def test_a_day_that_the_gate_withholds_asks_for_a_person_and_not_for_patience(embedded, tmp_path):
    fill(embedded, {"ready": 50, "quarantined": 50})
    assert check(embedded, HOME, day_window(DAY), now=NOW).level == "hold"
    html, figures = published(embedded, tmp_path)
    assert figures["verdict"]["level"] == "withheld"
    assert (figures["actions"][0]["kind"], figures["actions"][0]["events"]) == ("withheld", 50)
    assert figures["gate"]["reasons"][0]["text"] in html
    assert "due" not in {action["kind"] for action in figures["actions"]}


def test_a_day_that_has_not_ended_is_provisional(embedded, tmp_path):
    fill(embedded, SETTLED)
    noon = datetime(DAY.year, DAY.month, DAY.day, 4, tzinfo=UTC)
    _, figures = published(embedded, tmp_path, now=noon)
    assert figures["verdict"]["level"] == "provisional"


def test_each_cause_says_what_to_do_and_who(embedded, tmp_path):
    fill(embedded, MIX, marks=0.3, late=1)
    _, figures = published(embedded, tmp_path)
    kinds = {action["kind"] for action in figures["actions"]}
    assert {cause["rule"] for cause in figures["quarantine"]} <= kinds
    assert {"rejected", "unconfirmed", "unknown", "due", "held", "late_in_source"} <= kinds
    assert all(
        action["what"] and action["to_do"] and action["who"] and action["events"] for action in figures["actions"]
    )


def test_refusals_carry_the_documents_own_words(embedded, tmp_path):
    code = next(code for code, answer in result_classes().items() if answer == "refused")
    fill(embedded, {"rejected": 4})
    with embedded.write() as connection:
        connection.execute(update(event).values(result_code=code))
    _, figures = published(embedded, tmp_path)
    ((refusal),) = figures["refusals"]
    assert (refusal["result_code"], refusal["events"]) == (code, 4)
    assert refusal["meaning"]


def test_names_come_in_the_reports_language(embedded, tmp_path):
    fill(embedded, SETTLED)
    (zh, chinese), (en, english) = (published(embedded, tmp_path / language, language) for language in LANGUAGES)
    assert chinese["hospital"]["name"] == HOME.name
    assert english["hospital"]["name"] == HOME.name_en
    assert {one["name"] for one in chinese["uses"]["channels"]} >= {"人工窗口", "自助机"}
    assert {one["name"] for one in english["uses"]["channels"]} >= {"staffed window", "self-service machine"}
    page = well_formed(en)
    for bars in page.iter(f"{SVG}svg"):
        if bars.get("aria-label") not in ("Departments (first 10)",):
            assert not re.search(r"[一-鿿]", "".join(bars.itertext()))
    assert "核对一致" in zh


def test_publishing_again_replaces_all_files_and_their_entries(ledger, tmp_path):
    fill(ledger, SETTLED)
    store = Store(tmp_path)
    first = publish(ledger, HOME, DAY, store, language="zh", now=NOW)
    # A workbook is a ZIP and carries the times of its parts.
    same = [name for kind, name in first.items() if kind != "xlsx"]
    before = [store.read(name) for name in same]
    publish(ledger, HOME, DAY, store, language="zh", now=NOW)
    assert [store.read(name) for name in same] == before
    later = NOW + timedelta(hours=1)
    publish(ledger, HOME, DAY, store, language="zh", now=later)
    stem = f"{HOSPITAL}/{DAY}/card-usage-{DAY}"
    assert first == {kind: f"{stem}.{kind}" for kind in ("html", "json", "xlsx", "mail.html")}
    assert {path.name for path in (tmp_path / HOSPITAL / str(DAY)).iterdir()} == {
        Path(name).name for name in first.values()
    }
    with ledger.read() as connection:
        kept = connection.execute(select(report_file)).all()
    assert {(row.kind, row.path, row.at) for row in kept} == {(kind, name, later) for kind, name in first.items()}


def test_a_reader_never_meets_half_a_report(embedded, tmp_path):
    fill(embedded, SETTLED)
    store = Store(tmp_path)
    html = tmp_path / publish(embedded, HOME, DAY, store, language="zh", now=NOW)["html"]
    seen: set[bool] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(html.read_text(encoding="utf-8").rstrip().endswith("</html>"))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(15):
        publish(embedded, HOME, DAY, store, language="zh", now=NOW)
    done.set()
    reader.join()
    assert seen == {True}


def test_a_failed_write_leaves_the_old_report_and_nothing_else(embedded, tmp_path, monkeypatch):
    fill(embedded, SETTLED)
    store = Store(tmp_path)
    html = tmp_path / publish(embedded, HOME, DAY, store, language="zh", now=NOW)["html"]
    before = html.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("card_usage.files.atomic.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        publish(embedded, HOME, DAY, store, language="en", now=NOW)
    assert html.read_bytes() == before
    assert len(list(html.parent.iterdir())) == 4


def test_the_json_is_what_its_published_schema_says_and_no_key_more(embedded, tmp_path):
    fill(embedded, MIX, late=2, marks=0.3)
    with embedded.write() as connection:
        rows = [
            {"event_id": of, "position": 9, "rule": "id_number.format", "field": "id_number", "severity": "warning"}
            for of in connection.scalars(select(event.c.id).where(event.c.status == "delivered").limit(2)).all()
        ]
        connection.execute(planted.finding.insert(), rows)
        first = connection.scalar(select(event.c.id).where(event.c.status == "delivered"))
        connection.execute(delete(attempt).where(attempt.c.event_id == first))
        stated = {Bucket(9, "0101012"): 3}
        one = Statement(
            hospital=HOSPITAL,
            day=DAY,
            as_of=NOW,
            dimensions=("hour", "scene"),
            counts=stated,
            layout="t",
            file="t.csv",
            sha256="",
        )
        statement_store.save(connection, [one], now=NOW)
    check(embedded, HOME, day_window(DAY), now=NOW)
    seal_day(embedded, HOSPITAL, DAY, tmp_path / "evidence", now=NOW)
    _, figures = published(embedded, tmp_path)
    assert_as_published(figures)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_way_on_which_patients_may_travel_in_clear_stands_at_the_foot(embedded, tmp_path, language, monkeypatch):
    fill(embedded, SETTLED)
    page, figures = published(embedded, tmp_path, language)
    assert figures["in_clear"] == []
    assert "tls = optional" not in page
    monkeypatch.setitem(globals(), "HOME", planted.hospital(his={"tls": "optional"}))
    page, figures = published(embedded, tmp_path, language)
    assert figures["in_clear"] == ["his"]
    assert "tls = optional" in page


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_day_whose_patients_are_destroyed_and_when_stands_at_the_foot(embedded, tmp_path, language):
    fill(embedded, SETTLED)
    _, figures = published(embedded, tmp_path, language)
    assert figures["destroyed"] == []
    key = {"hospital": HOSPITAL, "events": 5, "moved": 0, "closed_at": NOW}
    earlier, long_ago = DAY - timedelta(days=7), DAY - timedelta(days=8)
    with embedded.write() as connection:
        connection.execute(
            insert(shredded_key),
            [
                key | {"key_id": "a", "day": DAY, "destroyed_at": NOW + timedelta(days=9)},
                key | {"key_id": "b", "day": DAY, "destroyed_at": NOW + timedelta(days=10)},
                key | {"key_id": "c", "day": earlier, "destroyed_at": NOW},
                key | {"key_id": "d", "day": long_ago, "destroyed_at": NOW - timedelta(days=9)},
                key | {"key_id": "e", "day": long_ago, "destroyed_at": None},
                key | {"key_id": "f", "day": DAY, "destroyed_at": NOW, "hospital": "another"},
            ],
        )
    page, figures = published(embedded, tmp_path, language)
    assert [(of["day"], of["at"]) for of in figures["destroyed"]] == [
        (f"{earlier}", stamp(NOW)),
        (f"{DAY}", stamp(NOW + timedelta(days=10))),
    ]
    assert {"zh": f"{earlier} 的患者内容已销毁", "en": f"content of {earlier} is destroyed"}[language] in page
    assert f"{long_ago}" not in page
