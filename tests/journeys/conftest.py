"""The whole site, started the way ``make up`` starts it, and a real browser before it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from steelyard.servers.paths import ROOT, socket_dir
from steelyard.servers.postgres import Postgres
from steelyard.servers.valkey import Valkey
from tests.ports import free_port

PASSWORD = "weigh both sides"
PROMPTS = 12
"""Of each part of the demo: as many as the walks label, and two more."""
START_SECONDS = 600


@dataclass(frozen=True)
class Site:
    """A running installation with its demo, over a data folder of its own."""

    url: str
    data: Path

    def log(self, name: str) -> str:
        path = self.data / "logs" / f"{name}.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """Started once for all journeys; another user than us may pass through its folder."""
    parent = Path(tempfile.mkdtemp(prefix="steelyard-journey-"))
    parent.chmod(0o755)
    data, port = parent / "var", free_port()
    env = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "CELERY_BROKER_URL"}}
    env.pop("OMP_NUM_THREADS", None)
    env |= {
        "STEELYARD_DATA": str(data),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "STEELYARD_DEMO_PASSWORD": PASSWORD,
        # the demo takes the processors from the walks until it is built
        "STEELYARD_DEMO_PROMPTS": str(PROMPTS),
    }
    with (parent / "up.log").open("w") as log:
        up = subprocess.Popen(
            [sys.executable, "-m", "steelyard.servers.up"],
            cwd=ROOT,
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    site = Site(f"http://127.0.0.1:{port}", data)
    try:
        _wait_until_it_answers(site, up, parent / "up.log")
        yield site
    finally:
        up.send_signal(signal.SIGINT)
        try:
            up.wait(60)
        except subprocess.TimeoutExpired:
            up.kill()
        Valkey(data).stop()
        Postgres(data).stop()
        shutil.rmtree(parent, ignore_errors=True)
        shutil.rmtree(socket_dir(data), ignore_errors=True)


@pytest.fixture
def sign_in(site: Site, chromium: Browser) -> Iterator[Callable[[str], Page]]:
    """A page of somebody signed in, in a browser of their own; a script error fails the test."""
    contexts: list[Any] = []
    errors: list[str] = []

    def enter(name: str) -> Page:
        context = chromium.new_context(base_url=site.url, viewport={"width": 1280, "height": 900})
        contexts.append(context)
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(f"{page.url}: {error}"))
        page.goto("/")
        page.get_by_label("Username").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_label("Username")).to_have_count(0)
        return page

    yield enter
    for context in contexts:
        context.close()
    assert not errors, "\n".join(errors)


def _wait_until_it_answers(site: Site, up: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert up.poll() is None, f"It ended at start:\n{log.read_text()}"
        try:
            # it answers before the demo's people are there, and says "open" after both
            said = "\n  open " in log.read_text()
            if said and httpx.get(site.url, timeout=5).status_code < 500:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.3)
    raise AssertionError(f"It did not answer:\n{log.read_text()}\n{site.log('web')}")
