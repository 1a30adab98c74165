"""Where the golden record is played: hospitals with a HIS and a platform, one ledger, the command line; time stands."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from unittest.mock import patch

import demo_his
import platform_sandbox
from card_usage.cli.main import main
from card_usage.clock import SystemClock
from card_usage.delivery.platform_memory import host_of
from card_usage.events import request_id
from card_usage.quality import check
from platform_sandbox.platform import GET_APP_TOKEN, Answer, Sandbox, refused
from platform_sandbox.refusal import Refusal
from sqlalchemy import create_engine

INCLUDE = Path(demo_his.__file__).resolve().parents[1]
LOCAL = timezone(timedelta(hours=8))
DAYS = (date(2026, 3, 2), date(2026, 3, 3))
TOKEN = "0123456789ABCDEF0123456789ABCDEF"
_KEY = "golden:" + "G" * 43 + "="
_SECRET = "golden-secret"
_REFUSED = (
    "106569d257c956999d9186b91b9bd1fa",
    "1ed1dcc0aa7d5118a208fd0d075ee638",
    "4634136045e956e5a11782243e45f00a",
    "4766166f1113541d91b7de7ad3ed53d1",
    "63276091cd1f526d94034b2aba0c6b9a",
    "73e08c3a3f635df0b091b7d2dd54eeae",
    "8425407dd0d1558884be2f7a5dfef8f2",
    "b2895865586555bb83dce0e49a35e7f0",
    "b702b9de5cb5588bb8c3911311fa4cbe",
    "d258a4d5598f5dcba136de79e4be9a85",
    "eed909dfd9f056aa9b85eb6ca1c0494f",
    "efd5271eceff56699c4eb641583dd635",
    "f7c117bd3eee509e9b29c7cf24cbafa7",
)
_KNOWN_ALREADY = (
    "04cc237803f05f0880443904a7c134f2",
    "0b7391daecc7517e9e7762671beef18e",
    "8076888a631b56b78ad8598541570ef9",
    "ebbfa8dd9da259e091906c2cd504580b",
)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A local time of March 2026, as an instant."""
    return datetime(2026, 3, day, hour, minute, tzinfo=LOCAL).astimezone(UTC)


@dataclass(frozen=True, kw_only=True)
class Home:
    """A hospital of the stage: its own file is the demo hospital's, with these changes."""

    id: str
    platform_id: str
    profile: str
    seed: int
    uses: int
    days: tuple[date, ...]
    changes: tuple[tuple[str, str], ...] = ()

    @property
    def span(self) -> list[str]:
        """Its days, as the command line takes them."""
        return ["--hospital", self.id, "--from", f"{self.days[0]}", "--to", f"{self.days[-1]}"]


# What the demo HIS does not have by itself: damaged and over-long texts, a channel that nobody mapped.
_SOME = "IN (SELECT patid FROM SF_BRXXK ORDER BY patid LIMIT"
_MORE_DIRT = (
    f"UPDATE SF_BRXXK SET hzxm = '王?' WHERE patid {_SOME} 6)",
    f"UPDATE SF_BRXXK SET sfzh = printf('%040d', patid) WHERE patid {_SOME} 3 OFFSET 6)",
    f"UPDATE SF_BRXXK SET hzxm = printf('长%101s', '名') WHERE patid {_SOME} 3 OFFSET 9)",
    "UPDATE GH_GHZDK SET qdlx = 'Q9' WHERE xh IN (SELECT xh FROM GH_GHZDK ORDER BY xh LIMIT 2 OFFSET 20)",
)

HOMES = (
    Home(id="first_hospital", platform_id="10086", profile="v2.1", seed=2, uses=200, days=DAYS),
    Home(
        id="second_hospital",
        platform_id="20202",
        profile="current",
        seed=21,
        uses=200,
        days=DAYS[:1],
        changes=(
            ('department_format = "name"', 'department_format = "his_name"'),
            ("upgrade_15_digit_ids = false", "upgrade_15_digit_ids = true\nquarantine_every_unknown_code = false"),
            ('language = "zh"', 'language = "en"\nissued_cards = 1000'),
        ),
    ),
)


PLATFORM_HOST = "platform.example"


def _recorded_host(_base_url: str) -> str:
    return "platform.example"


class Wire(Sandbox):
    """The sandbox, which writes down the bytes of each call, grants one and the same token, refuses some events, and
    says of others that it has them already."""

    def __init__(self, config: platform_sandbox.Config | None, seen: list[dict[str, Any]]) -> None:
        super().__init__(config)
        self._seen = seen
        self._refused, self._known_already = (
            {request_id(key, 0) for key in keys} for keys in (_REFUSED, _KNOWN_ALREADY)
        )

    def call(
        self, interface: str, body: bytes | None, content_type: str = "", fault: str | None = None, peer: str = ""
    ) -> Answer:
        text = (body or b"").decode()
        of_call = json.loads(text)["commonIn"]["requestId"]
        if interface == GET_APP_TOKEN:
            # This id is drawn at random, and the signature covers it.
            text = re.sub(r'"(requestId|sign)":"[^"]+"', r'"\1":"*"', text)
        elif of_call in self._refused:
            fault = "refuse"
        answer = super().call(interface, body, content_type, fault, peer)
        if interface != GET_APP_TOKEN and of_call in self._known_already:
            answer = refused(Refusal(10054), of_call)
        self._seen.append({"interface": interface, "content_type": content_type, "body": text, "answer": answer.code})
        return answer

    def _issue(self, app: platform_sandbox.App, now: datetime) -> str:
        drawn = super()._issue(app, now)
        self._tokens[TOKEN] = self._tokens.pop(drawn)
        self._current[app.app_id] = TOKEN
        return TOKEN


@dataclass
class Stage:
    """One ledger and its hospitals. `now` is the present for the command line, its deliverers and the platforms."""

    home: Path
    now: datetime
    environment: dict[str, str] = field(default_factory=dict)
    platforms: dict[str, platform_sandbox.RunningSandbox] = field(default_factory=dict)
    calls: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.home / "hospitals").mkdir(parents=True)
        (self.home / "code_aliases").mkdir()
        self.environment |= {
            "CARD_USAGE_LEDGER_URL": f"sqlite:///{self.home}/ledger.db",
            "CARD_USAGE_KEY": _KEY,
            "CARD_USAGE_HOSPITALS": str(self.home / "hospitals"),
            "CARD_USAGE_REPORTS": str(self.home / "reports"),
            "CARD_USAGE_EVIDENCE": str(self.home / "evidence"),
            "CARD_USAGE_STATEMENTS": str(self.home / "statements"),
            "CARD_USAGE_TEAM_CHANNELS": "team",
            "AIRFLOW__API__BASE_URL": "https://airflow.example",
        }

    def write_hospital(self, name: str, text: str) -> None:
        """A hospital's file."""
        (self.home / "hospitals" / f"{name}.toml").write_text(text, encoding="utf-8")

    @contextlib.contextmanager
    def opened(self, home: Home) -> Iterator[None]:
        """Its HIS, its file, its aliases, and while this lasts its platform."""
        his = f"sqlite:///{self.home}/{home.id}.his.db"
        demo_his.create(his, home.days, uses_per_day=home.uses, seed=home.seed)
        for statement in _MORE_DIRT:
            self.his(home, statement)
        shutil.copytree(INCLUDE / "code_aliases" / "demo_hospital", self.home / "code_aliases" / home.id)
        text = (INCLUDE / "hospitals" / "demo_hospital.toml").read_text(encoding="utf-8")
        names = (("demo_hospital", home.id), ("demo_his", f"{home.id}_his"), ("demo_platform", f"{home.id}_platform"))
        wire = (('hospital_id = "10086"', f'hospital_id = "{home.platform_id}"'), ('"v2.1"', f'"{home.profile}"'))
        for old, new in (*names, *wire, *home.changes):
            assert old in text, old
            text = text.replace(old, new)
        self.write_hospital(home.id, text)
        app = platform_sandbox.App(app_id=f"app-of-{home.id}", app_secret=_SECRET, hospitals=(home.platform_id,))
        config = platform_sandbox.Config(apps=(app,), profile=home.profile, clock=lambda: self.now)
        seen = self.calls[home.id] = []
        with patch("platform_sandbox.threaded.Sandbox", lambda config: Wire(config, seen)):
            serving = platform_sandbox.serve(config)
            running = serving.__enter__()
        try:
            self.platforms[home.id] = running
            platform = {"conn_type": "http", "host": running.url, "login": app.app_id, "password": _SECRET}
            self.ledger(
                "INSERT INTO platform_memory VALUES "
                f"('{PLATFORM_HOST}', '{app.app_id}', 'on_acceptance', 'calibration', '{self.now}')"
            )
            self.environment |= {
                f"AIRFLOW_CONN_{home.id.upper()}_HIS": his,
                f"AIRFLOW_CONN_{home.id.upper()}_PLATFORM": json.dumps(platform),
            }
            yield
        finally:
            serving.__exit__(None, None, None)

    def run(self, *words: str) -> dict[str, Any]:
        """One call of the command line: its exit code, what it printed (JSON as such), and its error's line."""
        told, problems = io.StringIO(), io.StringIO()
        with self._standing(), contextlib.redirect_stdout(told), contextlib.redirect_stderr(problems):
            code = main(list(words), self.environment)
        text = told.getvalue().replace(str(self.home), "HOME").strip()
        try:
            printed = _timeless(json.loads(text))
        except ValueError:
            printed = text.split("\n")
        errors = [line for line in problems.getvalue().split("\n") if line.startswith("card_usage:")]
        done: dict[str, Any] = {"exit": code, "printed": printed}
        return done | ({"error": errors[0].replace(str(self.home), "HOME")} if errors else {})

    @contextlib.contextmanager
    def _standing(self) -> Iterator[None]:
        """Time stands still for the command line and for deliverers, and the ledger has one name for every port."""
        stage = self

        class Fixed(datetime):
            """Knows but one present."""

            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                return stage.now.astimezone(tz)

        edge = main.__globals__
        assert "datetime" in edge, "the clock is read in the module of `main`"
        with (
            patch.dict(edge, {"datetime": Fixed}),
            patch.object(SystemClock, "now", lambda _: stage.now),
            # The page about quality says it, and packs of evidence hold that page's digest.
            patch.object(check, "perf_counter", lambda: 0.0),
        ):
            real, host_of.__code__ = host_of.__code__, _recorded_host.__code__
            try:
                yield
            finally:
                host_of.__code__ = real

    def ledger(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a query, as they lie in the ledger."""
        return self._ask(f"sqlite:///{self.home}/ledger.db", sql)

    def his(self, home: Home, sql: str) -> list[dict[str, Any]]:
        """Run a statement in a hospital's HIS."""
        return self._ask(f"sqlite:///{self.home}/{home.id}.his.db", sql)

    @staticmethod
    def _ask(url: str, sql: str) -> list[dict[str, Any]]:
        engine = create_engine(url)
        try:
            with engine.begin() as connection:
                result = connection.exec_driver_sql(sql)
                return [dict(row) for row in result.mappings()] if result.returns_rows else []
        finally:
            engine.dispose()


def _timeless(found: Any) -> Any:
    """Without the seconds that something took."""
    if isinstance(found, dict):
        return {name: "*" if name == "seconds" else _timeless(inner) for name, inner in found.items()}
    return [_timeless(one) for one in found] if isinstance(found, list) else found
