"""Steps that people take, in a browser; each ends where its page says that it worked."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser import saved
from tests.journeys.waiting import eventually

BUILD_SECONDS = 900
RUN_SECONDS = 900
HELD = 1
"""The pair that an annotator was shown last comes before any that is more urgent."""


def wait_for_pairs(page: Page, project: str, wanted: int) -> None:
    """Until the demo that builds itself in the background has that many to label."""

    def enough() -> bool:
        said = page.request.get(f"/api/v1/projects/{project}/progress", max_retries=3)
        return said.ok and said.json()["left"] >= wanted

    eventually(enough, BUILD_SECONDS, f"{wanted} pairs in {project}")


def label(page: Page, project: str, judge: Callable[[Page], str], wanted: int) -> None:
    """Label by keyboard until ``wanted`` verdicts other than a skip are given.

    Args:
        judge: looks at the card and names the key to press; ``s`` skips.
    """
    page.goto(f"/p/{project}/label/")
    given = 0
    while given < wanted:
        card = page.locator("#card[data-pair]")
        expect(card).to_be_visible()
        pair = card.get_attribute("data-pair")
        key = judge(page)
        page.keyboard.press(key)
        page.keyboard.press("Enter")
        expect(page.locator(f'#card[data-pair="{pair}"]')).to_have_count(0)
        given += key != "s"
    saved(page)


def prefer(score: Callable[[Any], float]) -> Callable[[Page], str]:
    """A judge that likes the answer of the higher score, clearly: key 2 or 6; 4 for a tie."""

    def judge(page: Page) -> str:
        a, b = (score(page.locator(f"#answer-{place}")) for place in "AB")
        return "4" if a == b else ("2" if a > b else "6")

    return judge


def freeze(page: Page, project: str, dataset: str, *, category: str = "", **recipe: str) -> str:
    """Publish a version; its address.

    Args:
        category: how the names of the wanted categories begin.
    """
    page.goto(f"/p/{project}/versions/new/")
    for closed in page.locator("details.more:not([open]) > summary").all()[::-1]:
        closed.click()
    for name, value in recipe.items():
        page.locator(f'[name="{name}"]').fill(value)
    if category:
        for box in page.locator(f'[name="categories"][value^="{category}"]').all():
            box.check()
    page.get_by_label("Dataset").fill(dataset)
    page.get_by_role("button", name="Publish the version").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"{dataset} v1")
    return page.url


def train(page: Page, project: str, name: str, *, base: str, **config: str) -> str:
    """Look before training on the newest version, start it and return the run's address."""
    page.goto(f"/p/{project}/train/")
    page.get_by_label("Dataset version").select_option(index=1)
    page.get_by_label("Base model").select_option(label=base)
    page.get_by_label("Name of the new model").fill(name)
    page.get_by_text("More settings").click()
    for field, value in config.items():
        page.locator(f'[name="{field}"]').fill(value)
    page.get_by_role("button", name="Check and start").click()
    start = page.get_by_role("button", name=re.compile("^Start (anyway|training)$"))
    expect(start).to_be_visible(timeout=RUN_SECONDS * 1000)
    start.click()
    page.wait_for_url(re.compile(r"/runs/\d+/"))
    return page.url


def wait_for_run(page: Page, url: str) -> None:
    """Watch the run's page, without loading it again, until it says that it succeeded."""
    page.goto(url)
    ended = page.locator("#state .run-state").filter(
        has_text=re.compile("Succeeded|Failed|Cancelled")
    )
    expect(ended).to_be_visible(timeout=RUN_SECONDS * 1000)
    expect(page.locator("#state")).to_contain_text("Succeeded")


def evaluate(page: Page, project: str, name: str, *, new: str, base: str, **fields: str) -> int:
    """Start an evaluation by people; its page is open once its comparisons are there.

    Returns:
        how many of them are in the labelling queue.
    """
    page.goto(f"/p/{project}/evaluations/new/")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("checkbox", name=new, exact=True).check()
    page.get_by_label("Baseline").select_option(label=base)
    page.get_by_label("People compare").check()
    for field, value in fields.items():
        page.locator(f'[name="{field}"]').fill(value)
    page.get_by_role("button", name="Start the evaluation").click()
    page.wait_for_url(re.compile(r"/evaluations/\d+/"))
    queue = page.get_by_text("first in the labelling queue")
    expect(queue).to_be_visible(timeout=RUN_SECONDS * 1000)
    found = re.search(r"(\d+) of them first", queue.inner_text())
    assert found, queue.inner_text()
    return int(found[1])
