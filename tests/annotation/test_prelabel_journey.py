"""A machine's verdict on the labelling page, in a browser: on the side that it speaks of, for both
deals of the sides, and nothing chosen by it."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from annotation import sides
from annotation.models import Judgment, Pair
from annotation.services.prelabels import set_prelabelling
from annotation.services.queue import annotator_for
from tests import factories

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
ORDERS = [
    {"swapped": False, "outcome": "b", "raw": "Answer B gives the year.\nVerdict: B (strength 2)"},
    {"swapped": True, "outcome": "b", "raw": "Answer A gives the year.\nVerdict: A (strength 2)"},
]


def test_it_speaks_of_the_side_on_the_screen_and_chooses_nothing(
    browse: Any, project: Any, owner: Any, member: Any
) -> None:
    mine = annotator_for(user=member, project=project)
    deals: dict[bool, Pair] = {}
    while len(deals) < 2:
        pair = factories.make_pair(project)
        if deals.setdefault(sides.drawn(mine.pk, pair.pk), pair) != pair:
            pair.delete()
    judge = factories.make_annotator(project, "robot", kind="judge")
    for pair in deals.values():
        said = {"strength": 2, "details": {"orders": ORDERS}}
        factories.make_judgment(pair, "b", annotator=judge, **said)
    set_prelabelling(project=project, judge=judge, share=100, by=owner)
    page = browse(member).new_page()
    page.goto(f"/p/{project.slug}/label/")
    for pair in sorted(deals.values(), key=lambda one: one.pk):
        expect(page.locator("#card")).to_have_attribute("data-pair", str(pair.pk))
        shown = page.locator(".prelabel")
        expect(shown).to_contain_text("A machine’s verdict, by robot")
        letter = shown.locator("strong").inner_text()[0]
        expect(shown).to_contain_text(f"{letter} is better")
        expect(shown).to_contain_text(f"Answer {letter} gives the year.")
        # the better one stands under that very letter
        expect(page.locator(f"#answer-{letter} .answer-body")).to_contain_text(pair.output_b.text)
        expect(page.locator("#verdict input[name=verdict]:checked")).to_have_count(0)
        page.keyboard.press("1")
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Nothing left to label")).to_be_visible()
    assert Judgment.objects.by_people().filter(prelabel__contains={"shown": True}).count() == 2
