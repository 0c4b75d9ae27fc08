"""A real browser before a server of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext

from tests.browser import wait_for_answers


@pytest.fixture
def browse(chromium: Browser, live_server: Any) -> Iterator[Callable[..., BrowserContext]]:
    """A browser of somebody signed in; a script error or an htmx error fails the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def enter(user: Any, **options: Any) -> BrowserContext:
        client = Client()
        client.force_login(user)
        context = chromium.new_context(
            base_url=live_server.url, **{"viewport": {"width": 1280, "height": 800}, **options}
        )
        name = django_settings.SESSION_COOKIE_NAME
        value = client.cookies[name].value
        context.add_cookies([{"name": name, "value": value, "url": live_server.url}])
        context.set_default_timeout(60_000)
        context.on("weberror", lambda error: errors.append(error.error.stack or str(error.error)))
        contexts.append(context)
        return context

    yield enter
    for context in contexts:
        context.close()
    wait_for_answers()
    assert not errors, "\n".join(errors)
