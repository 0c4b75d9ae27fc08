"""The pages of versions in Chromium: axe in light and dark, widths, and counts that follow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import APIResponse, Route, expect

from annotation.recipe import Recipe
from annotation.services.versions import publish_version
from annotation.services.withdrawals import withdraw
from steelyard.registry.tagging import add_note, set_tag
from tests import factories
from tests.accessible import faults, show_at
from tests.browser import until

pytestmark = pytest.mark.django_db(transaction=True)
SHOTS = os.environ.get("STEELYARD_SHOTS", "")


@pytest.fixture
def versions(project: Any, owner: Any) -> list[Any]:
    """Two versions, the second without the votes of one who was withdrawn."""
    people = [factories.make_annotator(project, f"rater {number}") for number in range(3)]
    for number in range(30):
        prompt = factories.make_prompt(
            project, f"What is number {number} of the list?", category=f"kind {number % 3}"
        )
        pair = factories.make_pair(project, prompt=prompt)
        for at, person in enumerate(people):
            outcome = "ab"[(number + (at == 2) * (number % 4 == 0)) % 2]
            factories.make_judgment(pair, outcome, annotator=person, rationale="since it is so")
    made = []
    for ties in ("drop", "keep"):
        recipe = Recipe(ties=ties, min_agreement=0.5)
        made.append(
            publish_version(project=project, dataset_name="Answers", recipe=recipe, by=owner)
        )
        if ties == "drop":
            withdraw(
                project=project, annotator=people[2], reason="Failed the known ones.", by=owner
            )
    set_tag(version=made[1], name="paper", by=owner)
    add_note(version=made[1], text="The one of the second round.", by=owner)
    return made


def test_pages_are_sound_at_all_widths_in_light_and_dark(
    browse: Any, owner: Any, project: Any, versions: list[Any]
) -> None:
    first, second = versions
    withdrawal = project.withdrawals.get()
    paths = {
        "versions": reverse("registry:version-list", args=[project.slug]),
        "freeze": reverse("annotation:version-new", args=[project.slug]),
        "version": second.get_absolute_url(),
        "statistics": reverse("registry:version-statistics", args=[project.slug, second.pk]),
        "diff": reverse("registry:version-diff", args=[project.slug, second.pk]),
        "withdrawals": reverse("annotation:withdrawal-list", args=[project.slug]),
        "withdrawal": reverse("annotation:withdrawal-detail", args=[project.slug, withdrawal.pk]),
    }
    page = browse(owner).new_page()
    for name, path in paths.items():
        page.goto(path)
        expect(page.get_by_text("Loading…")).to_have_count(0)
        if name == "freeze":
            for summary in page.locator("details.more > summary").all():
                summary.click()
        for width, scheme in ((1280, "light"), (360, "dark")):
            show_at(page, width, scheme)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{name} is {wide} wide at {width}"
            assert faults(page) == [], f"{name} at {width} px, {scheme}"
            if SHOTS:
                page.screenshot(path=Path(SHOTS) / f"{name}-{width}.png", full_page=True)
    assert first.get_absolute_url()


def test_the_counts_follow_the_recipe(browse: Any, owner: Any, project: Any, versions: Any) -> None:
    page = browse(owner).new_page()
    page.goto(reverse("annotation:version-new", args=[project.slug]))
    preview = page.locator("#preview")
    expect(preview.locator(".figure")).to_contain_text("30")
    page.get_by_text("Which pairs", exact=True).click()
    # what is chosen while a count is under way is counted too
    counts: list[tuple[Route, APIResponse]] = []
    page.route(
        "**/versions/new/?*",
        lambda route: route.continue_() if counts else counts.append((route, route.fetch())),
    )
    page.get_by_label("Most pairs of one source").fill("4")
    until(page, lambda: bool(counts))
    page.get_by_label("A source is all pairs").select_option("category")
    first, answer = counts[0]
    first.fulfill(response=answer)
    expect(preview.locator(".figure")).to_contain_text("12")
    expect(preview).to_contain_text("more than the limit of its source: 18")
