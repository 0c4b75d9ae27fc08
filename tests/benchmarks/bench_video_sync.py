"""How far two clips that play together are apart, on the labelling page's clock and without it.

A real browser plays two clips in a loop. Printed: the 95th percentile of their distance in ms and
as a ratio to the length of a frame, for equal and for different frame rates, at full and at double
speed, and after one clip has been pushed off by five frames; beside it the same for two clips that
are only started together, as a bare page would. Run it by ``make bench``, or::

    python tests/benchmarks/bench_video_sync.py
"""

from __future__ import annotations

import base64
import shutil
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Page, Route, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.counted_clips import WATCH, counted_clip  # noqa: E402

SECONDS, LONG, SIZE = 6, 4, (640, 360)
HOST = "http://bench.test"

PAGE = """<!doctype html><title>bench</title>
<section class="answer" data-place="a"><div class="clip"><video muted></video></div></section>
<section class="answer" data-place="b"><div class="clip"><video muted></video></div></section>"""

LOAD = """async (clips) => {
    const videos = [...document.querySelectorAll("video")];
    for (const [index, {data, rate}] of clips.entries()) {
        const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
        videos[index].dataset.frameRate = rate;
        videos[index].src = URL.createObjectURL(new Blob([bytes], {type: "video/mp4"}));
    }
    const loading = () => videos.some(video => video.readyState < 4);
    while (loading()) await new Promise(done => setTimeout(done, 20));
}"""

CLOCK = """async (speed) => {
    const {Clock} = await import("/static/js/label/video_clock.js");
    const {Side} = await import("/static/js/label/video_side.js");
    const answers = [...document.querySelectorAll(".answer")];
    const sides = answers.map(answer => new Side(answer, answer.querySelector("video")));
    window.clock = new Clock(sides);
    clock.setSpeed(speed);
    clock.play();
}"""

BARE = """(speed) => {
    for (const video of document.querySelectorAll("video")) {
        video.loop = true;
        video.playbackRate = speed;
        video.play();
    }
}"""

PUSH = "(by) => { document.querySelectorAll('video')[1].currentTime += by; }"


class Case(NamedTuple):
    words: str
    rates: tuple[int, int]
    speed: float = 1
    pushed: int = 0
    """Frames by which the second clip is pushed off."""


CASES = [
    Case("24 and 24 frames a second", (24, 24)),
    Case("30 and 30 frames a second", (30, 30)),
    Case("60 and 60 frames a second", (60, 60)),
    Case("24 and 30 frames a second", (24, 30)),
    Case("24 and 24, double speed", (24, 24), speed=2),
    Case("24 and 24, pushed off by 5 frames", (24, 24), pushed=5),
]


def main() -> None:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        for case in CASES:
            frame = 1000 / max(case.rates)
            kept, bare = (apart(browser.new_page(), case, script) for script in (CLOCK, BARE))
            say(
                f"{case.words:34}: p50 {kept.p50:4.1f} ms, p95 {kept.p95:4.1f} ms, "
                f"ratio of p95 to a frame {kept.p95 / frame:.2f}; "
                f"bare p95 {bare.p95:6.1f} ms, ratio {bare.p95 / frame:.2f}"
            )
        browser.close()


class Apart(NamedTuple):
    p50: float
    """ms, of the distances at each refresh of the screen"""
    p95: float


def apart(page: Page, case: Case, script: str) -> Apart:
    """After a push without the second in which it is made up."""
    page.route(f"{HOST}/**", answer)
    page.goto(HOST)
    clips = [
        {"data": base64.b64encode(counted_clip(rate * LONG, rate, SIZE)).decode(), "rate": rate}
        for rate in case.rates
    ]
    page.evaluate(LOAD, clips)
    page.evaluate(script, case.speed)
    page.wait_for_timeout(1000)
    if case.pushed:
        page.evaluate(PUSH, case.pushed / max(case.rates))
        page.wait_for_timeout(1000)
    page.evaluate(WATCH)
    page.wait_for_timeout(1000 * SECONDS)
    drifts = [abs(drift) * 1000 for drift in page.evaluate("seen.drifts")]
    page.close()
    cuts = statistics.quantiles(drifts, n=20)
    return Apart(statistics.median(drifts), cuts[18])


def answer(route: Route) -> None:
    """The page, and the modules from the working tree."""
    name = route.request.url.removeprefix(HOST)
    if name.startswith("/static/"):
        route.fulfill(path=ROOT / name.lstrip("/"), content_type="text/javascript")
    else:
        route.fulfill(body=PAGE, content_type="text/html")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
