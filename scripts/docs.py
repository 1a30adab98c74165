"""Documents: write their generated parts; with `--check` fail on anything stale.

A generated part stands between `<!-- begin package.module:function -->` and `<!-- end -->`: the function takes nothing
and returns Markdown. The picture of the layers is drawn from the import contract, and what charts declare is written
into the published schemas of the reports. Also checked: relative links lead to files that exist, `make X` names a
target, and `python -m P verb` names a package and a verb that it has.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import house
from card_usage.report.chart import FORMS
from card_usage.report.schemas import refresh

ROOT = Path(__file__).resolve().parent.parent
GENERATED = re.compile(r"(<!-- begin ([\w.]+):(\w+) -->\n).*?(<!-- end -->)", re.S)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
MAKE = re.compile(r"(?:^|`)make ([a-z][a-z-]*)", re.M)
COMMAND = re.compile(r"python -m (card_usage|platform_sandbox|demo_his)\b(?: ([a-z][a-z-]+))?")


def documents(root: Path = ROOT) -> list[Path]:
    """The project's Markdown files."""
    return sorted([*root.glob("*.md"), *root.glob("benchmarks/*.md"), *(root / "docs").rglob("*.md")])


def regenerate(text: str) -> str:
    """The text with every generated part up to date."""

    def write(match: re.Match[str]) -> str:
        begin, module, function, end = match.groups()
        part: str = getattr(importlib.import_module(module), function)()
        return begin + part.strip("\n") + "\n" + end

    return GENERATED.sub(write, text)


def targets(root: Path = ROOT) -> set[str]:
    """Targets of the Makefile."""
    return set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.M))


@cache
def usage(package: str) -> str:
    """What `python -m package --help` prints, or nothing if there is no such package."""
    if importlib.util.find_spec(package) is None:
        return ""
    return subprocess.run([sys.executable, "-m", package, "--help"], capture_output=True, text=True).stdout


def faults(path: Path, text: str, root: Path = ROOT) -> Iterator[str]:
    """One line for each broken link, unknown command and unknown make target of the document."""
    for match in LINK.finditer(text):
        target = (match[1] or match[2]).partition("#")[0]
        if target and "://" not in target and not target.startswith("mailto:") and not (path.parent / target).exists():
            yield f"link to {target}, which does not exist"
    for name in sorted(set(MAKE.findall(text)) - targets(root)):
        yield f"`make {name}` is no target of the Makefile"
    for package, verb in sorted(set(COMMAND.findall(text))):
        if verb and not re.search(rf"\b{re.escape(verb)}\b", usage(package)):
            yield f"`python -m {package} {verb}`: {package} --help does not know {verb}"
    try:
        if regenerate(text) != text:
            yield "generated parts are stale: make docs"
    except (ImportError, AttributeError) as problem:
        yield f"generated part cannot be written: {problem}"


def stale_schemas(*, write: bool) -> list[Path]:
    """Published schemas that are not as their charts declare them; `write`: they are now."""
    return [path for form in FORMS if (path := refresh(form, write=write)) is not None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if anything is stale")
    check = parser.parse_args().check
    found = 0
    if not house.PICTURE.exists() or house.PICTURE.read_text(encoding="utf-8") != house.current():
        if check:
            found += 1
            print("docs: docs/images/house.svg is stale: make docs", file=sys.stderr)
        else:
            house.PICTURE.write_text(house.current(), encoding="utf-8")
            print("docs: wrote docs/images/house.svg")
    for path in stale_schemas(write=not check):
        found += check
        if check:
            print(f"docs: {path.relative_to(ROOT)} is stale: make docs", file=sys.stderr)
        else:
            print(f"docs: wrote {path.relative_to(ROOT)}")
    for path in documents():
        text = path.read_text(encoding="utf-8")
        if not check and (fresh := regenerate(text)) != text:
            path.write_text(fresh, encoding="utf-8")
            print(f"docs: wrote {path.relative_to(ROOT)}")
            text = fresh
        for fault in faults(path, text):
            found += 1
            print(f"docs: {path.relative_to(ROOT)}: {fault}", file=sys.stderr)
    sys.exit(found > 0)


if __name__ == "__main__":
    main()
