"""The owner's pages in Chromium: axe, widths, and a count that comes before the deed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, Route, expect

from annotation.models import Flag, Pair
from annotation.services import groups
from annotation.services.queue import annotator_for, next_pair
from tests import factories
from tests.accessible import faults, show_at
from tests.browser import until

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
Browse = Callable[..., BrowserContext]
PAGES = [
    "projects:project-settings",
    "annotation:coverage",
    "annotation:group-list",
    "annotation:flag-list",
]
WIDTHS = ((360, "light"), (1280, "dark"))
SHOTS = os.environ.get("STEELYARD_SHOTS", "")


@pytest.fixture
def busy(project: Any, owner: Any, member: Any) -> Any:
    """A project with people at work, a group, and flags."""
    project.overlap = 2
    project.save()
    raters = [annotator_for(user=user, project=project) for user in (owner, member)]
    for n in range(24):
        category = ("law", "medicine, with all that goes with it", "")[n % 3]
        prompt = factories.make_prompt(project, category=category)
        pair = factories.make_pair(project, prompt=prompt)
        Pair.objects.filter(pk=pair.pk).update(known_outcome="a", wanted=2 + n % 2)
        pair.refresh_from_db()
        for rater in raters[: n % 3]:
            factories.make_judgment(pair, "ab"[n % 2], annotator=rater, duration_ms=900 * n)
    for rater in raters:
        next_pair(annotator=rater)
    group = groups.create_group(project=project, by=owner, name="Law experts", members=["member"])
    groups.give_pairs(
        project=project, by=owner, choice=groups.Choice(category="law", limit=2), group=group
    )
    for pair in Pair.objects.order_by("-pk")[:2]:
        Flag.objects.create(
            uuid=uuid4(),
            project=project,
            pair=pair,
            annotator=raters[1],
            reason="personal data",
            note="It names somebody, " * 8,
        )
    return project


def seen(page: Page, name: str) -> None:
    """Keep a picture for whoever wants to look."""
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


def test_the_owners_pages_pass_axe_and_never_scroll_sideways(
    browse: Browse, busy: Any, owner: Any
) -> None:
    page = browse(owner).new_page()
    for name in PAGES:
        page.goto(reverse(name, args=[busy.slug]))
        page.wait_for_load_state("networkidle")
        for summary in page.get_by_text("Show data").all():
            summary.click()
        for width, scheme in WIDTHS:
            show_at(page, width, scheme)
            assert faults(page) == [], f"{name} at {width} px, {scheme}"
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            seen(page, f"{name.split(':')[1]}-{width}-{scheme}")


def test_pairs_are_counted_as_they_are_chosen_and_given_by_one_press(
    browse: Browse, busy: Any, owner: Any
) -> None:
    page = browse(owner).new_page()
    page.goto(reverse("annotation:group-list", args=[busy.slug]))
    page.get_by_label("Give to").select_option("Law experts")
    page.get_by_label("At most").fill("3")
    button = page.get_by_role("button", name="Give 3 pairs to Law experts")
    expect(button).to_be_visible()
    seen(page, "groups-counted")

    # another count is under way when the button is pressed, and comes before it is let go
    counts: list[Route] = []
    page.route("**/groups/?*", lambda route: counts.append(route))
    page.get_by_label("At most").fill("4")
    until(page, lambda: bool(counts))
    button.hover()
    page.mouse.down()
    with page.expect_request_finished(lambda request: "limit=4" in request.url):
        for count in counts:
            count.continue_()
    asked: list[str] = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    page.mouse.up()
    expect(page.get_by_text("3 pairs are for Law experts alone now.")).to_be_visible()
    assert "Give 3 pairs to Law experts?" in asked[0]
    assert Pair.objects.filter(group__name="Law experts").count() == 5


def test_who_is_on_it_renews_itself_and_leaves_the_page_where_it_is(
    browse: Browse, busy: Any, owner: Any, member: Any
) -> None:
    page = browse(owner).new_page()
    page.clock.install()
    page.goto(reverse("annotation:coverage", args=[busy.slug]))
    row = page.locator("#now tbody tr", has_text="member")
    held = row.get_by_role("cell").first
    expect(held).to_have_text("1")
    page.get_by_role("button", name="Take back the pairs of member").focus()
    at = page.evaluate("scrollY")
    known = annotator_for(user=member, project=busy)
    next_pair(annotator=known, holding=[known.assignments.get().pair_id])
    with page.expect_response("**/labelling/now/"):
        page.clock.run_for(11_000)
    expect(held).to_have_text("2")
    expect(page.get_by_role("button", name="Take back the pairs of member")).to_be_focused()
    assert page.evaluate("scrollY") == at
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Take back the pairs of member").click()
    expect(page.get_by_text("2 pairs of member go to others.")).to_be_visible()
