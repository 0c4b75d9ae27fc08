"""Waiting for what a page has done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from playwright.sync_api import Page


def until(page: Page, holds: Callable[[], bool], seconds: float = 60) -> None:
    """Let the page go on until something holds that it does not show."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to pass in time"
        page.wait_for_timeout(50)


def saved(page: Page) -> None:
    """All that was handed in is at the server: “Saved.” alone may still be said of what came
    before."""
    page.wait_for_function(
        """() => !Object.keys(localStorage).some(key => key.includes("verdict"))
            && document.getElementById("save-say").textContent === "Saved." """
    )


def laid_out(page: Page) -> None:
    """What is measured by the script has its size: that comes a frame after it is there."""
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def cards_ahead(page: Page, count: int = 2) -> None:
    """The labelling page has asked for that many cards and has them."""
    page.wait_for_function(
        """count => performance.getEntriesByType("resource")
            .filter(one => one.name.includes("/label/next/")).length >= count""",
        arg=count,
    )
    page.evaluate("() => new Promise(done => setTimeout(done, 100))")


def wait_for_answers() -> None:
    """A page asks for more than a test looks at: what it has asked for when it is closed must not
    run into the emptying of the tables."""
    end = time.monotonic() + 30  # all together: a page that a failed test left open asks on
    for _ in range(2):  # what was being accepted at the first look is there at the second
        for thread in threading.enumerate():
            if "process_request_thread" in thread.name:
                thread.join(timeout=max(0, end - time.monotonic()))
        time.sleep(0.01)
