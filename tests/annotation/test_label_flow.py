"""What an annotator can count on while labelling: nothing is lost, anything can be taken back."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from annotation.models import Annotator, Assignment, Flag, Judgment, Pair, TrainingAnswer
from tests import browser, factories
from tests.annotation.test_label_journey import assert_accessible, canonical, open_page
from tests.browser import saved, until

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]


def give(page: Page, key: str) -> None:
    page.keyboard.press(key)
    page.keyboard.press("Enter")


def judge_one(page: Page) -> None:
    """Judge the pair in view; what comes after it is there then."""
    card = page.locator("#card[data-pair]:has(#verdict:not([inert]))")
    pair = card.get_attribute("data-pair")
    give(page, "2")
    expect(page.locator(f'#card[data-pair="{pair}"]')).to_have_count(0)


def at_pair(page: Page, words: str) -> None:
    expect(page.get_by_role("heading", name=f"Pair {words}")).to_be_focused()


def cards_ahead(page: Page, action: Any, count: int) -> None:
    """Do it, and wait until the page has that many cards."""
    action()
    browser.cards_ahead(page, count)


def test_the_next_card_comes_from_memory_and_verdicts_given_offline_are_sent_in_order(
    browse: Any, project: Any, member: Any
) -> None:
    for _ in range(5):
        factories.make_pair(project)
    page = browse(member).new_page()
    cards_ahead(page, lambda: page.goto(f"/p/{project.slug}/label/"), 2)
    page.context.set_offline(True)
    for number, key in enumerate("126", start=2):
        give(page, key)
        if number < 4:  # offline, so it comes from memory
            at_pair(page, f"{number} of 5")
    expect(page.locator("#save-state")).to_contain_text("3 verdicts not saved yet: no connection")
    assert not Judgment.objects.exists()

    page.context.set_offline(False)
    at_pair(page, "4 of 5")
    saved(page)
    given = list(Judgment.objects.order_by("pk"))
    outcomes = [(canonical(row, row.outcome), abs(row.strength)) for row in given]
    assert outcomes == [("a", 3), ("a", 2), ("b", 2)]
    assert page.evaluate("Object.keys(localStorage).filter(k => k.includes('verdict'))") == []


def test_no_pair_comes_twice_however_quick_the_keys(browse: Any, project: Any, member: Any) -> None:
    for _ in range(14):
        factories.make_pair(project)
    page = browse(member).new_page()
    refused: list[str] = []
    page.on("response", lambda r: r.status == 409 and refused.append(r.url))
    page.goto(f"/p/{project.slug}/label/")
    for _ in range(14):
        judge_one(page)
    saved(page)
    assert Judgment.objects.count() == 14
    assert not refused


def test_a_draft_comes_back_after_a_crash_and_on_another_device(
    browse: Any, project: Any, member: Any
) -> None:
    factories.make_pair(project)
    page = open_page(browse, member, project)
    page.keyboard.press("6")
    page.keyboard.press("w")
    page.keyboard.press("2")
    page.keyboard.press("r")
    page.keyboard.type("Half a thou")
    page.wait_for_function("Object.values(localStorage).some(it => it.includes('Half a thou'))")
    page.reload()
    expect(page.locator("#rationale")).to_have_value("Half a thou")
    expect(page.get_by_role("radio", name="B is better", exact=True)).to_be_checked()
    expect(page.get_by_role("checkbox", name="clear")).to_be_checked()

    with page.expect_response(re.compile("/label/keep/"), timeout=60_000) as kept:
        page.locator("#rationale").fill("Half a thought")
    assert kept.value.json() == {"held": [Assignment.objects.get().pair_id]}
    other = open_page(browse, member, project)
    expect(other.locator("#rationale")).to_have_value("Half a thought")
    other.keyboard.press("Control+Enter")
    saved(other)
    judgment = Judgment.objects.get()
    assert (judgment.rationale, judgment.tags) == ("Half a thought", ["clear"])


def test_verdicts_are_taken_back_and_changed(browse: Any, project: Any, member: Any) -> None:
    for _ in range(3):
        factories.make_pair(project)
    page = open_page(browse, member, project)
    page.keyboard.press("r")
    page.keyboard.type("first")
    page.keyboard.press("Escape")
    give(page, "1")
    at_pair(page, "2 of 3")
    give(page, "t")
    at_pair(page, "3 of 3")
    saved(page)

    page.keyboard.press("u")
    expect(page.get_by_role("heading", name="Your verdict, to be changed")).to_be_focused()
    expect(page.get_by_role("radio", name="Tie")).to_be_checked()
    page.keyboard.press("u")
    expect(page.get_by_role("radio", name="A is much better")).to_be_checked()
    expect(page.locator("#rationale")).to_have_value("first")
    page.keyboard.press("Escape")
    expect(page.get_by_role("radio", name="Tie")).to_be_checked()
    page.keyboard.press("Escape")
    at_pair(page, "3 of 3")
    page.keyboard.press("u")
    expect(page.get_by_role("radio", name="Tie")).to_be_checked()
    page.keyboard.press("u")
    expect(page.get_by_role("radio", name="A is much better")).to_be_checked()
    give(page, "7")
    at_pair(page, "3 of 3")
    saved(page)

    old, new = Judgment.objects.filter(pair=Judgment.objects.earliest("pk").pair).order_by("pk")
    assert (canonical(old, old.outcome), canonical(new, new.outcome)) == ("a", "b")
    assert (new.supersedes, old.is_current, new.rationale) == (old, False, "first")
    page.get_by_role("link", name="Your verdicts").click()
    expect(page.get_by_role("row")).to_have_count(3)
    assert_accessible(page)
    page.get_by_role("link", name=re.compile("^Change")).first.click()
    expect(page.get_by_role("radio", name="B is much better")).to_be_checked()


def test_a_page_loaded_again_shows_the_verdict_that_was_being_changed(
    browse: Any, project: Any, member: Any
) -> None:
    for _ in range(3):
        factories.make_pair(project)
    page = open_page(browse, member, project)
    for key, words in (("1", "2 of 3"), ("t", "3 of 3")):
        give(page, key)
        at_pair(page, words)
    saved(page)
    page.keyboard.press("u")
    expect(page.get_by_role("radio", name="Tie")).to_be_checked()
    page.keyboard.press("7")
    page.wait_for_timeout(400)
    page.reload()
    expect(page.get_by_role("heading", name="Your verdict, to be changed")).to_be_visible()
    expect(page.get_by_role("radio", name="B is much better")).to_be_checked()
    page.keyboard.press("u")
    expect(page.get_by_role("radio", name="A is much better")).to_be_checked()
    page.keyboard.press("Escape")
    expect(page.get_by_role("radio", name="B is much better")).to_be_checked()
    page.wait_for_timeout(200)
    page.keyboard.press("Enter")
    at_pair(page, "3 of 3")
    assert "amend" not in page.url
    saved(page)
    amended = Judgment.objects.latest("pk")
    assert abs(amended.strength) == 3
    assert amended.supersedes


def test_a_burst_of_enter_hands_in_one_verdict_and_none_unseen(
    browse: Any, project: Any, member: Any
) -> None:
    for _ in range(2):
        factories.make_pair(project)
    page = open_page(browse, member, project)
    cards_ahead(page, page.reload, 1)
    # the next card's verdict is there already, as a draft brings it
    page.evaluate(
        """() => new MutationObserver(() => {
            const radio = document.querySelector("#card #verdict [name=verdict][value=tie]");
            if (radio) radio.checked = true;
        }).observe(document.querySelector("main"), { childList: true })"""
    )
    page.keyboard.press("1")
    page.evaluate(
        """() => {
            const held = { key: "Enter", code: "Enter", bubbles: true, cancelable: true };
            for (let n = 0; n < 5; n++)
                document.activeElement.dispatchEvent(new KeyboardEvent("keydown", held));
            document.querySelector("#card .submit").click();
        }"""
    )
    at_pair(page, "2 of 2")
    saved(page)
    expect(page.get_by_role("radio", name="Tie")).to_be_checked()
    assert Judgment.objects.get().outcome in {"a", "b"}
    page.wait_for_timeout(200)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Nothing left to label")).to_be_visible()
    assert Judgment.objects.filter(outcome="tie").count() == 1


def test_a_verdict_that_was_not_sent_yet_is_taken_out_again(
    browse: Any, project: Any, member: Any
) -> None:
    for _ in range(3):
        factories.make_pair(project)
    page = browse(member).new_page()
    cards_ahead(page, lambda: page.goto(f"/p/{project.slug}/label/"), 2)
    page.context.set_offline(True)
    give(page, "1")
    at_pair(page, "2 of 3")
    expect(page.locator("#save-state")).to_contain_text("not saved yet")
    page.keyboard.press("u")
    at_pair(page, "1 of 3")
    expect(page.get_by_role("radio", name="A is much better")).to_be_checked()
    give(page, "7")
    at_pair(page, "2 of 3")
    page.context.set_offline(False)
    saved(page)
    judgment = Judgment.objects.get()
    assert canonical(judgment, judgment.outcome) == "b"


def test_a_verdict_that_the_server_refuses_comes_back_and_the_begun_one_after_it(
    browse: Any, project: Any, member: Any
) -> None:
    for _ in range(3):
        factories.make_pair(project)
    page = browse(member).new_page()
    cards_ahead(page, lambda: page.goto(f"/p/{project.slug}/label/"), 2)
    # changed by the owner while the page is open
    project.label_scheme = {"rationale_required": True}
    project.save()
    held: list[Any] = []  # the first verdict is on its way until the next has been begun
    page.route("**/label/submit/", lambda route: route.continue_() if held else held.append(route))
    give(page, "1")
    at_pair(page, "2 of 3")
    page.keyboard.press("r")
    page.keyboard.type("begun")
    until(page, lambda: bool(held))
    held[0].continue_()
    error = page.get_by_role("alert").filter(has_text="Say why: this project asks")
    expect(error).to_be_visible()
    at_pair(page, "1 of 3")
    expect(page.get_by_role("radio", name="A is much better")).to_be_checked()
    page.keyboard.press("r")
    page.keyboard.type("So.")
    page.keyboard.press("Control+Enter")
    at_pair(page, "2 of 3")
    expect(page.locator("#rationale")).to_have_value("begun")
    saved(page)
    judgment = Judgment.objects.get()
    assert (judgment.rationale, abs(judgment.strength)) == ("So.", 3)


def test_a_closed_page_leaves_what_it_kept_ahead_to_others(
    browse: Any, project: Any, member: Any
) -> None:
    for _ in range(3):
        factories.make_pair(project)
    page = browse(member).new_page()
    cards_ahead(page, lambda: page.goto(f"/p/{project.slug}/label/"), 2)
    assert Assignment.objects.live().count() == 3
    page.goto("/account/")
    until(page, lambda: Assignment.objects.live().count() == 1)


def test_a_break_is_offered_and_takes_no_focus(browse: Any, project: Any, member: Any) -> None:
    project.break_minutes = 1
    project.save()
    factories.make_pair(project)
    page = browse(member).new_page()
    page.clock.install()
    page.goto(f"/p/{project.slug}/label/")
    page.keyboard.press("r")
    for _ in range(5):
        page.keyboard.type("x")
        page.clock.fast_forward(15_000)
    expect(page.get_by_text("You have worked for 1 minute.")).to_be_visible()
    expect(page.locator("#rationale")).to_be_focused()
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_text("You have worked for 1 minute.")).to_be_hidden()


def test_on_a_phone_the_other_answer_is_seen_while_compare_is_held(
    browse: Any, project: Any, member: Any
) -> None:
    factories.make_pair(project)
    size = {"width": 360, "height": 740}
    page = open_page(browse, member, project, viewport=size)
    second = page.get_by_role("region", name="Answer B")
    box = page.locator("[data-compare]").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    expect(second).to_be_in_viewport(ratio=0.9)
    page.mouse.up()
    expect(second).not_to_be_in_viewport()


def test_two_people_on_one_project_at_once_never_see_the_same_pair(
    browse: Any, project: Any, member: Any
) -> None:
    rater = factories.make_user("rater", project=project)
    for _ in range(6):
        factories.make_pair(project)
    pages = [open_page(browse, user, project) for user in (member, rater)]
    for _ in range(6):
        for page in pages:
            if page.locator("#card[data-pair]").count():
                judge_one(page)
    for page in pages:
        expect(page.get_by_role("heading", name="Nothing left to label")).to_be_visible()
    judged = Judgment.objects.values_list("pair", flat=True)
    assert len(judged) == len(set(judged)) == 6
    assert len(set(Judgment.objects.values_list("annotator", flat=True))) == 2


def test_a_training_round_tells_what_was_right_and_opens_the_work(
    browse: Any, project: Any, member: Any
) -> None:
    project.training_pass = 50
    project.save()
    for outcome in ("tie", "both_bad"):
        pair = factories.make_pair(project)
        known = {"known_outcome": outcome, "known_reason": "They say **the same**."}
        Pair.objects.filter(pk=pair.pk).update(is_training=True, **known)
    factories.make_pair(project)
    page = open_page(browse, member, project)
    expect(page.get_by_role("heading", name="Training 1 of 2")).to_be_visible()
    give(page, "t")
    expect(page.get_by_text("✓ Right.")).to_be_visible()
    expect(page.get_by_text("They say the same.")).to_be_visible()
    assert_accessible(page)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Training 2 of 2")).to_be_focused()
    give(page, "1")
    expect(page.get_by_text("Not what was expected.")).to_be_visible()
    expect(page.get_by_text("Training passed: 1 of 2 right")).to_be_visible()
    page.keyboard.press("Enter")
    at_pair(page, "1 of 1")
    assert TrainingAnswer.objects.count() == 2
    assert not Judgment.objects.exists()


def test_keys_of_ones_own_are_kept_and_a_taken_one_is_refused(
    browse: Any, project: Any, member: Any
) -> None:
    factories.make_pair(project)
    page = open_page(browse, member, project)
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    tie = dialog.get_by_role("button", name="tie: set a key of your own", exact=False).last
    tie.click()
    page.keyboard.press("s")
    expect(dialog.get_by_text("already does this")).to_be_visible()
    expect(tie).to_be_focused()
    page.keyboard.press("Enter")
    with page.expect_response(re.compile("/label/keys/")) as answer:
        page.keyboard.press("y")
    assert answer.value.status == 200
    expect(tie).to_be_focused()
    assert_accessible(page)
    page.keyboard.press("Escape")
    page.reload()
    page.keyboard.press("t")
    expect(page.get_by_role("radio", name="Tie")).not_to_be_checked()
    page.keyboard.press("y")
    expect(page.get_by_role("radio", name="Tie")).to_be_checked()


def test_a_pair_is_flagged_and_then_skipped_with_a_reason(
    browse: Any, project: Any, member: Any
) -> None:
    pair = factories.make_pair(project)
    page = open_page(browse, member, project)
    page.keyboard.press("f")
    expect(page.get_by_role("dialog", name="Flag this pair")).to_be_visible()
    page.keyboard.press("2")
    page.get_by_label("In your words (optional)").last.fill("A street and a number.")
    assert_accessible(page)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#save-say")).to_contain_text("Flagged.")
    flag = Flag.objects.get()
    assert (flag.pair, flag.reason, flag.note) == (pair, "personal data", "A street and a number.")

    page.keyboard.press("s")
    expect(page.get_by_role("radio", name="not my language")).to_be_visible()
    give(page, "2")
    saved(page)
    judgment = Judgment.objects.get()
    assert (judgment.outcome, judgment.skip_reason) == ("skip", "not my language")


def test_a_flag_and_an_answer_in_training_wait_for_the_connection_even_in_a_closed_page(
    browse: Any, project: Any, member: Any
) -> None:
    pair = factories.make_pair(project)
    known = {"known_outcome": "tie", "known_reason": "They say the same."}
    Pair.objects.filter(pk=pair.pk).update(is_training=True, **known)
    factories.make_pair(project)
    context = browse(member)
    page = context.new_page()
    page.goto(f"/p/{project.slug}/label/")
    expect(page.get_by_role("heading", name="Training 1 of 1")).to_be_visible()
    context.set_offline(True)
    give(page, "1")
    expect(page.locator("#save-state")).to_contain_text("not saved yet")
    assert not TrainingAnswer.objects.exists()
    page.close()
    context.set_offline(False)
    page = context.new_page()
    page.goto(f"/p/{project.slug}/label/")
    expect(page.get_by_text("Not what was expected.")).to_be_visible()
    assert TrainingAnswer.objects.get().correct is False

    TrainingAnswer.objects.update(correct=True)
    Annotator.objects.update(trained_at=timezone.now())
    page.keyboard.press("Enter")
    at_pair(page, "1 of 1")
    context.set_offline(True)
    page.keyboard.press("f")
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("dialog", name="Flag this pair")).to_be_hidden()
    expect(page.locator("#save-state")).to_contain_text("not saved yet")
    page.close()
    assert not Flag.objects.exists()
    context.set_offline(False)
    page = context.new_page()
    page.goto(f"/p/{project.slug}/label/")
    expect(page.locator("#save-say")).to_contain_text("Flagged.")
    assert Flag.objects.count() == 1
    kept = "Object.keys(localStorage).filter(k => /flag|training/.test(k))"
    assert page.evaluate(kept) == []


def test_aspects_and_a_better_answer_by_keyboard(browse: Any, project: Any, member: Any) -> None:
    project.label_scheme = {"aspects": ["style", "truth"], "correction": True, "steps": 5}
    project.save()
    factories.make_pair(project, texts=("The *first*.", "The *second*."))
    page = open_page(browse, member, project)
    page.keyboard.press("q")
    page.keyboard.press("1")
    page.keyboard.press("4")
    page.keyboard.press("5")
    page.keyboard.press("c")
    page.get_by_role("button", name="A", exact=True).click()
    page.keyboard.press("Control+End")
    page.keyboard.type(" And more.")
    page.keyboard.press("Control+Enter")
    saved(page)
    judgment = Judgment.objects.get()
    turn = -1 if judgment.swapped else 1
    assert judgment.aspects == {"style": -2 * turn, "truth": 1 * turn}
    assert (canonical(judgment, judgment.outcome), abs(judgment.strength)) == ("b", 2)
    assert judgment.correction is not None
    assert judgment.correction.text.endswith("*. And more.")
