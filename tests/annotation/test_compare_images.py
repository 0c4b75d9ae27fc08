"""Comparing two pictures on the labelling page, in a real browser, by mouse, touch and keyboard."""

from __future__ import annotations

import io
import json
from functools import cache
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from skimage import data

from annotation.models import Judgment, Pair
from annotation.services.material import add_output, add_pair
from annotation.services.queue import annotator_for
from steelyard.assets import runner
from steelyard.assets.services import store_upload
from tests import factories
from tests.browser import laid_out

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]


@cache
def photograph(name: str, width: int, height: int) -> bytes:
    """One of scikit-image's, as a JPEG of that size."""
    out = io.BytesIO()
    Image.fromarray(getattr(data, name)()).convert("RGB").resize((width, height)).save(out, "jpeg")
    return out.getvalue()


def make_pair(project: Any, *pictures: bytes) -> Pair:
    project.modality = "image"
    project.save()
    prompt = factories.make_prompt(project, "A cat that looks at you.")
    outputs = [
        add_output(
            prompt=prompt,
            model=factories.make_model(project, f"model-{number}"),
            asset=store_upload(project=project, data=picture),
        )
        for number, picture in enumerate(pictures)
    ]
    return add_pair(first=outputs[0], second=outputs[1])[0]


@pytest.fixture
def pair(project: Any) -> Pair:
    """The same cat twice: a small picture and one of twice the size."""
    return make_pair(project, photograph("chelsea", 451, 300), photograph("chelsea", 902, 600))


def open_page(browse: Any, user: Any, project: Any, **options: Any) -> Page:
    page = browse(user, **options).new_page()
    page.goto(f"/p/{project.slug}/label/")
    page.wait_for_load_state("networkidle")
    expect(page.locator(".image-tools")).to_be_visible()
    laid_out(page)
    return page


def sheet(page: Page, side: str) -> Locator:
    """The sheet of a side's picture in its own pane."""
    return page.locator(f'.answer[data-place="{side}"] .sheet[data-side="{side}"]')


def seen(page: Page, side: str) -> list[float]:
    """Which part of a picture its pane shows: left, top, width, height as fractions of it."""
    return sheet(page, side).evaluate(
        """sheet => {
        const box = sheet.getBoundingClientRect();
        const pane = sheet.closest(".picture").getBoundingClientRect();
        return [(pane.x - box.x) / box.width, (pane.y - box.y) / box.height,
                pane.width / box.width, pane.height / box.height];
    }"""
    )


def middle(page: Page, side: str) -> tuple[float, float]:
    left, top, width, height = seen(page, side)
    return left + width / 2, top + height / 2


def centre_of(page: Page, side: str) -> tuple[float, float]:
    box = page.locator(f'.answer[data-place="{side}"] .picture').bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def evidence(page: Page) -> list[dict[str, Any]]:
    return json.loads(page.locator("input[name=evidence]").input_value())


def assert_accessible(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    page.mouse.move(*end)
    page.mouse.up()


def turn_wheel(page: Page, turns: list[int]) -> None:
    """Turn the wheel and wait until the page has had all of it; the browser may join turns."""
    page.evaluate(
        """() => {
        window.turned = 0;
        addEventListener("wheel", event => { window.turned += event.deltaY; }, {passive: true});
    }"""
    )
    for turn in turns:
        page.mouse.wheel(0, turn)
    page.wait_for_function("all => window.turned === all", arg=sum(turns))


def test_it_zooms_and_pans_both_together(
    browse: Any, project: Any, member: Any, pair: Pair
) -> None:
    page = open_page(browse, member, project)
    zoom = page.get_by_role("button", name="100 %")
    assert middle(page, "a") == pytest.approx((0.5, 0.5), abs=0.001)

    # with the wheel: what is under the pointer stays there, and the other side follows
    x, y = centre_of(page, "b")
    where = page.evaluate(POINT_IN_SHEET, ["b", x + 80, y - 50])
    page.mouse.move(x + 80, y - 50)
    turn_wheel(page, [-240] * 5)
    expect(zoom).to_have_attribute("aria-pressed", "true")
    assert page.evaluate(POINT_IN_SHEET, ["b", x + 80, y - 50]) == pytest.approx(where, abs=0.003)
    assert middle(page, "a") == pytest.approx(middle(page, "b"), abs=0.003)
    assert middle(page, "a")[0] > 0.5 > middle(page, "a")[1]
    assert page.locator(".answer[data-zoomed]").count() == 2

    # by drag and by keys
    before = middle(page, "a")
    drag(page, (x, y), (x - 60, y - 40))
    assert middle(page, "a") == pytest.approx(middle(page, "b"), abs=0.003)
    # as far as the pointer, whichever of the two pictures chance has put under it
    width, height = (box_of(sheet(page, "b"))[name] for name in ("width", "height"))
    moved = (before[0] + 60 / width, before[1] + 40 / height)
    assert middle(page, "a") == pytest.approx(moved, abs=0.0005)
    before = middle(page, "b")
    page.keyboard.press("Shift+ArrowLeft")
    assert middle(page, "b")[0] < before[0] - 0.01
    assert middle(page, "a") == pytest.approx(middle(page, "b"), abs=0.003)

    # and back; the larger picture is the one that is 100 % then
    page.keyboard.press("z")
    assert middle(page, "a") == pytest.approx((0.5, 0.5), abs=0.001)
    page.keyboard.press("z")
    widths = sorted(box_of(sheet(page, side))["width"] for side in "ab")
    assert widths[1] == pytest.approx(902, abs=1)
    page.mouse.dblclick(x, y)
    expect(zoom).to_have_attribute("aria-pressed", "false")
    for key, more in (("+", True), ("-", False)):
        width = box_of(sheet(page, "a"))["width"]
        page.keyboard.press(key)
        assert (box_of(sheet(page, "a"))["width"] > width) is more


POINT_IN_SHEET = """([side, x, y]) => {
    const sheet = document.querySelector(`.answer[data-place=${side}] .sheet`);
    const box = sheet.getBoundingClientRect();
    return [(x - box.x) / box.width, (y - box.y) / box.height];
}"""


def box_of(thing: Locator) -> Any:
    box = thing.bounding_box()
    assert box is not None
    return box


def test_h_shows_the_other_picture_in_the_same_place(
    browse: Any, project: Any, member: Any, pair: Pair
) -> None:
    page = open_page(browse, member, project)
    page.keyboard.press("+")
    own = sheet(page, "a")
    place = box_of(own)
    other = page.locator('.answer[data-place="a"] .sheet[data-side="b"]')
    letter = page.locator('.answer[data-place="a"] .picture-letter')

    page.keyboard.down("h")
    expect(other).to_be_visible()
    expect(own).to_be_hidden()
    expect(letter).to_have_text("B")
    assert box_of(other) == pytest.approx(place, abs=2)
    page.keyboard.up("h")
    expect(own).to_be_visible()
    expect(letter).to_be_hidden()

    button = page.get_by_role("button", name="Flicker")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(other).to_be_visible()
    page.keyboard.down("h")
    expect(own).to_be_visible()
    page.keyboard.up("h")
    button.press("Enter")
    expect(own).to_be_visible()
    # held with the mouse it goes back by itself
    button.hover()
    page.mouse.down()
    expect(other).to_be_visible()
    page.wait_for_timeout(400)
    page.mouse.up()
    expect(own).to_be_visible()
    expect(button).to_have_attribute("aria-pressed", "false")


def test_a_divider_lies_between_the_pictures_over_each_other(
    browse: Any, project: Any, member: Any, pair: Pair
) -> None:
    page = open_page(browse, member, project)
    page.keyboard.press("v")
    divider = page.get_by_role("slider", name="Divider")
    expect(divider).to_be_focused()
    expect(divider).to_have_attribute("aria-valuenow", "50")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("PageUp")
    expect(divider).to_have_attribute("aria-valuenow", "62")
    assert page.locator("input[name=verdict]:checked").count() == 0
    stage = box_of(page.locator(".stage"))
    y = stage["y"] + stage["height"] / 2
    drag(page, (stage["x"] + 0.62 * stage["width"], y), (stage["x"] + 0.25 * stage["width"], y))
    expect(divider).to_have_attribute("aria-valuenow", "25")

    sheets = [page.locator(f'.stage .sheet[data-side="{side}"]') for side in "ab"]
    assert box_of(sheets[0]) == pytest.approx(box_of(sheets[1]), abs=2)
    page.mouse.move(stage["x"] + 100, y)
    turn_wheel(page, [-500])
    assert box_of(sheets[0]) == pytest.approx(box_of(sheets[1]), abs=2)
    assert box_of(sheets[0])["width"] > stage["width"] / 2
    expect(divider).to_have_attribute("aria-valuenow", "25")
    assert_accessible(page)
    page.keyboard.press("v")
    expect(divider).to_be_hidden()
    assert middle(page, "a") == pytest.approx(middle(page, "b"), abs=0.003)


def test_boxes_are_drawn_by_mouse_and_by_keys(
    browse: Any, project: Any, member: Any, pair: Pair
) -> None:
    page = open_page(browse, member, project)
    page.get_by_role("button", name="Box").click()
    laid_out(page)
    start = box_of(sheet(page, "b"))
    corner = (start["x"] + start["width"] / 4, start["y"] + start["height"] / 2)
    # drawn from the lower right, and out of the picture
    drag(page, corner, (start["x"] - 5, start["y"] + start["height"] / 4))
    assert evidence(page) == [
        {
            "side": "b",
            "kind": "box",
            "x": 0,
            "y": pytest.approx(0.25, abs=0.005),
            "width": pytest.approx(0.25, abs=0.005),
            "height": pytest.approx(0.25, abs=0.005),
        }
    ]
    say = page.locator(".image-say")
    expect(say).to_have_text("Evidence 1: Box on B: left 0 %, top 25 %, width 25 %, height 25 %.")

    page.get_by_role("region", name="Answer A").focus()
    page.keyboard.press("e")
    expect(page.get_by_role("application", name="Box on A")).to_be_focused()
    expect(say).to_contain_text("Box on A: left 33 %, top 33 %, width 33 %, height 33 %.")
    for key in ("ArrowLeft", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown"):
        page.keyboard.press(key)
    expect(say).to_contain_text("Box on A: left 31 %, top 31 %, width 35 %, height 35 %.")
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Answer A")).to_be_focused()
    kept = evidence(page)[1]
    assert kept == {
        "side": "a",
        "kind": "box",
        "x": 0.3133,
        "y": 0.3133,
        "width": 0.3533,
        "height": 0.3533,
    }
    assert page.locator("input[name=verdict]:checked").count() == 0

    page.keyboard.press("e")
    page.keyboard.press("e")
    expect(page.get_by_role("application", name="Box on B")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Tab")
    expect(say).to_contain_text("Box on A: left 31 %, top 33 %, width 33 %, height 33 %.")
    page.keyboard.press("b")
    expect(say).to_contain_text("Box on B: left 31 %, top 33 %, width 33 %, height 33 %.")
    expect(page.locator("#legend")).to_contain_text("other side")
    page.keyboard.press("Escape")
    assert len(evidence(page)) == 2

    # they are where they were drawn, at any zoom and on the stage
    page.keyboard.press("+")
    drawn = box_of(page.locator('.answer[data-place="a"] .evidence-box'))
    around = box_of(sheet(page, "a"))
    assert (drawn["x"] - around["x"]) / around["width"] == pytest.approx(0.3133, abs=0.01)
    assert drawn["width"] / around["width"] == pytest.approx(0.3533, abs=0.01)
    page.keyboard.press("v")
    expect(page.locator(".stage .evidence-box")).to_have_text(["2", "1"])
    page.keyboard.press("v")

    # the list of evidence points at its box, and what it takes out is gone from the picture
    page.get_by_role("textbox", name="Note on evidence 2").focus()
    expect(page.locator(".evidence-box[data-pointed]:visible")).to_have_text("2")
    page.get_by_role("button", name="Remove evidence 2").click()
    expect(page.locator(".evidence-box:visible")).to_have_text("1")


def test_a_box_is_kept_with_the_verdict_and_shown_when_that_is_amended(
    browse: Any, project: Any, member: Any, pair: Pair
) -> None:
    make_pair(project, photograph("chelsea", 451, 300), photograph("rocket", 451, 300))
    page = open_page(browse, member, project)
    page.get_by_role("region", name="Answer B").focus()
    page.keyboard.press("e")
    page.keyboard.press("Enter")
    page.keyboard.press("6")
    page.keyboard.press("Enter")
    expect(page.locator("#save-say")).to_have_text("Saved.")

    judgment = Judgment.objects.get()
    assert judgment.evidence == [
        {
            "side": "a" if judgment.swapped else "b",
            "kind": "box",
            **dict.fromkeys(("x", "y", "width", "height"), 0.3333),
        }
    ]
    assert page.locator(".evidence-box").count() == 0
    page.keyboard.press("u")
    expect(page.locator('.answer[data-place="b"] .evidence-box')).to_have_text("1")
    page.keyboard.press("+")
    assert middle(page, "a") == pytest.approx(middle(page, "b"), abs=0.003)


def test_staff_see_the_boxes_of_votes_on_the_pictures(
    browse: Any, project: Any, member: Any, owner: Any, pair: Pair
) -> None:
    box = {"side": "b", "kind": "box", "x": 0.5, "y": 0.25, "width": 0.25, "height": 0.5}
    Judgment.objects.create(
        project=project,
        pair=pair,
        annotator=annotator_for(user=member, project=project),
        outcome="b",
        strength=1,
        swapped=True,
        evidence=[box],
    )
    page = browse(owner).new_page()
    page.goto(f"/p/{project.slug}/pairs/{pair.pk}/")
    drawn = page.locator(".output-b .evidence-box").bounding_box()
    picture = page.locator(".output-b .output-body img").bounding_box()
    assert drawn is not None
    assert picture is not None
    assert drawn["x"] - picture["x"] == pytest.approx(picture["width"] / 2, abs=2)
    assert drawn["height"] == pytest.approx(picture["height"] / 2, abs=2)
    assert page.locator(".output-a .evidence-box").count() == 0
    assert_accessible(page)


def test_no_boxes_where_the_scheme_wants_no_evidence(
    browse: Any, project: Any, member: Any, pair: Pair
) -> None:
    project.label_scheme = {"evidence": "off"}
    project.save()
    page = open_page(browse, member, project)
    expect(page.get_by_role("button", name="Box")).to_be_hidden()
    page.keyboard.press("e")
    assert page.get_by_role("application").count() == 0


def test_zooming_in_loads_the_originals(browse: Any, project: Any, member: Any) -> None:
    make_pair(project, photograph("chelsea", 2255, 1500), photograph("rocket", 1804, 1202))
    assert runner.make_pending() is False
    page = open_page(browse, member, project)
    images = page.locator(".answer .sheet img")
    sources = "images => images.map(image => image.getAttribute('src'))"
    assert all(source.endswith("/preview") for source in images.evaluate_all(sources))
    states = page.locator(".picture-state")
    expect(states).to_have_text(["preview", "preview"])
    place = box_of(sheet(page, "a"))

    page.context.set_offline(True)
    page.keyboard.press("o")
    expect(states).to_have_text(["full resolution could not be loaded"] * 2)
    page.context.set_offline(False)
    page.keyboard.press("+")  # still within what the preview shows
    expect(page.get_by_role("button", name="Original")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("z")
    page.keyboard.press("z")
    expect(states).to_have_text(["full resolution", "full resolution"])
    assert not any(source.endswith("/preview") for source in images.evaluate_all(sources))
    expect(page.get_by_role("button", name="Original")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("z")
    assert box_of(sheet(page, "a")) == pytest.approx(place, abs=0.5)


def test_fingers_pinch_and_drag_and_still_swipe_between_the_sides(
    browse: Any, project: Any, member: Any, pair: Pair
) -> None:
    page = open_page(
        browse,
        member,
        project,
        viewport={"width": 360, "height": 740},
        has_touch=True,
        is_mobile=True,
    )
    assert touch_action(page) == "pan-x pan-y"
    x, y = centre_of(page, "a")
    touch = Touch(page)
    swipe = [[(x + 150 - 20 * step, y)] for step in range(16)]
    touch.go(swipe)
    page.wait_for_function(
        """() => {
            const before = window.scrolled;
            window.scrolled = document.querySelector(".answers").scrollLeft;
            window.rests = scrolled === before ? (window.rests ?? 0) + 1 : 0;
            return scrolled > 300 && rests > 2;
        }""",
        polling=200,
    )
    page.locator(".answers").evaluate("it => it.scrollTo({left: 0, behavior: 'instant'})")

    touch.go([[(x - 20 - 8 * step, y), (x + 20 + 8 * step, y)] for step in range(10)])
    assert box_of(sheet(page, "a"))["width"] > 500
    assert middle(page, "a") == pytest.approx(middle(page, "b"), abs=0.003)
    assert touch_action(page) == "none"
    before = middle(page, "a")
    touch.go([[(x - 10 * step, y)] for step in range(8)])
    assert middle(page, "a")[0] > before[0] + 0.03
    assert page.locator(".answers").evaluate("it => it.scrollLeft") == 0

    box = page.get_by_role("button", name="Box")
    box.tap()
    expect(box).to_have_attribute("aria-pressed", "true")
    touch.go([[(x - 60 + 10 * step, y - 60 + 10 * step)] for step in range(10)])
    assert [item["side"] for item in evidence(page)] == ["a"]
    page.get_by_role("button", name="Flicker").tap()
    expect(page.locator('.answer[data-place="a"] .picture-letter')).to_have_text("B")
    assert_accessible(page)


def touch_action(page: Page) -> str:
    return page.locator(".picture").first.evaluate("it => getComputedStyle(it).touchAction")


class Touch:
    """Fingers on a page: Playwright itself only knows a tap."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.client = page.context.new_cdp_session(page)

    def go(self, steps: list[list[tuple[float, float]]]) -> None:
        """Put fingers down at the first points, move them through the others, lift them."""
        for number, points in enumerate(steps):
            self._send("touchMove" if number else "touchStart", points)
        # lifted at rest: while something still rolls on, a tap stops that and nothing else
        self.page.wait_for_timeout(150)
        self._send("touchMove", steps[-1])
        self._send("touchEnd", [])

    def _send(self, kind: str, points: list[tuple[float, float]]) -> None:
        fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self.client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_no_accessibility_fault_is_found(
    browse: Any, project: Any, member: Any, pair: Pair, width: int, scheme: str
) -> None:
    size = {"width": width, "height": 740}
    page = open_page(browse, member, project, color_scheme=scheme, viewport=size)
    assert_accessible(page)
    page.keyboard.press("e")
    page.keyboard.press("Enter")
    page.keyboard.press("+")
    page.keyboard.press("e")
    assert_accessible(page)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Flicker").click()
    page.get_by_role("button", name="Slider").click()
    assert_accessible(page)
