"""The recipes of CONTRIBUTING.md are true: each is carried out in a copy of the project, in the files it names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MOST_FILES = 2
FOLDERS = ("include", "plugins", "dags")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One recipe carried out. `new`: files to write; `edits`: file -> pairs (text that stands there, text instead).

    `shown_by`: a program that fails unless the project, so changed, does what was added.
    """

    new: Mapping[str, str] = field(default_factory=dict)
    edits: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    shown_by: str

    @property
    def files(self) -> set[str]:
        """What it touches."""
        return {*self.new, *self.edits}


def shipped(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


TRIALS: Mapping[str, Trial] = {
    "a feed": Trial(
        new={"include/sql/card_use_view/physiotherapy.sql": shipped("include/sql/card_use_view/registration.sql")},
        shown_by="""
            from card_usage.config.hospital import His
            from card_usage.source.feeds import feed_sql

            assert His(connection="c", shape="card_use_view", feeds=("physiotherapy",)).feeds == ("physiotherapy",)
            assert ":start" in str(feed_sql("card_use_view", "physiotherapy").select)
            """,
    ),
    "a HIS shape": Trial(
        new={"include/sql/other_his/registration.sql": shipped("include/sql/card_use_view/registration.sql")},
        shown_by="""
            from card_usage.config.hospital import His
            from card_usage.source.feeds import feed_sql

            assert His(connection="c", shape="other_his", feeds=("registration",)).shape == "other_his"
            assert ":start" in str(feed_sql("other_his", "registration").select)
            """,
    ),
    "a database": Trial(
        new={
            "include/card_usage/source/dialects/exasol.py": """
                from functools import partial

                from card_usage.source.dialect import Dialect, server_url

                DIALECT = Dialect(names=("exasol",), conn_types=("exa",), url=partial(server_url, "exa+websocket"))
                """
        },
        shown_by="""
            from card_usage.config.connections import connection_from_environment
            from card_usage.source.dialect_registry import database_url

            connection = connection_from_environment("his", environment={"AIRFLOW_CONN_HIS": "exa://u:p@db/his"})
            assert database_url(connection).drivername == "exa+websocket"
            """,
    ),
    "a rule": Trial(
        edits={
            "include/card_usage/standard/rules.py": (
                (
                    "\nRULES: Final[tuple[Rule, ...]] = (\n",
                    """
RULES: Final[tuple[Rule, ...]] = (
    Rule(
        id="name.initial",
        field="name",
        kind="format",
        severity="warning",
        section=OURS,
        zh="姓名只有一个字母",
        en="the name is a single letter",
        holds=lambda card_type, value: len(value) > 1,
    ),
""",
                ),
            )
        },
        shown_by="""
            from card_usage.events import CardUse
            from card_usage.standard.rule_check import check
            from card_usage.standard.rules import markdown
            from datetime import datetime

            codes = ("010105", None, "01", "0401", "0100")
            use = CardUse(datetime(2026, 3, 2, 9), *codes, "11010519491231002X", "A", None)
            findings = check(use, profile="v2.1")
            assert "name.initial" in [finding.rule for finding in findings]
            assert "name.initial" in markdown()
            """,
    ),
    "a result code": Trial(
        edits={
            "include/code_tables/result_code.csv": (("\n10054,", "\n19999,refused,示例,,3.2.12\n10054,"),),
            "include/card_usage/words/platform.py": (
                (
                    '    "result_code.10054"',
                    '    "result_code.19999": ("示例", "for example"),\n    "result_code.10054"',
                ),
            ),
        },
        shown_by="""
            from card_usage.open_platform.document import codes
            from card_usage.platform.outcome import Answer, classify, markdown

            assert classify(19999) is Answer.REFUSED
            assert "19999" in markdown()
            assert "| 19999 | refused | 示例 | 示例 | for example | 全部 |" in codes()
            """,
    ),
    "an interface of the platform": Trial(
        edits={
            "include/card_usage/interfaces/messages.py": (
                (
                    "\n@message\nclass VerifyQrCode(",
                    """
@message
class UnbindCard(Request["Bound"]):
    \"\"\"An example.\"\"\"

    interface: ClassVar[str] = "unbindCard"
    patid: str = wire("院内 ID", missing=10033, limit=KEY, patient=True)


@message
class VerifyQrCode(""",
                ),
            ),
            "include/card_usage/interfaces/table.py": (
                ("    VerifiedCard,\n", "    UnbindCard,\n    VerifiedCard,\n"),
                (
                    "    _declare(\n        VerifyQrCode,",
                    """    _declare(UnbindCard, "解绑", 12, Bound, Repetition.NEW_ID, own_codes=(10033,)),
    _declare(
        VerifyQrCode,""",
                ),
            ),
        },
        shown_by="""
            from card_usage.interfaces.messages import UnbindCard
            from card_usage.open_platform.document import details
            from card_usage.open_platform.validation import problems

            assert "### 3.2.12 解绑 `unbindCard`" in details()
            assert [problem.code for problem in problems(UnbindCard(patid=""), {})] == [10033]
            """,
    ),
    "a chart": Trial(
        edits={
            "include/card_usage/report/charts.py": (
                (
                    "\nFLOW: Final = Chart(",
                    """
HALVES: Final = share_chart(
    title=("上午与下午", "Halves of the day"),
    key="usage.halves",
    figure=lambda basis: [],
    schema=list_of(
        "uses by half of the day",
        code=described(TEXT, "which"),
        name=described(TEXT, "its hours"),
        events=described(COUNT, "how many"),
    ),
)

FLOW: Final = Chart(""",
                ),
                ("\nALWAYS: Final = (", "\nALWAYS: Final = (HALVES, "),
            )
        },
        shown_by="""
            from card_usage.report.schemas import assembled

            for form in ("day", "month", "fleet"):
                assert '"halves"' in assembled(form), form
            """,
    ),
    "a kind of channel": Trial(
        edits={
            "include/card_usage/notifications/channel_kinds.py": (
                (
                    "\n_DECLARED: Final",
                    """
def _ntfy(connection: Connection) -> NotifyBase | None:
    import apprise

    return apprise.Apprise.instantiate(f"ntfy://{connection.password}")


_DECLARED: Final""",
                ),
                (
                    "    ChannelKind(\n",
                    """    ChannelKind(name="ntfy", plugin=_ntfy, fields={"password": "the topic"}),
    ChannelKind(
""",
                ),
            )
        },
        shown_by="""
            from card_usage.config.connections import connection_from_environment
            from card_usage.notifications.channel_kinds import kind_of, table

            connection = connection_from_environment("c", environment={"AIRFLOW_CONN_C": "ntfy://:topic@"})
            assert kind_of(connection).plugin(connection) is not None
            assert "ntfy" in table()
            """,
    ),
    "a cause of incidents": Trial(
        new={
            "include/card_usage/alerts/detectors/weather.py": """
                from card_usage.alerts.incidents import Condition


                def _storm(connection, now):
                    yield Condition(cause="storm", severity="warning", count=1, since=now)


                FLEET_DETECTORS = (_storm,)
                """
        },
        edits={
            "include/card_usage/config/alert_causes.py": (
                (
                    "_DECLARED: Final = (\n",
                    """_DECLARED: Final = (
    Cause(
        name="storm",
        owner="engineer",
        title=("暴风雨", "A storm"),
        what=("有 {count} 场暴风雨", "{count} storms"),
        todo=("关窗", "close the windows"),
        over=("天晴了", "the sky is clear"),
    ),
""",
                ),
            )
        },
        shown_by="""
            from datetime import UTC, datetime

            from card_usage.alerts.detection import detect_in_fleet
            from card_usage.config.keyring import Keyring
            from card_usage.ledger.database import migrate, open_ledger

            migrate("sqlite:///ledger.db")
            ledger = open_ledger("sqlite:///ledger.db", Keyring.parse(Keyring.new_key("k")))
            with ledger.read() as connection:
                causes = [condition.cause for condition in detect_in_fleet(connection, datetime.now(UTC))]
            assert causes == ["storm"], causes
            """,
    ),
    "a command of the command line": Trial(
        edits={
            "include/card_usage/cli/holds.py": (
                (
                    "from card_usage.cli.command import",
                    "from card_usage.cli.arguments import hospital_arguments\nfrom card_usage.cli.command import",
                ),
                (
                    "def add_commands(commands: Commands) -> None:\n",
                    """def _greet(invocation: Invocation) -> Result:
    return Result(output={"greeting": invocation.args.hospital})


def add_commands(commands: Commands) -> None:
    add_command(commands, "greet", _greet, "say hello to a hospital", hospital_arguments())
""",
                ),
            ),
            "include/card_usage/cli/verbs.py": (
                ('    "holds": {\n', '    "holds": {\n        "greet": "say hello to a hospital",\n'),
            ),
        },
        shown_by="""
            import subprocess
            import sys

            command = [sys.executable, "-m", "card_usage", "greet", "--help"]
            told = subprocess.run(command, capture_output=True, text=True)
            assert "say hello" in told.stdout, told
            """,
    ),
    "a DAG": Trial(
        new={
            "dags/count_card_usage.py": '''
                """# Count, for a trial."""

                from airflow.sdk import dag, task
                from card_usage_airflow.defaults import DEFAULT_ARGS, EARLIEST, timetable


                @dag(schedule=timetable("0 5 * * *"), start_date=EARLIEST, catchup=False, default_args=DEFAULT_ARGS)
                def count_card_usage():
                    @task
                    def count():
                        return 1

                    count()


                counted = count_card_usage()
                '''
        },
        shown_by="""
            import importlib.util

            spec = importlib.util.spec_from_file_location("count_card_usage", ROOT / "dags/count_card_usage.py")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            assert module.counted.task_ids == ["count"]
            """,
    ),
}


def recipes() -> dict[str, list[str]]:
    """What CONTRIBUTING.md says: what is added -> the files to touch, as patterns."""
    section = shipped("CONTRIBUTING.md").partition("## Recipes")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|", section, re.M)
    named = {what: re.findall(r"`([^`]+)`", files) for what, files in rows if not what.startswith(("To add", "---"))}
    return {what: [re.sub(r"<\w+>", "*", file) for file in files] for what, files in named.items()}


def test_every_recipe_is_tried_here_and_every_trial_is_a_recipe() -> None:
    assert recipes().keys() == TRIALS.keys()


@pytest.mark.parametrize("what", TRIALS)
def test_a_recipe_works_and_touches_the_files_it_names_and_no_others(what: str, tmp_path: Path) -> None:
    trial, named = TRIALS[what], recipes()[what]
    assert len(trial.files) <= len(named) <= MOST_FILES
    strays = [file for file in trial.files if not any(fnmatch(file, pattern) for pattern in named)]
    assert strays == []
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name, text in trial.new.items():
        assert not (ROOT / name).exists()
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text), encoding="utf-8")
    for name, pairs in trial.edits.items():
        text = (tmp_path / name).read_text(encoding="utf-8")
        for before, after in pairs:
            assert before in text
            text = text.replace(before, after, 1)
        (tmp_path / name).write_text(text, encoding="utf-8")
    program = f"from pathlib import Path\nROOT = Path({str(tmp_path)!r})\n" + textwrap.dedent(trial.shown_by)
    path = os.pathsep.join(str(tmp_path / folder) for folder in ("include", "plugins"))
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
