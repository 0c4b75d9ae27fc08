"""Comparing two clips in a real browser: one clock, one keyboard."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from annotation.models import Judgment
from annotation.services.material import add_output, add_pair
from steelyard.assets.services import store_upload
from tests import factories
from tests.browser import laid_out
from tests.counted_clips import WATCH, counted_clip

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]

RATE = 24
FRAME = 1 / RATE


@pytest.fixture
def project(db: None) -> Any:
    return factories.make_project(modality="video", label_scheme={"segments": True})


def clips(project: Any, *files: bytes) -> Any:
    prompt = factories.make_prompt(project, "A grey wall that grows lighter")
    outputs = [
        add_output(
            prompt=prompt,
            model=factories.make_model(project, f"model-{number}"),
            asset=store_upload(project=project, data=file),
        )
        for number, file in enumerate(files)
    ]
    return add_pair(first=outputs[0], second=outputs[1])[0]


def open_page(browse: Any, user: Any, project: Any, **options: Any) -> Page:
    page = browse(user, **options).new_page()
    page.goto(f"/p/{project.slug}/label/")
    expect(page.locator(".transport")).to_be_visible()
    page.wait_for_function(
        "[...document.querySelectorAll('.clip > video')].every(v => v.readyState >= 4)"
    )
    page.evaluate(WATCH)
    return page


def times(page: Page) -> list[float]:
    found: list[float] = page.evaluate(
        "[...document.querySelectorAll('.clip > video')].map(v => v.currentTime)"
    )
    return found


def greys(page: Page) -> list[int]:
    """The frames on the screen, told by the grey in their middle."""
    found: list[int] = page.evaluate("""[...document.querySelectorAll('.clip > video')].map(v => {
        const canvas = new OffscreenCanvas(8, 8).getContext('2d');
        canvas.drawImage(v, 40, 24, 8, 8, 0, 0, 8, 8);
        return Math.round((canvas.getImageData(4, 4, 1, 1).data[0] - 24) / 3);
    })""")
    return found


def shows(page: Page, wanted: list[int], *, any_order: bool = False) -> None:
    """The frames come to the screen a little after the clips stand there."""

    def found() -> list[int]:
        return sorted(greys(page)) if any_order else greys(page)

    end = time.monotonic() + 30
    while found() != wanted and time.monotonic() < end:
        page.wait_for_timeout(50)
    assert found() == wanted


def still(page: Page) -> None:
    page.wait_for_function(
        "[...document.querySelectorAll('.clip > video')].every(v => v.paused && !v.seeking)"
    )
    page.wait_for_timeout(100)


def held(page: Page, field: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(page.locator(f"[name={field}]").input_value())
    return found


def test_both_clips_run_on_one_clock(browse: Any, project: Any, member: Any) -> None:
    clips(project, counted_clip(72), counted_clip(72, size=(96, 160)))
    page = open_page(browse, member, project)
    expect(page.get_by_role("button", name="Play")).to_be_visible()

    page.keyboard.press(" ")
    # one may be late in starting, and is brought up; then they are paused from within the page:
    # they go on while a busy machine carries a key there
    page.wait_for_function(
        """frame => {
        const late = seen.drifts.slice(-10).concat(seen.same.slice(-1));
        const together = late.every(apart => Math.abs(apart) < 1.5 * frame);
        const there = document.querySelector('.clip > video').currentTime > 1.2;
        if (!there || !together || seen.drifts.length <= 20 || !seen.same.length) return false;
        document.querySelector('[data-do=play]').click();
        return true;
    }""",
        arg=FRAME,
    )
    seen = page.evaluate("seen")
    drifts = sorted(abs(drift) for drift in seen["drifts"])
    assert drifts[len(drifts) // 2] < FRAME, drifts
    still(page)
    # what stands on the screen: the same frame, or its neighbour for the blink of one refresh
    shown = sorted(abs(apart) for apart in seen["same"])
    assert shown[len(shown) // 2] < 1.5 * FRAME, shown
    first, second = times(page)
    assert first == pytest.approx(second, abs=0.001)
    assert 1.1 < first < 2.9
    # by the clock and not by the screen: that may still hold the frame of the moment before
    here = int(first * RATE)
    shows(page, [here] * 2)
    page.keyboard.press(".")
    still(page)
    shows(page, [here + 1] * 2)
    page.keyboard.press(",")
    page.keyboard.press(",")
    still(page)
    shows(page, [here - 1] * 2)
    page.keyboard.press("j")
    still(page)
    shows(page, [here - 1 - RATE] * 2)

    slider = page.get_by_role("slider", name="Place in both clips")
    slider.focus()
    page.keyboard.press("End")
    still(page)
    shows(page, [71, 71])
    expect(slider).to_have_attribute("aria-valuetext", "3.0 s of 3.0 s")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    still(page)
    shows(page, [1, 1])
    box = slider.bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    still(page)
    middle = int(times(page)[0] * RATE)
    assert middle == pytest.approx(36, abs=1)
    shows(page, [middle] * 2)

    # one play and four moves, whatever the clock did to bring the clips there
    for place in "ab":
        answer = page.locator(f".answer[data-place={place}]")
        expect(answer).to_have_attribute("data-plays", "1")
        expect(answer).to_have_attribute("data-seeks", "4")
    watched = page.evaluate("""[...document.querySelectorAll('.clip > video')].map(v => {
        let all = 0;
        for (let i = 0; i < v.played.length; i++) all += v.played.end(i) - v.played.start(i);
        return all;
    })""")
    # one that was late skips what the other had played
    assert max(watched) < first + 2 * FRAME
    assert min(watched) > 0.7 * first


def test_the_screen_shows_the_frame_at_which_the_clock_stopped(
    browse: Any, project: Any, member: Any
) -> None:
    clips(project, counted_clip(72), counted_clip(72, size=(96, 160)))
    page = open_page(browse, member, project)
    page.keyboard.press(" ")
    # currentTime is behind the screen, and by chance just in the middle of its frame
    here = page.wait_for_function(
        """rate => {
        const videos = [...document.querySelectorAll('.clip > video')];
        const goes = video => !video.paused && !video.seeking && video.currentTime > 0.8;
        if (!videos.every(goes) || videos[0].currentTime > 2.5) return false;
        const frame = Math.floor(videos[0].currentTime * rate) - 2;
        const native = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, 'currentTime');
        for (const video of videos) {
            Object.defineProperty(video, 'currentTime', {
                configurable: true,
                get: () => (frame + 0.5) / rate,
                set: time => native.set.call(video, time),
            });
            video.addEventListener('pause', () => delete video.currentTime, {once: true});
        }
        document.querySelector('[data-do=play]').click();
        return frame;
    }""",
        arg=RATE,
    ).json_value()
    still(page)
    shows(page, [here, here])


def test_clips_that_waited_for_data_go_on(browse: Any, project: Any, member: Any) -> None:
    clips(project, counted_clip(), counted_clip(96, size=(96, 160)))
    page = open_page(browse, member, project)
    page.keyboard.press(" ")
    page.wait_for_function("document.querySelector('.clip > video').currentTime > 0.3")
    for _ in range(8):
        page.evaluate(
            "document.querySelectorAll('.clip > video')[1].dispatchEvent(new Event('waiting'))"
        )
        page.wait_for_timeout(60)
    page.wait_for_function("[...document.querySelectorAll('.clip > video')].every(v => !v.paused)")
    # as that of the clock's own halt does when it is late
    page.evaluate("document.querySelector('.clip > video').dispatchEvent(new Event('pause'))")
    expect(page.locator("[data-do=play]")).to_contain_text("Pause")


def test_a_range_loops_at_any_speed_with_one_side_heard(
    browse: Any, project: Any, member: Any
) -> None:
    clips(project, counted_clip(sound=True), counted_clip(frames=60, sound=True))
    page = open_page(browse, member, project)
    page.keyboard.press("m")
    muted = "[...document.querySelectorAll('.clip > video')].map(v => v.muted)"
    assert page.evaluate(muted) == [False, True]
    page.keyboard.press("m")
    assert page.evaluate(muted) == [True, False]
    expect(page.get_by_role("button", name="Hear B")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("m")
    assert page.evaluate(muted) == [True, True]

    page.keyboard.press("l")
    still(page)
    page.keyboard.press("[")
    for _ in range(11):
        page.keyboard.press(".")
    still(page)
    page.keyboard.press("]")
    for _ in range(4):
        page.keyboard.press(">")
    expect(page.locator(".speed")).to_have_text("2×")
    page.evaluate("""() => {
        window.where = [];
        window.turns = 0;
        window.late = 0;
        let before = performance.now();
        const note = () => {
            const videos = [...document.querySelectorAll('.clip > video')];
            late = Math.max(late, (performance.now() - before) / 1000);
            before = performance.now();
            if (videos.every(v => !v.paused)) {
                const now = videos.map(v => v.currentTime);
                turns += now[0] < (where.at(-1) ?? now)[0] - 0.2;
                where.push(now);
            }
            requestAnimationFrame(note);
        };
        note();
    }""")
    page.keyboard.press(" ")
    page.wait_for_function("turns >= 2")
    where = page.evaluate("where")
    times_seen = [time for both in where for time in both]
    assert min(times_seen) >= 1 - FRAME
    # a refresh of the screen late at most, which a busy machine may be long in coming
    assert max(times_seen) < max(2, 1.5 + 2.6 * page.evaluate("late") + 2 * FRAME)
    rates = page.evaluate(
        "[...document.querySelectorAll('.clip > video')].map(v => v.playbackRate)"
    )
    assert 2 in rates  # the one that leads; the other may be catching up
    assert rates == pytest.approx([2, 2], abs=0.51)

    # the range is at hand for evidence; the rest is marked from press to press
    page.keyboard.press("a")
    page.keyboard.press("e")
    assert held(page, "evidence") == []
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert page.locator("input[name=verdict]:checked").count() == 0
    still(page)
    still(page)
    page.get_by_role("button", name="Loop the whole").click()
    page.get_by_role("slider", name="Place in both clips").focus()
    page.keyboard.press("Home")
    page.keyboard.press("a")
    page.keyboard.press("e")
    page.keyboard.press("l")
    page.keyboard.press("e")
    assert held(page, "evidence") == [
        {"side": "b", "kind": "time", "start": 1, "end": 1.5},
        {"side": "a", "kind": "time", "start": 0, "end": pytest.approx(1 + FRAME, abs=0.001)},
    ]
    page.get_by_role("button", name="Remove evidence 1").press("Enter")
    assert [item["side"] for item in held(page, "evidence")] == ["a"]


def test_a_silent_clip_offers_no_sound_and_one_that_cannot_be_played_no_turn(
    browse: Any, project: Any, member: Any
) -> None:
    clips(project, counted_clip(), counted_clip(frames=36, sound=True))
    page = open_page(browse, member, project)
    group = page.get_by_role("group", name="Sound")
    expect(group.get_by_role("button", name="Hear")).to_have_count(1)
    decoded = "v => v.webkitAudioDecodedByteCount > 0"
    sounds = page.evaluate(f"[...document.querySelectorAll('.clip > video')].map({decoded})")
    page.keyboard.press("m")
    muted = "[...document.querySelectorAll('.clip > video')].map(v => !v.muted)"
    assert page.evaluate(muted) == sounds

    # the first cannot be played: in turn the other has all turns, and it is said
    page.evaluate("document.querySelector('.clip > video').src = 'data:video/mp4;base64,AAAA'")
    expect(page.get_by_text("Clip A cannot be played here")).to_be_visible()
    page.keyboard.press("x")
    page.keyboard.press(" ")
    page.wait_for_function("document.querySelectorAll('.clip > video')[1].currentTime > 0.3")
    page.wait_for_timeout(4500)
    expect(page.locator("[data-do=play]")).to_contain_text("Pause")
    page.wait_for_function("!document.querySelectorAll('.clip > video')[1].paused")


def test_the_shorter_clip_holds_its_last_frame_while_the_longer_goes_on(
    browse: Any, project: Any, member: Any
) -> None:
    clips(project, counted_clip(frames=48), counted_clip(frames=24))
    page = open_page(browse, member, project)
    page.get_by_role("button", name="Loop", exact=True).click()
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(
        "[...document.querySelectorAll('.clip > video')].every(v => v.played.length)"
    )
    page.wait_for_function("document.querySelector('[data-do=play]').textContent.includes('Play')")
    still(page)
    shows(page, [23, 47], any_order=True)
    slider = page.get_by_role("slider", name="Place in both clips")
    slider.focus()
    page.keyboard.press("PageDown")
    still(page)
    shows(page, [23, 23], any_order=True)

    # one after the other: the first in full, then the second
    page.keyboard.press("x")
    page.keyboard.press(" ")
    page.wait_for_function("document.querySelector('.answer.second[data-turn]')")
    assert page.evaluate("document.querySelector('.answer.first video').paused")
    page.keyboard.press(" ")
    still(page)

    # held, each stands in the other's place
    where = "[...document.querySelectorAll('.answer')].map(a => a.getBoundingClientRect().left)"
    before = page.evaluate(where)
    page.keyboard.down("h")
    assert page.evaluate(where) == before[::-1]
    page.keyboard.up("h")
    assert page.evaluate(where) == before


def test_neither_clip_begins_before_both_are_there(browse: Any, project: Any, member: Any) -> None:
    pair = clips(project, counted_clip(48), counted_clip(36))
    page = browse(member).new_page()
    late: list[Route] = []
    there: list[bool] = []

    def wait_for_it(route: Route) -> None:
        if there:
            route.continue_()
        else:
            late.append(route)

    page.route(f"**/{pair.output_b.asset.sha256}*", wait_for_it)
    page.goto(f"/p/{project.slug}/label/", wait_until="domcontentloaded")
    expect(page.locator(".transport")).to_be_visible()
    page.wait_for_function(
        "[...document.querySelectorAll('.clip > video')].some(v => v.readyState >= 4)"
    )
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Loading…")).to_be_visible()
    page.wait_for_timeout(300)
    assert times(page) == [0, 0]
    there.append(True)
    for route in late:
        route.continue_()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.wait_for_function(
        "[...document.querySelectorAll('.clip > video')].every(v => v.currentTime > 0.2)"
    )


def test_parts_get_verdicts_of_their_own_and_frames_boxes(
    browse: Any, project: Any, member: Any
) -> None:
    clips(project, counted_clip(), counted_clip(frames=72))
    page = open_page(browse, member, project)
    page.keyboard.press("n")
    page.get_by_role("button", name="Pieces of 1 s").click()
    expect(page.locator(".piece-list li")).to_have_count(3)
    page.keyboard.press("1")
    page.keyboard.press("t")
    page.keyboard.press("6")
    assert held(page, "segments") == [
        {"start": 0, "end": 1, "outcome": "a", "strength": -3},
        {"start": 1, "end": 2, "outcome": "tie", "strength": 0},
        {"start": 2, "end": 3, "outcome": "b", "strength": 2},
    ]
    expect(page.get_by_role("radio", checked=True)).to_have_count(0)
    page.get_by_role("button", name="Clear the verdict on 1.00 to 2.00 s").press("Enter")
    page.get_by_role("button", name="Join 0.00 to 1.00 s with the next").press("Enter")
    page.keyboard.press("3")
    assert held(page, "segments") == [
        {"start": 0, "end": 2, "outcome": "a", "strength": -1},
        {"start": 2, "end": 3, "outcome": "b", "strength": 2},
    ]
    page.keyboard.press("n")
    page.keyboard.press("1")
    expect(page.get_by_role("radio", name="A is much better")).to_be_checked()

    page.keyboard.press("b")
    page.keyboard.press("E")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".evidence-box")).to_have_count(1)
    laid_out(page)
    frame = page.locator(".answer.first .frame-layer").bounding_box()
    assert frame
    page.keyboard.press("a")
    page.keyboard.press("E")
    page.mouse.move(frame["x"] + frame["width"] / 4, frame["y"] + frame["height"] / 4)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    page.mouse.up()
    evidence = held(page, "evidence")
    assert [(item["side"], item["kind"]) for item in evidence] == [("b", "box"), ("a", "box")]
    assert (evidence[0]["x"], evidence[0]["height"]) == (0.33, 0.32)
    assert evidence[1]["x"] == pytest.approx(0.25, abs=0.01)
    assert evidence[1]["width"] == pytest.approx(0.25, abs=0.01)
    expect(page.locator(".evidence-box")).to_have_count(2)

    page.keyboard.press("Enter")
    expect(page.locator("#save-say")).to_have_text("Saved.")
    judgment = Judgment.objects.get()
    first = "b" if judgment.swapped else "a"
    sign = 1 if judgment.swapped else -1
    assert [item["side"] == first for item in judgment.evidence] == [False, True]
    assert judgment.segments[0]["outcome"] == first
    assert [item["strength"] for item in judgment.segments] == [sign, -2 * sign]
    assert judgment.exposure["a"]["plays"] == 0


def test_while_a_range_is_open_arrows_move_the_clips_and_enter_ends_it(
    browse: Any, project: Any, member: Any
) -> None:
    clips(project, counted_clip(), counted_clip())
    page = open_page(browse, member, project)
    page.keyboard.press("1")
    page.keyboard.press("e")
    for key in ["Shift+ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"]:
        page.keyboard.press(key)
    still(page)
    shows(page, [RATE // 2 + 1] * 2)
    expect(page.get_by_role("radio", name="A is much better")).to_be_checked()
    expect(page.locator("#legend")).to_contain_text("⏎ end the range")
    page.keyboard.press("Enter")
    end = pytest.approx((RATE // 2 + 2) * FRAME, abs=0.001)
    assert held(page, "evidence") == [{"side": "a", "kind": "time", "start": 0, "end": end}]
    expect(page.locator("#legend")).to_contain_text("⏎ submit")

    page.keyboard.press("e")
    page.keyboard.press("Escape")
    assert len(held(page, "evidence")) == 1
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="A is better", exact=True)).to_be_checked()
    assert not Judgment.objects.exists()


@pytest.mark.parametrize("way", ["Control+Enter", "button"])
def test_a_range_that_is_still_open_is_ended_when_the_verdict_is_sent(
    browse: Any, project: Any, member: Any, way: str
) -> None:
    clips(project, counted_clip(), counted_clip())
    page = open_page(browse, member, project)
    page.keyboard.press("1")
    page.keyboard.press("e")
    page.keyboard.press("ArrowRight")
    still(page)
    if way == "button":
        page.locator("button.submit:visible").click()
    else:
        page.keyboard.press("r")
        page.keyboard.press(way)
    expect(page.locator("#save-say")).to_have_text("Saved.")
    (item,) = Judgment.objects.get().evidence
    assert (item["start"], item["end"]) == (0, pytest.approx(2 * FRAME, abs=0.001))


def test_escape_drops_an_open_range_then_leaves_the_parts(
    browse: Any, project: Any, member: Any
) -> None:
    clips(project, counted_clip(), counted_clip())
    page = open_page(browse, member, project)
    legend = page.locator("#legend")
    page.keyboard.press("e")
    page.keyboard.press("n")
    expect(legend).to_contain_text("1–7 judge the part in hand")
    expect(page.get_by_text("Number keys judge the part in hand, which")).to_be_visible()
    page.keyboard.press("Escape")
    mark = page.get_by_role("button", name="Mark time")
    expect(mark).to_have_attribute("aria-pressed", "false")
    expect(page.locator(".segments")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".segments")).to_be_hidden()
    expect(legend).to_contain_text("1–7 verdict")
    page.keyboard.press("1")
    expect(page.get_by_role("radio", name="A is much better")).to_be_checked()
    assert held(page, "evidence") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_is_accessible(browse: Any, project: Any, member: Any, width: int, scheme: str) -> None:
    clips(project, counted_clip(size=(256, 144)), counted_clip(size=(256, 144)))
    size = {"width": width, "height": 740}
    page = open_page(browse, member, project, viewport=size, color_scheme=scheme)
    page.keyboard.press("n")
    page.get_by_role("button", name="Pieces of 1 s").click()
    page.keyboard.press("1")
    page.keyboard.press("e")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_without_scripts_each_clip_has_controls_of_its_own(
    browse: Any, project: Any, member: Any
) -> None:
    clips(project, counted_clip(frames=24), counted_clip(frames=30))
    page = browse(member, java_script_enabled=False).new_page()
    page.goto(f"/p/{project.slug}/label/")
    expect(page.locator(".clip > video[controls]")).to_have_count(2)
    expect(page.locator(".transport")).to_be_hidden()
