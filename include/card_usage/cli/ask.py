"""Ask: `ask` answers questions from the warehouse: measures by dimensions, of any hospitals and days."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from card_usage.cli.arguments import day, whole_number
from card_usage.cli.command import Commands, Invocation, Result, add_command
from card_usage.errors import QuestionRefused
from card_usage.files.atomic import write_atomically
from card_usage.files.xlsx import Sheet, Value, comma_separated, workbook
from card_usage.warehouse import table
from card_usage.warehouse.answer import Answer, answer
from card_usage.warehouse.dimensions import Names
from card_usage.warehouse.engine import Engine
from card_usage.warehouse.indicators import Indicator, load_indicators
from card_usage.warehouse.question import ATTRIBUTES, COMPARISONS, ask
from card_usage.warehouse.schema import MEASURES
from card_usage.words.catalogue import LANGUAGES, Words

FORMATS = ("table", "csv", "json", "xlsx", "parquet")
_FILES = ("xlsx", "parquet")


def _ask(invocation: Invocation) -> Result:
    args = invocation.args
    indicators = load_indicators(invocation.settings.indicators)
    words = Words(args.language or invocation.settings.language)
    with invocation.ledger() as ledger, ledger.read() as connection:
        names = Names.read(connection)
    question = ask(
        figures=_listed(args.figures),
        by=_listed(args.by),
        where=args.where,
        first=args.first,
        last=args.last,
        names=names,
        indicators=indicators,
        compare=args.compare,
        top=args.top,
        share=args.share,
    )
    if args.format in _FILES and args.out is None:
        raise QuestionRefused(problem=f"{args.format} is written to a file", there="name it by --out")
    store = invocation.settings.store
    found = answer(store, question, names, indicators)
    if args.format == "table":
        content = _table(found, table.sheet(found, names, indicators, words), indicators, words)
        return _given(args.out, content.encode(), content)
    if args.format == "json":
        content = json.dumps(table.plain(found, names, indicators, words), ensure_ascii=False)
        return _given(args.out, content.encode(), content)
    if args.format == "parquet":
        with Engine.open(store) as engine:
            return _given(args.out, table.parquet(found, names, indicators, words, engine), "")
    sheet = table.sheet(found, names, indicators, words)
    if args.format == "csv":
        content = comma_separated(sheet)
        # Spreadsheets take a file for UTF-8 by its first bytes.
        return _given(args.out, content.encode("utf-8-sig"), content.rstrip("\r\n"))
    return _given(args.out, workbook([sheet], title=sheet.title, made_at=invocation.now), "")


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _given(out: Path | None, content: bytes, text: str) -> Result:
    """Written to the file that was named, or printed."""
    if out is None:
        return Result(text=text)
    try:
        write_atomically(out, content)
    except OSError as error:
        problem = f"{out.as_posix()} cannot be written ({error.strerror})"
        raise QuestionRefused(problem=problem, there="name another file by --out") from None
    return Result(text=out.as_posix())


def _table(found: Answer, sheet: Sheet, indicators: Mapping[str, Indicator], words: Words) -> str:
    """Aligned columns; figures to the right, the total below."""
    if not found.rows:
        return words("ask.empty")
    total = table.total_row(found, indicators)
    texts = [[column.head for column in sheet.columns]]
    texts += [
        [_cell(cell, column.kind, words) for cell, column in zip(row, sheet.columns, strict=True)] for row in sheet.rows
    ]
    labels = len(sheet.columns) - len(total)
    figures = [_cell(cell, column.kind, words) for cell, column in zip(total, sheet.columns[labels:], strict=True)]
    if labels:
        texts.append([words("ask.total"), *[""] * (labels - 1), *figures])
    widths = [max(_width(row[at]) for row in texts) for at in range(len(sheet.columns))]
    lines = []
    for texts_of_row in texts:
        cells = [
            text + " " * (widths[at] - _width(text)) if at < labels else " " * (widths[at] - _width(text)) + text
            for at, text in enumerate(texts_of_row)
        ]
        lines.append("  ".join(cells).rstrip())
    for at, row in enumerate([*found.rows, *([found.total] if labels else [])], 1):
        if marked := table.outside(row, indicators):
            lines[at] += f"  ! {', '.join(marked)}"
    if found.left_out:
        lines.append(words("ask.left_out", n=found.left_out))
    return "\n".join(lines)


def _cell(cell: Value, kind: str, words: Words) -> str:
    if cell is None:
        return "-"
    if kind == "share" and isinstance(cell, int | float):
        return f"{cell:.1%}"
    if kind in ("count", "number") and isinstance(cell, int | float):
        return words.number(cell) if isinstance(cell, int) else f"{cell:,.2f}"
    return str(cell)


def _width(text: str) -> int:
    """Columns of a terminal: Chinese characters take two."""
    return sum(2 if ord(letter) > 0x2E7F else 1 for letter in text)


def add_commands(commands: Commands) -> None:
    """Add `ask`."""
    asked = add_command(commands, "ask", _ask, "answer a question from the warehouse: measures by dimensions")
    measures = ", ".join(measure.name for measure in MEASURES)
    asked.add_argument("figures", metavar="FIGURES", help=f"with commas between: {measures}, or indicators")
    asked.add_argument("--by", default="", metavar="DIMENSIONS", help=f"with commas between: {', '.join(ATTRIBUTES)}")
    asked.add_argument(
        "--where", action="append", default=[], metavar="DIMENSION=VALUE,...", help="codes or names; may be repeated"
    )
    asked.add_argument("--from", dest="first", required=True, type=day, metavar="DATE", help="first local day")
    asked.add_argument("--to", dest="last", required=True, type=day, metavar="DATE", help="last local day, included")
    asked.add_argument("--compare", choices=COMPARISONS, help="with the period before, or the same a year before")
    asked.add_argument("--top", type=whole_number(1, 10_000), metavar="N", help="the largest by the first figure alone")
    asked.add_argument("--share", action="store_true", help="the share of each count in the total")
    asked.add_argument("--format", choices=FORMATS, default="table", help="table if not given")
    asked.add_argument("--out", type=Path, metavar="FILE", help="write it there; xlsx and parquet need it")
    asked.add_argument("--language", choices=LANGUAGES, help="CARD_USAGE_LANGUAGE if not given")
