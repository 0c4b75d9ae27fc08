"""The page of a run in a real browser, open while the run goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings as django_settings
from django.test import Client
from playwright.sync_api import Page, expect, sync_playwright

from steelyard.runs import supervisor
from tests.conftest import CHROMIUM_FLAGS

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def look(live_server: Any, chromium_path: str, owner: Any) -> Iterator[Callable[..., Future[Any]]]:
    """Look at a page as the owner, in a thread of its own: this one drives the run meanwhile."""
    client = Client()
    client.force_login(owner)
    name = django_settings.SESSION_COOKIE_NAME
    cookie = {"name": name, "value": client.cookies[name].value, "url": live_server.url}

    def visit(path: str, watch: Callable[[Page], Any]) -> Any:
        errors: list[str] = []
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium_path, args=CHROMIUM_FLAGS)
            context = browser.new_context(base_url=live_server.url)
            context.add_cookies([cookie])  # type: ignore[list-item]
            context.on("weberror", lambda error: errors.append(str(error.error)))
            context.set_default_timeout(60_000)
            page = context.new_page()
            page.goto(path)
            seen = watch(page)
            browser.close()
        assert not errors, errors
        return seen

    with ThreadPoolExecutor(1) as pool:
        yield lambda path, watch: pool.submit(visit, path, watch)


def test_curves_grow_while_it_runs_and_the_page_is_still_when_it_has_ended(
    counting: Any, until: Any, settle: Any, look: Any
) -> None:
    run = counting(steps=60, hold_at=30)
    until(lambda: ((run.dir.read_progress() or {}).get("done") or 0) >= 3)

    def watch(page: Page) -> dict[str, Any]:
        at = page.locator(".panel .at").first
        expect(at).to_have_text("step 30")
        page.locator(".panel summary").first.click()
        expect(page.locator(".panel tbody tr").first).to_be_visible()
        (run.dir.path / "go-on").touch()
        expect(page.locator(".run-state.succeeded")).to_be_visible()
        expect(at).to_have_text("step 60")
        found = Axe().run(page)
        polling = page.locator("[hx-trigger^=every]").count()
        return {"polling": polling, "faults": found.generate_report()}

    watching = look(run.get_absolute_url(), watch)
    while not watching.done():
        supervisor.reconcile()
        time.sleep(0.05)
    seen = watching.result()
    assert settle(run).state == "succeeded"
    assert seen["polling"] == 0
    assert "Found 0 accessibility violations" in seen["faults"], seen["faults"]


def test_a_run_is_cancelled_from_its_page_after_a_question(
    counting: Any, until: Any, settle: Any, look: Any
) -> None:
    run = counting(steps=10_000)
    until(lambda: ((run.dir.read_progress() or {}).get("done") or 0) >= 3)

    def watch(page: Page) -> None:
        page.get_by_text("Cancel…").click()
        page.get_by_role("button", name="Yes, cancel this run").click()
        expect(page.locator(".run-state.cancelled")).to_be_visible()

    watching = look(run.get_absolute_url(), watch)
    while not watching.done():
        supervisor.reconcile()
        time.sleep(0.05)
    watching.result()
    assert settle(run).state == "cancelled"
