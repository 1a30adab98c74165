"""A known day, from its HIS to its sealed evidence, with everything that people and other systems get to see of it."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any
from unittest.mock import patch

import demo_his
from card_usage.config.keyring import Keyring
from card_usage.windows import local
from openpyxl import load_workbook

from golden.stage import DAYS, HOMES, Home, Stage, at
from golden.written import Listing

_EVENT = (
    "key, feed, source_id, day, occurred_at, scene, department, department_name, card_type, channel, cost_type, "
    "status, reason, digest, request_id, generation, lane, attempts, result_code, staged_at, settled_at, voided_at, "
    "changed_at, vanished_at"
)
# Not in here: staged_hour.digest, which covers the code itself.
_TABLES = {
    "feed_window": "hospital, feed, start, end, status, source_rows, repeated_rows, staged_at, closed_at",
    "staged_hour": "hospital, feed, hour, part",
    "source_mark": "hospital, feed, day, hours, at",
    "verdict": "hospital, start, end, verdict, reasons, at, asked_at, decision",
    "window_profile": 'hospital, start, "end", measure, "of", amount',
    "reconciliation": "hospital, feed, day, counts, remainder, provisional, clean, at",
    "statement": "hospital, day, layout, told_apart, uses, as_of, imported_at",
    "absent": "hospital, feed, day, kind, source_id, found_at",
    "verified": "hospital, feed, since, through, at",
    "verified_move": "hospital, feed, before, after, reason, at",
    "evidence": "hospital, serial, day, supersedes, events, attempts, reason, digest, previous, link, seal, at",
    "day_use": "hospital, day, dimension, code, events, health_card",
    "report_file": "hospital, day, kind, path, at",
}


def play(home: Path) -> dict[str, Any]:
    """By topic, what came of it."""
    stage = Stage(home=home, now=at(4, 1))
    said: dict[str, Any] = {}

    def run(title: str, *words: str) -> None:
        said[title] = stage.run(*words)

    def each(title: str, verb: str, *more: str) -> None:
        for home in HOMES:
            run(f"{home.id}, {title}", *verb.split(), *home.span, *more, "--json")

    def prove(title: str) -> None:
        for home in HOMES:
            for verb in ("verified", "evidence make", "evidence verify"):
                run(f"{home.id}, {title}, {verb}", *verb.split(), "--hospital", home.id, "--json")

    with contextlib.ExitStack() as stack:
        # Data keys are random: what they key is recorded as the founding key of this day would key it.
        by_founding_key = Keyring.parse(stage.environment["CARD_USAGE_KEY"]).digest
        stack.enter_context(patch("card_usage.config.day_keys.KeyedDigest", lambda *_: by_founding_key))
        stack.enter_context(patch("card_usage.config.day_keys.choice", lambda _: "g"))
        run("the ledger is made", "ledger", "migrate")
        for hospital in HOMES:
            stack.enter_context(stage.opened(hospital))
        each("01:00 preview", "preview")
        each("01:00 stage", "stage")
        each("01:00 check", "check")
        each("01:00 quality", "quality")
        each("01:00 aliases propose", "aliases propose")
        staged = {hospital.id: _events(stage, hospital) for hospital in HOMES}
        stage.now = at(4, 2)
        each("02:00 deliver", "deliver")
        each("02:10 redeliver without --yes", "redeliver")
        each("02:20 redeliver", "redeliver", "--yes")
        for hospital in HOMES:
            _overnight(stage, hospital)
        stage.now = at(4, 7)
        each("07:00 reconcile", "reconcile")
        each("07:00 differences", "differences")
        stage.now = at(4, 8)
        each("08:00 report", "report")
        run("08:00 alerts", "alerts", "send")
        before = {name: report for name, report in _reports(stage).items() if name.endswith(".json")}
        stage.now = at(5, 1)
        each("next day, 01:00 stage", "stage")
        each("next day, 01:00 check", "check")
        each("next day, 01:00 deliver", "deliver")
        stage.now = at(5, 7)
        for hospital in HOMES:
            run(f"{hospital.id}, next day, 07:00 statement", *_statement(stage, hospital, surplus=1))
        each("next day, 07:10 reconcile", "reconcile")
        each("next day, 07:10 differences", "differences")
        for hospital in HOMES:
            run(f"{hospital.id}, next day, 07:20 statement, corrected", *_statement(stage, hospital))
        each("next day, 07:30 reconcile", "reconcile")
        prove("next day")
        stage.now = at(5, 8)
        each("next day, 08:00 report", "report")
        for hospital in HOMES:
            run(f"{hospital.id}, month", "report-month", "--hospital", hospital.id, "--month", "2026-03", "--json")
        for language, day in (("zh", DAYS[0]), ("en", DAYS[1])):
            of = ("--day", f"{day}", "--language", language)
            run(f"fleet, {language}", "report-fleet", *of)
            run(f"fleet, {language}, mail", "report-fleet", *of, "--text")
            span = ("--from", f"{DAYS[0]}", "--to", f"{DAYS[1]}", "--language", language)
            for form in ("--json", "--csv"):
                run(f"usage, {language}, {form}", "usage", *span, form)
        run("next day, 08:00 alerts", "alerts", "send")
        run("next day, incidents", "incidents", "--days", "2", "--json")
        run("next day, incidents in Chinese", "incidents", "--days", "2", "--zh")
        for hospital in HOMES:
            _refund(stage, hospital, 30)
        stage.now = at(6, 7)
        each("third day, reconcile", "reconcile")
        prove("third day")
        return {
            "command_line": said,
            "events_staged": staged,
            "events": {hospital.id: _events(stage, hospital) for hospital in HOMES},
            "findings": {hospital.id: _findings(stage, hospital) for hospital in HOMES},
            "calls": {hospital.id: _calls(stage, hospital) for hospital in HOMES},
            "tables": {
                name: Listing(stage.ledger(f"SELECT {columns} FROM {name} ORDER BY {_order(columns)}"))
                for name, columns in _TABLES.items()
            },
            "evidence": _evidence(stage.home / "evidence"),
            "reports_before_it_was_proved": before,
            "reports": _reports(stage),
            "messages": messages(stage),
        }


def _overnight(stage: Stage, home: Home) -> None:
    """Rows come late, some are refunded, one is gone, one patient has another name."""
    demo_his.arrive(f"sqlite:///{stage.home}/{home.id}.his.db", home.days)
    stage.his(home, "DELETE FROM YJ_JYBGK WHERE repno = (SELECT max(repno) FROM YJ_JYBGK)")
    stage.his(
        home,
        "UPDATE SF_BRXXK SET hzxm = '改名者' WHERE patid = (SELECT patid FROM SF_BRJSK WHERE cardtype = 'SF' "
        "AND jlzt = 0 AND ghsfbz = 1 AND ybjszt = 2 ORDER BY sjh LIMIT 1 OFFSET 8)",
    )
    _refund(stage, home, 20)


def _refund(stage: Stage, home: Home, number: int) -> None:
    """Two payments of the first day are taken back."""
    stage.his(
        home,
        "UPDATE SF_BRJSK SET jlzt = 1 WHERE sjh IN (SELECT sjh FROM SF_BRJSK WHERE jlzt = 0 AND ghsfbz = 1 "
        f"AND ybjszt = 2 ORDER BY sjh LIMIT 2 OFFSET {number})",
    )


def _statement(stage: Stage, home: Home, surplus: int = 0) -> list[str]:
    """The platform's statement of the hospital's first day, as a file; so many uses more in its last line."""
    text = stage.platforms[home.id].statement(home.platform_id, f"{home.days[0]}").rstrip("\r\n")
    start, _, uses = text.rpartition(",")
    path = stage.home / f"{home.id}.statement.csv"
    path.write_text(f"{start},{int(uses) + surplus}\r\n", encoding="utf-8", newline="")
    return ["statement", "import", str(path), "--as-of", f"{local(stage.now)}", "--json"]


def _order(columns: str) -> str:
    return ", ".join(str(number) for number in range(1, columns.count(",") + 2))


def _events(stage: Stage, home: Home) -> Listing:
    """Keys, ids, standard codes, states: everything that is not sealed."""
    return Listing(
        stage.ledger(f"SELECT {_EVENT} FROM event WHERE hospital = '{home.id}' ORDER BY day, feed, source_id")
    )


def _findings(stage: Stage, home: Home) -> Listing:
    return Listing(
        stage.ledger(
            "SELECT e.feed, e.source_id, f.position, f.rule, f.field, f.severity, f.code_table, f.code FROM finding f "
            f"JOIN event e ON e.id = f.event_id WHERE e.hospital = '{home.id}' ORDER BY 1, 2, 3"
        )
    )


def _calls(stage: Stage, home: Home) -> dict[str, Any]:
    """The bytes of every call, and what the ledger noted of it."""
    attempts = (
        "SELECT e.key, a.request_id, a.at, a.answer, a.http_status, a.result_code, a.detail, a.status FROM attempt a "
        f"JOIN event e ON e.id = a.event_id WHERE e.hospital = '{home.id}' ORDER BY 1, 3, 2"
    )
    sent = sorted(stage.calls[home.id], key=lambda call: (call["interface"], call["body"]))
    requests = [{"answer": call["answer"], **json.loads(call["body"])["req"]} for call in sent]
    fields = sorted({name for one in requests for name in one})
    return {
        "as sent": Listing(sent),
        "what they say": Listing([{name: one.get(name) for name in fields} for one in requests]),
        "as noted": Listing(stage.ledger(attempts)),
    }


def _evidence(folder: Path) -> dict[str, Listing]:
    """Packs, line by line."""
    return {
        path.relative_to(folder).as_posix(): Listing(
            # Not the address of the platform, whose port is another one each time.
            [
                {"line": line}
                for line in gzip.decompress(path.read_bytes()).decode("ascii").splitlines()
                if not line.startswith("#platform")
            ]
        )
        for path in sorted(folder.rglob("*.gz"))
    }


def _reports(stage: Stage) -> dict[str, Any]:
    """Every published file: JSON whole, pages and mails by their parts, sheets by their rows."""
    folder = stage.home / "reports"
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".json":
            found[name] = json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".html":
            found[name] = Listing([{"part": part} for part in _parts(path.read_text(encoding="utf-8"))])
        elif path.suffix == ".xlsx":
            found[name] = _sheets(path.read_bytes())
    return found


def _parts(html: str) -> list[str]:
    """A page cut before its headings, tables and pictures, so that the first part that differs can be read.

    Pages of the quality check say how long it took, and when Great Expectations was loaded: that is left out.
    """
    timeless = re.sub(r"(用时 |in )\d+\.\d+( 秒| s)(?=</p>)", r"\1*\2", html)
    parts = re.split(r"(?=<(?:h[1-6]|table|svg|tr)\b)", timeless)
    return [part for part in parts if part.strip() and "ge_load_time" not in part]


def _sheets(content: bytes) -> dict[str, Listing]:
    return {
        sheet.title: Listing([{"row": [cell.value for cell in row]} for row in sheet.iter_rows()])
        for sheet in load_workbook(io.BytesIO(content))
    }


def messages(stage: Stage) -> dict[str, Any]:
    """What was put into the outbox: texts whole, their HTML by its digest."""
    found = stage.ledger("SELECT created_at, hospital, channel, topic, subject, text, html FROM outbox ORDER BY id")
    found = [{name: value.replace(str(stage.home), "HOME") for name, value in one.items()} for one in found]
    named = {f"{one['created_at'][:16]} {one['channel']} {one['hospital']} {one['topic']}": one for one in found}
    assert len(named) == len(found)
    return {
        name: {
            "subject": one["subject"],
            "text": one["text"].split("\n"),
            "html": hashlib.sha256(one["html"].encode()).hexdigest()[:32],
        }
        for name, one in sorted(named.items())
    }
