"""Labelling in a real browser, by keyboard, with a connection that comes and goes."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, Route, expect

from annotation.models import Judgment
from annotation.services.material import add_output, add_pair
from steelyard.assets.services import store_upload
from tests import factories
from tests.browser import cards_ahead, saved, until

TOOLS = ", ".join(f".{name}:not([hidden])" for name in ("text-tools", "image-tools", "transport"))
pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]


def open_page(browse: Any, user: Any, project: Any, **options: Any) -> Page:
    page = browse(user, **options).new_page()
    page.goto(f"/p/{project.slug}/label/")
    if options.get("java_script_enabled", True) and page.locator("#card[data-pair]").count():
        # what is fetched after the page itself is there, and moves nothing any more
        page.wait_for_selector(TOOLS, state="attached")
    return page


def picture(colour: int, size: tuple[int, int] = (320, 200)) -> bytes:
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[..., colour] = 200
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "png")
    return out.getvalue()


def clip(path: Path, colour: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(60):
            pixels = np.zeros((120, 160, 3), np.uint8)
            pixels[:, : 2 * number + 2, colour] = 220
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def media_pair(project: Any, *files: bytes | Path) -> Any:
    prompt = factories.make_prompt(project)
    outputs = [
        add_output(
            prompt=prompt,
            model=factories.make_model(project, f"model-{number}"),
            asset=store_upload(project=project, data=file),
        )
        for number, file in enumerate(files)
    ]
    return add_pair(first=outputs[0], second=outputs[1])[0]


def canonical(judgment: Judgment, outcome: str) -> str:
    return {"a": "b", "b": "a"}[outcome] if judgment.swapped else outcome


def assert_accessible(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_it_works_by_keyboard_alone(browse: Any, project: Any, member: Any) -> None:
    for _ in range(3):
        factories.make_pair(project)
    page = open_page(browse, member, project)
    cards_ahead(page)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(f"{request.method} {request.url}"))

    page.keyboard.press("1")
    page.keyboard.press("r")
    page.keyboard.type("It says 7, not s; tie?")
    expect(page.locator("#rationale")).to_have_value("It says 7, not s; tie?")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="A is better", exact=True)).to_be_checked()
    expect(page.locator("#rationale")).to_have_value("It says 7, not s; tie?")
    page.keyboard.press("Control+Enter")

    expect(page.get_by_role("heading", name="Pair 2 of 3")).to_be_focused()
    expect(page.locator("#save-say")).to_have_text("Saved.")
    expect(page.locator("#save-state")).to_contain_text("saved")
    # whoever takes long has the draft kept at the server meanwhile
    assert len([one for one in requests if "/label/keep/" not in one]) == 1, requests
    judgment = Judgment.objects.get()
    assert judgment.outcome == canonical(judgment, "a")
    assert abs(judgment.strength) == 2
    assert judgment.rationale == "It says 7, not s; tie?"
    assert judgment.duration_ms is not None
    assert judgment.exposure["visible_ms"] == judgment.duration_ms
    assert judgment.exposure["device"] == "pointer"

    page.keyboard.press("t")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Pair 3 of 3")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Nothing left to label")).to_be_visible()
    outcomes = Judgment.objects.order_by("pk").values_list("outcome", flat=True)
    assert list(outcomes)[1:] == ["tie", "skip"]


def test_a_choice_keeps_its_words_in_their_place(browse: Any, project: Any, member: Any) -> None:
    factories.make_pair(project)
    page = open_page(browse, member, project)
    where = """labels => labels.map(label => {
        const range = document.createRange();
        range.selectNodeContents(label.querySelector("span").firstChild);
        return [range, label].flatMap(thing => {
            const box = thing.getBoundingClientRect();
            return [box.x, box.y, box.width, box.height];
        });
    })"""
    choices = page.locator(".choice")
    before = choices.evaluate_all(where)
    for radio in page.get_by_role("radio").all():
        radio.check()
        assert choices.evaluate_all(where) == before


def test_enter_without_a_verdict_sends_nothing(browse: Any, project: Any, member: Any) -> None:
    factories.make_pair(project)
    page = open_page(browse, member, project)
    page.keyboard.press("Enter")
    page.wait_for_timeout(200)
    expect(page.get_by_role("heading", name="Pair 1 of 1")).to_be_attached()
    assert not Judgment.objects.exists()


def test_a_verdict_given_offline_is_kept_and_sent_again(
    browse: Any, project: Any, member: Any
) -> None:
    for _ in range(2):
        factories.make_pair(project)
    page = open_page(browse, member, project)
    page.context.set_offline(True)
    page.keyboard.press("6")
    page.keyboard.press("Enter")
    expect(page.locator("#save-state")).to_contain_text("not saved yet: no connection")
    expect(page.locator("#save-say")).to_contain_text("Trying again")
    assert not Judgment.objects.exists()
    kept = page.evaluate("Object.keys(localStorage).filter(k => k.includes('verdict'))")
    assert len(kept) == 1

    page.context.set_offline(False)
    expect(page.get_by_role("heading", name="Pair 2 of 2")).to_be_focused()
    saved(page)
    judgment = Judgment.objects.get()
    assert judgment.outcome == canonical(judgment, "b")
    assert str(judgment.uuid) in kept[0]
    assert page.evaluate("Object.keys(localStorage).filter(k => k.includes('verdict'))") == []


def test_an_answer_that_is_lost_on_its_way_makes_no_second_judgment(
    browse: Any, project: Any, member: Any
) -> None:
    for _ in range(2):
        factories.make_pair(project)
    page = open_page(browse, member, project)
    lost: list[int] = []

    def lose_the_first_answer(route: Route) -> None:
        if lost:
            return route.continue_()
        lost.append(route.fetch().status)
        return route.abort()

    page.route("**/label/submit/", lose_the_first_answer)
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Pair 2 of 2")).to_be_focused()
    expect(page.locator("#save-say")).to_have_text("Saved.")
    assert lost == [200]
    assert Judgment.objects.count() == 1


def test_a_page_closed_offline_hands_its_verdict_in_when_opened_again(
    browse: Any, project: Any, member: Any
) -> None:
    for _ in range(2):
        factories.make_pair(project)
    page = open_page(browse, member, project)
    page.route("**/label/submit/", lambda route: route.abort())
    page.keyboard.press("7")
    page.keyboard.press("r")
    page.keyboard.type("kept")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#save-state")).to_contain_text("not saved yet")
    page.close()

    page = page.context.new_page()
    page.goto(f"/p/{project.slug}/label/")
    expect(page.get_by_role("heading", name="Pair 2 of 2")).to_be_focused()
    saved(page)
    judgment = Judgment.objects.get()
    assert (judgment.rationale, abs(judgment.strength)) == ("kept", 3)


def test_a_verdict_kept_for_another_pair_goes_by_itself(
    browse: Any, project: Any, member: Any
) -> None:
    pair = factories.make_pair(project, wanted=2)
    page = open_page(browse, member, project)
    page.route("**/label/submit/", lambda route: route.abort())
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    expect(page.locator("#save-state")).to_contain_text("not saved yet")
    page.close()
    # meanwhile something more urgent has come, and the lease ran out
    pair.assignments.update(expires_at="2020-01-01T00:00:00Z")
    factories.make_pair(project, priority=9)

    page = page.context.new_page()
    page.goto(f"/p/{project.slug}/label/")
    saved(page)
    assert Judgment.objects.get().pair == pair


def test_a_pair_judged_in_another_tab_is_passed_over_with_a_word(
    browse: Any, project: Any, member: Any
) -> None:
    for _ in range(3):
        factories.make_pair(project)
    page = open_page(browse, member, project)
    other = page.context.new_page()
    other.goto(f"/p/{project.slug}/label/")
    other.wait_for_selector(".text-tools:not([hidden])", state="attached")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Pair 2 of 3")).to_be_focused()

    other.keyboard.press("7")
    other.keyboard.press("Enter")
    expect(other.get_by_text("You have judged that pair already")).to_be_visible()
    expect(other.get_by_role("heading", name="Pair 2 of 3")).to_be_focused()
    expect(other.get_by_text("That did not work")).to_have_count(0)
    assert other.evaluate("Object.keys(localStorage).filter(k => k.includes('verdict'))") == []
    judgment = Judgment.objects.get()
    assert (judgment.outcome, abs(judgment.strength)) == (canonical(judgment, "a"), 3)

    other.keyboard.press("4")
    other.keyboard.press("Enter")
    expect(other.get_by_role("heading", name="Pair 3 of 3")).to_be_focused()
    expect(other.get_by_text("You have judged that pair already")).to_have_count(0)
    expect(other.locator("#save-say")).to_have_text("Saved.")
    assert Judgment.objects.count() == 2


def test_a_page_without_pairs_shows_the_first_that_is_made(
    browse: Any, project: Any, member: Any
) -> None:
    run = project.runs.create(kind="demo", title="Making pairs")
    page = open_page(browse, member, project)
    expect(page.get_by_text("Pairs are being made in the background")).to_be_visible()
    expect(page.get_by_role("link", name="Making pairs")).to_have_count(0)
    pair = factories.make_pair(project)
    expect(page.get_by_role("heading", name="Pair 1 of 1")).to_be_focused()
    expect(page.get_by_role("region", name="Prompt")).to_contain_text(pair.prompt.text)

    run.state = "succeeded"
    run.save()
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Nothing left to label")).to_be_focused()
    expect(page.get_by_text("no other wants a verdict of yours")).to_be_visible()


def test_signed_out_meanwhile_the_verdict_is_kept(browse: Any, project: Any, member: Any) -> None:
    factories.make_pair(project)
    page = open_page(browse, member, project)
    cookies = page.context.cookies()
    page.context.clear_cookies(name="sessionid")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    expect(page.locator("#save-state")).to_contain_text("you are signed out")
    expect(page.get_by_role("heading", name="Pair 1 of 1")).to_be_attached()
    page.context.add_cookies(cookies)
    expect(page.get_by_role("heading", name="Nothing left to label")).to_be_visible()
    assert Judgment.objects.count() == 1


def test_a_refusal_is_shown_at_its_field_and_mended(browse: Any, project: Any, member: Any) -> None:
    project.label_scheme = {"rationale_required": True}
    project.save()
    factories.make_pair(project)
    page = open_page(browse, member, project)
    page.keyboard.press("5")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Say why: this project asks")).to_be_visible()
    expect(page.get_by_role("radio", name="B is slightly better")).to_be_checked()
    expect(page.get_by_role("textbox", name="Rationale")).to_be_focused()
    page.keyboard.type("Shorter.")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="Nothing left to label")).to_be_visible()
    assert Judgment.objects.get().rationale == "Shorter."


def test_without_scripts_the_form_is_a_plain_one(browse: Any, project: Any, member: Any) -> None:
    for _ in range(2):
        factories.make_pair(project)
    page = open_page(browse, member, project, java_script_enabled=False)
    page.get_by_role("radio", name="A is much better").check()
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(page.get_by_text("1 of 2", exact=True)).to_be_visible()
    assert Judgment.objects.count() == 1


def test_space_plays_and_pauses_both_clips_in_step(
    browse: Any, member: Any, tmp_path: Path, project: Any
) -> None:
    project.modality = "video"
    project.save()
    media_pair(project, clip(tmp_path / "one.mp4", 0), clip(tmp_path / "two.mp4", 2))
    page = open_page(browse, member, project)
    page.wait_for_function("[...document.querySelectorAll('video')].every(v => v.readyState >= 3)")
    page.keyboard.press("2")  # the focus is on a verdict now, and Space still means the clips
    page.keyboard.press(" ")
    all_videos = "[...document.querySelectorAll('video')].every"
    page.wait_for_function(f"{all_videos}(v => v.currentTime > 0.6)")
    page.keyboard.press(" ")
    page.wait_for_function(f"{all_videos}(v => v.paused && !v.seeking)")
    times = page.evaluate("[...document.querySelectorAll('video')].map(v => v.currentTime)")
    assert abs(times[0] - times[1]) < 0.2
    played = page.evaluate("""[...document.querySelectorAll('video')].map(v => {
        let all = 0;
        for (let i = 0; i < v.played.length; i++) all += v.played.end(i) - v.played.start(i);
        return all / v.duration;
    })""")
    assert min(played) > 0.05
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Nothing left to label")).to_be_visible()
    judgment = Judgment.objects.get()
    of_a, of_b = played[::-1] if judgment.swapped else played
    assert judgment.exposure["a"]["watched"] == pytest.approx(of_a, abs=0.02)
    assert judgment.exposure["b"]["watched"] == pytest.approx(of_b, abs=0.02)


def test_a_tiny_picture_is_enlarged_without_blur(browse: Any, member: Any, project: Any) -> None:
    project.modality = "image"
    project.save()
    media_pair(project, picture(0, (16, 16)), picture(1, (16, 16)))
    page = open_page(browse, member, project)
    image = page.get_by_role("img", name="Answer A")
    page.wait_for_function("[...document.querySelectorAll('.sheet')].every(it => it.style.width)")
    assert image.evaluate("i => getComputedStyle(i).imageRendering") == "pixelated"
    box = image.bounding_box()
    assert box is not None
    assert box["width"] > 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_no_accessibility_fault_is_found(
    browse: Any, project: Any, member: Any, scheme: str, width: int
) -> None:
    project.guidelines = "Prefer what is **right**."
    project.label_scheme = {"aspects": ["style"]}
    project.save()
    answers = ("A `short` one.", "\n\n".join(["A long one. " * 20] * 20))
    factories.make_pair(project, texts=answers)
    size = {"width": width, "height": 740}
    page = open_page(browse, member, project, color_scheme=scheme, viewport=size)
    assert_accessible(page)
    page.keyboard.press("2")
    page.get_by_text("Guidelines", exact=True).click()
    assert_accessible(page)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width
    bar = page.get_by_role("button", name=re.compile("Submit")).bounding_box()
    assert bar is not None
    assert bar["y"] + bar["height"] <= 740


def test_on_a_phone_the_letters_turn_to_the_other_answer(
    browse: Any, project: Any, member: Any
) -> None:
    factories.make_pair(project)
    size = {"width": 360, "height": 740}
    page = open_page(browse, member, project, viewport=size, has_touch=True, is_mobile=True)
    second = page.get_by_role("region", name="Answer B")
    expect(second).not_to_be_in_viewport()
    page.locator(".side-tabs").get_by_text("B", exact=True).tap()
    expect(second).to_be_in_viewport(ratio=0.9)
    expect(page.locator(".side-tabs .second")).to_have_attribute("data-on", "")


@pytest.mark.parametrize("width", [360, 1280])
def test_the_import_pages_examples_are_scrolled_not_broken(
    browse: Any, project: Any, owner: Any, width: int
) -> None:
    page = browse(owner, viewport={"width": width, "height": 740}).new_page()
    page.goto(f"/p/{project.slug}/import/")
    example = page.get_by_role("region", name="Example of pairs", exact=True)
    assert example.evaluate("pre => pre.scrollWidth > pre.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert_accessible(page)


def test_all_that_is_missing_is_told_at_once_and_only_keys_that_do_something_are_listed(
    browse: Any, member: Any, project: Any
) -> None:
    project.label_scheme = {
        "rationale_required": True,
        "rationale_min": 20,
        "evidence": "required",
        "both_bad": False,
    }
    project.save()
    pair = factories.make_pair(project)
    project.prompts.filter(pk=pair.prompt_id).update(
        messages=[{"role": "user", "content": "ما هي عاصمة فرنسا؟"}]
    )
    page = open_page(browse, member, project)
    expect(page.locator(".scale kbd").first).to_have_text("1")
    said = page.locator(".prompt .said-text").bounding_box()
    card = page.locator(".prompt").bounding_box()
    assert said
    assert card
    assert card["x"] + card["width"] - said["x"] - said["width"] < 40

    page.keyboard.press("Enter")
    alerts = page.locator("#verdict [data-error-of]:visible")
    expect(alerts).to_have_count(3)
    expect(alerts.nth(1)).to_contain_text("at least 20 characters")

    page.locator("#rationale").fill("x" * 20_001)
    expect(page.locator("#rationale-count")).to_have_text("20001 of at most 20000 characters")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-error-of=rationale]")).to_contain_text("nothing is cut off")
    expect(page.locator("#rationale")).to_have_value("x" * 20_001)

    page.keyboard.press("Escape")
    page.keyboard.press("?")
    keys = page.get_by_role("dialog")
    expect(keys).to_contain_text("write why")
    for words in ("aspects", "a better answer", "both bad"):
        expect(keys).not_to_contain_text(words)
    page.keyboard.press("Escape")

    page.set_viewport_size({"width": 360, "height": 780})
    expect(page.locator(".scale kbd").first).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert not Judgment.objects.exists()


def test_what_another_tab_did_not_get_rid_of_is_sent_when_that_is_closed(
    browse: Any, project: Any, member: Any
) -> None:
    _first, second = (factories.make_pair(project) for _ in range(2))
    page = open_page(browse, member, project)
    page.route("**/label/submit/", lambda route: route.abort())
    page.keyboard.press("7")
    page.keyboard.press("Enter")
    expect(page.locator("#save-state")).to_contain_text("not saved yet")
    other = page.context.new_page()
    other.goto(f"/p/{project.slug}/label/")
    # the pair's place is taken by the verdict that waits, so it goes on to the next
    expect(other.get_by_role("region", name="Prompt")).to_contain_text(second.prompt.text)
    assert not Judgment.objects.exists()
    page.close()
    saved(other)
    assert abs(Judgment.objects.get().strength) == 3


def test_a_pair_comes_up_once_however_its_answers_cross(
    browse: Any, project: Any, member: Any
) -> None:
    for _ in range(3):
        factories.make_pair(project)
    page = open_page(browse, member, project)
    page.keyboard.press("7")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Pair 2 of 3")).to_be_focused()
    saved(page)
    page.keyboard.press("u")
    expect(page).to_have_url(re.compile(r"\?amend="))
    held: list[Route] = []
    page.route("**/label/next/*", lambda route: held.append(route))
    page.reload()
    until(page, lambda: len(held) == 1)
    page.keyboard.press("Escape")
    until(page, lambda: len(held) == 2)
    # what was asked for ahead comes while the page looks for the pair in view
    with page.expect_response("**/label/next/*"):
        held[0].continue_()
    page.wait_for_timeout(300)
    held[1].continue_()
    expect(page.get_by_role("heading", name="Pair 2 of 3")).to_be_focused()
    page.unroute("**/label/next/*")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Pair 3 of 3")).to_be_focused()
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Nothing left to label")).to_be_visible()
    saved(page)
    assert Judgment.objects.count() == 3
    assert Judgment.objects.values("pair").distinct().count() == 3
