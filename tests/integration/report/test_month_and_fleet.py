"""Month and fleet: what they say is what their days said, in every form, without a look at events."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import planted
import pytest
from card_usage.files.store import Store
from card_usage.ledger.database import Ledger
from card_usage.ledger.schema import binding, day_use, event, hold, reconciliation, report_file
from card_usage.reconciliation.balance import SourceCount
from card_usage.reconciliation.reconcile import reconcile_day
from card_usage.report.html import whole as on_page
from card_usage.report.mail import mail
from card_usage.report.month import month_of
from card_usage.report.publish import publish, publish_fleet, publish_month
from openpyxl import load_workbook
from planted import DAY, FEEDS, HOSPITAL, SECRETS
from published import assert_as_published
from sqlalchemy import delete, func, insert, literal, select, update

HOME = planted.hospital()
MIX = {"delivered": 120, "quarantined": 9, "ready": 4, "voided": 6}
FIRST = date(2026, 3, 1)
NOW = datetime(2026, 3, 5, 1, 30, tzinfo=UTC)
DAYS = [FIRST + timedelta(days=n) for n in range(4)]


def lived(ledger: Ledger, store: Store, days: list[date], mix: dict[str, int] = MIX, now: datetime = NOW) -> None:
    """Each day planted, reconciled and reported, as the morning does it."""
    for seed, day in enumerate(days):
        with ledger.write() as connection:
            made = planted.plant(connection, mix, seed=seed, day=day)
            connection.execute(update(event).where(event.c.status == "delivered").values(settled_at=NOW))
        source = {feed: SourceCount(made.staged(feed), made.marks[feed, "voided_at"]) for feed in FEEDS}
        reconcile_day(ledger, HOME, day, source, now=now)
        publish(ledger, HOME, day, store, language="zh", now=now)


def month_json(ledger: Ledger, store: Store, day: date = DAY, now: datetime = NOW, language: str = "zh") -> Any:
    return json.loads(store.read(publish_month(ledger, HOME, day, store, language=language, now=now)["month.json"]))


def well_formed(html: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(html.decode().removeprefix("<!DOCTYPE html>"))  # noqa: S314 - our own text


def looked_up(figures: Any, key: str) -> Any:
    for part in key.split("."):
        figures = figures[int(part)] if isinstance(figures, list) else figures[part]
    return figures


def assert_page_and_json_agree(html: bytes, figures: Any, least: int) -> None:
    marked = [one for one in well_formed(html).iter() if one.get("data-figure")]
    assert len(marked) > least
    for one in marked:
        number = int("".join(one.itertext()).replace(",", ""))
        assert looked_up(figures, one.get("data-figure")) == number


def test_a_month_is_the_sum_of_its_days(ledger, tmp_path):
    store = Store(tmp_path / "r")
    lived(ledger, store, DAYS)
    figures = month_json(ledger, store)
    assert_as_published(figures)
    total = sum(MIX.values())
    assert figures["totals"]["source"] == figures["totals"]["staged"] == 4 * total
    assert figures["classes"]["delivered"] == 4 * MIX["delivered"]
    assert figures["uses"]["events"] == figures["usage"]["uses"] == 4 * (total - MIX["voided"])
    assert sum(hour["events"] for hour in figures["uses"]["hours"]) == figures["uses"]["events"]
    assert sum(one["events"] for one in figures["delays"]) == 4 * MIX["delivered"]
    assert sum(cause["events"] for cause in figures["quarantine"]) == 4 * MIX["quarantined"]
    days = [json.loads(store.read(f"{HOSPITAL}/{day}/card-usage-{day}.json")) for day in DAYS]
    for name in ("scenes", "channels", "card_types", "departments"):
        for one in figures["uses"][name]:
            parts = [part for day in days for part in day["uses"][name] if part["code"] == one["code"]]
            assert one["events"] == sum(part["events"] for part in parts)
            assert one["health_card"] == sum(part["health_card"] for part in parts)
    assert [day["delivered"] for day in figures["days"]] == [MIX["delivered"]] * 4
    assert figures["usage"]["visits"] == sum(day["usage"]["visits"] for day in days)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_all_forms_of_a_month_and_of_the_fleet_say_the_same_and_nothing_of_a_patient(embedded, tmp_path, language):
    store = Store(tmp_path / "r")
    lived(embedded, store, DAYS)
    month = publish_month(embedded, HOME, DAY, store, language=language, now=NOW)
    fleet, _ = publish_fleet(embedded, [HOME], DAY, store, broken={"bad": "x"}, language=language, now=NOW)
    for files, prefix, least in ((month, "month.", 40), (fleet, "", 20)):
        figures = json.loads(store.read(files[f"{prefix}json"]))
        html = store.read(files[f"{prefix}html"])
        assert_as_published(figures)
        assert_page_and_json_agree(html, figures, least)
        assert on_page(figures["verdict"]["text"]) in html.decode()
        assert not re.findall(r"(?:src|action)=|url\(|@import|https?://(?!www\.w3\.org/)", html.decode())
        book = load_workbook(io.BytesIO(store.read(files[f"{prefix}xlsx"])))
        cells = [cell.value for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
        assert {figures["totals"]["delivered"], figures["verdict"]["text"], figures["usage"]["visits"]} <= set(cells)
        sent = store.read(files[f"{prefix}mail.html"]).decode()
        assert figures["verdict"]["text"] in sent
        whole = html.decode() + sent + json.dumps(figures, ensure_ascii=False) + "".join(map(str, cells))
        assert not [secret for secret in SECRETS if secret in whole]
        if language == "en":
            heads = [one for one in well_formed(html).iter() if one.tag in ("h2", "thead", "dt", "li")]
            assert not re.search(r"[一-鿿]", "".join(text for one in heads for text in one.itertext()))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_month_and_fleet_name_the_platforms_that_their_events_stand_for(embedded, tmp_path, language):
    store = Store(tmp_path / "r")
    lived(embedded, store, DAYS)
    others = [HOME.model_copy(update={"id": f"other{n}"}) for n in range(3)]
    with embedded.write() as connection:
        for of, host in (
            (HOME, "p-healthopen.tengmed.com"),
            *((other, "sandbox.example:8910") for other in others[:2]),
        ):
            row = {"hospital": of.id, "host": host, "app_id": "4c0b", "platform_hospital": "1", "origin": "first"}
            connection.execute(insert(binding).values(row | {"bound_at": NOW}))
    month = publish_month(embedded, HOME, DAY, store, language=language, now=NOW)
    figures, page = json.loads(store.read(month["month.json"])), store.read(month["month.html"]).decode()
    assert (figures["sent_to"]["host"], figures["sent_to"]["app_id"]) == ("p-healthopen.tengmed.com", "4c0b")
    assert "p-healthopen.tengmed.com" in page
    assert "appId 4c0b" in page
    fleet, _ = publish_fleet(embedded, [HOME, *others], DAY, store, broken={}, language=language, now=NOW)
    figures, page = json.loads(store.read(fleet["json"])), store.read(fleet["html"]).decode()
    assert figures["platforms"] == [
        {"host": "sandbox.example:8910", "app_id": "4c0b", "hospitals": 2},
        {"host": "p-healthopen.tengmed.com", "app_id": "4c0b", "hospitals": 1},
    ]
    assert (
        "2 家医院的上报平台：sandbox.example:8910"
        if language == "zh"
        else "Reported to sandbox.example:8910 (appId 4c0b) by 2 of them"
    ) in page
    assert_as_published(figures)


def test_a_day_that_was_not_reconciled_is_missed(embedded, tmp_path):
    store = Store(tmp_path / "r")
    lived(embedded, store, [DAYS[0], DAYS[1], DAYS[3]])
    figures = month_json(embedded, store)
    assert figures["verdict"]["level"] == "uncounted"
    assert figures["missing_days"] == [DAYS[2].isoformat()]
    assert figures["days"][2]["level"] == "absent"
    assert figures["days"][2]["staged"] is None


def test_a_month_that_is_not_over_is_provisional_and_ends_with_its_last_day(embedded, tmp_path):
    store = Store(tmp_path / "r")
    lived(embedded, store, DAYS, {"delivered": 20})
    assert month_json(embedded, store)["verdict"]["level"] == "provisional"
    assert month_json(embedded, store)["last"] == DAYS[-1].isoformat()
    later = datetime(2026, 4, 3, 1, tzinfo=UTC)
    figures = month_json(embedded, store, now=later)
    assert figures["verdict"]["level"] == "uncounted"
    assert len(figures["missing_days"]) == 27
    lived(embedded, store, [FIRST + timedelta(days=n) for n in range(4, 31)], {"delivered": 3}, later)
    assert month_json(embedded, store, now=later)["verdict"]["level"] == "complete"
    after = month_json(embedded, store, day=date(2026, 4, 2), now=later)
    assert after["before"]["month"] == "2026-03"
    assert (after["before"]["uses"], after["before"]["days"]) == (4 * 20 + 27 * 3, 31)


@pytest.mark.parametrize(
    ("day", "first", "last"),
    [
        (date(2026, 2, 10), date(2026, 2, 1), date(2026, 2, 28)),
        (date(2028, 2, 29), date(2028, 2, 1), date(2028, 2, 29)),
        (date(2026, 12, 31), date(2026, 12, 1), date(2026, 12, 31)),
    ],
)
def test_a_month_goes_from_its_first_day_to_its_last(day, first, last):
    assert month_of(day) == (first, last)


def test_month_and_fleet_are_read_from_what_was_kept_of_days_and_never_from_events(ledger, tmp_path):
    store = Store(tmp_path / "r")
    lived(ledger, store, DAYS)
    before = month_json(ledger, store)
    _, fleet = publish_fleet(ledger, [HOME], DAYS[-1], store, broken={}, language="zh", now=NOW)
    with ledger.write() as connection:
        connection.execute(delete(event))
    assert month_json(ledger, store) == before
    _, again = publish_fleet(ledger, [HOME], DAYS[-1], store, broken={}, language="zh", now=NOW)
    assert again == fleet


def test_the_fleets_page_puts_the_worst_first_and_leaves_nobody_out(embedded, tmp_path):
    store = Store(tmp_path / "r")
    lived(embedded, store, DAYS)
    silent = HOME.model_copy(update={"id": "silent", "name": "沉默医院"})
    with embedded.write() as connection:
        connection.execute(insert(hold).values(hospital="*", kind="pause", reason="r", set_by="x", set_at=NOW))
    files, figures = publish_fleet(
        embedded, [HOME, silent], DAYS[-1], store, broken={"torn": "文件坏了"}, language="zh", now=NOW
    )
    assert_as_published(figures)
    assert [(one["id"], one["level"]) for one in figures["hospitals"]] == [("silent", "absent"), (HOSPITAL, "open")]
    assert figures["hospitals"][1]["holds"] == ["pause"]
    assert figures["hospitals"][1]["newest_report"] == f"{HOSPITAL}/{DAYS[-1]}/card-usage-{DAYS[-1]}.html"
    assert figures["verdict"]["level"] == "absent"
    assert figures["regions"] == [
        {
            "region": "440300",
            "hospitals": 2,
            "uses": sum(MIX.values()) - MIX["voided"],
            "health_card": figures["usage"]["health_card"],
            "delivered": MIX["delivered"],
        }
    ]
    html = store.read(files["html"]).decode()
    assert "沉默医院" in html
    assert "文件坏了" in html
    with embedded.read() as connection:
        kept = connection.execute(select(report_file.c.kind, report_file.c.path).where(report_file.c.hospital == "*"))
        assert {kind: path for kind, path in kept} == files


def test_a_large_fleets_page_folds_those_away_that_agree_and_says_each_thing_to_do_once(embedded, tmp_path):
    store = Store(tmp_path / "r")
    lived(embedded, store, DAYS)
    others = [HOME.model_copy(update={"id": f"h{n:02}", "name": f"第{n}医院"}) for n in range(40)]
    with embedded.write() as connection:
        for table in (reconciliation, day_use):
            columns = [one.name for one in table.c if one.name not in ("id", "hospital")]
            for n, hospital in enumerate(others):
                if n in (7, 31):
                    continue  # nothing is known of these
                kept = select(literal(hospital.id), *(table.c[name] for name in columns))
                kept = kept.where(table.c.hospital == HOSPITAL)
                connection.execute(insert(table).from_select(["hospital", *columns], kept))
        done = {"clean": True, "counts": func.replace(reconciliation.c.counts, '"open": ', '"open": 0, "was": ')}
        rest = reconciliation.c.hospital.notin_(("h03", "h04"))
        connection.execute(update(reconciliation).where(rest).values(done))
        uncounted = reconciliation.c.hospital == "h05"
        for of, counts in connection.execute(
            select(reconciliation.c.id, reconciliation.c.counts).where(uncounted)
        ).all():
            text = json.dumps(json.loads(counts) | {"source": None})
            connection.execute(update(reconciliation).where(reconciliation.c.id == of).values(counts=text))
    files, figures = publish_fleet(embedded, others, DAYS[-1], store, broken={}, language="zh", now=NOW)
    assert_as_published(figures)
    html = store.read(files["html"])
    assert_page_and_json_agree(html, figures, 200)
    worst = ["h07", "h31", "h05", "h03", "h04"]
    assert [one["id"] for one in figures["hospitals"][:5]] == worst
    levels = {"absent": 2, "uncounted": 1, "open": 2, "explained": 35}
    assert {name: n for name, n in figures["levels"].items() if n} == levels
    root = well_formed(html)
    (folded,) = [one for one in root.iter() if one.tag == "details"]
    inside = "".join(folded.itertext())
    named = {hospital.id: hospital.name in inside for hospital in others}
    assert [of for of, is_inside in named.items() if not is_inside] == sorted(worst)
    assert "其余 35 家：一致，有待处理 35" in inside
    # 38 hospitals have the same causes: each stands there once, with the records of all.
    of_one = {cause["rule"]: cause["events"] for cause in one_day(store)["quarantine"]}
    for cause in figures["causes"]:
        assert (cause["hospitals"], len(cause["most"])) == (38, 3)
        assert cause["events"] == 38 * of_one[cause["kind"]]
        assert cause["most"][0] in html.decode()
        assert "等 38 家" in html.decode()
    # One hospital that was not counted leaves no total for all, but does not hide those of the others.
    assert figures["totals"]["source"] is None
    assert figures["counted"]["hospitals"] == 37
    assert figures["counted"]["source"] == 37 * one_day(store)["totals"]["source"]
    assert "已清点 37 家，未清点 3 家" in html.decode()


def one_day(store: Store) -> Any:
    return json.loads(store.read(f"{HOSPITAL}/{DAYS[-1]}/card-usage-{DAYS[-1]}.json"))


def test_the_mail_is_fit_for_mail_clients(embedded, tmp_path):
    store = Store(tmp_path / "r")
    lived(embedded, store, DAYS)
    evil = HOME.model_copy(update={"name": "<b>&医院\r\nBcc: x@example.org"})
    _, figures = publish_fleet(embedded, [evil], DAYS[-1], store, broken={}, language="zh", now=NOW)
    sent = mail(figures, link="https://airflow.example/card-usage/?a=1&b=2")
    root = well_formed(sent.html.encode())
    tags = {one.tag for one in root.iter()}
    known = "html head meta title body table tr td th br span b p a"
    assert tags <= set(known.split())
    styles = " ".join(one.get("style", "") for one in root.iter())
    assert not re.search(r"flex|grid|position|var\(|url\(|@|calc", styles)
    assert len(sent.html.encode()) < 100_000, "Gmail clips what is longer"
    assert figures["verdict"]["text"] in sent.text
    assert "https://airflow.example/card-usage/?a=1&b=2" in sent.text
    assert [one.get("href") for one in root.iter("a")] == ["https://airflow.example/card-usage/?a=1&b=2"]
    folder = tmp_path / "m"
    files = publish_month(embedded, evil, DAY, Store(folder), language="zh", now=NOW)
    month = mail(json.loads((folder / files["month.json"]).read_text(encoding="utf-8")))
    assert "Bcc" in month.subject
    for subject in (sent.subject, month.subject):
        assert subject == " ".join(subject.split()), "a header of one line"
    assert "<b>&" not in sent.html
