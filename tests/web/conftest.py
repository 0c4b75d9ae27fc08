"""A real browser before a real server, for what no template can promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Browser, Page

from tests.browser import wait_for_answers


@pytest.fixture
def visit(chromium: Browser, live_server: Any) -> Iterator[Callable[..., Page]]:
    """Open a path as somebody; an error of a script or a request for a missing file fails."""
    contexts, errors = [], []

    def go(
        path: str, user: Any = None, *, width: int = 1280, dark: bool = False, script: bool = True
    ) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
        )
        context.set_default_timeout(60_000)
        contexts.append(context)
        if user is not None:
            client = Client()
            client.force_login(user)
            key = client.cookies["sessionid"].value
            context.add_cookies([{"name": "sessionid", "value": key, "url": live_server.url}])
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "response",
            lambda r: (
                errors.append(f"{r.status} {r.url}") if "/static/" in r.url and not r.ok else None
            ),
        )
        page.goto(live_server.url + path)
        return page

    yield go
    for context in contexts:
        context.close()
    wait_for_answers()
    assert errors == []
