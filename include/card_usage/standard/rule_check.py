"""Rule check: what the rules find in one event. Rules are resolved once for all events with the same codes.

A field that is not sent is not checked, but for codes: one that stands in no table is critical even there, unless the
hospital's file says otherwise (`every_code`). A field that is sent only where it is known (`also_send`) may be absent.
One field gives one finding: absent is `.required`, an unknown code is `.code` and not also `.required`, and of several
rules for a value the first that is broken is reported.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, NamedTuple

from card_usage.events import CODE_TABLES, PATIENT_FIELDS, CardUse, Finding
from card_usage.interfaces.declaration import PROFILES
from card_usage.standard import id_numbers
from card_usage.standard.rules import BORN_LATER, BY_ID, RULES, Rule
from card_usage.windows import Window

_OUTSIDE_WINDOW: Final = BY_ID["time.window"].finding()
_NO_DEPARTMENT: Final = BY_ID["department.required"].finding()

_Test = tuple[Finding, Callable[[str], bool]]


class _FieldCheck(NamedTuple):
    """What is asked of one field. `missing`: the finding where it is absent; None: it may be."""

    field: str
    missing: Finding | None
    tests: tuple[_Test, ...]


class _Plan(NamedTuple):
    """What is asked of every event with the same scene, card type and profile. `fields`: the required ones."""

    fields: frozenset[str]
    values: Callable[[CardUse], tuple[Any, ...]]
    checks: tuple[_FieldCheck, ...]
    passes_all: Callable[[CardUse], bool]


@lru_cache(maxsize=4096)
def _plan(
    scene: str | None, card_type: str | None, profile: str, his_department: bool, also_send: frozenset[str]
) -> _Plan:
    """Rules for these codes, sorted by field. `his_department`: the HIS's name is sent, its standard code is not."""
    if profile not in PROFILES:
        raise ValueError(f"profile '{profile}' is none of {', '.join(PROFILES)}")
    applying = [rule for rule in RULES if rule.applies({"scene": scene, "card_type": card_type}, profile)]
    required = {rule.field: rule.finding() for rule in applying if rule.kind == "required"}
    checks: dict[str, _FieldCheck] = {}
    for rule in applying:
        sent = rule.field in required or rule.field in also_send & {*PATIENT_FIELDS}
        if sent and rule.field not in checks and not (his_department and rule.field == "department"):
            tests = tuple(test for other in applying if other.field == rule.field for test in _tests(other, card_type))
            checks[rule.field] = _FieldCheck(rule.field, required.get(rule.field), tests)
    return _Plan(frozenset(required), attrgetter(*checks), tuple(checks.values()), _passes_all(tuple(checks.values())))


def _tests(rule: Rule, card_type: str | None) -> tuple[_Test, ...]:
    if rule.limit is not None:
        limit = rule.limit
        return ((rule.finding(), lambda value: len(value) <= limit),)
    if rule.holds is not None and card_type is not None:
        holds = rule.holds
        return ((rule.finding(), lambda value: holds(card_type, value)),)
    return ()


def check(
    card_use: CardUse,
    *,
    profile: str,
    window: Window | None = None,
    department_format: str = "code",
    department_name: str | None = None,
    unreadable: tuple[Finding, ...] = (),
    every_code: bool = True,
    also_send: frozenset[str] = frozenset(),
) -> tuple[Finding, ...]:
    """All findings about one event: those of normalization (`unreadable`) and those of the rules, one a field.

    The result includes `unreadable`. An unknown code is critical; without `every_code` it is only
    "info" where the field is not sent. `department_name` is asked for where `department_format` is "his_name", and no
    mapping then. `window` is half-open.
    """
    his_department = department_format == "his_name"
    plan = _plan(card_use.scene, card_use.card_type, profile, his_department, also_send)
    findings: list[Finding] = []
    reported: set[str] = set()
    for finding in unreadable:
        mapped = not (his_department and finding.field == "department")
        keeps_severity = mapped and (every_code or finding.field in plan.fields)
        findings.append(finding if keeps_severity else replace(finding, severity="info"))
        reported.add(finding.field)
    for (field, missing, tests), value in zip(plan.checks, plan.values(card_use), strict=True):
        if value is None:
            if missing is not None and field not in reported:
                findings.append(missing)
            continue
        for broken, holds in tests:
            if not holds(value):
                findings.append(broken)
                break
        else:
            if field == "id_number" and _is_born_later(card_use):
                findings.append(BORN_LATER)
    if his_department and not department_name and "department" in plan.fields:
        findings.append(_NO_DEPARTMENT)
    at = card_use.occurred_at
    if window is not None and at is not None and not window.start <= at < window.end:
        findings.append(_OUTSIDE_WINDOW)
    return tuple(findings)


def passes_all(
    codes: CardUse,
    *,
    profile: str,
    department_format: str = "code",
    department_name: str | None = None,
    also_send: frozenset[str] = frozenset(),
) -> Callable[[CardUse], bool] | None:
    """A quick test for all events with these codes: whether `check` would find nothing, windows aside.

    None: it finds something whatever else they say. Not for codes that normalization has findings about.
    """
    his_department = department_format == "his_name"
    plan = _plan(codes.scene, codes.card_type, profile, his_department, also_send)
    if his_department and not department_name and "department" in plan.fields:
        return None
    for (field, _, _), value in zip(plan.checks, plan.values(codes), strict=True):
        if value is None and field in CODE_TABLES:
            return None
    return plan.passes_all


def _passes_all(checks: Collection[_FieldCheck]) -> Callable[[CardUse], bool]:
    """Whether everything is there and as it should be in the fields that hold no code."""
    demands = [
        (CardUse._fields.index(field), missing is None, tuple(holds for _, holds in tests))
        for field, missing, tests in checks
        if field not in CODE_TABLES
    ]

    judges_birth = any(check.field == "id_number" for check in checks)

    def is_passed(card_use: CardUse) -> bool:
        for position, may_be_absent, tests_of_field in demands:
            value: Any = card_use[position]
            if value is None:
                if may_be_absent:
                    continue
                return False
            for holds in tests_of_field:
                if not holds(value):
                    return False
        return not (judges_birth and _is_born_later(card_use))

    return is_passed


def _is_born_later(card_use: CardUse) -> bool:
    """Whether a resident ID says that its owner was born after the card use."""
    at, number = card_use.occurred_at, card_use.id_number
    if card_use.card_type != id_numbers.RESIDENT_ID or at is None or number is None:
        return False
    return id_numbers.is_born_after(number, at)


def required_fields(card_use: CardUse, profile: str) -> frozenset[str]:
    """Fields that this event must have (names of `CardUse`)."""
    return _plan(card_use.scene, card_use.card_type, profile, False, frozenset()).fields


def sent_fields(card_use: CardUse, profile: str, also_send: frozenset[str]) -> frozenset[str]:
    """Fields that are sent where the event has them: the required ones, which it must have, and `also_send`."""
    return required_fields(card_use, profile) | also_send
