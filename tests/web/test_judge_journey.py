"""From a new judge to its card, in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from annotation.models import Annotator
from steelyard.registry.services import register_model
from steelyard.runs.models import Run
from tests import factories
from tests.chat_server import ChatServer

pytestmark = pytest.mark.journey


@pytest.mark.django_db(transaction=True)
def test_from_a_new_judge_to_its_card(
    visit: Callable[..., Page], live_server: Any, project: Any, owner: Any, settle: Any
) -> None:
    project.label_scheme = {"aspects": ["clarity"]}
    project.save()
    for _ in range(3):
        pair = factories.make_pair(project, texts=("good", "bad"))
        good = "a" if pair.output_a.text == "good" else "b"
        factories.make_judgment(pair, good)

    def reply(body: dict[str, Any], number: int) -> str:
        text = body["messages"][0]["content"]
        side = "A" if text.index("\ngood\n") < text.index("\nbad\n") else "B"
        return f"It is good.\nAspect clarity: {side} (strength 1)\nVerdict: {side} (strength 2)"

    with ChatServer(reply) as server:
        register_model(
            project=project,
            name="far",
            modality="text",
            family="endpoint",
            source=server.url,
            options={"model": "some-model"},
        )
        page = visit(reverse("annotation:judge-new", args=[project.slug]), owner)
        page.get_by_label("Name", exact=True).fill("strict")
        page.get_by_label("Model").select_option(label="far")
        page.get_by_label(re.compile("Aspects")).fill("clarity: is it plain?")
        page.get_by_text("Pace, prices and caps").click()
        page.get_by_label(re.compile("tokens of questions")).fill("2")
        page.get_by_role("button", name="Make the judge").click()
        expect(page.locator("main")).to_contain_text("nothing is known of it")
        page.get_by_role("button", name="Estimate what it takes").click()
        expect(page.locator("#estimate")).to_contain_text("3 pairs, 6 calls")
        page.get_by_role("button", name="Start judging").click()
        expect(page).to_have_url(re.compile("/runs/"))
        run = settle(Run.objects.get(project=project))
        assert run.state == "succeeded", run.error
        # the page loads itself anew once, which would call off where we go
        expect(page.locator("#state .run-state.succeeded")).to_be_visible()
    judge = Annotator.objects.get(name="strict")
    assert set(judge.judgments.values_list("aspects", flat=True)[0]) == {"clarity"}
    page.goto(live_server.url + reverse("annotation:judge-list", args=[project.slug]))
    page.get_by_role("link", name="strict", exact=True).click()
    expect(page.locator("main")).to_contain_text("100")
    expect(page.get_by_role("heading", name="Agreement with people")).to_be_visible()
