"""Documents: write their generated parts; with `--check` fail on anything stale.

A generated part stands between `<!-- begin package.module:function -->` and `<!-- end -->`: the function takes nothing
and returns Markdown. The picture of the layers is drawn from the import contract, and what charts declare is written
into the published schemas of the reports. Also checked: relative links lead to files that exist, `make X` names a
target, `python -m P verb` names a package and a verb that it has, a Chinese document has the headings, code, commands
and links of its English one, and leads to Chinese ones where they exist.
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
from typing import NamedTuple

import house
from card_usage.report.chart import FORMS
from card_usage.report.schemas import refresh

ROOT = Path(__file__).resolve().parent.parent
GENERATED = re.compile(r"(<!-- begin ([\w.]+):(\w+) -->\n).*?(<!-- end -->)", re.S)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
MAKE = re.compile(r"(?:^|`)make ([a-z][a-z-]*)", re.M)
FENCED = re.compile(r"^ *```\w*\n(.*?)^ *```$", re.S | re.M)
CODE_SPAN = re.compile(r"`([^`]+)`")
COMMAND_LINE = re.compile(r"(?:python -m|make|docker|airflow|\.venv/)\S* |(?:card_usage|platform_sandbox|demo_his) ")
CHINESE = ".zh-CN.md"
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


class Shape(NamedTuple):
    """What a document and its translation have in common: levels of headings, lines of code blocks, commands, links."""

    headings: tuple[int, ...]
    code: tuple[str, ...]
    commands: frozenset[str]
    links: frozenset[str]


def shape(text: str) -> Shape:
    """The shape of a document; comments in its code are prose, and a link to a translation is one to its original."""
    plain = FENCED.sub("", text)
    code = [re.sub(r"(^|\s+)#.*", "", line).strip() for block in FENCED.findall(text) for line in block.splitlines()]
    spans = {" ".join(span.split()) for span in CODE_SPAN.findall(plain)}
    return Shape(
        headings=tuple(len(level) for level in re.findall(r"^(#+) ", plain, re.M)),
        code=tuple(filter(None, code)),
        commands=frozenset(span for span in spans if COMMAND_LINE.match(span)),
        links=frozenset(
            (first or second).replace(".zh-CN.", ".").partition("#")[0] for first, second in LINK.findall(plain)
        ),
    )


def translation_faults(path: Path, text: str) -> Iterator[str]:
    """One line for each way in which a Chinese document differs from the English one beside it, if there is one, and
    for each link of it to an English document that exists in Chinese."""
    original = path.with_name(path.name.replace(CHINESE, ".md"))
    if not path.name.endswith(CHINESE):
        return
    for match in LINK.finditer(text):
        target = path.parent / (match[1] or match[2]).partition("#")[0]
        chinese = target.with_name(target.name.replace(".md", CHINESE))
        if (
            target.suffix == ".md"
            and chinese != target
            and chinese.is_file()
            and target.resolve() != original.resolve()
        ):
            yield f"leads to {target.name}, which exists in Chinese: {chinese.name}"
    if not original.exists():
        return
    ours, theirs = shape(text), shape(original.read_text(encoding="utf-8"))
    if ours.headings != theirs.headings:
        yield f"has other headings than {original.name}: {ours.headings} instead of {theirs.headings}"
    if ours.code != theirs.code:
        differing = [line for line in (*theirs.code, *ours.code) if (line in ours.code) != (line in theirs.code)]
        yield f"has other code than {original.name}: {differing or 'in another order'}"
    for what, here, there in (("commands", ours.commands, theirs.commands), ("links", ours.links, theirs.links)):
        # A document may lead to itself, and each leads to the other.
        differing = sorted((here ^ there) - {original.name})
        if differing:
            yield f"has other {what} than {original.name}: {', '.join(differing)}"


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
        for fault in (*faults(path, text), *translation_faults(path, text)):
            found += 1
            print(f"docs: {path.relative_to(ROOT)}: {fault}", file=sys.stderr)
    sys.exit(found > 0)


if __name__ == "__main__":
    main()
