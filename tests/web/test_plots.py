"""Charts of estimates: where the marks lie, what the table says, and that both leave as files."""

from __future__ import annotations

import base64
import csv
import io
import re
from typing import Any
from xml.etree import ElementTree

from django.template import Context, Template

from evaluation.engine.calibration import Bin
from steelyard.web.plotting import Point, Row, Series, Table, csv_link

NASTY = '<script>alert("x")</script>&"\''


def render(source: str, **context: Any) -> str:
    return Template("{% load plots %}" + source).render(Context(context))


def svg_of(html: str) -> ElementTree.Element:
    match = re.search(r"<svg.*</svg>", html, re.S)
    assert match
    return ElementTree.fromstring(match.group())


def csv_of(html: str) -> list[list[str]]:
    """The file that the link carries."""
    match = re.search(r'href="data:text/csv;charset=utf-8;base64,([^"]+)" download', html)
    assert match
    return list(csv.reader(io.StringIO(base64.b64decode(match[1]).decode())))


def test_a_path_with_its_band_and_the_same_numbers_as_csv() -> None:
    path = Series("people", [Point(1, 0.5, 0.1, 0.9, 1), Point(9, 0.6, 0.5, 0.7, 9)], 0, "path")
    source = "{% interval_chart series 'Over time' 'prompts' 'win rate' reference=0.5 %}"
    html = render(source, series=[path])
    svg = svg_of(html)
    assert len(svg.find(".//polygon").get("points", "").split()) == 4  # type: ignore[union-attr]
    assert svg.find(".//polyline") is not None
    assert csv_of(html)[1:] == [["1", "0.5", "0.1", "0.9", "1"], ["9", "0.6", "0.5", "0.7", "9"]]
    assert "60.0 %" in html
    assert 'download="over-time.csv"' in html


def test_two_series_are_told_apart_and_a_missing_interval_is_a_dash() -> None:
    series = [
        Series("people", [Point(0, 0.5, name="round 1")], 0, "joined"),
        Series(NASTY, [Point(0, 0.75, 0.5, 1.0, 4, name="round 1")], 1, "joined"),
    ]
    source = "{% interval_chart series 'Rounds' 'round' 'win rate' x_names=names %}"
    html = render(source, series=series, names={0: "round 1"})
    assert NASTY not in html
    svg = svg_of(html)
    assert [c.get("class") for c in svg.iter("circle")] == ["dot series-0", "dot series-1"]
    assert len([one for one in svg.iter("line") if "whisker" in one.get("class", "")]) == 1
    assert csv_of(html)[1] == ["people", "round 1", "0.5", "", "", ""]


def test_a_reliability_curve_has_its_diagonal_and_both_axes_whole() -> None:
    bins = [Bin(0.1, 0.2, 0.0, 0.4, 10), Bin(0.9, 0.8, None, None, 3)]
    html = render("{% reliability_chart bins 'Calibration' 'said' 'true' %}", bins=bins)
    svg = svg_of(html)
    ticks = [t.text for t in svg.iter("text") if t.get("class") == "tick"]
    assert ticks.count("0 %") == ticks.count("100 %") == 2
    assert "reference" in [one.get("class") for one in svg.iter("line")]


def test_a_forest_has_a_row_each_and_says_which_have_no_value() -> None:
    rows = [Row(NASTY, 0.7, 0.5, 0.9, 12, marked=True), Row("none", None, n=0)]
    html = render("{% forest_chart rows 'Slices' 'win rate' n_label='prompts' %}", rows=rows)
    svg = svg_of(html)
    assert len(list(svg.iter("circle"))) == 1
    assert len([g for g in svg.iter("g") if "marked" in g.get("class", "")]) == 1
    assert NASTY not in html
    assert csv_of(html)[2] == ["none", "", "", "", "0"]
    assert render("{% forest_chart rows 'Slices' 'win rate' %}", rows=[]).strip() == ""


def test_a_matrix_is_the_darker_the_higher_and_empty_where_nobody_met() -> None:
    cells = {(0, 1): (1.0, 5), (1, 0): (1.0, 5), (0, 2): (0.0, 2)}
    source = "{% heat_matrix names cells 'Who agrees' 'equal' %}"
    html = render(source, names=["rater", "robot", "scorer"], cells=cells)
    svg = svg_of(html)
    depth = [one.get("style") for one in svg.iter("rect")]
    assert depth[:3] == ["--depth: 0%", "--depth: 45%", "--depth: 0%"]
    assert len(depth) == 9
    assert csv_of(html)[1] == ["rater", "robot", "1", "5"]
    assert len(csv_of(html)) == 4


def test_of_many_columns_a_phone_has_room_for_every_fifth_number() -> None:
    def numbers(size: int) -> list[str | None]:
        names = [f"rater {n}" for n in range(size)]
        html = render("{% heat_matrix names cells 'Who agrees' 'equal' %}", names=names, cells={})
        ticks = [one for one in svg_of(html).iter("text") if one.get("text-anchor") == "middle"]
        return [one.text for one in ticks if "between" not in (one.get("class") or "")]

    assert numbers(24) == ["1", "5", "10", "15", "20"]
    assert len(numbers(12)) == 12


def test_a_name_that_looks_like_a_formula_leaves_as_text() -> None:
    link = csv_link(Table(["name"], [("=cmd()",), (None,), (float("nan"),)]))
    assert base64.b64decode(link.split(",")[1]).decode().split("\r\n") == [
        "name",
        "'=cmd()",
        '""',
        '""',
        "",
    ]
