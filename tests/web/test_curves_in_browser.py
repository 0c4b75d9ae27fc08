"""The curves of a run as Chromium draws them: no label is cut off, no colour changes hands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from steelyard.runs.models import MetricPoint, Run
from steelyard.runs.services import start_run

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
Visit = Callable[..., Page]
LABELS = """() => {
  window.labels = [];
  const draw = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
    const at = this.getTransform().transformPoint({ x, y });
    const width = this.measureText(text).width;
    const left = { right: width, end: width, center: width / 2 }[this.textAlign] ?? 0;
    window.labels.push([text, at.x - left]);
    return draw.apply(this, arguments);
  };
}"""


@pytest.fixture
def run(project: Any) -> Run:
    """A run that has ended, with numbers far below one and below nought."""
    run = start_run(project=project, kind="train", title="Train", spec={}, by=None)
    Run.objects.filter(pk=run.pk).update(state="succeeded")
    measure(run, "loss", [-0.0025, -0.0012, 0.0001])
    measure(run, "test_loss", [-0.0024, -0.0011, 0.0002])
    measure(run, "learning_rate", [5e-5, 2.5e-5, 1e-6])
    measure(run, "logp_rejected", [-123456.0, -234567.0, -345678.0])
    return run


def measure(run: Run, name: str, values: list[float]) -> None:
    MetricPoint.objects.bulk_create(
        MetricPoint(run=run, name=name, step=step, value=value, time=0)
        for step, value in enumerate(values)
    )


@pytest.mark.parametrize("width", [360, 1280])
def test_no_label_is_cut_off(visit: Visit, owner: Any, run: Run, width: int) -> None:
    page = visit("/", owner, width=width)
    page.add_init_script(f"({LABELS})()")
    page.goto(page.url.rstrip("/") + run.get_absolute_url())
    expect(page.locator(".panel canvas")).to_have_count(3)
    page.wait_for_function("window.labels.length > 20")
    labels = page.evaluate("window.labels")
    assert {"-0.0025", "-0.002", "5e-5"} & {text for text, _ in labels}
    assert [(text, left) for text, left in labels if left < 0] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [360, 1280])
def test_no_label_is_cut_off_without_a_script(
    visit: Visit, owner: Any, run: Run, width: int
) -> None:
    page = visit(run.get_absolute_url(), owner, width=width, script=False)
    expect(page.locator(".panel svg.plot-area")).to_have_count(3)
    boxes = page.locator(".panel text.tick").all()
    for label in boxes:
        box, panel = label.bounding_box(), page.locator("#curves").bounding_box()
        assert box is not None
        assert panel is not None
        assert box["x"] >= panel["x"], label.text_content()


def test_a_line_keeps_its_colour_whatever_comes_first(
    visit: Visit, owner: Any, project: Any
) -> None:
    run = start_run(project=project, kind="train", title="Train", spec={}, by=None)
    Run.objects.filter(pk=run.pk).update(state="running")
    measure(run, "test_loss", [0.7])
    page = visit(run.get_absolute_url(), owner)
    legend = page.locator(".panel .legend li")
    expect(legend).to_have_text(["test loss 0.7000"])
    alone = legend.get_attribute("class")
    measure(run, "loss", [0.6, 0.5])
    expect(legend).to_have_text(["loss 0.5000", "test loss 0.7000"])
    grown = [item.get_attribute("class") for item in legend.all()]
    page.reload()
    expect(legend).to_have_text(["loss 0.5000", "test loss 0.7000"])
    assert grown == [item.get_attribute("class") for item in legend.all()]
    assert grown == ["series-0", alone]
    assert page.locator(".panel").count() == 1


def test_the_page_passes_axe(visit: Visit, owner: Any, run: Run) -> None:
    page = visit(run.get_absolute_url(), owner, width=360, dark=True)
    expect(page.locator(".panel canvas")).to_have_count(3)
    page.wait_for_load_state("networkidle")
    page.locator(".panel summary").first.click()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
