"""Workbench: from what is quarantined to what releases it: gaps with suggestions, a plan, and the plan carried out.

A plan is a dry run: which aliases are new or changed, and how many events they release, by scene, department and day.
Carried out, it writes the decisions into the ledger, where every worker sees them, and judges the quarantined events
again from their sealed rows, without reading the HIS. Command line, workbooks and Airflow's form all come this way.
Stopped half way it may be repeated: decisions that stand are the same, events that are released are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from card_usage.alerts.situation import REACH, Situation
from card_usage.code_mapping.gaps import Gap, gaps
from card_usage.code_mapping.proposal import Proposal, from_csv, from_lines
from card_usage.code_mapping.release import ReleaseResult, release
from card_usage.code_mapping.suggestions import SURE, Suggester, Suggestion, gap_row
from card_usage.config.hospital import Hospital
from card_usage.config.settings import Settings
from card_usage.context import Context
from card_usage.errors import CodesTaken
from card_usage.ledger import code_decisions, counts
from card_usage.ledger.decisions import Actor, record
from card_usage.notifications.attachments import File
from card_usage.standard.aliases import AliasChange, Choice, alias_changes, with_choices, write_aliases
from card_usage.standard.code_tables import fold, load_tables
from card_usage.standard.rules import BY_ID
from card_usage.windows import Window, local
from card_usage.words.catalogue import Words

Suggested = list[tuple[Gap, tuple[Suggestion, ...]]]


def suggested(context: Context, window: Window) -> Suggested:
    """The gaps of the window's days, each with what its code probably means."""
    settings = context.settings
    with context.ledger.read() as connection:
        gaps_of_days = gaps(connection, context.hospital.id, window.days[0], window.days[-1])
        decisions = code_decisions.standing(connection)
    suggester = Suggester(settings.aliases, context.hospital.id, context.tables, settings.code_tables, decisions)
    return [(gap, suggester.suggest(gap.table, gap.code, gap.name)) for gap in gaps_of_days]


MOST_ATTACHED: Final = 500
"""Gaps in a workbook that goes with a message."""


def gaps_workbook(settings: Settings) -> Callable[[Connection, Hospital, datetime], File | None]:
    """Makes the workbook of a hospital's gaps that goes with the message about them, to be filled in and handed back.

    It has the gaps of the days that incidents speak of: those within REACH, and older ones while one is open.
    """

    def of_hospital(connection: Connection, hospital: Hospital, now: datetime) -> File | None:
        from card_usage.code_mapping.workbook import workbook

        last = local(now).date()
        first = Situation(connection, hospital, now=now).first_seen(REACH)
        waiting = gaps(connection, hospital.id, first, last)[:MOST_ATTACHED]
        if not waiting:
            return None
        tables = load_tables(settings.code_tables)
        decisions = code_decisions.standing(connection)
        suggester = Suggester(settings.aliases, hospital.id, tables, settings.code_tables, decisions)
        with_suggestions = [(gap, suggester.suggest(gap.table, gap.code, gap.name)) for gap in waiting]
        content = workbook(hospital, f"{first}..{last}", with_suggestions, tables)
        return File(f"{hospital.id}-codes-{last}.xlsx", content)

    return of_hospital


def overview(context: Context, window: Window) -> dict[str, list[dict[str, Any]]]:
    """What is quarantined by cause, and the gaps: tables for people, in the language of the hospital's reports."""
    words = Words(context.hospital.report.language)
    with context.ledger.read() as connection:
        causes = counts.causes(connection, context.hospital.id, window.days[0], window.days[-1])
    by_rule: dict[str, int] = {}
    for cause in causes:
        by_rule[cause.rule] = by_rule.get(cause.rule, 0) + cause.events
    return {
        "causes": [
            {
                "rule": rule,
                "events": events,
                "what": BY_ID[rule].text(words.language),
                "to_do": BY_ID[rule].action(words.language) or words("todo.code", table=rule.partition(".")[0]),
            }
            for rule, events in sorted(by_rule.items(), key=lambda pair: (-pair[1], pair[0]))
        ],
        "gaps": [_gap_texts(gap, suggestions, words) for gap, suggestions in suggested(context, window)],
        "conflicts": [one for one in decided(context) if one["file"]],
    }


def _gap_texts(gap: Gap, suggestions: Sequence[Suggestion], words: Words) -> dict[str, str | int]:
    listed = [f"{suggestion.code} {suggestion.name}" for suggestion in suggestions]
    scores = [f"{suggestion.score:.2f}" for suggestion in suggestions]
    return gap_row(gap, suggestions, words) | {
        "suggestion": listed[0] if listed else "",
        "score": scores[0] if scores else "",
        "others": "; ".join(map(" ".join, zip(listed[1:], scores[1:], strict=True))),
    }


def proposed(suggestions_of_gaps: Suggested, *, sure: float = SURE) -> tuple[Choice, ...]:
    """The suggestions that are sure enough, as choices; a name of the HIS becomes the note."""
    choices: dict[tuple[str, str], Choice] = {}
    for gap, suggestions in suggestions_of_gaps:
        if suggestions and suggestions[0].score >= sure:
            choice = Choice(gap.table, gap.code, suggestions[0].code, gap.name or "")
            # One code under two names that mean different things is for a person.
            earlier = choices.get((gap.table, gap.code))
            if earlier is None:
                choices[gap.table, gap.code] = choice
            elif earlier.standard != choice.standard:
                choices[gap.table, gap.code] = earlier._replace(standard="")
    return tuple(choice for choice in choices.values() if choice.standard)


def typed(context: Context, lines: Sequence[str]) -> tuple[Choice, ...]:
    """`department:21010=0301`, as people type it into a form. Raises BadProposal."""
    return from_lines(lines, context.tables, context.hospital.report.language).demand("aliases")


def read(context: Context, path: Path) -> Proposal:
    """A list that somebody filled in, XLSX or CSV. Raises BadProposal if it is neither."""
    if path.suffix.lower() in {".xlsx", ".xlsm"}:
        # Not at the top: only this verb needs it, and it takes a moment to load.
        from card_usage.code_mapping.workbook import read as read_workbook

        proposal = read_workbook(path, context.tables, context.hospital.report.language)
    else:
        proposal = from_csv(path, context.tables, context.hospital.report.language)
    return _with_leading_zeros(context, proposal)


def _with_leading_zeros(context: Context, proposal: Proposal) -> Proposal:
    """Local codes with the zeros that a spreadsheet took, where exactly one code that waits is that number."""
    numbers = {(choice.table, choice.local) for choice in proposal.choices if choice.local.isdigit()}
    if not numbers:
        return proposal
    with context.ledger.read() as connection:
        waiting = {
            (gap.table, fold(gap.code)) for gap in gaps(connection, context.hospital.id, date.min, date.max) if gap.code
        }
    meant: dict[tuple[str, str], list[str]] = {}
    for table, code in waiting:
        meant.setdefault((table, code.lstrip("0")), []).append(code)
    choices = []
    for choice in proposal.choices:
        alike = meant.get((choice.table, choice.local.lstrip("0")), [])
        lost = (choice.table, choice.local) in numbers - waiting and len(alike) == 1
        choices.append(choice._replace(local=alike[0]) if lost else choice)
    return Proposal(tuple(choices), proposal.problems)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What choices would do. A local code that already means something else is a conflict, changed only on demand."""

    changes: tuple[AliasChange, ...]
    result: ReleaseResult

    @property
    def conflicts(self) -> tuple[AliasChange, ...]:
        """Choices against an alias that is there."""
        return tuple(change for change in self.changes if change.kind == "changed")

    def summary(self, context: Context) -> dict[str, Any]:
        """The alias rows as a table, then what they release, in names."""
        words = Words(context.hospital.report.language)
        tables = context.tables

        def named(table: str, counted: dict[str, int]) -> list[dict[str, Any]]:
            of = tables[table].names
            return [
                {"code": code, "name": words.code(table, code, of.get(code, "")), "events": events}
                for code, events in counted.items()
            ]

        rows = [
            {
                "table": change.choice.table,
                "local": change.choice.local,
                "note": change.choice.note,
                "before": change.before or "",
                "standard": f"{change.choice.standard} {tables[change.choice.table].names[change.choice.standard]}",
                "change": change.kind,
            }
            for change in self.changes
        ]
        result = self.result
        return {
            "aliases": rows,
            "releases": {
                "events": result.released,
                "still_quarantined": result.waiting.total(),
                "left_alone": result.stray,
            },
            "scenes": named("scene", dict(result.scenes.most_common())),
            "departments": named("department", dict(result.departments.most_common())),
            "days": [{"day": str(day), "events": events} for day, events in sorted(result.days.items())],
        }


def plan(context: Context, window: Window, choices: Sequence[Choice], *, now: datetime, replace: bool = False) -> Plan:
    """A dry run of the choices over the window's days. Writes nothing. `replace`: conflicts too."""
    changes = tuple(alias_changes(context.aliases, choices))
    taken = [change.choice for change in changes if replace or change.kind != "changed"]
    aliases = with_choices(context.aliases, taken)
    return Plan(changes=changes, result=_release(context, window, aliases, now=now, write=False))


def carry_out(
    context: Context, window: Window, choices: Sequence[Choice], *, by: Actor, now: datetime
) -> tuple[list[Choice], ReleaseResult]:
    """Write the choices into the ledger, then release what they release; returns those that changed what a code means.

    What they are held against is what the context's aliases said when they were first asked for. Raises
    CodesDecidedMeanwhile if somebody else decided about one of them since; nothing is written then.
    """
    seen, files = context.aliases, context.alias_files
    with context.ledger.write() as connection:
        written = code_decisions.decide(
            connection, context.hospital.id, choices, files=files, seen=seen, by=by.label, now=now
        )
        for choice in written:
            local = fold(choice.local)
            record(
                connection,
                context.ledger.keyring,
                verb="aliases apply",
                hospital=context.hospital.id,
                actor=by,
                now=now,
                subject=f"{choice.table}:{local}",
                old=seen[choice.table].get(local),
                new=choice.standard,
                reason=choice.note,
            )
    return written, _release(context, window, context.aliases_now(), now=now, write=True)


def demand_no_conflicts(planned: Plan, remedy: str) -> None:
    """Raises CodesTaken if a choice would change what a code means already."""
    if planned.conflicts:
        named = [f"{change.choice.table}:{change.choice.local} = {change.before}" for change in planned.conflicts[:10]]
        raise CodesTaken(count=len(planned.conflicts), codes="; ".join(named), remedy=remedy)


@dataclass(frozen=True, kw_only=True, slots=True)
class Undoing:
    """What taking decisions back comes to. `codes`: one row a decision; `releases`: quarantined events that pass by
    what counts then, and do not now."""

    codes: tuple[dict[str, Any], ...]
    releases: int

    def summary(self) -> dict[str, Any]:
        """As `aliases undo` prints it."""
        return {"codes": list(self.codes), "releases": self.releases}


def undoing(context: Context, codes: Sequence[tuple[str, str]], *, now: datetime) -> Undoing:
    """What taking these decisions back would do to events that are not sent yet. Writes nothing.

    Their local codes are not kept, only what these came to mean: `at_most` counts all that wait with that standard
    code, by whichever local code. Without a line in the files they are held back when their days are staged again, with
    one they get its code.
    """
    with context.ledger.read() as connection:
        standing = {(one.table, one.local): one for one in code_decisions.standing(connection, context.hospital.id)}
        taken = [
            standing[key] for key in dict.fromkeys((table, fold(code)) for table, code in codes) if key in standing
        ]
        rows = []
        for one in taken:
            line = context.alias_files[one.table].get(one.local)
            waiting = counts.unsent(connection, context.hospital.id, one.table, one.standard)
            names = context.tables[one.table].names
            rows.append(
                {
                    "code": f"{one.table}:{one.local}",
                    "means": f"{one.standard} {names.get(one.standard, '?')}",
                    "then": f"{line} {names.get(line, '?')}" if line else "",
                    "at_most": waiting if line != one.standard else 0,
                    "effect": "none" if line == one.standard else "changed" if line else "held_back",
                }
            )
    present = context.aliases_now()
    then = {table: dict(of_table) for table, of_table in present.items()}
    for one in taken:
        line = context.alias_files[one.table].get(one.local)
        then[one.table] = {code: means for code, means in then[one.table].items() if code != one.local}
        if line is not None:
            then[one.table][one.local] = line
    always = (context.ledger, context.hospital, context.tables)
    pass_now, pass_then = (
        release(*always, aliases, date.min, date.max, now=now, write=False).released if taken else 0
        for aliases in (present, then)
    )
    return Undoing(codes=tuple(rows), releases=max(0, pass_then - pass_now))


def take_back(
    context: Context, codes: Sequence[tuple[str, str]], *, by: Actor, now: datetime
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Take decisions back: those that stood, and codes (table, local) about which none does."""
    with context.ledger.write() as connection:
        before = {
            (one.table, one.local): one.standard for one in code_decisions.standing(connection, context.hospital.id)
        }
        undone = code_decisions.undo(connection, context.hospital.id, codes, by=by.label, now=now)
        for table, local in undone:
            record(
                connection,
                context.ledger.keyring,
                verb="aliases undo",
                hospital=context.hospital.id,
                actor=by,
                now=now,
                subject=f"{table}:{local}",
                old=before.get((table, fold(local))),
                new=context.alias_files[table].get(fold(local)),
            )
    return undone, [code for code in codes if code not in undone]


def decided(context: Context, *, ended: bool = False) -> list[dict[str, str]]:
    """The decisions that stand, or all of them: a table for people. `file`: what a line of the files says otherwise."""
    with context.ledger.read() as connection:
        standing = code_decisions.standing(connection, context.hospital.id)
        listed = code_decisions.history(connection, context.hospital.id) if ended else standing
    otherwise = {
        conflict.decision: conflict.file for conflict in code_decisions.conflicts(context.alias_files, standing)
    }
    names = {table: context.tables[table].names for table in context.tables}
    return [
        {
            "table": decision.table,
            "local": decision.local,
            "standard": f"{decision.standard} {names.get(decision.table, {}).get(decision.standard, '?')}",
            "before": decision.before or "",
            "by": decision.by,
            "at": _minute(decision.at),
            "note": decision.note,
            "file": otherwise.get(decision, ""),
            "ended": f"{decision.ended} {decision.ended_by} {_minute(decision.ended_at)}" if decision.ended_at else "",
        }
        for decision in listed
    ]


def _minute(at: datetime) -> str:
    return f"{local(at):%Y-%m-%d %H:%M}"


def export(context: Context, directory: Path) -> tuple[Path, ...]:
    """Bring the decisions that stand into alias files below `directory`; returns those that changed. They keep
    standing: a file that says the same is no conflict. Raises AliasesNotWritable."""
    with context.ledger.read() as connection:
        standing = code_decisions.standing(connection, context.hospital.id)
    choices = [Choice(one.table, one.local, one.standard, one.note) for one in standing]
    return write_aliases(directory, context.hospital.id, context.tables, choices)


def _release(context: Context, window: Window, aliases: Any, *, now: datetime, write: bool) -> ReleaseResult:
    first, last = window.days[0], window.days[-1]
    return release(context.ledger, context.hospital, context.tables, aliases, first, last, now=now, write=write)
