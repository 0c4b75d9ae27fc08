"""From nothing to a leaderboard row, in a real browser.

Both walks stand in one file: files are handed to processes whole, so one site serves both.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.journeys import image_journey, text_journey
from tests.journeys.conftest import Site

pytestmark = [pytest.mark.journey, pytest.mark.slow]


def test_image_from_a_labelled_pair_to_a_leaderboard_row(sign_in: Callable[[str], Page]) -> None:
    image_journey.walk(sign_in)


def test_text_from_a_labelled_pair_to_a_leaderboard_row(
    site: Site, sign_in: Callable[[str], Page]
) -> None:
    text_journey.walk(site, sign_in)
