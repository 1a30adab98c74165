"""Airflow UI, in a real browser: reports behind the login, nothing loaded from elsewhere; runs cleared and marked."""

from __future__ import annotations

import shutil
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import planted
import pytest
from card_usage.config.keyring import Keyring
from card_usage.files.store import Store
from card_usage.ledger.database import migrate, open_ledger
from card_usage.reconciliation.balance import SourceCount
from card_usage.reconciliation.reconcile import reconcile_day
from card_usage.report.publish import publish, publish_fleet, publish_month
from embedded.airflow import BIN, Embedded
from embedded.children import Children, answers, free_port
from planted import DAY, FEEDS, HOSPITAL, NOW, SECRETS
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next((path for path in ("/usr/bin/chromium", "/usr/bin/google-chrome") if Path(path).exists()), None)
HOME = planted.hospital()
pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]

REPORT_DAG = f"report_card_usage__{HOSPITAL}"
STEM = f"{HOSPITAL}/{DAY}/card-usage-{DAY}"
A_TASK_THAT_WRITES = f"""
from airflow.sdk import DAG, task
from card_usage_airflow.links import REPORTS, linked
from card_usage_airflow.steps import record_written

with DAG("written", schedule=None):

    @task(outlets=[REPORTS])
    def publish():
        record_written(["{STEM}.html", "{STEM}.json", "{STEM}.mail.html"])

    linked(publish())
"""


@dataclass
class Ui:
    """A running UI with one hospital's reports, and where they lie."""

    airflow: Embedded
    reports: Path

    def status(self, path: str, token: str | None = None, cookie: str | None = None) -> int:
        request = urllib.request.Request(self.airflow.url + path)  # noqa: S310
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            return int(opener.open(request, timeout=30).status)
        except urllib.error.HTTPError as refusal:
            return int(refusal.code)

    @property
    def token(self) -> str:
        self.airflow.ask("/version")
        return self.airflow._token


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    home = tmp_path_factory.mktemp("ui")
    key, url = Keyring.new_key("t"), f"sqlite:///{home}/ledger.db"
    migrate(url)
    ledger = open_ledger(url, Keyring.parse(key))
    with ledger.write() as connection:
        made = planted.plant(connection, {"delivered": 300, "quarantined": 20, "voided": 5})
    counted = {feed: SourceCount(made.staged(feed), made.marks[feed, "voided_at"]) for feed in FEEDS}
    reconcile_day(ledger, HOME, DAY, counted, now=NOW)
    store = Store(home / "reports")
    publish(ledger, HOME, DAY, store, language="zh", now=NOW)
    publish_month(ledger, HOME, DAY, store, language="zh", now=NOW)
    publish_fleet(ledger, [HOME], DAY, store, broken={}, language="zh", now=NOW)
    (home / "secret.html").write_text("out of bounds")
    ledger.close()
    settings = {
        "CARD_USAGE_LEDGER_URL": url,
        "CARD_USAGE_KEY": key,
        "CARD_USAGE_HOSPITALS": str(ROOT / "include" / "hospitals"),
        "CARD_USAGE_REPORTS": str(home / "reports"),
    }
    (home / "dags").mkdir()
    (home / "dags" / "written.py").write_text(A_TASK_THAT_WRITES)
    shutil.copy(ROOT / "dags" / "report_card_usage.py", home / "dags")
    settings["AIRFLOW__CORE__DAGS_FOLDER"] = str(home / "dags")
    airflow = Embedded(home / "airflow", port=free_port(8085), logs=home / "logs", settings=settings)
    with Children() as children:
        airflow.migrate(children).wait()
        for words in (["dags", "reserialize"], ["dags", "test", "written"]):
            airflow.run(*words)
        command = [BIN / "airflow", "api-server"]
        server = children.start("api-server", command, env=airflow.env, log=home / "logs" / "api-server.log")
        server.wait_until(lambda: answers(airflow.port), seconds=180)
        yield Ui(airflow, home / "reports")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.fail("no Chromium: run scripts/services --ui")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


def opened(browser: Browser, ui: Ui, path: str, asked: list[str]) -> Page:
    context = browser.new_context(locale="zh-CN", viewport={"width": 1280, "height": 900})
    context.add_cookies([{"name": "_token", "value": ui.token, "url": ui.airflow.url}])
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(ui.airflow.url + path)
    return page


@pytest.mark.parametrize(
    "path", ["/card-usage/", f"/card-usage/files/{STEM}.html", "/card-usage/runs/some_dag/some_run"]
)
def test_without_a_login_there_is_nothing_to_see(ui: Ui, path: str) -> None:
    assert ui.status(path) == 401
    assert ui.status(path, token="not.a.token") in (401, 403)


@pytest.mark.parametrize(
    "name",
    [
        "../secret.html",
        "..%2Fsecret.html",
        f"{HOSPITAL}/../../secret.html",
        f"{HOSPITAL}/%2e%2e/%2e%2e/secret.html",
        "%2Fetc%2Fpasswd.html",
        f"{HOSPITAL}/{DAY}/none.html",
        f"{HOSPITAL}/{DAY}",
        ".hidden.html",
        "x.exe",
        "x" * 300 + ".html",
        f"{HOSPITAL}/{'x' * 300}.html",
        "a/" * 900 + "b.html",
        "%ff%fe.html",
        "%00.html",
        "%1b%5b2J%0a.html",
    ],
)
def test_no_name_leads_out_of_the_reports(ui: Ui, name: str) -> None:
    assert ui.status(f"/card-usage/files/{name}", token=ui.token) == 404


def test_the_list_leads_to_the_pages_and_nothing_is_loaded_from_elsewhere(ui: Ui, browser: Browser) -> None:
    asked: list[str] = []
    page = opened(browser, ui, "/card-usage/", asked)
    assert HOME.name in page.inner_text("main")
    assert "用卡数据上报总览" in page.inner_text("section.whole")
    for heading in ("总览", HOME.name):
        page.goto(f"{ui.airflow.url}/card-usage/")
        page.locator("section", has_text=heading).first.locator("a.first").first.click()
        assert page.locator("p.verdict").inner_text()
        assert page.locator("svg").count() > 5
        assert page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") == "960px", "styles apply"
    assert {url.split("/card-usage/")[0] for url in asked} == {ui.airflow.url}
    assert not [secret for secret in SECRETS if secret in page.content()]


def test_airflows_menu_has_the_reports_in_it(ui: Ui, browser: Browser) -> None:
    page = opened(browser, ui, "/plugin/card-usage", [])
    frame = page.frame_locator("iframe").first
    frame.locator("section.whole").wait_for(timeout=60_000)
    frame.locator("section.whole a.first").first.click()
    frame.locator("p.verdict").wait_for(timeout=60_000)
    assert "家医院" in frame.locator("p.verdict").inner_text()


def test_a_tasks_page_has_a_button_that_opens_its_report(ui: Ui, browser: Browser) -> None:
    (run,) = ui.airflow.runs("written")
    assert run["state"] == "success"
    page = opened(browser, ui, f"/dags/written/runs/{quote(run['dag_run_id'])}/tasks/publish/details", [])
    button = page.locator(f'a[href="/card-usage/files/{STEM}.html"]')
    button.wait_for(timeout=60_000)
    assert button.inner_text().strip() == "用卡报告"
    button.click()
    page.locator("p.verdict").wait_for(timeout=60_000)
    assert HOME.name in page.inner_text("main")


def test_the_asset_of_reports_says_what_was_written(ui: Ui) -> None:
    (found,) = [one for one in ui.airflow.ask("/assets?limit=100")["assets"] if one["name"] == "card_usage_reports"]
    (event,) = ui.airflow.ask(f"/assets/events?asset_id={found['id']}")["asset_events"]
    assert event["source_task_id"] == "publish"
    assert f"{STEM}.html" in event["extra"]["files"]


def test_sheets_and_json_come_as_what_they_are(ui: Ui) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for ending, kind in (("xlsx", "spreadsheetml"), ("json", "application/json"), ("html", "text/html")):
        request = urllib.request.Request(f"{ui.airflow.url}/card-usage/files/{STEM}.{ending}")  # noqa: S310
        request.add_header("Authorization", f"Bearer {ui.token}")
        answer = opener.open(request, timeout=30)
        assert kind in answer.headers["Content-Type"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.read() == (ui.reports / f"{STEM}.{ending}").read_bytes()


def a_run_in(ui: Ui, state: str) -> str:
    """A run of the hospital's DAG in this state; there is no scheduler that would move it on."""
    run_id = ui.airflow.trigger(REPORT_DAG)
    if state in ("success", "failed"):
        mark(ui, run_id, state)
    elif state == "running":
        with closing(sqlite3.connect(ui.airflow.home / "airflow.db")) as metadata, metadata:
            metadata.execute("update dag_run set state = 'running' where run_id = ?", (run_id,))
    assert state_of(ui, run_id) == state
    return run_id


def state_of(ui: Ui, run_id: str) -> str:
    return str(ui.airflow.ask(f"/dags/{REPORT_DAG}/dagRuns/{quote(run_id)}")["state"])


def mark(ui: Ui, run_id: str, state: str) -> None:
    ui.airflow.ask(f"/dags/{REPORT_DAG}/dagRuns/{quote(run_id)}", {"state": state}, "PATCH")


@pytest.mark.parametrize("state", ["queued", "running", "success", "failed"])
def test_a_run_in_any_state_can_be_cleared_and_marked(ui: Ui, state: str) -> None:
    run_id = a_run_in(ui, state)
    again = {"dry_run": False, "only_failed": False}
    ui.airflow.ask(f"/dags/{REPORT_DAG}/dagRuns/{quote(run_id)}/clear", again)
    assert state_of(ui, run_id) == ("running" if state == "running" else "queued")
    for wanted in ("failed", "success", "failed"):
        mark(ui, run_id, wanted)
        assert state_of(ui, run_id) == wanted
        one_task = {**again, "dag_run_id": run_id, "task_ids": ["deliver"], "include_downstream": True}
        ui.airflow.ask(f"/dags/{REPORT_DAG}/clearTaskInstances", one_task)
        assert state_of(ui, run_id) == "queued"


def test_a_failed_run_is_cleared_in_the_browser(ui: Ui, browser: Browser) -> None:
    run_id = a_run_in(ui, "failed")
    page = opened(browser, ui, f"/dags/{REPORT_DAG}/runs/{quote(run_id)}", [])
    page.get_by_role("button", name="清除").first.click(timeout=60_000)
    page.get_by_role("button", name="确认").click(timeout=60_000)
    for _ in range(60):
        if state_of(ui, run_id) == "queued":
            break
        page.wait_for_timeout(500)
    assert state_of(ui, run_id) == "queued"
