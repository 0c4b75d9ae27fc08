"""A chart leaves a page as a file: with scripts as SVG and PNG, without them as CSV."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.factories import make_annotator, make_judgment, make_pair


@pytest.mark.journey
@pytest.mark.django_db(transaction=True)
def test_a_chart_is_kept_in_three_forms(
    visit: Callable[..., Page], project: Any, owner: Any, tmp_path: Path
) -> None:
    people = [make_annotator(project, name) for name in ("rater", "scorer")]
    for n in range(4):
        pair = make_pair(project)
        for at, who in enumerate(people):
            make_judgment(pair, "ab"[(n > 2) * at], annotator=who)
    page = visit(f"/p/{project.slug}/agreement/", owner, dark=True)
    figure = page.locator("figure.matrix").first
    kept = {}
    for kind in ("svg", "png"):
        with page.expect_download() as started:
            figure.locator(f"[data-chart-as={kind}]").click()
        assert started.value.suggested_filename == f"same-verdict.{kind}"
        kept[kind] = tmp_path / f"chart.{kind}"
        started.value.save_as(kept[kind])
    drawn = ElementTree.parse(kept["svg"]).getroot()
    words = " ".join(
        "".join(one.itertext()) for one in drawn.iter("{http://www.w3.org/2000/svg}text")
    )
    assert "Same verdict" in words
    assert "rater" in words
    assert "var(" not in kept["svg"].read_text()
    with Image.open(kept["png"]) as picture:
        assert picture.width == 2 * int(drawn.attrib["width"])
        assert picture.getpixel((1, 1))[:3] == (0x15, 0x18, 0x1C)  # the paper of the dark theme
    plain = visit(f"/p/{project.slug}/agreement/", owner, script=False)
    with plain.expect_download() as started:
        plain.locator("figure.matrix").first.get_by_role("link", name="CSV").click()
    assert b"rater,scorer,0.75,4" in Path(started.value.path()).read_bytes()
    expect(plain.locator("[data-chart-as=svg]").first).to_be_hidden()
