"""scripts/docs.py finds what is no longer true in a document."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest

import docs


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("made_up")
    module.table = lambda: "| a |\n"
    monkeypatch.setitem(sys.modules, "made_up", module)
    return module


def test_a_generated_part_is_written_and_the_rest_left_alone(source: types.ModuleType) -> None:
    text = "before\n<!-- begin made_up:table -->\nold\n<!-- end -->\nafter\n"
    fresh = docs.regenerate(text)
    assert fresh == "before\n<!-- begin made_up:table -->\n| a |\n<!-- end -->\nafter\n"
    assert docs.regenerate(fresh) == fresh


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[x](gone.md)", "gone.md"),
        ("![x](gone.png)", "gone.png"),
        ("run `make nonsense`", "make nonsense"),
        ("```\nmake nonsense\n```", "make nonsense"),
        ("`python -m card_usage frobnicate`", "frobnicate"),
        ("<!-- begin made_up:table -->\nold\n<!-- end -->", "stale"),
        ("<!-- begin made_up:absent -->\nold\n<!-- end -->", "cannot be written"),
    ],
)
def test_what_is_not_so_is_found(text: str, fault: str, source: types.ModuleType) -> None:
    assert any(fault in line for line in docs.faults(docs.ROOT / "README.md", text))


def test_what_is_so_passes(source: types.ModuleType) -> None:
    text = "[house](docs/adr) [web](https://example.org/x) `make test`, and make it so\n"
    assert list(docs.faults(docs.ROOT / "README.md", text)) == []


def test_every_document_is_true() -> None:
    found = [
        f"{path.relative_to(docs.ROOT)}: {fault}"
        for path in docs.documents()
        for check in (docs.faults, docs.translation_faults)
        for fault in check(path, Path(path).read_text(encoding="utf-8"))
    ]
    assert found == []


ORIGINAL = "# A\n\n[中文](a.zh-CN.md) `make test` once.\n\n## B\n```sh\nmake x  # so\n```\n[c](c.md#d)\n"
TRANSLATED = "# 甲\n\n[English](a.md) `make test` 一次。\n\n## 乙\n```sh\nmake x  # 如此\n```\n[丙](c.zh-CN.md)\n"


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("## 乙", "### 乙", "other headings"),
        ("## 乙\n", "", "other headings"),
        ("make x", "make y", "other code"),
        ("`make test`", "", "other commands"),
        ("[丙](c.zh-CN.md)", "丙", "other links"),
    ],
)
def test_a_translation_that_differs_from_its_original_is_found(tmp_path: Path, old: str, new: str, fault: str) -> None:
    (tmp_path / "a.md").write_text(ORIGINAL, encoding="utf-8")
    translated = tmp_path / "a.zh-CN.md"
    assert list(docs.translation_faults(translated, TRANSLATED)) == []
    (found,) = docs.translation_faults(translated, TRANSLATED.replace(old, new))
    assert fault in found


def test_a_chinese_document_that_leads_to_an_english_one_with_a_translation_is_found(tmp_path: Path) -> None:
    for name in ("a.md", "c.md", "c.zh-CN.md", "only.md"):
        (tmp_path / name).write_text("# A\n", encoding="utf-8")
    alone = tmp_path / "b.zh-CN.md"
    assert list(docs.translation_faults(alone, "[甲](c.zh-CN.md) [乙](only.md#x) [丙](https://example.org/c.md)")) == []
    (found,) = docs.translation_faults(alone, "[甲](c.md#d)")
    assert "c.zh-CN.md" in found


OPERATORS_NEED = ("README", *(f"docs/{name}" for name in ("deployment", "production", "alerts", "report")))


@pytest.mark.parametrize("name", [*OPERATORS_NEED, "docs/reconciliation", "docs/quality"])
def test_what_an_operator_needs_is_there_in_both_languages(name: str) -> None:
    """Each has a pair, and neither is the other's language: most of a Chinese page is, little of an English one."""

    def chinese_share(path: Path) -> float:
        letters = [letter for letter in path.read_text(encoding="utf-8") if letter.isalpha()]
        return sum("\u4e00" <= letter <= "\u9fff" for letter in letters) / len(letters)

    assert chinese_share(docs.ROOT / f"{name}.zh-CN.md") > 0.25
    assert chinese_share(docs.ROOT / f"{name}.md") < 0.2


def test_the_front_page_has_the_same_figures_in_both_languages() -> None:
    """Numbers as they stand in the text: a limit that was changed in one language only is found."""
    english, chinese = (
        set(
            re.findall(
                r"(?<![\w.-])\d[\d.,:-]*\d|(?<![\w.-])\d(?![\w.])", (docs.ROOT / name).read_text(encoding="utf-8")
            )
        )
        for name in ("README.md", "README.zh-CN.md")
    )
    assert english == chinese
