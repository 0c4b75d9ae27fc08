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


def wait_for_answers() -> None:
    """A page asks for more than a test looks at: what it has asked for when it is closed must not
    run into the emptying of the tables."""
    end = time.monotonic() + 30  # all together: a page that a failed test left open asks on
    for thread in threading.enumerate():
        if "process_request_thread" in thread.name:
            thread.join(timeout=max(0, end - time.monotonic()))
