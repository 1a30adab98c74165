"""scripts/docs.py finds what is no longer true in a document."""

from __future__ import annotations

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
        for fault in docs.faults(path, Path(path).read_text(encoding="utf-8"))
    ]
    assert found == []
