"""The pages of trainings in Chromium: what scripts count and what a narrow screen can reach."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, Page, Route, expect

from steelyard.runs.models import MetricPoint, Run
from steelyard.runs.services import start_run
from tests.browser import wait_for_answers
from training.models import TrainingJob

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
Visit = Callable[..., Page]


@pytest.fixture
def visit(chromium: Browser, live_server: Any, owner: Any) -> Iterator[Visit]:
    """Open a path as the owner; an error of a script fails."""
    contexts, errors = [], []
    client = Client()
    client.force_login(owner)
    key = client.cookies["sessionid"].value

    def go(path: str, *, width: int = 1280) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": 900})
        context.set_default_timeout(60_000)
        contexts.append(context)
        context.add_cookies([{"name": "sessionid", "value": key, "url": live_server.url}])
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(live_server.url + path)
        return page

    yield go
    for context in contexts:
        context.close()
    wait_for_answers()
    assert errors == []


@pytest.mark.parametrize("width", [360, 1280])
def test_the_question_before_a_cancel_moves_nothing(visit: Visit, project: Any, width: int) -> None:
    run = start_run(project=project, kind="train", title="Train", spec={}, by=None)
    page = visit(run.get_absolute_url(), width=width)
    page.wait_for_load_state("networkidle")
    pause, state = page.get_by_role("button", name="Pause"), page.locator("#state")
    before = (pause.bounding_box(), state.bounding_box())
    page.get_by_role("button", name="Cancel…").click()
    asked = page.locator(".cancel form")
    expect(asked).to_be_visible()
    assert (pause.bounding_box(), state.bounding_box()) == before
    box = asked.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_one_look_at_the_machine_is_drawn_as_a_dot(visit: Visit, project: Any) -> None:
    run = start_run(project=project, kind="train", title="Train", spec={}, by=None)
    Run.objects.filter(pk=run.pk).update(state="succeeded")
    points = [("loss", 1, 0.7), ("loss", 2, 0.6), ("resource_rss_mib", 2, 900.0)]
    MetricPoint.objects.bulk_create(
        MetricPoint(run=run, name=name, step=step, value=value, time=0)
        for name, step, value in points
    )
    page = visit(run.get_absolute_url())
    expect(page.locator(".panel canvas")).to_have_count(1)
    expect(page.locator(".panel circle.dot")).to_have_count(1)


def test_compared_runs_keep_their_colours_and_are_all_within_reach_of_a_narrow_screen(
    visit: Visit, project: Any, make_version: Any, base: Any
) -> None:
    version, runs = make_version(), []
    for name, metrics in (
        ("careful-and-rather-long-name", ["loss", "grad_norm"]),
        ("bold", ["loss"]),
    ):
        run = start_run(project=project, kind="train", title=name, spec={}, by=None)
        runs.append(run)
        TrainingJob.objects.create(
            project=project,
            run=run,
            version=version,
            base=base,
            recipe="dpo",
            config={"beta": len(name) / 100},
            model_name=name,
        )
        MetricPoint.objects.bulk_create(
            MetricPoint(run=run, name=metric, step=step, value=1 / step, time=0)
            for metric in [*metrics, f"{name[:4]}_only"]
            for step in (1, 2)
        )
    query = "&".join(f"run={run.pk}" for run in runs)
    page = visit(f"{reverse('training:compare', args=[project.slug])}?{query}", width=360)
    alone = page.locator(".chart", has_text="bold only").locator(".legend li")
    expect(alone).to_have_class("series-1")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for table in page.locator("main table:visible").all():
        reach = table.evaluate(
            "t => { const box = t.closest('.table-scroll'); box.scrollLeft = 10_000;"
            " return t.getBoundingClientRect().right - box.getBoundingClientRect().right }"
        )
        assert reach <= 1


def test_the_form_of_a_sweep_counts_its_runs_as_it_is_filled(
    visit: Visit, project: Any, make_version: Any, base: Any
) -> None:
    make_version(rows=40)
    page = visit(reverse("training:sweep-new", args=[project.slug]))
    total = page.locator("#sweep-runs [data-n=total]")
    expect(total).to_have_text("70")
    page.get_by_role("spinbutton", name="Trials").fill("4")
    expect(total).to_have_text("22")
    page.get_by_label("Test the usual settings beside the winners").uncheck()
    expect(total).to_have_text("17")
    page.locator("[name=objective_2]").select_option(index=2)
    expect(total).to_have_text("27")


def test_a_run_that_ends_does_not_call_off_where_somebody_goes(visit: Visit, project: Any) -> None:
    run = start_run(project=project, kind="train", title="Train", spec={}, by=None)
    page = visit(run.get_absolute_url())
    there = reverse("runs:run-list", args=[project.slug])
    held: list[Route] = []
    page.route(f"**{there}", lambda route: held.append(route))
    page.locator(f'main a[href="{there}"], nav a[href="{there}"]').first.click(no_wait_after=True)
    Run.objects.filter(pk=run.pk).update(state="succeeded")
    # the answer that wishes the page to be loaded anew comes before the page that was asked for
    with page.expect_response(lambda answer: answer.headers.get("hx-refresh") == "true"):
        pass
    page.wait_for_timeout(500)
    held[0].continue_()
    expect(page).to_have_url(re.compile(f"{there}$"))
