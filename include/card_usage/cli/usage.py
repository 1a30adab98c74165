"""Usage: `usage` prints the usage figures of document 2.7.5 and 2.7.6, of any hospitals and days."""

from __future__ import annotations

import json
from collections.abc import Iterator

from card_usage.cli.arguments import day
from card_usage.cli.command import Commands, Invocation, Output, Result, add_command
from card_usage.config.hospital import load_valid_hospitals
from card_usage.files.xlsx import Column, Sheet, comma_separated
from card_usage.report import day_uses
from card_usage.report.charts import CARD_GROUPS, VISIT_KINDS
from card_usage.report.fleet import issued_cards_of
from card_usage.report.sections import uses_sections
from card_usage.words.catalogue import LANGUAGES, Words


def _usage(invocation: Invocation) -> Result:
    """As text, as JSON, or as CSV with the uses by every dimension."""
    args = invocation.args
    hospitals = [
        hospital
        for hospital in load_valid_hospitals(invocation.settings.hospitals).hospitals
        if args.hospital in (None, hospital.id) and hospital.region.startswith(args.region or "")
    ]
    words = Words(args.language or invocation.settings.language)
    with invocation.ledger() as ledger, ledger.read() as connection:
        ids = [hospital.id for hospital in hospitals]
        uses = day_uses.load(connection, ids, args.first, args.last)
        days = day_uses.by_day(connection, ids, args.first, args.last)
    sections = uses_sections("month", uses, words, issued_cards=issued_cards_of(hospitals))
    figures = sections["usage"]
    by_dimension = {name: rows for name, rows in sections["uses"].items() if name != "events"}
    scope: Output = {"hospitals": len(hospitals), "hospital_days": len(days), "first": args.first, "last": args.last}
    if args.csv:
        return Result(text=comma_separated(_sheet(by_dimension, words)).rstrip("\r\n"))
    trend = [{"hospital": of, "day": at.isoformat(), **sums._asdict()} for (of, at), sums in sorted(days.items())]
    if args.json:
        whole = {**scope, "usage": figures, "uses": by_dimension, "trend": trend}
        return Result(text=json.dumps(whole, ensure_ascii=False, default=str))
    return Result(text="\n".join(_lines(scope, figures, by_dimension, words)))


def _lines(scope: Output, figures: Output, by_dimension: Output, words: Words) -> Iterator[str]:
    yield f"{scope['first']}..{scope['last']}: {scope['hospitals']} hospitals, {scope['hospital_days']} days of theirs"
    for name in ("uses", "health_card", "visits", "health_card_visits", "uses_per_visit", "uses_per_issued_card"):
        if figures[name] is not None:
            yield f"{words(f'usage.{name}')}  {words.number(figures[name])}"
    hours = words("head.comma").join(words.hour(hour) for hour in figures["peak_hours"])
    yield f"{words('usage.peak_hours')}  {hours or '-'}"
    for chart, key in ((CARD_GROUPS, "card_groups"), (VISIT_KINDS, "visit_kinds")):
        yield words.text(chart.title)
        yield from _shares(figures[key], figures["uses"], words)
    for dimension in day_uses.CODED:
        yield words(f"table.{dimension}")
        yield from _shares(by_dimension[f"{dimension}s"], figures["uses"], words)
    for figure in figures["missing"]:
        yield f"{figure['name']}: {figure['reason']}"


def _shares(rows: list[Output], total: int, words: Words) -> Iterator[str]:
    for row in rows:
        yield f"  {row['name']}  {words.number(row['events'])}  {words.share(row['events'], total)}"


def _sheet(by_dimension: Output, words: Words) -> Sheet:
    """The uses by every dimension, one below the other."""
    columns = [Column(words(head)) for head in ("head.dimension", "head.code", "head.name")]
    columns += [Column(words("usage.uses"), "count"), Column(words("usage.health_card"), "count")]
    rows: list[tuple[str | int | None, ...]] = [
        (words("head.hour"), str(row["hour"]), words.hour(row["hour"]), row["events"], row["health_card"])
        for row in by_dimension["hours"]
    ]
    rows += [
        (words(f"table.{dimension}"), row["code"], row["name"], row["events"], row["health_card"])
        for dimension in day_uses.CODED
        for row in by_dimension[f"{dimension}s"]
    ]
    return Sheet(title=words("sheet.uses"), columns=tuple(columns), rows=rows)


def add_commands(commands: Commands) -> None:
    """Add `usage`."""
    usage = add_command(
        commands, "usage", _usage, "usage figures of document 2.7.5 and 2.7.6, of any hospitals and days"
    )
    usage.add_argument("--hospital", metavar="ID", help="one hospital; all if not given")
    usage.add_argument("--region", metavar="CODE", help="hospitals whose region begins so: 44, 4403, 440300")
    usage.add_argument("--from", dest="first", required=True, type=day, metavar="DATE", help="first local day")
    usage.add_argument("--to", dest="last", required=True, type=day, metavar="DATE", help="last local day, inclusive")
    usage.add_argument("--language", choices=LANGUAGES, help="CARD_USAGE_LANGUAGE if not given")
    format_ = usage.add_mutually_exclusive_group()
    format_.add_argument("--json", action="store_true", help="as JSON")
    format_.add_argument("--csv", action="store_true", help="as CSV, every way in which uses are told apart")
