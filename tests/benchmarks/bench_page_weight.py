"""What the labelling page weighs on the wire: first visit, next pair, second visit.

A text project with real-looking answers, the web server as ``make up`` starts it, Debian's Chromium
with an empty cache; sizes are Chromium's own count of bytes received, headers included. Run it by
``make bench``, or::

    python -m steelyard.servers.test_env python tests/benchmarks/bench_page_weight.py

Aims: at most 150 KiB for the first visit and 20 KiB for the next pair (media apart); a second visit
out of the cache but for the page itself.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "steelyard.settings")
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
os.environ.setdefault("STEELYARD_LOG_LEVEL", "ERROR")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402
from playwright.sync_api import Page, sync_playwright  # noqa: E402

from steelyard.accounts.models import User  # noqa: E402
from tests import crowd, factories  # noqa: E402

LABEL_STUDIO_KIB = 7.70 * 1024
"""Of Label Studio 1.23.2's labelling page, which is loaded anew at each visit."""

FIRST_VISIT_KIB, NEXT_PAIR_KIB = 150, 20
WORDS = (
    "The sky is blue because air scatters short waves of light more than long ones, so that blue "
    "comes from everywhere and red only from where the sun stands. "
)
ANSWERS = (
    f"**In short**: it is scattering.\n\n{WORDS * 6}\n\n- short waves: much\n- long waves: little",
    f"{WORDS * 4}\n\n```python\ndef blue(wave):\n    return wave ** -4\n```\n\n{WORDS * 3}",
)


@dataclass
class Wire:
    """Bytes that came over the wire, by address."""

    received: dict[str, float] = field(default_factory=dict)

    @property
    def kib(self) -> float:
        return sum(self.received.values()) / 1024


def watch(page: Page) -> Callable[[], Wire]:
    """From now on; the answer is what came since the last time of asking."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    names: dict[str, str] = {}
    wire = Wire()
    session.on(
        "Network.requestWillBeSent", lambda e: names.update({e["requestId"]: e["request"]["url"]})
    )

    def ended(event: dict) -> None:
        name = names.get(event["requestId"], "?")
        wire.received[name] = wire.received.get(name, 0) + event["encodedDataLength"]

    session.on("Network.loadingFinished", ended)

    def taken() -> Wire:
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(500)
        seen = Wire(dict(wire.received))
        wire.received.clear()
        return seen

    return taken


def main() -> int:
    call_command("migrate", verbosity=0)
    project = factories.make_project(guidelines="Prefer what is *right*.")
    user = factories.make_user("rater", project=project)
    for _ in range(8):
        factories.make_pair(project, texts=ANSWERS)
    os.environ["STEELYARD_SECRET_KEY"] = settings.SECRET_KEY  # so that a session made here holds
    with tempfile.TemporaryDirectory() as data, crowd.serving(Path(data)) as server:
        address = f"http://{server.address.host}:{server.address.port}"
        return measure(address, f"{address}/p/{project.slug}/label/", user)


def measure(address: str, url: str, user: User) -> int:
    client = Client()
    client.force_login(user)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        context = browser.new_context()
        context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": address}]
        )
        page = context.new_page()
        taken = watch(page)
        page.goto(url)
        first = taken()
        page.keyboard.press("2")
        page.keyboard.press("Enter")
        page.get_by_text("2 of 8").first.wait_for(state="attached")
        following = taken()
        page.goto(url)
        second = taken()
        browser.close()
    for name, wire in [("first visit", first), ("next pair", following), ("second visit", second)]:
        say(f"{name:>12}: {wire.kib:7.1f} KiB in {len(wire.received)} requests")
    if "-v" in sys.argv:
        for name, size in sorted(first.received.items(), key=lambda item: -item[1]):
            say(f"{size / 1024:8.1f} KiB {name.removeprefix(address)}")
    say(
        f"ratio to Label Studio's page ({LABEL_STUDIO_KIB / 1024:.2f} MiB a visit): first "
        f"{first.kib / LABEL_STUDIO_KIB:.4f}, second {second.kib / LABEL_STUDIO_KIB:.4f}"
    )
    good = first.kib <= FIRST_VISIT_KIB and following.kib <= NEXT_PAIR_KIB
    return 0 if good else 1


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
