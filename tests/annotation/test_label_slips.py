"""What a hand does by the way on the labelling page sends nothing that was not meant."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation.models import Flag, Judgment
from tests import factories

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]


def open_page(browse: Any, user: Any, project: Any, **options: Any) -> Page:
    page = browse(user, **options).new_page()
    page.goto(f"/p/{project.slug}/label/")
    page.wait_for_selector(".text-tools:not([hidden])", state="attached")
    return page


def test_on_a_phone_the_first_tap_on_submit_after_writing_is_taken(
    browse: Any, project: Any, member: Any
) -> None:
    project.label_scheme = {"aspects": ["style", "truth", "length"]}
    project.save()
    for _ in range(2):
        factories.make_pair(project)
    size = {"width": 360, "height": 740}
    page = open_page(browse, member, project, viewport=size, has_touch=True, is_mobile=True)
    page.locator(".scale .choice").first.tap()
    page.locator("#rationale").tap()
    page.keyboard.type("Shorter")
    box = page.locator(".submit").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= size["height"]
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.get_by_role("heading", name="Pair 2 of 2")).to_be_visible()
    expect(page.locator("#save-say")).to_have_text("Saved.")
    assert Judgment.objects.get().rationale == "Shorter"
    # on the next one it is in sight before anybody writes
    box = page.locator(".submit").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= size["height"]


def test_a_flag_sent_from_its_note_does_not_send_the_verdict_beneath(
    browse: Any, project: Any, member: Any
) -> None:
    for _ in range(2):
        factories.make_pair(project)
    page = open_page(browse, member, project)
    page.keyboard.press("1")
    page.keyboard.press("f")
    page.keyboard.press("1")
    page.locator("#flag [name=note]").focus()
    expect(page.locator("#flag [type=submit] kbd")).to_have_text("Ctrl ⏎")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#save-say")).to_contain_text("Flagged.")
    expect(page.get_by_role("heading", name="Pair 1 of 2")).to_be_visible()
    assert (Flag.objects.count(), Judgment.objects.count()) == (1, 0)


def test_a_form_that_waits_for_the_connection_says_so_and_hears_no_letters(
    browse: Any, project: Any, member: Any
) -> None:
    factories.make_pair(project)
    page = open_page(browse, member, project)
    page.context.set_offline(True)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.locator("#card > .message")).to_have_text(
        "Offline: 1 verdict waits; the next pair comes when you are connected again."
    )
    page.keyboard.type("f")
    expect(page.locator("#flag")).to_be_hidden()
    page.keyboard.press("u")
    expect(page.locator("#card > .message")).to_have_count(0)
    expect(page.locator("form#verdict")).not_to_have_attribute("inert", "")
    page.context.set_offline(False)


def test_escape_leaves_an_earlier_skip_as_it_was(browse: Any, project: Any, member: Any) -> None:
    for _ in range(2):
        factories.make_pair(project)
    page = open_page(browse, member, project)
    page.keyboard.press("s")
    page.keyboard.press("Enter")
    expect(page.locator("#save-say")).to_have_text("Saved.")
    page.keyboard.press("u")
    expect(page.locator("#card[data-kind=amend]")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#card[data-kind=pair]")).to_be_visible()
    assert Judgment.objects.get().outcome == "skip"


def test_evidence_is_said_to_be_good_or_bad_by_space(
    browse: Any, project: Any, member: Any
) -> None:
    factories.make_pair(project)
    page = open_page(browse, member, project)
    page.keyboard.press("e")
    page.keyboard.press("Enter")
    says = page.locator(".chip [data-do=says]")
    says.focus()
    page.keyboard.press("Space")
    expect(says).to_have_text("✓ good")
