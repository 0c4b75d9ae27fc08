"""Ranking in a real browser: by keys alone, by dragging, on a phone, without a connection."""

from __future__ import annotations

import json
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from annotation.models import Judgment, Ranking
from annotation.services.material import add_output
from steelyard.assets.services import store_upload
from tests import factories
from tests.annotation.test_label_journey import picture
from tests.browser import saved
from tests.counted_clips import counted_clip

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def project(db: None) -> Any:
    return factories.make_project(label_scheme={"task": "ranking"})


def open_page(browse: Any, user: Any, project: Any, **options: Any) -> Page:
    page: Page = browse(user, **options).new_page()
    page.goto(f"/p/{project.slug}/label/")  # which leads on to the ranking page
    expect(page.locator(".grip").first).to_be_visible()  # the script is at work
    return page


def option(page: Page, place: str) -> Locator:
    return page.locator(f"#answer-{place}")


def order_on(page: Page) -> str:
    """As the page has it: B | A C | D, with what has no rank behind a /."""
    return str(
        page.evaluate(
            """() => {
                const letters = (root) =>
                    [...root.querySelectorAll(".option")].map((o) => o.dataset.place).join(" ");
                const tiers = [...document.querySelectorAll(".tier")].map(letters).join(" | ");
                const rest = letters(document.querySelector(".rest-of-set"));
                return rest ? `${tiers} / ${rest}` : tiers;
            }"""
        )
    )


def tiers(ranking: Ranking) -> str:
    """As it was stored, in letters of the screen."""
    letters = {pk: "ABCDEFGHI"[n] for n, pk in enumerate(ranking.shown)}
    return " | ".join(" ".join(sorted(letters[pk] for pk in tier)) for tier in ranking.tiers)


def assert_accessible(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def drag(page: Page, place: str, target: Locator, share: float) -> None:
    """A card by its head to a place within another thing, as a share of its width."""
    head = option(page, place).locator(".option-head h3").bounding_box()
    box = target.bounding_box()
    assert head
    assert box
    page.mouse.move(head["x"] + 4, head["y"] + 8)
    page.mouse.down()
    page.mouse.move(box["x"] + share * box["width"], box["y"] + 30, steps=6)
    page.mouse.up()


def test_it_works_by_keyboard_alone(browse: Any, project: Any, member: Any) -> None:
    for _ in range(2):
        factories.make_set(project, 4)
    page = open_page(browse, member, project)
    assert_accessible(page)
    say = page.locator("#rank-say")
    # each answer its rank, and on to the next
    page.keyboard.press("ArrowDown")
    for rank in "2142":
        page.keyboard.press(rank)
    assert order_on(page) == "B | A D | C"
    expect(option(page, "C").get_by_role("combobox")).to_have_value("3")
    expect(say).to_have_text("D: rank 2 of 4, tied with A")
    expect(page.get_by_role("region", name="D: rank 2 of 4, tied with A")).to_be_focused()
    # out of the tie, up to the top, and a tie with the one above
    page.keyboard.press("Alt+ArrowUp")
    assert order_on(page) == "B | D | A | C"
    page.keyboard.press("Shift+ArrowUp")
    assert order_on(page) == "D | B | A | C"
    expect(say).to_have_text("D: rank 1 of 4")
    page.keyboard.press("Shift+Digit3")
    page.keyboard.press("=")
    assert order_on(page) == "D | A B | C"
    page.keyboard.press("r")
    page.keyboard.type("A = B, 2 of 4.")
    page.keyboard.press("Escape")
    expect(page.locator("[data-tied]").filter(has_text="= B")).to_be_visible()
    assert_accessible(page)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Set 2 of 2")).to_be_focused()
    saved(page)
    ranking = Ranking.objects.get()
    assert tiers(ranking) == "D | A B | C"
    assert ranking.rationale == "A = B, 2 of 4."
    assert ranking.duration_ms is not None
    assert set(ranking.exposure["outputs"]) == {str(pk) for pk in ranking.shown}
    assert Judgment.objects.decisive().count() == 6
    # back to it, and another order
    page.keyboard.press("u")
    expect(page.get_by_role("heading", name="Your ranking, to be changed")).to_be_focused()
    assert order_on(page) == "D | A B | C"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Alt+ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Set 2 of 2")).to_be_focused()
    saved(page)
    amended = Ranking.objects.current().get()
    assert tiers(amended) == "A B | D | C"
    assert amended.supersedes == ranking
    # the other one is skipped with a reason
    page.keyboard.press("s")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Nothing left to rank")).to_be_visible()
    saved(page)
    assert Ranking.objects.get(skipped=True).skip_reason == "broken"
    assert_accessible(page)


def test_answers_are_dragged_before_onto_and_behind_each_other(
    browse: Any, project: Any, member: Any
) -> None:
    factories.make_set(project, 4)
    page = open_page(browse, member, project)
    drag(page, "B", page.locator(".tiers"), 0.5)
    assert order_on(page) == "B / A C D"
    drag(page, "A", option(page, "B"), 0.1)
    assert order_on(page) == "A | B / C D"
    drag(page, "C", option(page, "B"), 0.5)
    assert order_on(page) == "A | B C / D"
    drag(page, "D", option(page, "A"), 0.95)
    assert order_on(page) == "A | D | B C"
    drag(page, "A", option(page, "C"), 0.95)
    assert order_on(page) == "D | B C | A"
    option(page, "D").get_by_role("combobox").select_option("3")
    assert order_on(page) == "B C | A D"
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="Nothing left to rank")).to_be_visible()
    assert tiers(Ranking.objects.get()) == "B C | A D"


def test_a_finger_drags_on_a_narrow_screen(browse: Any, project: Any, member: Any) -> None:
    factories.make_set(project, 3)
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    page = open_page(browse, member, project, **phone)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for place in "ABC":
        option(page, place).get_by_role("combobox").select_option(str("ABC".index(place) + 1))
    touch = page.context.new_cdp_session(page)

    def finger(kind: str, *points: tuple[float, float]) -> None:
        where = [{"x": x, "y": y} for x, y in points]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": where})

    page.locator(".board").evaluate("it => it.scrollTo(0, 0)")
    grip = option(page, "B").locator(".grip").bounding_box()
    first = option(page, "A").bounding_box()
    assert grip
    assert first
    x, y = grip["x"] + 10, grip["y"] + 10
    finger("touchStart", (x, y))
    for n in range(1, 6):
        finger("touchMove", (x, y + n * (first["y"] + 6 - y) / 5))
    finger("touchEnd")
    page.wait_for_function("document.querySelector('.tiers .option').dataset.place === 'B'")
    assert order_on(page) == "B | A | C"
    assert_accessible(page)


def test_an_order_survives_a_closed_page_and_a_dead_connection(
    browse: Any, project: Any, member: Any
) -> None:
    factories.make_set(project, 3)
    page = open_page(browse, member, project)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="B, C have none")).to_be_visible()
    # words of two answers are marked by keys alone
    for key in ["e", "Shift+End", "+", "e", "c", "Enter"]:
        page.keyboard.press(key)
    expect(page.locator(".chip")).to_have_count(2)
    page.reload()
    expect(page.locator(".grip").first).to_be_visible()
    assert order_on(page) == "A / B C"
    expect(page.locator(".chip-what")).to_have_count(2)
    for rank in "13":
        page.keyboard.press(rank)
    page.context.set_offline(True)
    page.keyboard.press("Enter")
    expect(page.locator("#save-state")).to_contain_text("not saved yet")
    expect(page.locator(".message")).to_contain_text("Offline: 1 ranking waits")
    assert not Ranking.objects.exists()
    page.context.set_offline(False)
    expect(page.get_by_role("heading", name="Nothing left to rank")).to_be_visible()
    ranking = Ranking.objects.get()
    assert tiers(ranking) == "B | A | C"
    first, last = ranking.evidence
    assert [first["output"], last["output"]] == [ranking.shown[1], ranking.shown[2]]
    assert (first["quote"][:6], first["says"], last["quote"]) == ("Answer", "good", "Answer")


def media_set(project: Any, *files: bytes) -> Any:
    prompt = factories.make_prompt(project, "A wall.")
    outputs = [
        add_output(
            prompt=prompt,
            model=factories.make_model(project, f"model-{number}"),
            asset=store_upload(project=project, data=file),
        )
        for number, file in enumerate(files)
    ]
    return factories.make_set(project, outputs=outputs)


def test_pictures_are_seen_at_full_size_in_one_place_and_zoomed_together(
    browse: Any, project: Any, member: Any
) -> None:
    project.modality = "image"
    project.save()
    media_set(project, *[picture(colour) for colour in range(3)])
    page = open_page(browse, member, project)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("o")
    dialog = page.get_by_role("dialog", name="One picture of the set")
    expect(dialog.get_by_text("A: not ranked")).to_be_visible()
    where = """() => [...document.querySelectorAll(".viewer-window img")].map(image => {
        const {x, y, width, height} = image.getBoundingClientRect();
        return [image.style.visibility, width > 0, x + width / 2, y + height / 2];
    })"""
    before = page.evaluate(where)
    assert [one[0] for one in before] == ["", "hidden", "hidden"]
    assert all(one[1:] == before[0][1:] for one in before)
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_text("B: not ranked")).to_be_visible()
    after = page.evaluate(where)
    assert [one[0] for one in after] == ["hidden", "", "hidden"]
    expect(dialog.get_by_role("region", name="B at 1.5 times")).to_be_focused()
    page.keyboard.down("h")
    expect(dialog.get_by_text("A: not ranked")).to_be_visible()
    page.keyboard.up("h")
    page.keyboard.press("1")
    expect(dialog.get_by_text("B: rank 1 of 3")).to_be_visible()
    assert_accessible(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("region", name="B: rank 1 of 3")).to_be_focused()
    assert order_on(page) == "B / A C"
    page.locator("#answer-C .picture-link").click()
    expect(dialog.get_by_text("C: not ranked")).to_be_visible()


def test_clips_play_one_at_a_time_or_all_together_on_one_clock(
    browse: Any, project: Any, member: Any
) -> None:
    project.modality = "video"
    project.save()
    media_set(project, *[counted_clip(frames=frames) for frames in (72, 60, 84)])
    page = open_page(browse, member, project)
    page.wait_for_function(
        "[...document.querySelectorAll('.option video')].every(v => v.readyState >= 4)"
    )
    playing = "[...document.querySelectorAll('.option video')].map(v => !v.paused)"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    page.wait_for_function(
        "document.querySelectorAll('.option video')[1].currentTime > 0.1"
        f" && String({playing}) === 'false,true,false'"
    )
    page.keyboard.press("a")
    page.wait_for_function(f"({playing}).every(Boolean)")
    # paused from within the page: they end while a busy machine carries a key there
    page.wait_for_function("""() => {
        const videos = [...document.querySelectorAll('.option video')];
        if (!videos.every(v => v.currentTime > 0.3)) return false;
        document.querySelector('[data-rank-tool=all]').click();
        return true;
    }""")
    page.wait_for_function(f"!({playing}).some(Boolean)")
    page.keyboard.press(".")
    page.wait_for_function(
        """() => {
            const videos = [...document.querySelectorAll('.option video')];
            const times = videos.map(v => v.currentTime);
            const apart = Math.max(...times) - Math.min(...times);
            return videos.every(v => !v.seeking) && apart < 1 / 24;
        }"""
    )
    times = page.evaluate("[...document.querySelectorAll('.option video')].map(v => v.currentTime)")
    assert times[0] > 0.2
    assert max(times) - min(times) < 1 / 24
    expect(page.get_by_role("button", name="Play all together")).to_be_visible()
    assert_accessible(page)
    # a range goes from clip to clip as it is, though they stand at different places
    page.evaluate("document.querySelectorAll('.option video')[2].currentTime = 0")
    page.wait_for_function("!document.querySelectorAll('.option video')[2].seeking")
    at_frame = "Math.floor(24 * document.querySelectorAll('.option video')[%d].currentTime + 0.001)"
    page.keyboard.press("Shift+Digit2")
    begun = page.evaluate(at_frame % 1)
    for key in ["e", "Tab"]:
        page.keyboard.press(key)
    expect(page.get_by_role("region", name="C: not ranked")).to_be_focused()
    page.wait_for_function(f"({at_frame % 2}) === {begun}")
    for key in ["a", "c", "ArrowRight"]:
        page.keyboard.press(key)
    page.wait_for_function(f"({at_frame % 2}) === {begun + 1}")
    page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_have_count(1)
    [item] = json.loads(page.locator("form#verdict [name=evidence]").input_value())
    assert (item["side"], item["start"], item["end"]) == (
        "C",
        pytest.approx(begun / 24, abs=0.001),
        pytest.approx((begun + 2) / 24, abs=0.001),
    )


def test_a_training_round_tells_what_differs_and_waits_for_the_connection(
    browse: Any, project: Any, owner: Any, member: Any
) -> None:
    project.training_pass = 60
    project.save()
    lesson = factories.make_set(project, 3)
    factories.make_set(project, 3)
    pks = sorted(lesson.outputs.values_list("pk", flat=True))
    # an owner says the order on the set's page
    page = browse(owner).new_page()
    page.goto(f"/p/{project.slug}/sets/{lesson.pk}/")
    for place, rank in zip("ABC", "123", strict=True):
        page.get_by_label(f"Right rank of answer {place}").select_option(rank)
    page.get_by_label("Why it is right").fill("B is *too long*.")
    page.get_by_role("button", name="Use it for training").click()
    expect(page.get_by_text("for the training round, with this order")).to_be_visible()
    lesson.refresh_from_db()
    assert lesson.known_tiers == [[pk] for pk in pks]
    # whoever is to rank goes through it first, by keys
    page = open_page(browse, member, project)
    expect(page.get_by_role("heading", name="Training 1 of 1")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="B, C have none")).to_be_visible()
    for rank in "21":
        page.keyboard.press(rank)
    assert order_on(page) == "C | B | A"
    assert_accessible(page)
    page.context.set_offline(True)
    page.keyboard.press("Enter")
    expect(page.locator("#save-state")).to_contain_text("not saved yet")
    page.context.set_offline(False)
    expect(page.get_by_text("0 of 3 comparisons are as known.")).to_be_visible()
    expect(page.get_by_text("A before B; you said: B before A")).to_be_visible()
    expect(page.get_by_text("B is too long.")).to_be_visible()
    expect(page.get_by_text("fewer than 60 %")).to_be_visible()
    assert_accessible(page)
    page.keyboard.press("Enter")
    expect(page.get_by_text("That was not enough yet")).to_be_visible()
    page.keyboard.press("ArrowDown")
    for rank in "132":
        page.keyboard.press(rank)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Training passed: 2 of 3 comparisons")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Set 1 of 1")).to_be_focused()
    assert not Ranking.objects.exists()
