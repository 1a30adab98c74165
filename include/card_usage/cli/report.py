"""report-month, report-fleet and usage: what is said of more than one day, read from what was kept of the days."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from card_usage.cli.arguments import Call, Result, Told, Verbs, day, for_hospital, verb
from card_usage.config.hospital import Hospital, hospital_ids, load_hospital
from card_usage.errors import BadHospitalFile
from card_usage.files.xlsx import Column, Sheet, comma_separated
from card_usage.report import day_uses
from card_usage.report.charts import CARD_GROUPS, VISIT_KINDS
from card_usage.report.fleet import issued_cards_of
from card_usage.report.mail import mail
from card_usage.report.publish import publish_fleet, publish_month_of
from card_usage.report.sections import uses_sections
from card_usage.windows import local
from card_usage.words.catalogue import LANGUAGES, Words


def _month(call: Call) -> Result:
    with call.context() as context:
        names = publish_month_of(context, call.args.month, now=call.now)
        return {"report": [context.settings.store.place(name) for name in names]}, True


def fleet_of(directory: Path) -> tuple[list[Hospital], dict[str, str]]:
    """The hospitals whose files are in order, and what is wrong with the others' files."""
    hospitals, broken = [], {}
    for hospital_id in hospital_ids(directory):
        try:
            hospitals.append(load_hospital(directory, hospital_id))
        except BadHospitalFile as problem:
            broken[hospital_id] = str(problem)
    return hospitals, broken


def _fleet(call: Call) -> Result:
    hospitals, broken = fleet_of(call.settings.hospitals)
    language = call.args.language or call.settings.language
    of = call.args.day or local(call.now).date() - timedelta(days=1)
    store = call.settings.store
    with call.ledger() as ledger:
        files, found = publish_fleet(ledger, hospitals, of, store, broken=broken, language=language, now=call.now)
    lines = [found["verdict"]["text"], *map(store.place, files.values())]
    return {"said": mail(found).text if call.args.text else "\n".join(lines)}, True


def _usage(call: Call) -> Result:
    """Usage figures of any hospitals and days; as text, JSON, or CSV with every way in which they are told apart."""
    args = call.args
    hospitals, _ = fleet_of(call.settings.hospitals)
    wanted = [one for one in hospitals if args.hospital in (None, one.id) and one.region.startswith(args.region or "")]
    words = Words(args.language or call.settings.language)
    with call.ledger() as ledger, ledger.read() as connection:
        ids = [one.id for one in wanted]
        found = day_uses.load(connection, ids, args.first, args.last)
        days = day_uses.by_day(connection, ids, args.first, args.last)
    sections = uses_sections("month", found, words, issued_cards=issued_cards_of(wanted))
    told, apart = sections["usage"], {name: part for name, part in sections["uses"].items() if name != "events"}
    scope: Told = {"hospitals": len(wanted), "hospital_days": len(days), "first": args.first, "last": args.last}
    if args.csv:
        return {"said": comma_separated(_sheet(found, apart, words)).rstrip("\r\n")}, True
    trend = [{"hospital": of, "day": at.isoformat(), **sums._asdict()} for (of, at), sums in sorted(days.items())]
    if args.json:
        whole = {**scope, "usage": told, "uses": apart, "trend": trend}
        return {"said": json.dumps(whole, ensure_ascii=False, default=str)}, True
    return {"said": "\n".join(_lines(scope, told, apart, words))}, True


def _lines(scope: Told, told: Told, apart: Told, words: Words) -> Iterator[str]:
    yield f"{scope['first']}..{scope['last']}: {scope['hospitals']} hospitals, {scope['hospital_days']} days of theirs"
    for name in ("uses", "health_card", "visits", "health_card_visits", "uses_per_visit", "uses_per_issued_card"):
        if told[name] is not None:
            yield f"{words(f'usage.{name}')}  {words.number(told[name])}"
    hours = words("head.comma").join(words.hour(hour) for hour in told["peak_hours"])
    yield f"{words('usage.peak_hours')}  {hours or '-'}"
    for chart, key in ((CARD_GROUPS, "card_groups"), (VISIT_KINDS, "visit_kinds")):
        yield words.text(chart.title)
        yield from _shares(told[key], told["uses"], words)
    for dimension in day_uses.CODED:
        yield words(f"table.{dimension}")
        yield from _shares(apart[f"{dimension}s"], told["uses"], words)
    for one in told["missing"]:
        yield f"{one['name']}: {one['reason']}"


def _shares(found: list[Told], total: int, words: Words) -> Iterator[str]:
    for one in found:
        yield f"  {one['name']}  {words.number(one['events'])}  {words.share(one['events'], total)}"


def _sheet(found: list[day_uses.Use], apart: Told, words: Words) -> Sheet:
    """Every way in which uses are told apart, one below the other."""
    columns = [Column(words(head)) for head in ("head.dimension", "head.code", "head.name")]
    columns += [Column(words("usage.uses"), "count"), Column(words("usage.health_card"), "count")]
    rows: list[tuple[str | int | None, ...]] = [
        (words("head.hour"), str(one["hour"]), words.hour(one["hour"]), one["events"], one["health_card"])
        for one in apart["hours"]
    ]
    rows += [
        (words(f"table.{dimension}"), one["code"], one["name"], one["events"], one["health_card"])
        for dimension in day_uses.CODED
        for one in apart[f"{dimension}s"]
    ]
    return Sheet(title=words("sheet.uses"), columns=tuple(columns), rows=rows)


def _month_day(text: str) -> date:
    """A month argument."""
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no month: write it as 2026-11") from None


def add(verbs: Verbs) -> None:
    """Add these verbs."""
    month = verb(verbs, "report-month", _month, "write a month's report: page, sheets, mail, JSON", for_hospital())
    month.add_argument("--month", required=True, type=_month_day, metavar="YYYY-MM", help="which month")
    fleet = verb(verbs, "report-fleet", _fleet, "write the page of all hospitals after a day")
    fleet.add_argument("--day", type=day, metavar="DATE", help="local day; yesterday if not given")
    fleet.add_argument("--language", choices=LANGUAGES, help="CARD_USAGE_LANGUAGE if not given")
    fleet.add_argument("--text", action="store_true", help="print what the morning mail says")
    used = verb(verbs, "usage", _usage, "usage figures of document 2.7.5 and 2.7.6, of any hospitals and days")
    used.add_argument("--hospital", metavar="ID", help="one hospital; all if not given")
    used.add_argument("--region", metavar="CODE", help="hospitals whose region begins so: 44, 4403, 440300")
    used.add_argument("--from", dest="first", required=True, type=day, metavar="DATE", help="first local day")
    used.add_argument("--to", dest="last", required=True, type=day, metavar="DATE", help="last local day, inclusive")
    used.add_argument("--language", choices=LANGUAGES, help="CARD_USAGE_LANGUAGE if not given")
    form = used.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON")
    form.add_argument("--csv", action="store_true", help="as CSV, every way in which uses are told apart")
