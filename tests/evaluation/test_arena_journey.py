"""A guest in an arena, in a real browser before a real engine that asks two endpoints."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from annotation.models import Judgment
from evaluation.arena import change_arena, open_arena
from steelyard.runs import supervisor
from steelyard.runs.models import Run
from tests.chat_server import ChatServer
from tests.factories import make_model

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]

SAID = "The sea is **salt** because rivers carry minerals into it.\n\nAnd water alone leaves it."


def test_a_guest_asks_reads_both_answers_votes_and_sees_the_names(
    chromium: Any, live_server: Any, project: Any, owner: Any, settle: Any
) -> None:
    project.label_scheme = {"steps": 3, "both_bad": True}
    project.save()
    with ChatServer(lambda body, number: SAID) as server, ExitStack() as left_open:
        server.pause, server.hold_after = 0.2, 10
        contestants = [
            make_model(project, name, family="endpoint", source=server.url, options={"model": name})
            for name in ("near-1", "far-2")
        ]
        arena = open_arena(project=project, name="Sea", contestants=contestants, by=owner)
        context = left_open.enter_context(chromium.new_context(base_url=live_server.url))
        context.set_default_timeout(60_000)
        errors: list[str] = []
        context.on("weberror", lambda error: errors.append(str(error.error)))
        page = context.new_page()
        page.goto(arena.path)
        page.get_by_label("Your question").fill("Why is the sea salt?")
        page.get_by_label("What I write may be kept").check()
        page.keyboard.press("Shift+Tab")
        page.get_by_label("Your question").press("Control+Enter")
        expect(page.get_by_text("Waits for a free place")).to_be_visible()
        supervisor.reconcile()  # what the worker does every two seconds
        for answer in page.locator(".answer").all():
            expect(answer.locator(".streaming")).to_contain_text("The sea is")
        server.pause = 0
        server.go_on.set()
        expect(page.locator("#arena-say")).to_have_text("Both answers are here. Which is better?")
        expect(page.locator(".answer strong")).to_have_text(["salt", "salt"])
        assert "near-1" not in page.content()
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()

        page.get_by_label("Or go on with the same two").fill("And lakes?")
        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("region", name="Question 2")).to_be_visible()
        expect(page.locator("#verdict")).to_be_visible()
        page.wait_for_load_state()  # the script that hears the key
        page.locator("body").press("3")
        expect(page.get_by_role("heading", name="A was")).to_be_focused()
        expect(page.get_by_text("You said: B is better.")).to_be_visible()
        assert not errors
        context.close()
        change_arena(arena=arena, is_open=False, by=owner)
        settle(Run.objects.get(kind="arena"))
    judgment = Judgment.objects.get()
    pair = judgment.pair
    right = pair.output_a if judgment.swapped else pair.output_b
    winner = pair.output_a if judgment.outcome == "a" else pair.output_b
    assert winner == right
    assert "**User:**\n\nAnd lakes?" in winner.text
    assert [len(body["messages"]) for body in server.asked] == [1, 1, 3, 3]
