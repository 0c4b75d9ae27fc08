from __future__ import annotations

import math
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from django.template import Context, Template

from steelyard.web.templatetags.charts import (
    MOST_POINTS,
    colours,
    nice_ticks,
    short,
    thin,
    ticks_within,
)

NASTY = '<script>alert("x")</script>&"\''


@dataclass
class Row:
    rating: float
    lo: float | None
    hi: float | None
    rank_lo: int = 1
    rank_hi: int = 1
    votes: int = 10


@dataclass
class Standing:
    model: str
    row: Row


def render(source: str, **context: Any) -> str:
    return Template("{% load charts %}" + source).render(Context(context))


def svg_of(html: str) -> ElementTree.Element:
    """The first SVG, read as XML: it must be well-formed."""
    match = re.search(r"<svg.*</svg>", html, re.S)
    assert match
    return ElementTree.fromstring(match.group())


def cells(html: str) -> list[list[str]]:
    """The rows of the chart's table."""
    rows: list[list[str]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            if tag == "tr":
                rows.append([])
            if tag in {"td", "th"}:
                rows[-1].append("")

        def handle_data(self, data: str) -> None:
            if rows and rows[-1]:
                rows[-1][-1] += data

    Reader().feed(html[html.index("<table") : html.index("</table")])
    return [[cell.strip() for cell in row] for row in rows]


def per_cent(element: ElementTree.Element, name: str) -> float:
    return float(element.attrib[name].removesuffix("%"))


def test_ratings_are_sorted_and_lie_where_their_numbers_say() -> None:
    standings = [Standing("low", Row(900, 850, 940)), Standing("high", Row(1100, 1050, 1170))]
    html = render("{% rating_chart standings %}", standings=standings)
    svg = svg_of(html)
    ticks = {t.text: per_cent(t, "x") for t in svg.iter("text") if t.get("class") == "tick"}
    lo, hi = (float(next(iter(ticks))), float(list(ticks)[-1]))
    dots = [per_cent(c, "cx") for c in svg.iter("circle")]
    assert dots == pytest.approx([100 * (v - lo) / (hi - lo) for v in (1100, 900)], abs=0.01)
    whiskers = [e for e in svg.iter("line") if e.get("class") == "whisker"]
    ends = [(per_cent(w, "x1"), per_cent(w, "x2")) for w in whiskers]
    wanted = [(1050, 1170), (850, 940)]
    for end, want in zip(ends, wanted, strict=True):
        assert end == pytest.approx([100 * (v - lo) / (hi - lo) for v in want], abs=0.01)
    assert cells(html)[1:] == [
        ["high", "1100.0", "1050.0 to 1170.0", "1", "10"],
        ["low", "900.0", "850.0 to 940.0", "1", "10"],
    ]


def test_fifty_nine_models_each_have_a_row_of_their_own() -> None:
    standings = [Standing(f"model-{n}", Row(1000 + n, 990 + n, 1010 + n)) for n in range(59)]
    html = render("{% rating_chart standings %}", standings=standings)
    heights = [float(c.attrib["cy"]) for c in svg_of(html).iter("circle")]
    assert len(heights) == 59
    assert min(b - a for a, b in pairwise(heights)) >= 20
    assert float(svg_of(html).attrib["height"]) > max(heights)


def test_one_model_and_a_model_without_an_interval_are_drawn() -> None:
    html = render(
        "{% rating_chart standings %}", standings=[Standing("only", Row(1000, None, None))]
    )
    svg = svg_of(html)
    assert len(list(svg.iter("circle"))) == 1
    assert not [e for e in svg.iter("line") if e.get("class") == "whisker"]
    assert "n = 1 model<" in html
    assert render("{% rating_chart standings %}", standings=[]).strip() == ""


def test_names_are_never_markup() -> None:
    charts = [
        render("{% rating_chart s %}", s=[Standing(NASTY, Row(1000, 990, 1010))]),
        render("{% outcome_bar 1 1 1 name name %}", name=NASTY),
        render("{% line_chart s name name name %}", s={NASTY: [(0, 1.0), (1, 2.0)]}, name=NASTY),
    ]
    for html in charts:
        assert "<script>" not in html
        assert "&lt;script&gt;" in html
        svg_of(html)


def test_every_chart_has_a_title_and_a_description_that_its_picture_points_to() -> None:
    html = render(
        "{% rating_chart s %}"
        "{% outcome_bar 3 1 2 'x' 'y' %}"
        "{% line_chart c 'Loss' 'step' 'nats' %}",
        s=[Standing("m", Row(1000, 990, 1010))],
        c={"loss": [(0, 1.0), (1, 0.5)]},
    )
    pictures = re.findall(r'role="img" aria-labelledby="(\S+) (\S+)"', html)
    assert len(pictures) == 3
    assert len(set(pictures)) == 3
    for title, desc in pictures:
        assert f'<title id="{title}">' in html
        assert f'<desc id="{desc}">' in html


def test_the_bar_shares_its_width_by_the_counts() -> None:
    html = render("{% outcome_bar 30 10 60 'new' 'base' %}")
    parts = {r.attrib["class"]: r for r in svg_of(html).iter("rect")}
    widths = {kind: per_cent(r, "width") for kind, r in parts.items()}
    assert widths == {"win": 30, "tie": 10, "loss": 60}
    assert per_cent(parts["loss"], "x") == 40
    assert "n = 100 scores" in html
    for text in ("30.0 %", "10.0 %", "60.0 %"):
        assert text in html


def test_a_bar_of_nothing_says_so() -> None:
    assert "No scores yet" in render("{% outcome_bar 0 0 0 'new' 'base' %}")


def test_lines_pass_through_their_points() -> None:
    points = [(0, 2.0), (50, 1.0), (100, 0.5)]
    html = render("{% line_chart s 'Loss' 'step' 'nats' %}", s={"loss": points})
    line = next(svg_of(html).iter("polyline"))
    drawn = [tuple(map(float, p.split(","))) for p in line.attrib["points"].split()]
    assert drawn == [(0.0, 0.0), (50.0, 66.67), (100.0, 100.0)]  # y runs from 0.5 to 2
    assert cells(html)[1:] == [["0", "2"], ["50", "1"], ["100", "0.5"]]


def test_a_number_that_is_none_or_not_finite_leaves_a_gap_and_a_lone_point_is_a_dot() -> None:
    points = [(0, 1.0), (1, 2.0), (2, math.nan), (3, 3.0), (4, None), (5, 1.0), (6, math.inf)]
    html = render("{% line_chart s 'Loss' 'step' 'nats' %}", s=[("loss", points)])
    svg = svg_of(html)
    assert len(list(svg.iter("polyline"))) == 1
    assert len(list(svg.iter("circle"))) == 2
    assert ["2", "–"] in cells(html)


@pytest.mark.parametrize("series", [{}, {"loss": []}, {"loss": [(0, math.nan)]}, []])
def test_no_points_is_said_in_words(series: Any) -> None:
    assert "No points yet" in render("{% line_chart s 'Loss' 'step' 'nats' %}", s=series)


def test_one_point_and_a_flat_line_are_drawn() -> None:
    for points in ([(3, 0.5)], [(0, 0.0), (9, 0.0)], [(0, -7.0), (9, -7.0)]):
        svg_of(render("{% line_chart s 'x' 'step' '' %}", s={"x": points}))


def axes(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """The numbers on both axes of a chart of one line."""
    svg = svg_of(render("{% line_chart s 'Verdicts' 'hour' 'verdicts' %}", s={"rater": points}))
    ticks = [t for t in svg.iter("text") if t.get("class") == "tick"]
    across = [float(t.text or "") for t in ticks if "dy" not in t.attrib]
    up = [float(t.text or "") for t in ticks if "dy" in t.attrib]
    return across, up


def test_a_lone_hour_has_no_hours_before_it_and_its_count_begins_at_nought() -> None:
    assert axes([(0.0, 0.0)]) == ([0], [0, 1])
    assert axes([(0.0, 3.0)]) == ([0], [0, 1, 2, 3])
    assert axes([(0.0, 1.0), (1.0, 2.0)]) == ([0, 1], [1, 2])


def test_an_axis_of_days_ends_where_its_days_end() -> None:
    points = [(float(day), 1.0) for day in range(-13, 1)]
    assert axes(points)[0] == [-10, -5, 0]
    svg = svg_of(render("{% line_chart s 'x' 'day' '' %}", s={"x": points}))
    drawn = next(svg.iter("polyline")).attrib["points"].split()
    assert (drawn[0].split(",")[0], drawn[-1].split(",")[0]) == ("0.00", "100.00")


@pytest.mark.parametrize(("lo", "hi"), [(0, 1), (-13, 0), (1, 100), (0.1, 0.13), (7, 7), (3, 4)])
def test_ticks_within_lie_in_the_range(lo: float, hi: float) -> None:
    ticks = ticks_within(lo, hi)
    assert ticks == sorted(ticks)
    assert lo - 1e-9 <= ticks[0] <= ticks[-1] <= hi + 1e-9
    assert len(ticks) >= (2 if hi > lo else 1)


def test_thinning_keeps_the_peaks_and_the_ends() -> None:
    points: list = [(n, math.sin(n / 50)) for n in range(10_000)]
    points[7321] = (7321, 99.0)
    points[7322] = (7322, -99.0)
    kept = thin(points)
    assert len(kept) <= MOST_POINTS + 1
    assert {(7321, 99.0), (7322, -99.0), points[0], points[-1]} <= set(kept)
    assert kept == sorted(kept)
    assert thin(points[:10]) == points[:10]


@pytest.mark.parametrize(
    ("lo", "hi"), [(0, 1), (-3, 7), (0.001, 0.0023), (999, 1001), (5, 5), (0, 0), (-1e6, 1e6)]
)
def test_ticks_are_round_even_and_span_the_numbers(lo: float, hi: float) -> None:
    ticks = nice_ticks(lo, hi)
    steps = {round(b - a, 12) for a, b in pairwise(ticks)}
    assert len(steps) == 1
    mantissa = next(iter(steps)) / 10 ** math.floor(math.log10(next(iter(steps))) + 1e-9)
    assert round(mantissa, 6) in {1, 2, 5}
    assert ticks[0] <= lo + 1e-9
    assert ticks[-1] >= hi - 1e-9
    assert 2 <= len(ticks) <= 12


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1 + 0.2, "0.3"),
        (1234.5, "1234"),
        (3e-5, "3e-5"),
        (-0.0025, "-0.0025"),
        (-2.5e-4, "-2.5e-4"),
        (1.5e6, "1.5e6"),
        (0.0, "0"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_numbers_on_axes_are_short(value: float | None, text: str) -> None:
    assert short(value) == text


@pytest.mark.parametrize(
    "points",
    [
        [(0, -0.0025), (1, 0.0005)],
        [(0, -1.25e-5), (1, 2e-6)],
        [(0, -987654.0), (1, 123456.0)],
        [(0, 0.0), (1, 1.0)],
    ],
)
def test_no_label_of_the_axis_begins_left_of_its_chart(points: Any) -> None:
    svg = svg_of(render("{% line_chart s 'Loss' 'step' '' %}", s={"loss": points}))
    gutter = float(re.findall(r"--gutter: (\d+)px", svg.attrib["style"])[0])
    labels = [t for t in svg.iter("text") if t.get("text-anchor") == "end" and "dy" in t.attrib]
    assert len(labels) >= 2
    for label in labels:
        # no digit of the 12 px letters is wider than 7.2 px
        assert gutter + float(label.attrib["x"]) - 7.2 * len(label.text or "") >= 0, label.text
    assert gutter < 90


def test_a_line_keeps_its_colour_whatever_order_it_comes_in() -> None:
    for names in (["loss", "test loss"], ["reward chosen", "reward rejected"]):
        assert colours(names) == colours(names[::-1]) == {names[0]: 0, names[1]: 1}
    assert colours(["test loss"]) == {"test loss": 1}
    assert sorted(colours(list("fedcba")).values()) == [0, 1, 2, 3, 4, 5]
    assert len(colours([f"line {n}" for n in range(9)])) == 9
    html = render(
        "{% line_chart s 'Loss' 'step' '' %}",
        s=[("test loss", [(0, 1.0), (1, 2.0)]), ("loss", [(0, 1.0), (1, 3.0)])],
    )
    assert '<li class="series-1">test loss' in html
    assert '<li class="series-0">loss' in html
