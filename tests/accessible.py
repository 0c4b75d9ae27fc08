"""What axe finds on a page that is open."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

RULES: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
CONTRAST_ONLY: dict[str, Any] = {**RULES, "runOnly": ["color-contrast"]}
_SCRIPT = Axe().axe_script


def show_at(page: Page, width: int, scheme: Any) -> None:
    """The same page on another screen, in the other theme; nothing moves while it is looked at."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")


def faults(page: Page, options: dict[str, Any] = RULES) -> list[str]:
    """A line a rule that is broken, with the first places. Each tab gets the script once, half a
    megabyte; nothing is told of what is right."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_SCRIPT)
    violations = page.evaluate("options => axe.run(options)", options)["violations"]
    return [
        f"{one['id']} ({one['help']}) {[node['target'] for node in one['nodes'][:3]]}"
        for one in violations
    ]
