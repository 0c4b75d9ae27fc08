"""A model is trained from the page by somebody who is told what to mend first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect

from steelyard.lib.records import tables_of
from steelyard.registry.services import commit_version
from steelyard.runs import supervisor
from steelyard.runs.models import MetricPoint, Run
from steelyard.runs.services import start_run
from tests.browser import wait_for_answers
from tests.training.conftest import make_record
from training.models import TrainingJob

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def page(chromium: Browser, live_server: Any, owner: Any) -> Iterator[Page]:
    context = chromium.new_context(
        base_url=live_server.url, viewport={"width": 360, "height": 800}, reduced_motion="reduce"
    )
    client = Client()
    client.force_login(owner)
    key = client.cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": key, "url": live_server.url}])
    context.set_default_timeout(60_000)
    errors: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    wait_for_answers()
    assert not errors


@pytest.fixture
def long_row(project: Any, base: Any) -> None:
    """A version of which one prompt is too long for little room."""
    long = [{"role": "user", "content": "What is this? " * 40}]
    records = [make_record(n, **({"prompt": long} if n == 3 else {})) for n in range(1, 13)]
    counts = {"rows": 12, "train": 10, "test": 2, "ties": 0, "votes": 12}
    commit_version(
        project=project, dataset_name="Long", rows=tables_of(records), recipe={}, counts=counts
    )


def until_seen(page: Page, text: str) -> None:
    """Drive runs until the page, which asks by itself, shows it."""
    end = time.monotonic() + 240
    while not page.get_by_text(text).first.is_visible():
        assert time.monotonic() < end, page.locator("#preflight").inner_text()
        supervisor.reconcile()
        page.wait_for_timeout(200)


def test_what_stops_a_run_is_mended_with_a_button_and_it_is_started(
    page: Page, project: Any, long_row: None
) -> None:
    page.goto(reverse("training:training-new", args=[project.slug]))
    page.get_by_text("More settings").click()
    smoothing = page.get_by_label("Label smoothing")
    expect(smoothing).to_be_visible()
    page.get_by_label("Loss type").select_option("ipo")
    expect(smoothing).to_be_hidden()
    page.get_by_label("Loss type").select_option("sigmoid")
    page.get_by_label("Max length").fill("96")
    page.get_by_role("button", name="Check and start").click()
    until_seen(page, "Something would stop this run")
    expect(page.get_by_role("button", name="Start anyway")).to_have_count(0)
    page.get_by_text("Rows as the model reads them").click()
    expect(page.locator(".tokens .special").first).to_be_visible()
    faults = Axe().run(page)
    assert faults.violations_count == 0, faults.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("button", name="Leave such rows out").click()
    until_seen(page, "it can be started all the same")
    page.get_by_role("button", name="Start anyway").click()
    page.wait_for_url("**/runs/*/")
    assert TrainingJob.objects.get().config["drop_too_long"] is True


def test_a_wrong_value_among_more_settings_is_shown_when_it_is_sent(
    page: Page, project: Any, long_row: None
) -> None:
    page.goto(reverse("training:training-new", args=[project.slug]))
    page.get_by_text("More settings").click()
    every = page.locator("#id_checkpoint_every")
    every.fill("-3")
    page.get_by_text("More settings").click()
    expect(every).to_be_hidden()
    page.get_by_role("button", name="Check and start").click()
    expect(every).to_be_visible()
    expect(every).to_be_focused()


def test_a_lone_zero_has_an_axis_of_its_own_size(page: Page, project: Any, owner: Any) -> None:
    run = start_run(project=project, kind="train", title="Begun", spec={}, by=owner)
    MetricPoint.objects.create(run=run, name="reward_margin", step=1, value=0.0, time=0.0)
    Run.objects.filter(pk=run.pk).update(state="succeeded")
    page.goto(run.get_absolute_url())
    expect(page.locator(".panel .plot canvas")).to_be_visible()
    ends = page.evaluate(
        """async () => {
            const Real = uPlot, seen = [];
            window.uPlot = function (options, data, place) {
                const made = new Real(options, data, place);
                seen.push(made);
                return made;
            };
            Object.assign(window.uPlot, Real);
            document.getElementById("curves").replaceChildren();
            const script = document.querySelector('script[src*="run.js"]').src;
            await import(script + (script.includes("?") ? "&" : "?") + "again");
            for (let tries = 0; tries < 600 && !seen.length; tries++)
                await new Promise((resolve) => setTimeout(resolve, 100));
            return [seen[0].scales.y.min, seen[0].scales.y.max];
        }"""
    )
    assert ends == [-1, 1]
