"""From nothing to a leaderboard row on the image project: whoever labels likes more ink."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.journeys import steps
from tests.journeys.conftest import PROMPTS

PROJECT, BASE, NEW = "demo-image", "digit-unet", "more ink"
_MEAN = """async image => {
  await image.decode();
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) sum += data[i] + data[i + 1] + data[i + 2];
  return sum / data.length;
}"""


def brightness(side: Locator) -> float:
    return float(side.locator("img").evaluate(_MEAN))


def likes_ink(page: Page) -> str:
    """Digits are judged by their ink, which is bright; photographs are left to others."""
    if "digit" not in page.locator(".prompt").inner_text().lower():
        return "s"
    return steps.prefer(brightness)(page)


def look_at_samples(page: Page) -> None:
    """Step by step on a seed that stays, and the last step's on a new one beside the base's."""
    steps_of_seed = page.locator("#samples .strip img")
    expect(steps_of_seed).to_have_count(3)
    expect(page.locator("#samples-16 img")).to_have_count(4)
    page.get_by_text("After step 8").click()
    expect(page.locator("#samples-8 img").first).to_be_visible()
    assert all(
        steps_of_seed.nth(n).evaluate("async image => { await image.decode(); return true; }")
        for n in range(3)
    )


def walk(sign_in: Callable[[str], Page]) -> None:
    annotator, researcher = sign_in("annotator"), sign_in("researcher")
    steps.wait_for_pairs(annotator, PROJECT, 2 * PROMPTS)  # photographs and digits
    steps.label(annotator, PROJECT, likes_ink, 10)
    steps.freeze(researcher, PROJECT, "ink", category="digit", test_fraction="0.2")
    settings = {"max_steps": "16", "batch_size": "8", "checkpoint_every": "8"}
    settings |= {"sample_every": "8", "sample_prompts": "1"}
    run = steps.train(researcher, PROJECT, NEW, base=BASE, **settings)
    steps.wait_for_run(researcher, run)
    look_at_samples(researcher)
    expect(researcher.locator("#curves")).to_contain_text(re.compile("error", re.IGNORECASE))
    waiting = steps.evaluate(researcher, PROJECT, "more ink or not", new=NEW, base=BASE, limit="6")
    steps.label(annotator, PROJECT, likes_ink, waiting + steps.HELD)
    researcher.reload()
    expect(researcher.locator(".win-rate")).to_contain_text(re.compile(r"\d+\.\d %"))
    researcher.goto(f"/p/{PROJECT}/leaderboard/")
    expect(researcher.locator("main")).to_contain_text(NEW)
    expect(researcher.locator("main")).to_contain_text(BASE)
