"""No patient leaves by a side door: real values of the demo's patients are looked for wherever text comes out."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import pickle
import sqlite3
import traceback
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path

import demo_his
import duckdb
import platform_sandbox
import pytest
from card_usage import pipeline, retention
from card_usage.alerts import incident_store
from card_usage.alerts.incidents import Incident
from card_usage.alerts.sweep import Team, sweep
from card_usage.code_mapping import workbench
from card_usage.code_mapping.workbook import workbook
from card_usage.config.connections import Connection
from card_usage.config.keyring import Keyring
from card_usage.config.settings import Settings
from card_usage.context import Context
from card_usage.errors import CardUsageError, WrongKey
from card_usage.events import OPTIONAL_FIELDS
from card_usage.evidence.rebuild import pack_files, rebuild
from card_usage.evidence.seal import seal_days, verify
from card_usage.files.shipped import SHIPPED
from card_usage.files.xlsx import comma_separated
from card_usage.history import load
from card_usage.interfaces.table import INTERFACES
from card_usage.ledger.database import migrate
from card_usage.ledger.decisions import Actor, problems, recorded
from card_usage.ledger.schema import event
from card_usage.ledger.viewings import Viewing, note, viewings
from card_usage.notifications.dispatch import dispatch
from card_usage.onboarding.readiness import check_readiness
from card_usage.open_platform.client import OpenPlatform
from card_usage.open_platform.session import opened_gate
from card_usage.open_platform.trace import Trace
from card_usage.open_platform.wire_requests import request_from_wire
from card_usage.preview import preview
from card_usage.quality.approval import ask_for_decision, record_decision, verdicts_of
from card_usage.quality.verdict_store import save
from card_usage.reconciliation import watermark
from card_usage.reconciliation.corrections import corrections, sheet
from card_usage.reconciliation.differences import differences_of
from card_usage.reconciliation.statement_files import ImportOptions, Reader
from card_usage.reconciliation.statement_import import import_files
from card_usage.report.mail import mail
from card_usage.report.publish import publish_days, publish_fleet, publish_month_of
from card_usage.standard.aliases import Choice
from card_usage.standard.id_numbers import check_digit
from card_usage.standard.rules import MISPLACED
from card_usage.warehouse import run, table
from card_usage.warehouse.answer import answer
from card_usage.warehouse.check import check
from card_usage.warehouse.dimensions import Names
from card_usage.warehouse.indicators import load_indicators
from card_usage.warehouse.question import ATTRIBUTES, ask
from card_usage.windows import Window, day_window, instant
from card_usage.words.catalogue import Words
from openpyxl import load_workbook
from receivers import mailbox, webhook
from sqlalchemy import func, select, update
from wrong_columns import MOBILE, wrong_sql

DAY = date(2026, 3, 2)


@pytest.fixture
def secrets(tmp_path: Path) -> frozenset[str]:
    """Identity numbers, QR texts and longer names of everybody in the HIS."""
    demo_his.create(f"sqlite:///{tmp_path}/his.db", [DAY], uses_per_day=600, seed=4)
    with sqlite3.connect(tmp_path / "his.db") as his:
        people = his.execute("select hzxm, sfzh from SF_BRXXK").fetchall()
        codes = [code for (code,) in his.execute("select qrCodeText from xt_brxx") if code]
    names = {name.strip() for name, _ in people if name and len(name.strip()) >= 3 and "测试" not in name}
    numbers = {number.strip() for _, number in people if number and len(number.strip()) >= 15}
    assert len(names) > 50
    assert len(numbers) > 100
    return frozenset(names | numbers | set(codes))


@pytest.fixture(params=["the feeds as they are", "every patient field in every column"])
def misplaced(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether each patient field stands in each other column of some rows of every feed."""
    if request.param == "the feeds as they are":
        return False
    wrong_sql(tmp_path / "own", "winning")
    monkeypatch.setenv("CARD_USAGE_FILES", str(tmp_path / "own"))
    return True


def assert_clean(content: bytes, secrets: frozenset[str], where: str) -> None:
    """Nobody's values in a text or file, spelled in UTF-8, UTF-16, GBK or as JSON escapes. One line a new surface."""
    found = 0
    for secret in secrets:
        spellings = [secret.encode(), json.dumps(secret)[1:-1].encode()]
        if not secret.isascii():
            spellings += [secret.encode("utf-16-le"), secret.encode("gb18030")]
        found += any(spelling in content for spelling in spellings)
    assert not found, f"{where}: {found} patients' values"


def opened(tmp_path: Path, sandbox: platform_sandbox.RunningSandbox, key: str):  # type: ignore[no-untyped-def]
    ledger_url = f"sqlite:///{tmp_path}/ledger.db"
    migrate(ledger_url)
    settings = Settings(
        ledger_url=ledger_url,
        keyring=Keyring.parse(key),
        hospitals=SHIPPED / "hospitals",
        aliases=SHIPPED / "code_aliases",
        reports=tmp_path / "reports",
        evidence=tmp_path / "evidence",
    )
    connections = {
        "demo_his": Connection(conn_id="demo_his", conn_type="sqlite", schema=f"{tmp_path}/his.db"),
        "demo_platform": Connection(
            conn_id="demo_platform", conn_type="http", host=sandbox.url, login="demo-app-id", password="demo-app-secret"
        ),
    }
    return Context.open("demo_hospital", settings, connections.__getitem__)


def alerts_of(context: Context, now: datetime) -> list[object]:
    """Incidents and messages, as mail, robots and the command line show them, and what went over the wire."""
    with webhook() as hook, mailbox() as box:
        mail = Connection(
            conn_id="mail",
            conn_type="smtp",
            host="127.0.0.1",
            port=box.port,
            extra={"to": "it@hospital.example", "from": "alerts@isv.example", "tls": "none"},
        )
        robot = Connection(conn_id="robot", conn_type="feishu", host=hook.url, password="key")
        # A second time with nothing delivered yet for hours: other causes.
        for later in (timedelta(), timedelta(hours=9)):
            sweep(context.ledger, context.hospital, Team(channels=("mail", "robot")), now=now + later)
            posted = dispatch(context.ledger, {"mail": mail, "robot": robot}.__getitem__, now=now + later)
            assert posted.down == {}
        mails = [part.get_payload(decode=True) for one in box.mails for part in one.walk() if not part.is_multipart()]
        with context.ledger.read() as connection:
            incidents = incident_store.listed(connection, None, now)
        assert {"unmapped_code"} <= {one.cause for one in incidents}
        assert len(hook.raw) == len(box.mails) > 0
        return [*incidents, *map(repr, incidents), *box.raw, *hook.raw, *hook.posts, *mails]


def bench_of(context: Context, window: Window, now: datetime) -> list[object]:
    """The form of a withheld window, the bench's tables, a plan, and the texts of a spreadsheet."""
    found = workbench.suggested(context, window)
    choices = [Choice(gap.table, gap.code, "0301") for gap, _ in found if gap.table == "department"]
    planned = workbench.plan(context, window, choices, now=now)
    assert planned.result.released > 0
    book = load_workbook(BytesIO(workbook(context.hospital, str(window), found, context.tables)))
    cells = [str(cell.value) for sheet in book for row in sheet.iter_rows() for cell in row]
    verdict, *_ = verdicts_of(context.ledger, context.hospital.id, window)
    asked = ask_for_decision(context.ledger, context.hospital, verdict, now=now)
    return [
        found,
        planned.summary(context),
        planned.result.summary(),
        workbench.overview(context, window),
        cells,
        asked,
    ]


def warehouse_of(context: Context, tmp_path: Path, now: datetime) -> list[object]:
    """What the warehouse's files hold, day by day and put together, and an answer by all that can be asked by."""
    store, said = context.settings.store, list[object]()
    for step in (run.build_days, run.compact_and_publish):
        days = (context.hospital, [DAY]) if step is run.build_days else ()
        said += [step(context.ledger, store, *days, **({"now": now} if days else {}))]
        for file in tmp_path.rglob("*.parquet"):
            said += duckdb.connect().execute("from read_parquet(?)", [str(file)]).fetchall()
    with context.ledger.read() as connection:
        names = Names.read(connection)
    by = [name for name in ATTRIBUTES if name not in ("week", "quarter")]
    asked = {"where": (), "first": DAY, "last": DAY, "names": names, "indicators": load_indicators()}
    found = answer(store, ask(figures=["uses"], by=by, **asked), names, load_indicators())
    assert found.rows
    return [*said, table.plain(found, names, load_indicators(), Words("zh")), check(context.ledger, store)]


def decided(context: Context, window: Window, now: datetime) -> list[object]:
    """A decision about the withheld window, what leaves a row by the command line, and who looked at it."""
    passed, *_ = verdicts_of(context.ledger, context.hospital.id, window)
    with context.ledger.write() as connection:
        save(connection, replace(passed.verdict, level="hold"), window, now=now)
    verdict, *_ = verdicts_of(context.ledger, context.hospital.id, window)
    by = Actor("it", "cli", "for the head of IT")
    effect = record_decision(context.ledger, context.hospital, verdict, "released", by, now=now, reason="seen")
    assert effect == "decided"
    note(context.settings.ledger_url, Viewing("it", f"/files/demo_hospital/{DAY}.html", 200, now))
    with context.ledger.read() as connection:
        found = recorded(connection)
        seen = viewings(connection, most=10)
        assert list(problems(connection, context.ledger.keyring)) == []
    assert [row.verb for row in found] == ["decide"]
    assert len(seen) == 1
    return [*found, *seen]


def ledger_files(folder: Path) -> list[Path]:
    """The database, what SQLite keeps beside it, and the data keys."""
    return [path for place in folder.glob("ledger.db*") for path in (place, *place.rglob("*")) if path.is_file()]


def without_a_time(tmp_path: Path, secrets: frozenset[str]) -> str:
    """Take its time from a row of the HIS whose own key is a patient's number; returns the number."""
    whole = (one for one in secrets if len(one) == 18 and one.isascii() and one[:17].isdigit())
    number = min(one for one in whole if check_digit(one[:17]) == one[17])
    with sqlite3.connect(tmp_path / "his.db") as his:
        (chosen,) = his.execute("select rowid from SF_MZCFK limit 1").fetchone()
        columns = [name for _, name, *_ in his.execute("pragma table_info(SF_MZCFK)")]
        values = {"xh": number, "fyrq": None}
        listed = ", ".join("?" if name in values else name for name in columns)
        chosen_values = [values[name] for name in columns if name in values]
        his.execute("pragma legacy_alter_table = on")
        his.execute("create table loose as select * from SF_MZCFK where 0")
        his.execute(f"insert into loose select {listed} from SF_MZCFK where rowid = {chosen}", chosen_values)
        his.execute("insert into loose select * from SF_MZCFK")
        # Its key was a number and its time never empty: a HIS of another make has neither.
        his.execute("drop table SF_MZCFK")
        his.execute("alter table loose rename to SF_MZCFK")
    return number


def called(context: Context, tmp_path: Path) -> list[object]:
    """Calls with real patients as `platform call` traces them, accepted or refused."""
    with sqlite3.connect(tmp_path / "his.db") as his:
        name, number = his.execute(
            "select trim(hzxm), trim(sfzh) from SF_BRXXK where length(trim(sfzh)) = 18 and length(trim(hzxm)) > 2"
        ).fetchone()
        (qr,) = his.execute("select qrCodeText from xt_brxx where qrCodeText is not null limit 1").fetchone()
    person = {"name": name, "idNumber": number, "idType": "01", "gender": "男", "nation": "汉族", "phone1": MOBILE}
    requests = {
        "registerHealthCard": {**person, "wechatCode": "0" * 32, "birthday": "1990-03-07", "address": f"{name}家"},
        "getHealthCardByQRCode": {"qrCodeText": qr},
        "getHealthCardByHealthCode": {"healthCode": number},
    }
    connection = context.connection_of("demo_platform")

    async def call() -> list[str]:
        async with opened_gate(
            context.ledger, context.hospital, connection=connection, tables=context.tables
        ) as opened:
            platform, gate = opened
            trace = Trace(platform)
            client = OpenPlatform(
                platform, gate, hospital_id=context.hospital.platform.hospital_id, tables=context.tables
            )
            for interface, parameters in requests.items():
                await client.call(request_from_wire(INTERFACES[interface], parameters))
            return trace.lines

    lines = asyncio.run(call())
    assert sum(line.startswith("# 3.2.") for line in lines) >= len(requests)
    return [*lines]


def mapped(context: Context, window: Window, tmp_path: Path, now: datetime) -> list[object]:
    """Decisions about codes: taken, listed, weighed, written into files, taken back."""
    found = workbench.suggested(context, window)
    choices = [Choice(gap.table, gap.code, "0301", gap.name or "") for gap, _ in found if gap.table == "department"][:3]
    by = Actor("it", "cli")
    written, released = workbench.carry_out(context, window, choices, by=by, now=now)
    assert written
    codes = [(choice.table, choice.local) for choice in written]
    said = [written, released.summary(), workbench.decided(context), workbench.undoing(context, codes, now=now)]
    files = workbench.export(context, tmp_path / "exported")
    said += [path.read_text(encoding="utf-8") for path in files]
    said += [workbench.take_back(context, codes, by=by, now=now), workbench.decided(context, ended=True)]
    return said


def purged(context: Context, now: datetime) -> list[object]:
    """What retention would delete and has deleted, a year later."""
    later = now + timedelta(days=400)
    with context.ledger.read() as connection:
        due = retention.due(connection, context.hospital, now=later)
    done = retention.purge(context.ledger, context.hospital, context.settings.store, by="it", now=later)
    with context.ledger.read() as connection:
        said = [due, done, [one.summary() for one in done], retention.recorded(connection, context.hospital.id)]
        left = select(func.count()).where(event.c.status == "quarantined", event.c.sealed.is_not(None))
        assert connection.scalar(left) == 0
    assert {one.kind for one in done} >= {"quarantined"}
    return said


def test_no_log_result_report_or_ledger_file_says_who_a_patient_is(
    secrets: frozenset[str],
    misplaced: bool,
    tmp_path: Path,
    sandbox: platform_sandbox.RunningSandbox,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """With patient fields where they belong, every one that may be sent is; where they do not, what must be."""
    caplog.set_level(logging.DEBUG)
    without_a_time(tmp_path, secrets)
    if misplaced:
        secrets |= {MOBILE}
    window, now = day_window(DAY), datetime.now(UTC)
    said: list[object] = []
    with opened(tmp_path, sandbox, Keyring.new_key("t")) as context:
        if not misplaced:
            every_field = context.hospital.platform.model_copy(update={"also_send": OPTIONAL_FIELDS})
            context = replace(context, hospital=context.hospital.model_copy(update={"platform": every_field}))
        said += [preview(context, window, now=now)]
        said += [pipeline.stage(context, feed, window, now=now) for feed in context.hospital.his.feeds]
        # While it waits, a patient is in the ledger only sealed.
        assert [path.name for path in ledger_files(tmp_path) if path.parent.name == context.hospital.id], "data keys"
        for path in ledger_files(tmp_path):
            assert_clean(path.read_bytes(), secrets, path.name)
        sandbox.faults(http_500=0.1, busy=0.1, drop_after=0.1, truncated=0.1)
        said += [pipeline.check(context, window, now=now), pipeline.deliver(context, window, until=now)]
        said += [pipeline.deliver(context, window)]
        sandbox.calm()
        said += [pipeline.deliver(context, window), pipeline.reconcile(context, window, now=now)]
        with context.ledger.read() as connection:
            said += watermark.marks(connection, context.hospital)
        said += differences_of(context.ledger, context.hospital.id, window, now=now)
        said += [*publish_days(context, window, now=now)]
        said += seal_days(context, now=now)
        packs = [gzip.decompress(path.read_bytes()) for path in tmp_path.rglob("*.tsv.gz")]
        statement = tmp_path / "statement.csv"
        statement.write_text(sandbox.statement(), encoding="utf-8")
        taken = import_files(
            context.ledger,
            Reader.of(context.settings),
            {context.hospital.id: context.hospital},
            [statement],
            ImportOptions(as_of=now),
            now=now,
        )
        said += [*taken.imported, *taken.refused]
        said += [verify(context.ledger, context.hospital.id, context.settings.evidence)]
        rebuilt = rebuild(context.ledger, pack_files([context.settings.evidence]), {context.hospital.id}, now=now)
        assert rebuilt.counts["known"] > 0
        said += [rebuilt, rebuilt.summary()]
        said += [*publish_days(context, window, now=now)]
        said += [*publish_month_of(context, DAY, now=now)]
        said += warehouse_of(context, tmp_path, now)
        fleet, figures = publish_fleet(
            context.ledger,
            [context.hospital],
            DAY,
            context.settings.store,
            broken={},
            language="zh",
            now=now,
        )
        said += [fleet, figures, mail(figures, link="https://airflow.example/")]
        said += bench_of(context, window, now)
        said += decided(context, window, now)
        # `hospital check` looks at rows of the HIS itself.
        found = check_readiness(context, now=instant(window.end), days=1)
        assert {"codes", "rules"} <= {one.check for one in found}
        said += found
        said += alerts_of(context, datetime(2026, 3, 3, 2, tzinfo=UTC))
        keys = [
            incident.facts["keys"] for incident in said if isinstance(incident, Incident) and "keys" in incident.facts
        ]
        assert [str(key).startswith("masked-") for key in keys] == [True]
        said += called(context, tmp_path)
        said += mapped(context, window, tmp_path, now)
        said += [load(context, DAY, DAY, present=lambda: now, on_day=lambda *day: said.append(day))]
        with context.ledger.write() as connection:
            connection.execute(update(event).where(event.c.status == "delivered").values(changed_at=now))
            listed = sheet(corrections(connection, context.hospital.id, window), {}, Words("zh"))
        assert listed.rows
        said += [listed, comma_separated(listed)]
        said += purged(context, now)
        with context.ledger.read() as connection:
            left = connection.exec_driver_sql(
                "select count(*) from event where status in ('delivered', 'voided') and sealed is not null"
            ).scalar_one()
        if misplaced:
            with context.ledger.read() as connection:
                reasons = {*connection.scalars(select(event.c.reason).where(event.c.reason.like("%.patient")))}
            assert reasons == {one.rule for one in MISPLACED.values()}
            assert {"patient_in_column"} <= {one.cause for one in said if isinstance(one, Incident)}
            assert {one.feed for one in found if (one.check, one.state) == ("misplaced", "missing")} == {
                *context.hospital.his.feeds
            }
    assert left == 0
    assert packs
    assert all(kind in packs[0] for kind in (b"# use ", b"# reconciliation ", b"# report "))
    assert_clean(b"".join(packs), secrets, "evidence")
    assert_clean(caplog.text.encode(), secrets, "the log, at DEBUG")
    for one in said:
        assert_clean(repr(one).encode() + pickle.dumps(one), secrets, f"results, {type(one).__name__} {str(one)[:60]}")
    assert_clean("".join(capfd.readouterr()).encode(), secrets, "what was printed")
    books = [*tmp_path.rglob("*.xlsx")]
    assert len(books) == 3
    for path in books:
        with zipfile.ZipFile(path) as book:
            for part in book.namelist():
                assert_clean(book.read(part), secrets, f"{path.name}, {part}")
    for path in [*tmp_path.rglob("*.html"), *tmp_path.rglob("*.json"), *ledger_files(tmp_path)]:
        if "expected" not in path.name:
            assert_clean(path.read_bytes(), secrets, path.name)


def test_no_exception_says_who_a_patient_is(
    secrets: frozenset[str], tmp_path: Path, sandbox: platform_sandbox.RunningSandbox
) -> None:
    window, now = day_window(DAY), datetime.now(UTC)
    told: list[str] = []
    with opened(tmp_path, sandbox, Keyring.new_key("t")) as context:
        pipeline.stage(context, "payment", window, now=now)
        # A column of the ledger goes away under it: the database's own words must not carry parameters.
        with sqlite3.connect(tmp_path / "ledger.db") as ledger:
            ledger.execute("alter table event rename column channel to canal")
        try:
            pipeline.stage(context, "registration", window, now=now)
        except Exception:
            told.append(traceback.format_exc())
        with sqlite3.connect(tmp_path / "ledger.db") as ledger:
            ledger.execute("alter table event rename column canal to channel")
        with sqlite3.connect(tmp_path / "his.db") as his:
            his.execute("alter table SF_BRXXK rename column sfzh to zjhm")
        try:
            pipeline.stage(context, "registration", window, now=now)
        except CardUsageError:
            told.append(traceback.format_exc())
    with pytest.raises(WrongKey) as raised, opened(tmp_path, sandbox, Keyring.new_key("other")):
        pass
    told.append(str(raised.value))
    assert len(told) == 3
    assert_clean("\n".join(told).encode(), secrets, "exceptions")
