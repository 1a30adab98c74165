"""Charts: well-formed, sized by their figures, escaped, and never anything from elsewhere."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from card_usage.reconciliation.classes import CLASSES
from card_usage.report import drawings, sankey, svg
from card_usage.report.sankey import Flow, Node
from card_usage.report.svg import NARROW, PALETTE, TONES, WIDE, Series, Share
from card_usage.words.catalogue import Words
from hypothesis import given
from hypothesis import strategies as st

SVG = "{http://www.w3.org/2000/svg}"
ZH = Words("zh")
counts = st.integers(0, 500_000)


def parsed(drawing: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawing)  # noqa: S314 - our own text


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def bars(root: ElementTree.Element) -> list[ElementTree.Element]:
    return list(root.iter(f"{SVG}rect"))


@given(st.lists(st.lists(counts, min_size=24, max_size=24), max_size=len(PALETTE) + 1), st.sampled_from([WIDE, NARROW]))
def test_hours_stack_inside_the_plot_whatever_the_figures(values, width):
    series = [Series(f"scene {n}", tuple(of)) for n, of in enumerate(values)]
    root = parsed(svg.hours(series, ZH, width=width, label="hours"))
    height = float(root.get("viewBox").split()[3])
    for bar in bars(root):
        assert float(bar.get("y")) >= 0
        assert float(bar.get("y")) + float(bar.get("height")) <= height - 25
        assert 0 <= float(bar.get("x")) <= width
    assert len(bars(root)) == sum(1 for of in values for value in of if value)


def test_twice_the_uses_is_twice_the_height():
    root = parsed(svg.hours([Series("a", (1000, 2000, *[0] * 22))], ZH, width=WIDE, label="hours"))
    low, high = (float(bar.get("height")) for bar in bars(root))
    assert high / low == pytest.approx(2, rel=0.02)


def test_the_peak_is_written_once_and_in_figures():
    root = parsed(svg.hours([Series("a", (5, 1234, 1234, *[0] * 21))], ZH, width=WIDE, label="hours"))
    assert texts(root).count("1,234") == 1


@pytest.mark.parametrize("peak", [0, 1, 4, 5, 6, 49, 99, 100, 101, 2747, 250_000])
def test_grid_lines_are_few_and_round(peak):
    root = parsed(svg.hours([Series("a", (peak, *[0] * 23))], ZH, width=WIDE, label="hours"))
    lines = [line for line in root.iter(f"{SVG}line")]
    assert 2 <= len(lines) <= 6


@given(st.lists(counts, min_size=1, max_size=12))
def test_every_share_has_its_figure_beside_its_bar(values):
    shares = [Share(f"name {n}", events) for n, events in enumerate(values)]
    root = parsed(svg.bars(shares, sum(values), ZH, width=NARROW, label="shares"))
    said = texts(root)
    for share in shares:
        assert f"{share.events:,} · {ZH.share(share.events, sum(values))}" in said
    assert all(float(bar.get("x")) + float(bar.get("width")) <= NARROW - 100 for bar in bars(root))


def test_long_names_are_cut_and_whole_in_the_tooltip():
    long_name = "港澳居民来往内地通行证和其他很长的名称"
    drawing = svg.bars([Share(long_name, 5)], 5, ZH, width=NARROW, label="x")
    assert drawing.count(long_name) == 1
    assert any(text.endswith("…") for text in texts(parsed(drawing)))


node_counts = st.lists(counts, min_size=len(CLASSES), max_size=len(CLASSES))


@given(node_counts, counts, counts, st.booleans(), st.sampled_from([WIDE, NARROW]))
def test_the_flow_shows_every_place_with_its_figure_and_stays_inside(values, late, vanished, counted, width):
    staged = sum(values)
    vanished = min(vanished, staged)
    source = Node("source", "HIS", staged + late - vanished) if counted else None
    outcomes = [Node(name, f"class {name}", events) for name, events in zip(CLASSES, values, strict=True)]
    flow = Flow(
        source=source,
        staged=Node("staged", "ledger", staged),
        late=Node("late_in_source", "late", late),
        vanished=Node("vanished_from_source", "vanished", vanished),
        outcomes=outcomes,
    )
    drawing = sankey.draw(flow, ZH, width=width, label="flow")
    root = parsed(drawing)
    height = float(root.get("viewBox").split()[3])
    said = texts(root)
    for outcome in outcomes:
        assert (outcome.name in said) == bool(outcome.events)
    assert ("HIS" in said) == counted
    assert ("late" in said) == (counted and late > 0)
    assert ("vanished" in said) == (counted and vanished > 0)
    for bar in bars(root):
        assert float(bar.get("height")) > 0
        assert float(bar.get("y")) + float(bar.get("height")) <= height + 1
    for text in root.iter(f"{SVG}text"):
        assert float(text.get("y")) <= height + 1


def test_every_place_of_the_flow_has_a_colour():
    assert {*CLASSES, "source", "staged", "late_in_source", "vanished_from_source"} <= TONES.keys()


def test_names_from_a_his_cannot_break_out():
    evil = "<script>\"&'</script>"
    for drawing in (
        svg.bars([Share(evil, 1)], 1, ZH, width=WIDE, label=evil),
        svg.hours([Series(evil, (1,) * 24)], ZH, width=WIDE, label=evil),
        svg.legend([Series(evil, (1,) * 24)], ZH),
    ):
        assert "<script" not in drawing
        parsed(drawing)


def test_colours_are_all_different_also_in_grey():
    """Neighbours in a stack must part on a black-and-white print."""

    def lightness(colour: str) -> float:
        red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
        return 0.299 * red + 0.587 * green + 0.114 * blue

    assert len(set(PALETTE)) == len(PALETTE)
    neighbours = pairwise(PALETTE)
    assert all(abs(lightness(one) - lightness(other)) > 20 for one, other in neighbours)


def test_a_colour_means_one_thing():
    """What became of records has colours of its own; kinds, health cards, plain bars and the rest have others."""
    tones, kinds = {*TONES.values()}, {*PALETTE, svg.HEALTH_CARD, svg.BAR, svg.REST}
    assert tones & kinds == set()
    assert len(kinds) == len(PALETTE) + 3


@pytest.mark.parametrize("peak", [7, 20_000, 1_234_567, 98_765_432])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_no_label_of_an_axis_meets_another_one(peak, width):
    """Digits are at most 7 px wide; 31 days is the longest month, and the one in which every day is named."""
    days = [
        {"day": f"2026-10-{day:02}", "staged": peak, "delivered": peak, "waiting": 0, "for_people": 0}
        for day in range(1, 32)
    ]
    for every in (1, 2):
        drawn = drawings._trend(days, ZH, "l", width, every)
        assert drawn is not None
        for picture in re.findall(r"<svg.*?</svg>", drawn, re.S):
            ticks = [e for e in parsed(picture).iter(f"{SVG}text") if e.get("class") == "tick"]
            below = [(float(e.get("x")), 7 * len(e.text)) for e in ticks if e.get("text-anchor") == "middle"]
            assert all(x + half / 2 < y - other / 2 for (x, half), (y, other) in pairwise(below))
            beside = [(float(e.get("x")), 7 * len(e.text)) for e in ticks if e.get("text-anchor") == "end"]
            assert all(x - size >= 0 for x, size in beside)
    for figures in (svg.bars([Share("挂号", peak)], peak, ZH, width=width, label="l"),):
        (said,) = [e for e in parsed(figures).iter(f"{SVG}text") if e.get("class") == "figure"]
        assert float(said.get("x")) + 7 * len(said.text) <= width + 1
