"""`python -m demo_his`: build the demo hospital, or let its late rows arrive.

    python -m demo_his --url sqlite:///var/demo_his.db --from 2026-11-20 --to 2026-11-23 --uses 20000 --seed 1
    python -m demo_his --url sqlite:///var/demo_his.db --from 2026-11-22 --to 2026-11-22 --late

Prints a table, or with --json the full expectation. Beside a SQLite file it writes <name>.expected.json for all days.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from io import TextIOWrapper

from rich.progress import Progress
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from demo_his.expectation import VOIDED, Expectation
from demo_his.hospital import MissingDay, arrive, beside, create, stored_expectation, write_expectation


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo_his", description="An invented hospital.")
    parser.add_argument("--url", default="sqlite:///var/demo_his.db", help="SQLAlchemy URL (default: %(default)s)")
    parser.add_argument("--from", dest="first", type=date.fromisoformat, required=True, help="first local day")
    parser.add_argument("--to", dest="last", type=date.fromisoformat, required=True, help="last local day, included")
    parser.add_argument("--uses", type=int, default=20_000, help="successful card uses a day (default: %(default)s)")
    parser.add_argument("--rows", type=int, help="at least so many source rows over all days, instead of --uses")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another hospital (default: %(default)s)")
    parser.add_argument("--late", action="store_true", help="commit the late rows and late refunds of these days")
    parser.add_argument("--json", action="store_true", help="print the expectation as JSON")
    arguments = parser.parse_args(argv)
    if arguments.last < arguments.first:
        parser.error("--to is before --from")
    return arguments


def _table(expectation: Expectation) -> str:
    lines = [f"{'day':<12}{'uses':>9}{'clean':>9}{'voided':>9}  broken rules"]
    for day in expectation.days:
        total = day.total()
        rules = ", ".join(f"{rule} {n}" for rule, n in sorted(total.items()) if "." in rule)
        lines.append(f"{day.day!s:<12}{day.uses:>9,}{total['clean']:>9,}{total[VOIDED]:>9,}  {rules}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with one line that says what to do."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a path with a character that the terminal's encoding lacks
            stream.reconfigure(errors="backslashreplace")
    arguments = _arguments(argv)
    days = [arguments.first + timedelta(days=n) for n in range((arguments.last - arguments.first).days + 1)]
    uses = -(-arguments.rows // len(days)) if arguments.rows is not None else arguments.uses
    try:
        if arguments.late:
            expectation = arrive(arguments.url, days)
        else:
            with Progress(disable=not sys.stderr.isatty(), transient=True) as bar:
                # A use is about 2.1 rows in the tables: patients, fees and reversals come with it.
                task = bar.add_task("demo HIS", total=round(len(days) * uses * 2.1))
                expectation = create(
                    arguments.url, days, uses, arguments.seed, progress=lambda rows: bar.advance(task, rows)
                )
        if path := beside(arguments.url):
            write_expectation(stored_expectation(arguments.url), path)
    except (MissingDay, ValueError) as error:
        print(f"demo_his: {error}", file=sys.stderr)
        return 2
    except ArgumentError:
        print("demo_his: --url is no SQLAlchemy URL; sqlite:///var/demo_his.db is one", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"demo_his: cannot write {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except SQLAlchemyError as error:
        print(f"demo_his: the database refuses ({type(error).__name__}): check --url and its rights", file=sys.stderr)
        return 2
    print(expectation if arguments.json else _table(expectation))
    return 0


if __name__ == "__main__":
    sys.exit(main())
