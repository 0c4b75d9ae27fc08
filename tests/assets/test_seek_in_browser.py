"""A real browser jumps within a stored video, which it does only where ranges are served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Browser

from steelyard.assets.services import store_upload
from tests.assets.media import video
from tests.browser import wait_for_answers

JUMP = """
async (place) => {
    const video = document.createElement("video");
    video.muted = true;
    video.src = place;
    document.body.append(video);
    const heard = (name) => new Promise((done, failed) => {
        video.addEventListener(name, done, { once: true });
        video.addEventListener("error", () => failed(new Error(video.error.message)));
    });
    await heard("canplay");
    const sought = heard("seeked");
    video.currentTime = 6;
    await sought;
    return [video.currentTime, video.duration, video.videoWidth, video.videoHeight];
}
"""


@pytest.mark.journey
@pytest.mark.django_db(transaction=True)
def test_it_jumps(
    live_server: Any,
    chromium: Browser,
    as_user: Callable[[Any], Client],
    project: Any,
    member: Any,
) -> None:
    files = [("mp4", "libx264"), ("webm", "libvpx-vp9")]
    assets = [
        store_upload(project=project, data=video(form, codec, frames=96, rate=12))
        for form, codec in files
    ]
    session = as_user(member).cookies["sessionid"].value

    with chromium.new_context(base_url=live_server.url) as context:
        context.set_default_timeout(60_000)
        context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
        page = context.new_page()
        page.goto("/static/css/app.css")
        found = [page.evaluate(JUMP, asset.url) for asset in assets]
    wait_for_answers()

    for time, duration, width, height in found:
        assert time == pytest.approx(6, abs=0.1)
        assert duration == pytest.approx(8, abs=0.1)
        assert (width, height) == (64, 48)
