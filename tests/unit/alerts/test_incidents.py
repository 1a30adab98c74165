"""Incidents as a state machine: whatever troubles come and go, one a cause, told once, over when they are over."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from string import Formatter

import pytest
from card_usage.alerts.incident_store import NotifiedState
from card_usage.alerts.incidents import MOST_PARTS, RETURNS, Condition, Incident, step
from card_usage.alerts.notices import LIMIT, notices
from card_usage.config.alert_causes import CAUSES, SEVERITIES, Cause
from card_usage.config.hospital import Alerts, Route
from card_usage.files.shipped import SHIPPED
from card_usage.words.catalogue import TEXTS, Texts
from cases import every_case
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

NOW = datetime(2026, 3, 5, 1, 0, tzinfo=UTC)
HOSPITAL = "demo_hospital"
MINUTE = timedelta(minutes=1)


def condition(cause: str = "unmapped_code", **fields: object) -> Condition:
    values = {"cause": cause, "severity": "warning", "count": 10, "since": NOW, "detail": "department"} | fields
    return Condition(**values)  # type: ignore[arg-type]


class Book:
    """Incidents as the ledger would keep them."""

    def __init__(self) -> None:
        self.all: list[Incident] = []
        self.happened: list[str] = []

    def look(self, now: datetime, *present: Condition) -> list[str]:
        """One sweep; returns what happened but 'changed'."""
        known = [one for one in self.all if one.is_open or now - one.closed_at < RETURNS]  # type: ignore[operator]
        changes = step(HOSPITAL, known, present, now)
        for change in changes:
            one = change.incident
            if one.id is None:
                self.all.append(replace(one, id=len(self.all) + 1))
            else:
                self.all[one.id - 1] = one
        told = [change.kind for change in changes if change.kind != "changed"]
        self.happened += told
        return told

    @property
    def open(self) -> list[Incident]:
        return [one for one in self.all if one.is_open]


def test_a_trouble_opens_once_and_closes_when_it_is_over() -> None:
    book = Book()
    assert book.look(NOW, condition()) == ["opened"]
    for minute in range(1, 600, 5):
        assert book.look(NOW + minute * MINUTE, condition()) == []
    assert book.look(NOW + 600 * MINUTE) == ["closed"]
    assert book.look(NOW + 601 * MINUTE) == []


def test_it_is_worse_when_it_doubled_and_not_before() -> None:
    book = Book()
    told = [book.look(NOW + n * MINUTE, condition(count=count)) for n, count in enumerate((10, 19, 20, 39, 12, 40))]
    assert told == [["opened"], [], ["worse"], [], [], ["worse"]]


def test_a_code_that_was_not_named_yet_is_worse_and_one_less_is_not() -> None:
    book = Book()
    book.look(NOW, condition(parts=("A", "B")))
    assert book.look(NOW, condition(parts=("A",))) == []
    assert book.look(NOW, condition(parts=("A", "C"))) == ["worse"]
    assert book.look(NOW, condition(parts=("B", "C"))) == []
    assert book.look(NOW, condition(parts=tuple(map(str, range(MOST_PARTS))))) == ["worse"]
    assert book.look(NOW, condition(parts=("yet another",))) == [], "so many that only the count tells"


def test_a_trouble_that_flaps_is_one_incident() -> None:
    book = Book()
    late = condition("replica_late", detail="")
    for minute in range(0, 600, 20):
        book.look(NOW + minute * MINUTE, late)
        book.look(NOW + (minute + 10) * MINUTE)
    assert book.happened == ["opened"]


def test_one_that_comes_back_soon_is_the_same_and_must_then_be_away_for_longer() -> None:
    book = Book()
    at = NOW
    calms = []
    for _ in range(4):
        book.look(at, condition())
        gone = at
        while book.open:
            gone += 5 * MINUTE
            book.look(gone)
        calms.append(gone - at)
        at = gone + 10 * MINUTE
    assert book.happened == ["opened", "closed", "returned", "closed", "returned", "closed", "returned", "closed"]
    assert len(book.all) == 1
    assert sorted(calms) == calms
    assert calms[-1] >= timedelta(hours=4)


def test_one_that_comes_back_later_is_a_new_one() -> None:
    book = Book()
    book.look(NOW, condition())
    book.look(NOW + MINUTE)
    assert book.look(NOW + MINUTE + RETURNS, condition()) == ["opened"]
    assert len(book.all) == 2


def test_what_another_cause_explains_is_not_opened_beside_it_but_after_it() -> None:
    with every_case() as case:
        for cause, why in [(of, by) for of, declared in CAUSES.items() for by in declared.explained_by]:
            with case(cause, why):
                book = Book()
                assert book.look(NOW, condition(why)) == ["opened"]
                assert book.look(NOW + MINUTE, condition(why), condition(cause)) == []
                # It goes on explaining until it is over, which takes its cause's `closes_after`.
                book.look(NOW + 2 * MINUTE, condition(cause))
                book.look(NOW + 2 * MINUTE + CAUSES[why].closes_after, condition(cause))
                assert {one.cause for one in book.open} == {cause}


def test_what_is_open_already_stays_when_something_explains_it() -> None:
    book = Book()
    book.look(NOW, condition("delivery_behind"))
    assert book.look(NOW, condition("delivery_behind"), condition("misconfiguration")) == ["opened"]
    assert {one.cause for one in book.open} == {"delivery_behind", "misconfiguration"}


def test_causes_that_explain_each_other_never_leave_both_untold() -> None:
    book = Book()
    assert book.look(NOW, condition("dag_failed"), condition("replica_late"), condition("report_late")) == ["opened"]


def texts_of(cause: Cause) -> dict[str, Texts]:
    texts = {"title": cause.title, "what": cause.what, "todo": cause.todo, "over": cause.over}
    return texts | {f"reasons.{detail}": text for detail, text in cause.reasons.items()}


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_every_cause_has_its_words_in_both_languages_with_the_same_places_to_fill() -> None:
    for cause in CAUSES.values():
        for part, (chinese, english) in texts_of(cause).items():
            named = f"{cause.name}, {part}"
            assert chinese, named
            assert english, named
            assert places(chinese) == places(english), named
            assert not re.search(r"[一-鿿]", english), named
        assert f"who.{cause.owner}" in TEXTS
        assert set(cause.explained_by) <= CAUSES.keys()


def test_a_cause_is_added_by_its_declaration_and_its_detector() -> None:
    package = SHIPPED / "card_usage"
    folders = [package / "alerts", package / "config", SHIPPED.parent / "plugins"]
    files = [*(path for folder in folders for path in folder.rglob("*.py")), package / "cli" / "alerts.py"]
    sources = {path: path.read_text(encoding="utf-8") for path in files}
    declared = package / "config" / "alert_causes.py"
    for cause in CAUSES:
        naming = {path for path, source in sources.items() if f'"{cause}"' in source}
        (detector,) = {path for path in naming if path.parent.name == "detectors"}
        # A file of a hospital that cannot be read has no situation to detect it in.
        besides = {package / "alerts" / "sweep.py"} if cause == "misconfiguration" else set()
        if cause == "unconfirmed":  # a state of events has the same name, and notes on runs count by states
            besides = {SHIPPED.parent / "plugins" / "card_usage_airflow" / "run_notes.py"}
        assert naming == {declared, detector} | besides, cause


class Machine(RuleBasedStateMachine):
    """Any troubles, coming, going, growing, at any pace."""

    def __init__(self) -> None:
        super().__init__()
        self.book = Book()
        self.now = NOW
        self.present: dict[tuple[str, str], Condition] = {}
        self.told: dict[int, NotifiedState] = {}
        self.messages: dict[str, list[datetime]] = {}
        self.route = Route(channel="chat", at_night="all", least="info")

    @rule(
        cause=st.sampled_from(sorted(CAUSES)),
        detail=st.sampled_from(["", "a"]),
        severity=st.sampled_from(SEVERITIES),
        count=st.integers(0, 1000),
        parts=st.sets(st.sampled_from("xyz")).map(tuple),
    )
    def appear(self, cause: str, detail: str, severity: str, count: int, parts: tuple[str, ...]) -> None:
        one = condition(cause, detail=detail, severity=severity, count=count, parts=parts)
        self.present[one.key] = one

    @rule(pick=st.integers(0, 50))
    def vanish(self, pick: int) -> None:
        if self.present:
            del self.present[sorted(self.present)[pick % len(self.present)]]

    @rule(minutes=st.sampled_from([0, 1, 5, 30, 61, 400, 1600]))
    def sweep(self, minutes: int) -> None:
        self.now += minutes * MINUTE
        versions = {one.id: one.version for one in self.book.all}
        happened = self.book.look(self.now, *self.present.values())
        bumped = sum(versions.get(one.id) != one.version for one in self.book.all)
        assert bumped == len(happened), "a version for all that is worth telling, and for nothing else"
        for cause, said in notices(self.route, Alerts(), self.book.all, self.told, self.now).items():
            self.messages.setdefault(cause, []).append(self.now)
            for one in said:
                self.told[one.incident.id or 0] = NotifiedState(
                    one.incident.version, not one.incident.is_open, self.now
                )

    @invariant()
    def at_most_one_is_open_for_a_key(self) -> None:
        keys = [one.key for one in self.book.open]
        assert len(keys) == len(set(keys))

    @invariant()
    def looking_again_at_once_changes_nothing(self) -> None:
        book = Book()
        book.all = list(self.book.all)
        book.look(self.now, *self.present.values())
        before = list(book.all)
        assert book.look(self.now, *self.present.values()) == []
        assert book.all == before

    @invariant()
    def what_is_present_and_open_was_never_closed(self) -> None:
        for one in self.book.all:
            assert one.is_open or one.absent_since is not None

    @invariant()
    def every_present_trouble_is_open_or_explained_once_it_was_looked_at(self) -> None:
        book = Book()
        book.all = list(self.book.all)
        book.look(self.now, *self.present.values())
        open_keys = {one.key for one in book.open}
        causes = {one.cause for one in book.open}  # those whose calm is not over explain too
        for key in self.present:
            assert key in open_keys or causes & {*CAUSES[key[0]].explained_by}

    @invariant()
    def a_cause_is_told_at_most_once_an_hour(self) -> None:
        for at in self.messages.values():
            assert all(after - before >= LIMIT for before, after in pairwise(at))


TestMachine = Machine.TestCase


def incident(**fields: object) -> Incident:
    book = Book()
    book.look(NOW, condition())
    return replace(book.all[0], **fields)  # type: ignore[arg-type]


NIGHT = datetime(2026, 3, 4, 18, 0, tzinfo=UTC)  # 02:00 local


@pytest.mark.parametrize(
    ("at_night", "severity", "heard"),
    [
        ("critical", "warning", False),
        ("critical", "critical", True),
        ("nothing", "critical", False),
        ("all", "warning", True),
    ],
)
def test_quiet_hours_let_through_what_the_route_says(at_night: str, severity: str, heard: bool) -> None:
    route = Route(channel="chat", at_night=at_night)  # type: ignore[arg-type]
    one = incident(severity=severity)
    assert bool(notices(route, Alerts(), [one], {}, NIGHT)) is heard
    assert notices(route, Alerts(), [one], {}, NIGHT + timedelta(hours=6))


def test_what_opened_and_closed_while_nobody_was_to_be_disturbed_is_no_message() -> None:
    route = Route(channel="chat")
    over = incident(closed_at=NIGHT, version=2)
    assert notices(route, Alerts(), [over], {}, NIGHT + timedelta(hours=6)) == {}


def test_a_route_hears_only_of_its_causes_and_severities() -> None:
    one = incident()
    assert notices(Route(channel="c", causes=("gate_held",)), Alerts(), [one], {}, NOW) == {}
    assert notices(Route(channel="c", least="critical"), Alerts(), [one], {}, NOW) == {}
    assert notices(Route(channel="c"), Alerts(), [one], {}, NOW)


@given(st.integers(0, 23), st.integers(0, 59))
def test_quiet_hours_may_go_over_midnight(hour: int, minute: int) -> None:
    at = datetime(2026, 3, 5, hour, minute).time()  # noqa: DTZ001 - naive local time
    over = Alerts.model_validate({"quiet_from": "21:00", "quiet_to": "07:30"})
    inside = Alerts.model_validate({"quiet_from": "12:00", "quiet_to": "14:00"})
    assert over.is_quiet(at) == (hour >= 21 or (hour, minute) < (7, 30))
    assert inside.is_quiet(at) == (12 <= hour < 14)
