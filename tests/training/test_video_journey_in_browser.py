"""Clips that somebody judges, a version, a trained video model, its samples, new clips of it and
its base that are judged again: on pages, with the real engines."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from annotation.services.material import add_output, add_pair
from steelyard.assets.services import store_upload
from steelyard.runs import supervisor
from tests import factories
from tests.browser import wait_for_answers
from tests.journeys import steps
from tests.tiny_videos import moving_square, tiny_wan, write_clip

pytestmark = [pytest.mark.journey, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
FILMED = {"steps": 2, "guidance": 1, "frames": 5, "width": 64, "height": 48, "fps": 8}
TRAINED = {
    "resolution": "64",
    "clip_frames": "5",
    "max_steps": "2",
    "batch_size": "2",
    "lora_rank": "2",
    "sample_every": "2",
    "sample_prompts": "1",
    "sample_steps": "2",
}
PAIRS = 4
SPEEDS = {"slow": 1, "fast": 4}
MOST_SECONDS = 400


@pytest.fixture
def clips(tmp_path: Path) -> Any:
    """A project with pairs of a slow and a fast square, and a model that can be trained."""
    project = factories.make_project(modality="video")
    models = {name: factories.make_model(project, name) for name in SPEEDS}
    for number in range(PAIRS):
        prompt = factories.make_prompt(project, f"A square moves, {number}.")
        first, second = (
            add_output(
                prompt=prompt,
                model=models[name],
                asset=store_upload(
                    project=project,
                    data=write_clip(
                        tmp_path / f"{name}-{number}.mp4",
                        moving_square(frames=7, step=step, top=3 * number),
                        rate=8,
                    ),
                ),
            )
            for name, step in SPEEDS.items()
        )
        add_pair(first=first, second=second)
    factories.make_model(
        project,
        "tiny wan",
        family="wan",
        source=str(tiny_wan(tmp_path / "wan")),
        options={"sampling": FILMED},
    )
    return project


@pytest.fixture
def page(chromium: Browser, live_server: Any, clips: Any) -> Iterator[Page]:
    context = chromium.new_context(
        base_url=live_server.url, viewport={"width": 1280, "height": 900}, reduced_motion="reduce"
    )
    client = Client()
    client.force_login(factories.make_user("owner", project=clips, role="admin"))
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": live_server.url}]
    )
    context.set_default_timeout(60_000)
    errors: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    wait_for_answers()
    assert not errors


def until(page: Page, seen: Callable[[], bool]) -> None:
    """Drive runs until the page, which asks by itself, shows it."""
    end = time.monotonic() + MOST_SECONDS
    while not seen():
        assert time.monotonic() < end, page.locator("main").inner_text()
        supervisor.reconcile()
        page.wait_for_timeout(100)


def until_it_ends(page: Page) -> None:
    ended = page.locator("#state .run-state").filter(has_text=re.compile("Succeeded|Failed"))
    until(page, ended.is_visible)
    expect(page.locator("#state")).to_contain_text("Succeeded")


def likes_the_first(_page: Page) -> str:
    return "2"


def train(page: Page, project: str) -> None:
    page.goto(f"/p/{project}/train/")
    page.get_by_label("Base model").select_option(label="tiny wan")
    page.get_by_label("Name of the new model").fill("calm")
    page.get_by_text("More settings").click()
    for name, value in TRAINED.items():
        page.locator(f'[name="{name}"]').fill(value)
    page.get_by_role("button", name="Check and start").click()
    start = page.get_by_role("button", name=re.compile("^Start (anyway|training)$"))
    until(page, start.is_visible)
    start.click()
    page.wait_for_url(re.compile(r"/runs/\d+/"))
    until_it_ends(page)


def look_at_samples(page: Page) -> None:
    """The base's and the newest step's, of the fixed and of a fresh seed, which can be played."""
    page.reload()
    shown = page.locator("#samples-2 video")
    expect(shown).to_have_count(4)
    play = "video => video.play().then(() => video.videoWidth)"
    assert shown.first.evaluate(play) > 0


def generate(page: Page, project: str) -> None:
    page.goto(f"/p/{project}/generations/new/")
    for name in ("calm", "tiny wan"):
        page.get_by_role("checkbox", name=name, exact=True).check()
    page.locator('[name="source"]').select_option("typed")
    page.locator('[name="prompts"]').fill("A red square moves.\nA blue circle jumps.")
    page.get_by_role("button", name="Generate").click()
    page.wait_for_url(re.compile(r"/generations/\d+/"))


def test_clips_are_judged_trained_on_filmed_and_judged_again(page: Page, clips: Any) -> None:
    project = clips.slug
    steps.label(page, project, likes_the_first, PAIRS)
    steps.freeze(page, project, "squares", test_fraction="0")
    train(page, project)
    look_at_samples(page)
    generate(page, project)
    made = page.locator("main video")
    until(page, lambda: not clips.runs.active().exists())
    page.reload()
    expect(made).to_have_count(4)
    steps.label(page, project, likes_the_first, 2)
    page.goto(f"/p/{project}/leaderboard/")
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="calm"))
    expect(row.first).to_be_visible()
