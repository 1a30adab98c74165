"""Decisions about codes: kept in the ledger, layered over the alias files, the same for every worker and reader."""

from __future__ import annotations

import json
import shutil
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import ledgers
import planted
import pytest
from card_usage.code_mapping import workbench
from card_usage.code_mapping.suggestions import Suggester
from card_usage.config.settings import Settings
from card_usage.context import Context
from card_usage.errors import CodesDecidedMeanwhile, CodesTaken, DecisionOutdated
from card_usage.files.shipped import SHIPPED
from card_usage.ledger import code_decisions
from card_usage.ledger.database import Ledger
from card_usage.ledger.decisions import Actor, system_user
from card_usage.ledger.schema import event
from card_usage.staging.hour_chunks import fingerprint
from card_usage.standard.aliases import Choice, load_aliases
from card_usage.standard.code_tables import load_tables
from card_usage.windows import day_window
from desk import SPAN, Desk, opened
from forked_cli import CommandLine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planted import DAY, HOSPITAL, NOW
from sqlalchemy import select

TABLES = load_tables()
WINDOW = day_window(DAY)
MINE, YOURS = Choice("department", "21010", "1506"), Choice("department", "21010", "0304")


def worker(ledger: Ledger, folder: Path) -> Context:
    """A worker with files of its own, which nobody may write."""
    if not folder.exists():
        shutil.copytree(SHIPPED / "code_aliases" / HOSPITAL, folder / HOSPITAL)
    places = Settings(
        ledger_url=str(ledger.engine.url),
        keyring=ledgers.KEYRING,
        hospitals=SHIPPED / "hospitals",
        aliases=folder,
        reports=folder.parent / "reports",
    )
    return Context(hospital=planted.hospital(), settings=places, ledger=ledger, connection_of=lambda _: None)


def decide(context: Context, *choices: Choice, by: str = "wang") -> list[Choice]:
    return workbench.carry_out(context, WINDOW, choices, by=Actor(by, "cli"), now=NOW)[0]


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / HOSPITAL).iterdir()}


def test_what_is_decided_at_one_worker_counts_at_every_other_and_no_file_is_touched(ledger, tmp_path):
    here, there = worker(ledger, tmp_path / "a"), worker(ledger, tmp_path / "b")
    before = files_of(tmp_path / "a")
    assert decide(here, MINE) == [MINE]
    for context in (worker(ledger, tmp_path / "a"), there):
        assert context.aliases["department"]["21010"] == "1506"
        assert context.aliases == here.aliases_now()
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b") == before
    hospital = planted.hospital()
    assert fingerprint(hospital, TABLES, there.aliases) == fingerprint(hospital, TABLES, here.aliases_now())
    other = Context(
        hospital=hospital.model_copy(update={"id": "other"}),
        settings=here.settings,
        ledger=ledger,
        connection_of=lambda _: None,
    )
    assert "21010" not in other.aliases["department"], "each hospital's codes are its own"


def test_a_decision_counts_before_a_line_of_the_files_and_both_are_shown(ledger, tmp_path):
    context = worker(ledger, tmp_path / "a")
    assert context.aliases["department"]["11010"] == "0301"
    planned = workbench.plan(context, WINDOW, [Choice("department", "11010", "0302")], now=NOW)
    with pytest.raises(CodesTaken, match=r"department:11010 = 0301"):
        workbench.demand_no_conflicts(planned, "say so")
    decide(context, Choice("department", "11010", "0302"))
    context = worker(ledger, tmp_path / "a")
    assert context.aliases["department"]["11010"] == "0302"
    assert context.alias_files["department"]["11010"] == "0301"
    (shown,) = workbench.decided(context)
    assert (shown["local"], shown["standard"][:4], shown["before"], shown["file"]) == ("11010", "0302", "0301", "0301")
    assert workbench.overview(context, WINDOW)["conflicts"] == [shown]
    workbench.export(context, tmp_path / "a")
    assert context.alias_files["department"]["11010"] == "0302"
    assert workbench.decided(context)[0]["file"] == "", "a file that says the same is no conflict"


def test_what_is_taken_back_falls_back_to_the_file_and_keeps_its_history(ledger, tmp_path):
    context = worker(ledger, tmp_path / "a")
    decide(context, MINE, Choice("department", "11010", "0302"))
    decide(worker(ledger, tmp_path / "a"), YOURS, by="li")
    codes = [("department", "21010"), ("department", "11010"), ("department", "nobody")]
    undone, unknown = workbench.take_back(context, codes, by=Actor("zhao", "cli"), now=NOW + timedelta(hours=1))
    assert (undone, unknown) == (codes[:2], codes[2:])
    assert context.aliases_now() == context.alias_files
    assert workbench.decided(context) == []
    ended = [
        (one["local"], one["standard"][:4], one["by"], one["ended"][:14])
        for one in workbench.decided(context, ended=True)
    ]
    assert ended == [
        ("21010", "1506", "wang", "replaced li 20"),
        ("11010", "0302", "wang", "undone zhao 20"),
        ("21010", "0304", "li", "undone zhao 20"),
    ]
    assert workbench.take_back(context, codes, by=Actor("zhao", "cli"), now=NOW)[0] == [], "it is safe to repeat"


def test_of_two_who_decide_at_once_one_wins_and_the_other_is_told_and_writes_nothing(ledger, tmp_path):
    first, second = worker(ledger, tmp_path / "a"), worker(ledger, tmp_path / "b")
    assert first.aliases == second.aliases, "both have looked"
    decide(first, MINE, by="wang")
    with pytest.raises(CodesDecidedMeanwhile, match=r"1 codes .* department:21010 = 1506 \(wang, 2026"):
        decide(second, Choice("department", "21020", "0304"), YOURS, by="li")
    assert second.aliases_now() == first.aliases_now()
    assert "21020" not in second.aliases_now()["department"]
    assert decide(worker(ledger, tmp_path / "b"), MINE, by="li") == [], "the same once more is no decision"


def test_many_at_once_leave_one_decision_for_each_code(ledger, tmp_path):
    codes = list(TABLES["department"].codes)[:8]
    contexts = [worker(ledger, tmp_path / "a") for _ in codes]
    assert all(context.aliases for context in contexts), "all have looked before anybody decides"
    won: list[str] = []
    told: list[str] = []

    def one(context: Context, standard: str) -> None:
        try:
            decide(context, Choice("department", "21010", standard), by=standard)
        except CodesDecidedMeanwhile:
            told.append(standard)
        else:
            won.append(standard)

    threads = [threading.Thread(target=one, args=pair) for pair in zip(contexts, codes, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(told)) == (1, 7)
    assert contexts[0].aliases_now()["department"]["21010"] == won[0]


def test_a_decision_for_a_code_that_is_no_longer_standard_is_one_line_that_says_what_to_do(ledger, tmp_path):
    context = worker(ledger, tmp_path / "a")
    with ledger.write() as connection:
        seen = {table: {} for table in TABLES}
        gone = Choice("department", "21010", "9999")
        code_decisions.decide(connection, HOSPITAL, [gone], files=seen, seen=seen, by="wang", now=NOW)
    with pytest.raises(DecisionOutdated, match="aliases undo --hospital demo_hospital --code department:21010"):
        context.aliases_now()
    workbench.take_back(context, [("department", "21010")], by=Actor("wang", "cli"), now=NOW)
    assert context.aliases_now() == context.alias_files


def test_what_another_hospital_decided_is_suggested_as_its_files_would_be(ledger, tmp_path):
    folder = tmp_path / "a"
    for other, name in (("a", "无痛诊疗中心"), ("b", "无痛诊疗中心")):
        with ledger.write() as connection:
            nothing = {table: {} for table in TABLES}
            choice = Choice("department", name, "2700")
            code_decisions.decide(connection, other, [choice], files=nothing, seen=nothing, by="wang", now=NOW)
    worker(ledger, folder)
    with ledger.read() as connection:
        decisions = code_decisions.standing(connection)
    suggester = Suggester(folder, HOSPITAL, TABLES, SHIPPED / "code_tables", decisions)
    (best,) = suggester.suggest("department", "77", "无痛诊疗中心")
    assert (best.code, best.why, best.score) == ("2700", "elsewhere", 0.95)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["decide", "undo", "export"]),
        st.sampled_from(["11010", "21010", "心内 门诊", "ＡＢ１"]),
        st.sampled_from(["0301", "0304", "1506"]),
    ),
    max_size=12,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_is_decided_exported_and_taken_back_the_last_word_counts(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("worker")
    with ledgers.sqlite(folder) as ledger:
        files = dict(load_aliases(SHIPPED / "code_aliases", HOSPITAL, TABLES)["department"])
        decided: dict[str, str] = {}
        for what, local, standard in steps:
            context = worker(ledger, folder / "a")
            folded = code_decisions.fold(local)
            if what == "decide":
                decide(context, Choice("department", local, standard))
                if {**files, **decided}.get(folded) != standard:
                    decided[folded] = standard
            elif what == "undo":
                workbench.take_back(context, [("department", local)], by=Actor("li", "cli"), now=NOW)
                decided.pop(folded, None)
            else:
                workbench.export(context, folder / "a")
                files |= decided
            assert worker(ledger, folder / "a").aliases["department"] == files | decided


# -- the command line, over a HIS and a platform


@pytest.fixture
def desk(tmp_path: Path, command_line: CommandLine):
    with opened(tmp_path, command_line, uses=200) as made:
        shutil.copytree(SHIPPED / "code_aliases" / HOSPITAL, tmp_path / "code_aliases" / HOSPITAL)
        made.environment["CARD_USAGE_ALIASES"] = str(tmp_path / "code_aliases")
        for path in (tmp_path / "code_aliases" / HOSPITAL).iterdir():
            path.chmod(0o444)
        yield made


ONLY = ("--hospital", HOSPITAL)


def unmapped(desk: Desk) -> list[dict[str, Any]]:
    return list(json.loads(desk.run("quality", *SPAN, "--json").stdout)["gaps"])


def test_every_reader_sees_a_decision_and_taking_it_back_leaves_what_was_sent(desk: Desk) -> None:
    desk.json("stage", *SPAN)
    gap = unmapped(desk)[0]
    code = f"{gap['table']}:{gap['local']}"
    before = files_of(desk.home / "code_aliases")
    told = desk.json("aliases", "apply", *SPAN, "--set", f"{code}=0301", "--yes", "--by", "王工")
    assert told["decided"] == [f"{code}=0301"]
    assert told["released"] == gap["events"]
    assert gap["local"] not in {one["local"] for one in unmapped(desk)}
    with ledgers.opened(desk.environment["CARD_USAGE_LEDGER_URL"]) as ledger, ledger.read() as connection:
        waiting = list(connection.scalars(select(event.c.status).where(event.c.department == "0301")))
    tried = desk.json("aliases", "undo", *ONLY, "--code", code, "--dry-run")
    assert "undone" not in tried
    (one,) = tried["codes"]
    assert (one["code"], one["means"][:4], one["then"], one["effect"]) == (code, "0301", "", "held_back")
    assert one["at_most"] == waiting.count("ready") >= told["released"] > 0
    checked = json.loads(desk.run("hospital", "check", HOSPITAL, "--json").stdout)
    assert gap["local"] not in json.dumps(checked, ensure_ascii=False)
    # A worker with other files agrees: reading the HIS again changes nothing.
    other = desk.home / "other_aliases"
    shutil.copytree(desk.home / "code_aliases", other)
    staged = json.loads(desk.run("stage", *SPAN, "--json", CARD_USAGE_ALIASES=str(other)).stdout)["stage"]
    assert all(one["new"] == one["changed"] == one["marked"] == 0 for one in staged)
    assert desk.json("preview", *SPAN)["preview"]["new"] == 0
    desk.json("deliver", *SPAN)
    sent = len(desk.sandbox.accepted())
    (listed,) = desk.json("aliases", "list", *ONLY)["decisions"]
    assert (listed["local"], listed["by"], listed["file"]) == (gap["local"], f"{system_user().name} (王工)", "")
    exported = desk.json("aliases", "export", *ONLY, "--to", str(desk.home / "exported"))["written"]
    assert [Path(path).name for path in exported] == [f"{gap['table']}.csv"]
    undone = desk.json("aliases", "undo", *ONLY, "--code", code, "--by", "李工")
    assert "stays sent" in undone["then"]
    assert (undone["codes"][0]["at_most"], undone["releases"]) == (0, 0), "all of them were sent"
    assert files_of(desk.home / "code_aliases") == before
    desk.json("stage", *SPAN)
    desk.run("deliver", *SPAN)
    assert len(desk.sandbox.accepted()) == sent
    with ledgers.opened(desk.environment["CARD_USAGE_LEDGER_URL"]) as ledger, ledger.read() as connection:
        states = connection.execute(select(event.c.status).where(event.c.department == "0301")).scalars()
        assert set(states) == {"delivered"}
    done = desk.run("aliases", "undo", *ONLY, "--code", code)
    assert done.returncode == 1
    assert code in done.stdout


def test_taking_back_says_what_it_releases_and_what_gets_another_code(desk: Desk) -> None:
    # Somebody took the resident ID for the health card: without its QR text nothing of it passes.
    desk.json("aliases", "apply", *SPAN, "--set", "card_type:SF=11", "--yes", "--replace")
    desk.json("aliases", "apply", *SPAN, "--set", "channel:CK=0200", "--yes", "--replace")
    desk.json("stage", *SPAN)

    def channels() -> dict[str, list[str]]:
        with ledgers.opened(desk.environment["CARD_USAGE_LEDGER_URL"]) as ledger, ledger.read() as connection:
            rows = connection.execute(select(event.c.status, event.c.channel)).all()
        return {state: [channel for status, channel in rows if status == state] for state in ("ready", "quarantined")}

    before = channels()
    waiting = before["ready"].count("0200")
    told = desk.json("aliases", "undo", *ONLY, "--code", "card_type:SF", "--code", "channel:CK", "--dry-run")
    of_card, of_channel = told["codes"]
    assert (of_card["means"][:2], of_card["then"][:2], of_card["effect"]) == ("11", "01", "changed")
    assert (of_channel["then"][:4], of_channel["effect"], of_channel["at_most"]) == ("0100", "changed", waiting)
    assert told["releases"] > 0
    undone = desk.json("aliases", "undo", *ONLY, "--code", "card_type:SF", "--code", "channel:CK")
    assert undone["releases"] == told["releases"]
    desk.json("stage", *SPAN)
    after = channels()
    assert len(before["quarantined"]) - len(after["quarantined"]) == told["releases"]


def test_a_check_of_the_hospital_names_decisions_that_its_files_contradict(desk: Desk) -> None:
    def codes() -> list[str]:
        found = json.loads(desk.run("hospital", "check", HOSPITAL, "--json").stdout)
        return [line for line in json.dumps(found, ensure_ascii=False).split("{") if "11010" in line]

    assert codes() == []
    taken = desk.run("aliases", "apply", *SPAN, "--set", "department:11010=0302", "--yes")
    assert "--replace" in taken.stdout
    desk.json("aliases", "apply", *SPAN, "--set", "department:11010=0302", "--yes", "--replace", "--by", "王工")
    (told,) = codes()
    assert f"department:11010 = 0302 ({system_user().name} (王工)), department.csv: 0301" in told
    assert [one["file"] for one in json.loads(desk.run("quality", *SPAN, "--json").stdout)["conflicts"]] == ["0301"]
    desk.json("aliases", "undo", *ONLY, "--code", "department:11010")
    assert codes() == []


def test_a_code_that_is_no_table_with_a_local_code_is_refused_by_name(desk: Desk) -> None:
    done = desk.run("aliases", "undo", *ONLY, "--code", "nonsense")
    assert done.returncode == 2
    assert "TABLE:LOCAL" in done.stderr
